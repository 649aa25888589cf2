"""Scarves as they are worn: a band around the neck, with an end that hangs down.

Sets of drawings show a scarf as it lies on a table, a loop with two ends. On a neck that is a knot
before the chest, or before the face. What is worn is drawn anew in the colours of the drawing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

_WIDE, _HIGH = 160, 120
_BAND, _SAG = (0.06, 0.42), 0.14
"""Upper and lower edge of the band at its ends, and how much lower it is in the middle."""
_END, _FRINGE = (0.58, 0.82), 0.09
"""Left and right edge of the end that hangs down; length of its fringe."""
_ROUND = 0.06
_SHADE, _LIT = 0.8, 1.12
"""Brightness of the lower edge of the band and of the upper one."""
_OUTSIDE = -1.0
_LEVELS = 5
"""Of each channel, by which colours are told apart."""


def is_scarf(name: str) -> bool:
    """Whether a thing by its English name is a scarf."""
    return any(word.rstrip("s") in ("scarf", "scarve", "shawl") for word in name.casefold().split())


def as_worn(scarf: Floats) -> Floats:
    """A scarf around a neck, in the colours of a drawn one.

    Args:
        scarf: ``(H, W, 4)``, premultiplied.

    Returns:
        ``(120, 160, 4)``: the band is in the upper part.
    """
    first, second = _colours(scarf)
    y, x = np.mgrid[0:_HIGH, 0:_WIDE].astype(np.float64)
    y, x = (y + 0.5) / _HIGH, (x + 0.5) / _WIDE
    sag = _SAG * (1 - (2 * x - 1) ** 2)
    across = (y - _BAND[0] - sag) / (_BAND[1] - _BAND[0])
    inside = np.minimum(across, 1 - across) * (_BAND[1] - _BAND[0])
    band = np.minimum(inside, np.minimum(x, 1 - x) - _ROUND * (1 - 4 * across * (1 - across)))
    slant = x - 0.1 * (y - _BAND[1])
    end = np.minimum(np.minimum(slant - _END[0], _END[1] - slant), np.minimum(1 - y, y - 0.3))
    along = (y - 0.3) / 0.7
    teeth = (slant - _END[0]) / (_END[1] - _END[0]) * 5 % 1
    end = np.where((y > 1 - _FRINGE) & (teeth > 0.7), _OUTSIDE, end)
    striped = (y > 1 - 2.4 * _FRINGE) & (y < 1 - 1.5 * _FRINGE)
    shade = (_LIT - (_LIT - _SHADE) * across.clip(0, 1))[..., None]
    hanging = (0.9 - 0.12 * along.clip(0, 1))[..., None]
    colours = np.where(
        band[..., None] > 0,
        first * shade,
        np.where(striped[..., None], second, first) * hanging,
    ).clip(0, 1)
    alpha = _edge(np.maximum(band, end))[..., None]
    return np.concatenate([colours * alpha, alpha], -1).astype(np.float32)


def _edge(inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alpha of what is so far inside a shape, in shares of the side, with a smooth edge."""
    return np.clip(inside * _HIGH + 0.5, 0, 1)


def _colours(scarf: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The commonest colour of a scarf and the one that is least like it of its commoner ones."""
    solid = scarf[scarf[..., 3] > 0.9]
    if not len(solid):
        return np.array([0.8, 0.2, 0.2]), np.array([1.0, 1.0, 1.0])
    ink = solid[:, :3].astype(np.float64)
    member = (ink * (_LEVELS - 1e-3)).astype(np.int64) @ (_LEVELS**2, _LEVELS, 1)
    sizes = np.bincount(member, minlength=_LEVELS**3)
    common = [number for number in np.argsort(-sizes)[:4].tolist() if sizes[number]]
    means = [ink[member == number].mean(0) for number in common]
    middle = means[0] if means[0].max() > 0.25 or len(means) < 2 else means[1]  # no outline
    return middle, max(means, key=lambda each: float(np.abs(each - middle).sum()))
