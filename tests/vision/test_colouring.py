"""Colours of grey drawings, in closed form."""

from __future__ import annotations

import numpy as np

from limner.vision.colouring import Colours, averaged, with_colours


def flat(offset: tuple[float, float, float], likeness: float) -> Colours:
    return Colours(np.full((4, 4, 3), offset, np.float32), likeness)


def test_readings_are_averaged_and_near_greys_are_grey():
    red, blue, faint = (0.4, -0.2, -0.2), (-0.2, -0.1, 0.7), (0.02, 0.0, -0.02)
    both = averaged([flat(red, 0.4), flat(blue, 0.6)], [1.0, 3.0])
    assert np.allclose(both.offsets, (np.array(red) + 3 * np.array(blue)) / 4, atol=1e-6)
    assert both.likeness == 0.6
    assert not averaged([flat(faint, 0.5)], [1.0]).offsets.any()
    assert np.allclose(averaged([flat(red, 0.5)], [0.2]).offsets, red)


def test_the_brightness_stays():
    grey = np.full((8, 8), 128, np.uint8)
    coloured = with_colours(grey, flat((0.3, -0.1, -0.2667), 1.0).offsets)
    assert abs(float(coloured[0, 0] @ [0.299, 0.587, 0.114]) - 128) < 2
    assert np.ptp(coloured[0, 0]) > 100
