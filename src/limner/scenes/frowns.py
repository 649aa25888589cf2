"""Sad faces: the mouth of a drawn face turned upside down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.scenes.cutout import cut_out_drawn
from limner.scenes.matte import matte_of
from limner.scenes.shapes import shape_of
from limner.vision.masks import largest, largest_part

_BELOW, _ASIDE = (0.08, 0.42), 0.3
"""How far below the eyes a mouth is, and beside the middle of the head, of its height and width."""
_DARKER = (100, 75, 50, 28)
"""By so much a mouth is darker than the face, of 255, in green: more is tried first."""
_LEAST, _MOST, _AMID = 0.12, 0.5, 0.12
"""Width of a mouth, and how far from the middle it may be, of the head's width."""
_NO_EYES = 0.52
"""Height of the eyes of a face in which none are told."""


def frowning(pixels: Pixels) -> Pixels | None:
    """A smiling head with its mouth upside down; None where no mouth is told.

    Args:
        pixels: ``(S, S, 3)``, a head on white.
    """
    matte = matte_of(pixels)
    shape, head = shape_of(cut_out_drawn(pixels)), pixels[matte.box].astype(np.float32)
    high, wide = head.shape[:2]
    eyes = _NO_EYES if shape.eyes is None else shape.eyes
    rows = slice(round((eyes + _BELOW[0]) * high), round(min(eyes + _BELOW[1], 0.97) * high))
    columns = slice(round((shape.head - _ASIDE) * wide), round((shape.head + _ASIDE) * wide))
    part = head[rows, columns]
    if part.size == 0:
        return None
    mouth = _mouth(part, wide)
    if mouth is None:
        return None
    ys, xs = np.nonzero(mouth)
    margin = max(2, round(0.03 * high))
    top, bottom = max(0, int(ys.min()) - margin), min(len(part), int(ys.max()) + margin + 1)
    left, right = max(0, int(xs.min()) - margin), min(part.shape[1], int(xs.max()) + margin + 1)
    hole = largest(mouth[top:bottom, left:right], margin - 1)
    around = part[top:bottom, left:right]
    face = _filled(around, hole)
    changed = face + ((around - face) * hole[..., None])[::-1]
    found = pixels.copy()
    y, x = matte.box[0].start + rows.start + top, matte.box[1].start + columns.start + left
    found[y : y + len(hole), x : x + hole.shape[1]] = changed.clip(0, 255).round()
    return found


def _mouth(part: NDArray[np.float32], wide: int) -> NDArray[np.bool_] | None:
    """Where the mouth is in the lower middle of a face, ``(H, W)``: the darkest part of its width.

    Args:
        part: ``(H, W, 3)``, of the face.
        wide: width of the head, in pixels.
    """
    darker = np.median(part[..., 1]) - part[..., 1]
    for least in _DARKER:
        found = largest_part(darker > least)
        if not found.any():
            continue
        ys, xs = np.nonzero(found)
        broad, tall = int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1
        middle = abs((xs.min() + xs.max()) / 2 - part.shape[1] / 2) < _AMID * wide
        whole = ys.min() > 0 and ys.max() < len(part) - 1
        if middle and whole and _LEAST * wide < broad < _MOST * wide and tall < broad:
            return found
    return None


def _filled(part: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A part of a face with a hole in it filled row by row from what is left and right of it."""
    found = part.copy()
    for row, gap in zip(found, hole, strict=True):
        at = np.flatnonzero(gap)
        known = np.flatnonzero(~gap)
        if len(at) and len(known):
            for channel in range(3):
                row[at, channel] = np.interp(at, known, row[known, channel])
    return found
