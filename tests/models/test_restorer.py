"""The restorer's network: what it sees, what it is told, what it is before training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limner.data.degrade import FIELDS
from limner.models import restorer
from limner.models.base import build
from limner.models.restorer import ESTIMATED, RestorerConfig, _measures, _with_medians
from tiny_configs import tiny_config


def tiny(**changed):
    return build("restorer", tiny_config(RestorerConfig, **changed)).eval()


def told(model, seed=0):
    levels = torch.rand(2, len(FIELDS), generator=torch.Generator().manual_seed(seed))
    return model.condition(levels)


def test_untrained_it_leaves_pictures_as_they_are():
    model, images = tiny(), torch.rand(2, 3, 24, 32) * 2 - 1
    assert torch.equal(model(images, told(model)), images)


@pytest.mark.parametrize("blocks", [(1,), (1, 1), (2, 1, 2)])
def test_it_sees_as_far_as_it_says(blocks, stir):
    model = stir(tiny(blocks=blocks))
    side = 4 * model.reach
    side -= side % model.stride
    images = torch.rand(1, 3, side, side, requires_grad=True)
    middle = side // 2 // model.stride * model.stride
    model(images, told(model)[:1])[0, :, middle, middle].sum().backward()
    seen = images.grad[0].abs().sum(0).nonzero()
    far = (seen - middle).abs().max()
    assert far <= model.reach
    assert far > model.reach - 3 * model.stride, "tiles overlap by more than is needed"


def test_what_it_is_told_matters(stir, make_features):
    model, images = stir(tiny()), torch.rand(2, 3, 16, 16)
    assert not torch.equal(model(images, told(model, 1)), model(images, told(model, 2)))
    levels, text = torch.zeros(2, len(FIELDS)), make_features(2)
    silent = model.condition(levels, text, torch.tensor([True, False]))
    assert torch.equal(silent[1], model.condition(levels)[1])
    assert not torch.equal(silent[0], model.condition(levels)[0])


def test_the_estimator_says_what_it_cannot_see(stir):
    model = stir(tiny())
    levels, errors = model.estimate(torch.rand(3, 3, 16, 20))
    blind = [name not in ESTIMATED for name in FIELDS]
    assert levels.shape == errors.shape == (3, len(FIELDS))
    assert errors[:, blind].isinf().all() and (levels[:, blind] == 0).all()
    assert errors[:, [not each for each in blind]].isfinite().all()


def test_steps_at_the_borders_of_jpegs_blocks_are_told_from_those_within():
    """Logarithms of the mean steps, here of blocks of 8 x 8 in one brightness each."""
    blocks = torch.tensor([[0.0, 0.5], [0.5, 0.0]]).kron(torch.ones(8, 8)).expand(1, 3, 16, 16)
    across, within = _measures(_with_medians(blocks))[0, [-4, -3]].exp().tolist()
    assert across == pytest.approx(0.5 + 1e-3, rel=1e-4)
    assert within == pytest.approx(1e-3, rel=1e-4)
    shifted = blocks.roll(3, 3)  # from left to right its steps are within the blocks
    across, within = _measures(_with_medians(shifted))[0, [-4, -3]].exp().tolist()
    assert across == pytest.approx(0.25 + 1e-3, rel=1e-4)
    assert within > 0.01


def test_the_estimate_is_the_likelihood_of_a_normal_distribution(make_batch, monkeypatch):
    """-log N(level; guess, exp(spread)^2), less its constant, over pictures of their own size."""
    model, told = tiny(), []

    def estimator(images):
        count = len(images)
        guess = torch.full((count, len(ESTIMATED)), 0.25)
        return guess, torch.full((count, len(ESTIMATED)), -0.5)

    def example(*given):
        told.append(made(*given))
        return told[-1]

    made = restorer._example
    monkeypatch.setattr(model.estimator, "forward", estimator)
    monkeypatch.setattr(restorer, "_example", example)
    found = model.losses(make_batch(model), "model")["estimate"].item()
    levels = torch.tensor(np.stack([row.there.levels for row in told]))
    seen = levels[:, [FIELDS.index(name) for name in ESTIMATED]]
    normal = torch.distributions.Normal(0.25, math.exp(-0.5))
    nll = -normal.log_prob(seen) - 0.5 * math.log(2 * math.pi)
    own = levels[:, FIELDS.index("scale")] == 0
    assert own.any()
    assert found == pytest.approx(nll[own].mean().item(), rel=1e-4)
