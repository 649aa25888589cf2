"""How far the lens blurred a picture, told from its edges.

A step edge that a Gaussian of standard deviation s blurred has a slope that one more Gaussian of
s0 makes less steep by R = sqrt((s^2 + s0^2) / s^2), whatever its contrast; so s is
s0 / sqrt(R^2 - 1) (Zhuo and Sim 2011, "Defocus map estimation from a single image", Pattern
Recognition 44, section 3). Less than about half a pixel cannot be told from none.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.vision.masks import largest

_AGAIN = 1.0
"""s0, pixels."""
_SLOPE_SPREAD = 1 / 3
"""Variance that the slope over two pixels, a mean over both, adds to that of an edge."""
_STEEP = 0.04
"""Least slope of an edge, of 1 a pixel."""
_REACH, _RIM = 2, 4
"""Pixels around the steepest of an edge, and of the picture's rim, which is left out."""
_LEAST_EDGES = 20
_QUANTILE = 0.7
"""Chosen on photographs and drawings blurred by known amounts: edges of fine grain lie beside
others and seem sharper, so that it is above the middle."""


def edge_blur(parts: Iterable[Floats]) -> float | None:
    """The standard deviation of the Gaussian that blurred a picture, in pixels.

    Args:
        parts: of the picture or all of it, ``(H, W)`` float32 in [0, 1] each, nearly without noise.

    Returns:
        0 or more; None where there are too few edges to tell.
    """
    found = [_edges(part) for part in parts if min(part.shape) > 2 * _RIM]
    variances = np.concatenate(found) if found else np.zeros(0)
    if len(variances) < _LEAST_EDGES:
        return None
    return float(np.sqrt(max(0.0, float(np.quantile(variances, _QUANTILE)) - _SLOPE_SPREAD)))


def _edges(brightness: Floats) -> NDArray[np.float64]:
    """The variance that each edge of a part tells, ``(N,)``."""
    once, twice = _slopes(brightness), _slopes(_smoothed(brightness))
    inner = (slice(_RIM, -_RIM), slice(_RIM, -_RIM))
    peaks = ((once >= largest(once, _REACH)) & (once > _STEEP))[inner]
    ratios = once[inner][peaks] / np.maximum(twice[inner][peaks], 1e-6)
    return np.asarray(_AGAIN**2 / np.maximum(ratios**2 - 1, 1e-3), np.float64)


def _slopes(values: Floats) -> Floats:
    """The length of the gradient by central differences, ``(H, W)``."""
    down, right = np.gradient(values)
    return np.asarray(np.hypot(down, right), np.float32)


def _smoothed(values: Floats) -> Floats:
    """Convolution with a Gaussian of :data:`_AGAIN`, edges repeated."""
    radius = int(np.ceil(4 * _AGAIN))
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * _AGAIN**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for _ in range(2):  # columns, then rows
        padded = np.pad(values, ((radius, radius), (0, 0)), "edge")
        parts = [w * padded[n : n + len(values)] for n, w in enumerate(weights)]
        values = np.asarray(np.sum(parts, 0), np.float32).T
    return values
