"""Filling a hole with what is opposite, where a picture is symmetric.

Most drawings of things seen from the front are their own mirror image about a vertical axis. Where
what is known of a picture agrees with its mirror image, what is opposite is a better guess for a
hole than anything else in the picture. Mirrors are parallel to the sides.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from limner.vision.masks import Mask, largest, parts_of

Floats = NDArray[np.float32]
_Number = TypeVar("_Number", bound=np.generic)

_SAME = 0.25
"""Most difference of a channel, in [-1, 1], of pixels that agree."""
_INK = 0.15
"""Least difference from the background of what is drawn."""
_AGREE = 0.85
"""Share of what is drawn on both sides of an axis that must agree."""
_RIM = 1 / 16
"""Share of the side, from the background inwards, that is taken from above or below."""
_SEEN = 0.15
"""Share of what is drawn that must be known on both sides of an axis, to judge it by."""
_EDGE = 2
"""Pixels around what is drawn that may be mixtures with it."""
_FAR = 0.2
"""Distance of an axis from the middle of the picture, in sides."""


class Mirror(NamedTuple):
    """An axis: opposite to pixel ``i`` of a row, or of a column, is pixel ``total - i``."""

    total: int
    horizontal: bool


def mirrored(image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """A picture whose hole has what is opposite, and what of the hole is left.

    What is drawn in the hole must continue something beside it, so that a thing that was taken
    away whole does not come back. What is above has the outline of what is below more often than
    its details, as faces do; only the outline is taken about a horizontal axis.

    Args:
        image: ``(3, S, S)`` float32 in [-1, 1]; right outside of the hole.
        hole: ``(S, S)`` bool.

    Returns:
        ``(3, S, S)`` and ``(S, S)``; the picture and the hole themselves where there is no
        symmetry.
    """
    pixels, gap = image.numpy(), hole.numpy()
    beside = ~gap
    beside[1:-1, 1:-1] = False
    if not beside.any():
        return image, hole
    ground = np.median(pixels[:, beside], axis=1)[:, None, None]
    for horizontal in (False, True):
        ink = (np.abs(pixels - ground).max(0) > _INK) & ~gap
        mirror = _best(pixels, ink, gap, horizontal)
        if mirror is not None:
            opposite = _flipped(pixels, mirror)
            drawn = np.abs(opposite - ground).max(0) > _INK
            new = gap & _flipped(~gap, mirror)
            lone = new & drawn & ~_touching(new & drawn, ink)
            new &= ~largest(lone, _EDGE)
            if horizontal:
                new &= largest(~drawn, round(_RIM * len(gap)))
            pixels, gap = np.where(new, opposite, pixels), gap & ~new
    return from_numpy(pixels), from_numpy(gap)


def _best(pixels: Floats, ink: Mask, gap: Mask, horizontal: bool) -> Mirror | None:
    """The axis about which what is known agrees best; None where none does."""
    side, best, least = len(gap), None, _AGREE
    reach, enough = round(2 * _FAR * side), max(1, _SEEN * ink.sum())
    for total in range(side - 1 - reach, side + reach):
        mirror = Mirror(total, horizontal)
        shown = _flipped(~gap, mirror) & ~gap & (ink | _flipped(ink, mirror))
        if shown.sum() < enough:
            continue
        apart = np.abs(pixels - _flipped(pixels, mirror)).max(0)
        agree = float((apart[shown] < _SAME).mean())
        if agree > least:
            best, least = mirror, agree
    return best


def _flipped(values: NDArray[_Number], mirror: Mirror) -> NDArray[_Number]:
    """Values ``(..., S, S)`` about an axis; zero where the opposite pixel is outside."""
    axis = -2 if mirror.horizontal else -1
    side = values.shape[-1]
    places = mirror.total - np.arange(side)
    inside = (places >= 0) & (places < side)
    found = np.take(values, places.clip(0, side - 1), axis)
    shape = [1] * values.ndim
    shape[axis] = side
    flipped: NDArray[_Number] = np.where(inside.reshape(shape), found, np.zeros((), values.dtype))
    return flipped


def _touching(drawn: Mask, ink: Mask) -> Mask:
    """The parts of what is new that are connected with what was there."""
    parts = parts_of(drawn | ink)
    there = np.zeros(parts.max(initial=0) + 1, np.bool_)
    there[np.unique(parts[ink])] = True
    there[0] = False
    return drawn & there[parts]
