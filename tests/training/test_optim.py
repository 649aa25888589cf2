"""Optimizers are those of torch, and need no compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from limner.models.base import ParameterGroup
from limner.training.optim import GroupOptimizer
from limner.training.recipe import TrainSection

STEPS = """
import sys, torch
import limner.training.flops
from limner.models.base import ParameterGroup
from limner.training.optim import GroupOptimizer
from limner.training.recipe import TrainSection
from torch.utils.flop_counter import FlopCounterMode
layer = torch.nn.Linear(4, 4)
optimizer = GroupOptimizer("model", ParameterGroup(list(layer.parameters())), TrainSection())
with FlopCounterMode(display=False):
    layer(torch.ones(2, 4)).sum().backward()
optimizer.step(1.0)
optimizer.state()
print("torch._dynamo" in sys.modules)
"""


def test_a_step_is_that_of_adamw():
    torch.manual_seed(0)
    section = TrainSection(lr=0.01, weight_decay=0.1, clip_norm=None)
    layers = [nn.Linear(4, 3, bias=False) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    ours = GroupOptimizer("model", ParameterGroup([layers[0].weight]), section)
    theirs = torch.optim.AdamW(
        [layers[1].weight], lr=0.005, betas=section.betas, weight_decay=0.1, fused=True
    )
    for _ in range(3):
        x = torch.randn(5, 4)
        for layer in layers:
            layer.zero_grad()
            layer(x).square().sum().backward()
        ours.step(0.5)
        theirs.step()
        assert torch.equal(layers[0].weight, layers[1].weight)


def test_a_step_of_muon_is_along_the_orthogonal_part_of_the_gradient():
    """Jordan et al. 2024: of G = U S V', U V' by five Newton-Schulz steps, S within 0.3 of 1."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    torch.manual_seed(0)
    section = TrainSection(optimizer="muon", muon_lr=0.02, lr=0.01, weight_decay=0.1)
    start, gradient = torch.randn(2, 6, 4)
    matrix, vector = nn.Parameter(start.clone()), nn.Parameter(torch.ones(3))
    group = ParameterGroup([matrix, vector], lr_scale=0.5)
    optimizer = GroupOptimizer("model", group, section)
    matrix.grad, vector.grad = gradient.clone(), torch.zeros(3)
    optimizer.step(0.25)
    rate = 0.02 * 0.5 * 0.25
    moved = (start * (1 - rate * 0.1) - matrix.detach()) / (rate * (6 / 4) ** 0.5)
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    values = left.T @ moved @ right.T
    assert (values.diagonal() - 1).abs().max() < 0.35
    assert (values - values.diagonal().diag()).abs().max() < 0.02
    assert vector.tolist() == [1.0] * 3


def test_matrices_decay_and_vectors_do_not():
    """AdamW's decay (Loshchilov and Hutter 2019, algorithm 2): without a gradient, w (1 - lr d)."""
    section = TrainSection(lr=0.01, weight_decay=0.1, clip_norm=None)
    matrix, vector, apart = (nn.Parameter(torch.ones(s)) for s in ((2, 3), (3,), (2, 2)))
    group = ParameterGroup([matrix, vector], apart=[apart], apart_lr=0.01)
    optimizer = GroupOptimizer("model", group, section)
    for factor in (1.0, 0.5, 1.0):
        for parameter in (matrix, vector, apart):
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(factor)
    kept = (1 - 0.01 * 0.1) * (1 - 0.005 * 0.1) * (1 - 0.01 * 0.1)
    torch.testing.assert_close(matrix.detach(), torch.full((2, 3), kept))
    assert vector.tolist() == [1.0] * 3 and apart.tolist() == [[1.0] * 2] * 2


def test_steps_and_counted_operations_do_not_import_the_compiler():
    """It takes two seconds, in every process that trains."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
