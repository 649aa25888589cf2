"""The network that looks: frames and edges against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from limner.models.tower import (
    PictureEncoder,
    PictureEncoderConfig,
    PictureTower,
    TowerConfig,
    edge_grid,
    framed,
)


def square(left: int, top: int, side: int, ground: float = 1.0, size: int = 64) -> Tensor:
    """A dark square on a plain ground, ``(1, 3, size, size)``."""
    picture = torch.full((1, 3, size, size), ground)
    picture[..., top : top + side, left : left + side] = -0.5
    return picture


@pytest.mark.parametrize(("left", "top", "side"), [(4, 4, 32), (30, 20, 16), (0, 40, 24)])
@pytest.mark.parametrize("ground", [1.0, 0.2])
def test_wherever_and_however_large_it_is_drawn_it_is_framed_alike(left, top, side, ground):
    found = framed(square(left, top, side, ground))
    wanted = square(2, 2, 60, ground)  # 64 px, all but one twentieth
    inside, outside = found[..., 6:58, 6:58], found[..., [0, -1], :]
    torch.testing.assert_close(inside, wanted[..., 6:58, 6:58], atol=0.02, rtol=0)
    torch.testing.assert_close(outside, wanted[..., [0, -1], :], atol=0.4, rtol=0)


def test_what_is_long_keeps_its_proportions():
    picture = torch.ones(1, 3, 64, 64)
    picture[..., 10:14, 8:40] = -1  # 32 by 4
    ink = framed(picture)[0, 0] < 0
    assert ink.any(0).sum() == pytest.approx(61, abs=1)
    assert ink.any(1).sum() == pytest.approx(8, abs=1)
    assert (ink.any(1).nonzero().double().mean() - 31.5).abs() < 1  # in the middle


def test_an_empty_picture_stays_and_one_in_a_batch_is_the_one_alone():
    empty = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(framed(empty), empty)
    noise = torch.rand(1, 3, 64, 64) * 2 - 1
    batch = torch.cat((square(4, 4, 20), empty, noise))
    assert torch.equal(framed(batch)[2:], framed(noise))


@pytest.mark.parametrize("turns", range(8))
def test_a_straight_edge_is_seen_in_its_own_direction(turns):
    angle = turns * math.pi / 8  # of the gradient
    place = torch.arange(64) - 31.5
    ramp = math.cos(angle) * place + math.sin(angle) * place[:, None]
    picture = (ramp / 64).expand(1, 3, 64, 64)
    bins = edge_grid(picture, 8)[0, :8, 8, 8]
    assert bins.argmax() == turns
    wanted = [max(0.0, math.cos(2 * math.pi * (b - turns) / 8)) ** 4 for b in range(8)]
    share = bins.square() / bins.square().sum()
    torch.testing.assert_close(share, torch.tensor(wanted) / sum(wanted), atol=1e-3, rtol=0)


def test_edges_forget_which_side_is_dark_and_how_sharp_they_are():
    picture = square(16, 16, 32)
    inverted = edge_grid(-picture, 8)[:, :8]
    torch.testing.assert_close(edge_grid(picture, 8)[:, :8], inverted)
    faint = edge_grid(picture / 4, 8)[:, :8]
    strong = edge_grid(picture, 8)[:, :8]
    assert (faint.amax() / strong.amax()) > 0.9
    plain = edge_grid(torch.zeros(1, 3, 16, 16), 6)
    assert plain.shape == (1, 9, 4, 4) and plain.abs().max() < 1e-3


def test_colours_are_the_means_of_the_cells():
    picture = torch.rand(2, 3, 16, 16) * 2 - 1
    wanted = picture.view(2, 3, 4, 4, 4, 4).mean((3, 5))
    torch.testing.assert_close(edge_grid(picture, 4)[:, 4:], wanted)


@pytest.mark.parametrize(("edges", "cells"), [(0, 16), (8, 4)])
def test_the_grid_has_as_many_cells_as_the_configuration_says(edges, cells):
    config = TowerConfig(size=16, widths=(4, 8), edges=edges, frame=True)
    assert config.cells == cells
    tower = PictureTower(config)
    assert tower(torch.rand(3, 3, 16, 16)).shape == (3, cells, 8)


@pytest.mark.parametrize("changed", [{}, {"looks": 0}, {"flat": 3}, {"inner": 12}, {"drop": 0.5}])
def test_a_whole_picture_is_one_vector_of_the_width_it_says(changed):
    config = PictureEncoderConfig(size=16, widths=(4, 8), **{"looks": 2, **changed})
    whole = PictureEncoder(config).eval()
    pictures = torch.rand(3, 3, 16, 16) * 2 - 1
    found = whole(pictures)
    assert found.shape == (3, whole.width)
    torch.testing.assert_close(whole(pictures[1:2]), found[1:2])


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValidationError, match=r"halved 3 times, .* and once more for the edges"):
        TowerConfig(size=20, widths=(4, 8), edges=8)
