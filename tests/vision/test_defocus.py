"""Blur from edges, beside what scipy's Gaussian filter was told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from limner.vision.defocus import edge_blur


def steps(side: int = 96) -> np.ndarray:
    """Squares of several contrasts, whose edges lie far apart."""
    found = np.full((side, side), 0.9, np.float32)
    for n, at in enumerate((12, 42, 72)):
        found[at : at + 15, 12:40] = 0.1 + 0.25 * n
        found[12:84, 55:75] = 0.3
    return found


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
def test_the_blur_of_edges_of_any_contrast_is_told(sigma):
    picture = gaussian_filter(steps(), sigma, truncate=6)
    assert edge_blur([picture]) == pytest.approx(sigma, abs=0.15)
    dark = edge_blur([0.7 * picture])
    assert dark == pytest.approx(sigma, abs=0.15), "contrast does not count"
    assert edge_blur([picture, np.zeros((64, 64), np.float32)]) == edge_blur([picture])


def test_sharp_edges_and_none():
    sharp = edge_blur([steps()])
    assert sharp is not None and sharp < 0.7
    assert edge_blur([np.full((64, 64), 0.5, np.float32)]) is None
    assert edge_blur([np.zeros((3, 80), np.float32)]) is None
    assert edge_blur([]) is None
