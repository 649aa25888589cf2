"""Holes of flat drawings, against closed forms and the drawings before they had holes."""

from __future__ import annotations

import numpy as np
import torch

from limner.vision.flat_colours import coloured_in, continued, main_colours


def hole_of(side: int, rows: slice, columns: slice) -> torch.Tensor:
    hole = torch.zeros(side, side, dtype=torch.bool)
    hole[rows, columns] = True
    return hole


def test_a_harmonic_picture_is_continued_exactly():
    """Planes and x^2 - y^2 solve Laplace's equation, also its differences."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    picture = torch.stack([x, 0.5 * y - 0.2 * x, 0.5 * (x**2 - y**2)])
    hole = hole_of(64, slice(20, 44), slice(24, 40))
    found = continued(torch.where(hole, 9.0, picture), hole)
    assert torch.equal(found[:, ~hole], picture[:, ~hole])
    assert float((found - picture).abs().max()) < 0.02


def test_a_blurred_guess_becomes_two_flat_colours():
    red, white = torch.tensor([0.8, -0.7, -0.6]), torch.ones(3)
    y, x = torch.meshgrid(*[torch.arange(64)] * 2, indexing="ij")
    disc = (((x - 30) ** 2 + (y - 34) ** 2) < 18**2)[None]
    picture = torch.where(disc, red[:, None, None], white[:, None, None])
    hole = hole_of(64, slice(24, 56), slice(30, 60))
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    guess = torch.where(hole, 0.7 * picture + 0.05 + 0.15 * noise, picture)
    found = coloured_in(guess, hole)
    assert found is not None and torch.equal(found[:, ~hole], picture[:, ~hole])
    nearest = torch.cdist(found[:, hole].T, torch.stack([red, white])).amin(1)
    assert float(nearest.quantile(0.9)) < 0.05, "flat"
    errors = [float((each - picture).square().mean()) for each in (found, guess)]
    assert errors[0] < 0.7 * errors[1]


def test_colours_and_shares_are_those_of_the_picture_and_others_are_refused():
    pixels = torch.tensor([[1.0, 1.0, 1.0]] * 70 + [[-0.9, 0.4, 0.1]] * 30).T
    found = main_colours(pixels)
    assert found is not None
    assert torch.allclose(found[0], torch.tensor([[1.0, 1.0, 1.0], [-0.9, 0.4, 0.1]]))
    assert np.allclose(found[1], [0.7, 0.3])
    assert main_colours(torch.rand(3, 5000, generator=torch.Generator().manual_seed(1))) is None
    noise = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert coloured_in(noise, hole_of(32, slice(8, 20), slice(8, 20))) is None
