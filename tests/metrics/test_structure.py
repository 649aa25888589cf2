"""Agreement of structure, on pictures where the answer is known."""

from __future__ import annotations

import torch

from limner.metrics.structure import edge_agreement, layout_agreement, structure_agreement


def disc(x: float, y: float, radius: float, side: int = 64) -> torch.Tensor:
    axis = (torch.arange(side) + 0.5) / side
    inside = (axis[None] - x) ** 2 + (axis[:, None] - y) ** 2 < radius**2
    return torch.where(inside, -1.0, 1.0).expand(1, 3, -1, -1)


def test_equal_pictures_agree_whatever_their_contrast_and_size():
    one = disc(0.4, 0.5, 0.3)
    small = torch.nn.functional.interpolate(one, 16, mode="area")
    for each in (one, 0.3 * one + 0.2, disc(0.4, 0.5, 0.3, 128)):
        assert float(structure_agreement(one, one if each.shape[2] != 64 else each)) > 0.999
    assert float(structure_agreement(small, small)) > 0.999
    assert torch.allclose(edge_agreement(one, -one), torch.ones(1)), "edges have no sign"
    assert float(layout_agreement(one, -one)) == 0


def test_flat_pictures_have_no_edges_that_differ():
    flat = torch.full((1, 3, 64, 64), 0.2)
    assert float(structure_agreement(flat, flat - 0.5)) == 1
    assert float(edge_agreement(flat, disc(0.5, 0.5, 0.2))) == 0


def test_what_moves_farther_agrees_less():
    one = disc(0.3, 0.5, 0.2)
    found = [float(structure_agreement(one, disc(0.3 + moved, 0.5, 0.2)))
             for moved in (0, 0.05, 0.1, 0.2, 0.4)]  # fmt: skip
    assert found == sorted(found, reverse=True) and found[0] > 0.999 and found[-1] < 0.2
