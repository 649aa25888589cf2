"""The pointing game on maps whose highest point is known."""

from __future__ import annotations

import numpy as np
import pytest

from limner.errors import UsageError
from limner.metrics.pointing import highest_point, mask_of_boxes, points_at, share_inside


def test_the_highest_point_of_a_bump_is_its_middle():
    y, x = np.mgrid[:64, :64].astype(np.float32)
    bump = np.exp(-((x - 40) ** 2 + (y - 10) ** 2) / 50).astype(np.float32)
    assert highest_point(bump) == pytest.approx((40.5 / 64, 10.5 / 64))
    assert points_at(bump, [(0.5, 0, 0.75, 0.25)])
    assert not points_at(bump, [(0, 0, 0.5, 1), (0.5, 0.5, 1, 1)])


def test_the_middle_of_a_plateau_counts_and_not_its_corner():
    plateau = np.zeros((64, 64), np.float32)
    plateau[16:48, 8:40] = 1
    x, y = highest_point(plateau)
    assert (x, y) == pytest.approx((24 / 64, 32 / 64), abs=1 / 64)
    assert share_inside(plateau, [(0, 0, 24 / 64, 1)]) == pytest.approx(0.5)
    assert share_inside(plateau, [(0, 0, 1, 1), (0, 0, 0.5, 0.5)]) == pytest.approx(1)


def test_a_map_of_zeros_points_nowhere():
    nothing = np.zeros((8, 8), np.float32)
    assert not points_at(nothing, [(0, 0, 1, 1)])
    assert share_inside(nothing, [(0, 0, 1, 1)]) == 0
    with pytest.raises(UsageError, match="points at nothing"):
        highest_point(nothing)


def test_pixels_whose_middle_is_on_the_edge_of_a_box_are_inside():
    found = mask_of_boxes((4, 4), [(1 / 8, 3 / 8, 5 / 8, 5 / 8)])  # middles at odd eighths
    wanted = np.zeros((4, 4), bool)
    wanted[1:3, 0:3] = True
    assert np.array_equal(found, wanted)
