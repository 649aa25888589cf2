"""Weights of a byte a number come back within half a step of their row."""

from __future__ import annotations

import pytest
import torch

from limner.errors import ModelFileError
from limner.quantisation import dequantise, quantise


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(512, 300, generator=g) * torch.logspace(-6, 3, 512)[:, None]
    rows[7] = 0.0
    return {
        "large": rows, "small": rows[:2], "picture": torch.randn(64, 64, 8, 8, generator=g),
        "whole": torch.arange(200_000).view(2, -1),
    }  # fmt: skip


def test_large_matrices_take_a_byte_a_number(tensors):
    stored = quantise(tensors)
    assert stored["large"].dtype == torch.int8
    assert stored["small"].dtype == stored["picture"].dtype == torch.float16
    assert torch.equal(stored["whole"], tensors["whole"])
    back = dequantise(stored)
    assert back.keys() == tensors.keys()
    step = tensors["large"].abs().amax(1, keepdim=True) / 127
    assert ((back["large"] - tensors["large"]).abs() <= 0.5001 * step).all()
    assert torch.equal(back["large"].abs().amax(1) > 0, tensors["large"].abs().amax(1) > 0)


def test_a_damaged_scale_is_refused(tensors):
    stored = quantise(tensors)
    for wrong in ({"large:scale": torch.ones(3)}, {"other:scale": torch.ones(3)}):
        with pytest.raises(ModelFileError, match="fits no stored weights"):
            dequantise(stored | wrong)
