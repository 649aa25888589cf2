"""Lines around drawn things, their colour and width, and the shadows that are drawn below them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from limner.arrays import Floats, Mask
from limner.scenes.cutout import cropped
from limner.vision.masks import grown, largest_part

_NEAR = 0.14
"""Greatest difference of a channel of colours that are alike."""
_CELLS = 12
"""Colours of a channel that are told apart."""
_INKED, _EVEN, _DEPTHS = 0.2, 0.55, 10
"""Least difference of an outline from what it is around; least share of a rim that it is; pixels
from the rim, in pictures of 256, within which it ends."""
_LINE_MOST = 0.45
"""Greatest share of a thing that has the colour of its outline."""
_LINE_WIDE = 6
"""Pixels of a row in which there is an outline."""
_PALE, _LOW = 0.78, 0.75
"""Least channel of a drawn shadow; where it begins, of the height of a thing."""


class Outline(NamedTuple):
    """The line around a thing.

    Attributes:
        colour: ``(3,)``; None where there is no line.
        width: in pixels.
        inside: ``(N, 3)``, colours that are inside of it.
    """

    colour: Floats | None
    width: float
    inside: Floats


def outline_of(cut: Floats) -> Outline:
    """The line around a cut-out thing ``(H, W, 4)``."""
    colours, solid = plain_colours(cut), cut[..., 3] > 0.5
    unit = max(1, round(max(solid.shape) / 256))
    left, rims = np.pad(solid, 1), list[Floats]()
    for _ in range(_DEPTHS * unit):
        within = ~grown(~left)
        rims.append(colours[(left & ~within)[1:-1, 1:-1]])
        left = within
    first, last = rims[2 * unit], rims[-1]
    if not len(first) or not len(last):
        return Outline(None, 0.0, last)
    rim, inside = np.median(first, 0), np.median(last, 0)
    if float(alike(first, rim).mean()) < _EVEN or float(abs(rim - inside).max()) < _INKED:
        return Outline(None, 0.0, last)
    if float(alike(colours[solid], rim).mean()) > _LINE_MOST:
        return Outline(None, 0.0, last)  # what is like it is more than a line
    shares = [float(alike(each, rim).mean()) if len(each) else 0.0 for each in rims[2 * unit :]]
    ends = next((i for i, share in enumerate(shares) if share < _EVEN), len(shares))
    return Outline(rim.astype(np.float32), float(ends + 2 * unit), last)


def without_shadow(cut: Floats) -> Floats:
    """A cut-out thing without the shadow that is drawn below it, as sets with black outlines do.

    Args:
        cut: ``(H, W, 4)``, premultiplied.

    Returns:
        Its upper rows; the same where there is no pale shadow below it.
    """
    apart = _without_parts_below(cut)
    colour = outline_of(apart).colour
    if colour is None:
        return apart
    colours, solid = plain_colours(apart), apart[..., 3] > 0.5
    rows = np.flatnonzero((alike(colours, colour) & solid).sum(1) >= _LINE_WIDE)
    end = int(rows[-1]) + 2 if len(rows) else len(apart)
    below = colours[end:][solid[end:]]
    return _upper(apart, end) if _is_shadow(below) and end > _LOW * len(apart) else apart


def plain_colours(cut: Floats) -> Floats:
    """Colours that are not premultiplied, ``(H, W, 3)``."""
    return np.asarray(cut[..., :3] / np.maximum(cut[..., 3:], 1e-6), np.float32)


def alike(colours: Floats, colour: Floats) -> Mask:
    """Which colours ``(..., 3)`` are like one."""
    near: Mask = abs(colours - colour).max(-1) < _NEAR
    return near


def commonest(colours: Floats) -> Floats:
    """The mean of those of N colours ``(N, 3)`` that are like the commonest; white of none."""
    if not len(colours):
        return np.ones(3, np.float32)
    cells = (colours.clip(0, 1) * (_CELLS - 1e-3)).astype(np.intp) @ [_CELLS**2, _CELLS, 1]
    most = colours[cells == np.bincount(cells).argmax()].mean(0)
    found: Floats = colours[alike(colours, most)].mean(0)
    return found


def _without_parts_below(cut: Floats) -> Floats:
    """A cut-out thing without pale parts that are below its largest and apart from it."""
    solid = cut[..., 3] > 0.5
    if not solid.any():
        return cut
    whole = grown(grown(largest_part(solid)))
    low = int(np.flatnonzero(whole.any(1))[-1]) + 1
    below = plain_colours(cut)[low:][solid[low:]]
    return _upper(cut, low) if _is_shadow(below) and low > _LOW * len(cut) else cut


def _is_shadow(colours: Floats) -> bool:
    """Whether colours ``(N, 3)`` are those of a drawn shadow."""
    return len(colours) > 0 and float(np.median(colours.min(-1))) > _PALE


def _upper(cut: Floats, end: int) -> Floats:
    """The rows of a cut-out thing before one, and the columns that it then needs."""
    rows = np.arange(len(cut)) < end
    return cropped(cut, rows[:, None] & (cut[..., 3] > 0))
