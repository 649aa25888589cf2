"""Parts of a picture by its pixels: what stands apart, or windows and regions of one colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from limner.arrays import Mask, Pixels
from limner.vision.images import on_white
from limner.vision.masks import grown, parts_of, touching_border

SIDE = 64
"""Pixels of a side of every part."""
_LOOKED = 128
"""Pixels of a side of the picture in which parts are looked for."""
_NEAR = 0.1
"""Greatest difference of a channel from the border's colour that is background."""
_PLAIN = 0.85
"""Least share of the border in one colour on a plain background."""
_JOINED = 1
"""Pixels that may lie between two pieces of one thing, on each side."""
_LEAST, _LEAST_ASKED = 0.12, 0.02
"""Least area of a thing of its own, of the largest thing's: smaller ones belong to the nearest. The
same of as many as are asked for: dogs under a tree are small."""
_SPECK = 12
"""Pixels of what is nothing."""
_FILL = 0.9
"""Share of its picture that a cut-out thing takes, as in icons."""
_WINDOWS = ((0.75, 2), (0.5, 3))
"""Sides of windows, and how many there are along a side."""
_COLOURS, _MOST_REGIONS = 6, 10
"""Colours that a picture without things apart is reduced to, and regions of one that are looked at.
"""
_REGION = (0.012, 0.6)
"""Least area of a region, of the picture's, and greatest, of what is drawn."""
_OUTLINE = 2
"""Pixels around a region that belong to it: its outline."""


@dataclass(frozen=True, eq=False)
class PicturePart:
    """A part of a picture.

    Attributes:
        pixels: ``(64, 64, 3)`` uint8, on white where it was cut out.
        box: left, top, right and bottom, in shares of the picture's side.
        cut: whether it is a thing that was cut out of a plain background.
    """

    pixels: Pixels
    box: tuple[float, float, float, float]
    cut: bool

    @property
    def centre(self) -> tuple[float, float]:
        """Of its box."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def at_edge(self) -> bool:
        """Whether it reaches an edge of the picture."""
        return min(self.box[:2]) <= 0 or max(self.box[2:]) >= 1


def picture_parts(image: Image.Image, *, apart: bool = True, things: int = 1) -> list[PicturePart]:
    """What stands apart on a plain background; without one the picture, and windows in it.

    There are regions of one colour beside the windows, which are cut out: apples on a plate.

    The background is what is connected to the border and has the border's median colour. Pieces
    that nearly touch are one thing, and small ones belong to the thing nearest to them.

    Args:
        image: the picture.
        apart: whether things are expected to stand apart; where not, there are windows in any case.
        things: how many are expected.
    """
    small = on_white(image).resize((_LOOKED, _LOOKED), Image.Resampling.BOX)
    pixels = np.asarray(small)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(edge, 0).astype(np.int16)
    near = np.abs(pixels.astype(np.int16) - colour).max(-1) < _NEAR * 255
    plain = np.concatenate([near[0], near[-1], near[:, 0], near[:, -1]]).mean() >= _PLAIN
    if not (plain and apart):
        return [*_windows(pixels), *_regions(small, ~touching_border(near))]
    ink = ~touching_border(near)
    found = []
    for mask in _things(ink, things):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        alone = np.where(mask[..., None], pixels, 255).astype(np.uint8)
        left, top, right, bottom = (float(each) / _LOOKED for each in box)
        found.append(PicturePart(_fitted(alone, box), (left, top, right, bottom), True))
    return found


def _things(ink: Mask, expected: int) -> list[Mask]:
    """Masks of the things of a picture, the largest first."""
    wide = ink
    for _ in range(_JOINED):
        wide = grown(wide)
    labels = parts_of(wide) * ink
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n] >= _SPECK]
    if not order:
        return []
    least = [_LEAST_ASKED] * expected + [_LEAST] * len(order)
    own = [n for n, share in zip(order, least, strict=False) if sizes[n] >= share * sizes[order[0]]]
    masks = [labels == n for n in own]
    boxes = [_bounds(mask) for mask in masks]
    for number in order[len(own) :]:
        piece = labels == number
        near = min(range(len(own)), key=lambda i: _gap(_bounds(piece), boxes[i]))
        masks[near] = masks[near] | piece
    return masks


def _bounds(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _gap(one: Sequence[int], other: Sequence[int]) -> int:
    """Pixels between two boxes; 0 where they overlap."""
    across = max(one[0] - other[2], other[0] - one[2], 0)
    return across + max(one[1] - other[3], other[1] - one[3], 0)


def _windows(pixels: Pixels) -> Iterator[PicturePart]:
    whole = (0, 0, _LOOKED, _LOOKED)
    yield PicturePart(_fitted(pixels, whole, fill=1.0), (0.0, 0.0, 1.0, 1.0), False)
    for scale, count in _WINDOWS:
        side = round(scale * _LOOKED)
        places = [round(i * (_LOOKED - side) / (count - 1)) for i in range(count)]
        for top in places:
            for left in places:
                box = (left, top, left + side, top + side)
                shares = (left / _LOOKED, top / _LOOKED, box[2] / _LOOKED, box[3] / _LOOKED)
                yield PicturePart(_fitted(pixels, box, fill=1.0), shares, False)


def _regions(small: Image.Image, ink: Mask) -> Iterator[PicturePart]:
    """Regions of one colour with what they enclose, the largest first; on white."""
    pixels, found = np.asarray(small), list[Mask]()
    few = small.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    least, most = _REGION[0] * ink.size, _REGION[1] * np.count_nonzero(ink)
    for colour in range(_COLOURS):
        labels = parts_of((np.asarray(few) == colour) & ink)
        sizes = np.bincount(labels.ravel())
        found += [labels == n for n in range(1, len(sizes)) if least <= sizes[n] < max(most, least)]
    found.sort(key=np.count_nonzero, reverse=True)
    for region in found[:_MOST_REGIONS]:
        wide = region
        for _ in range(_OUTLINE):
            wide = grown(wide)
        mask = ~touching_border(~wide) & ink
        box = _bounds(mask)
        alone = np.where(mask[..., None], pixels, 255).astype(np.uint8)
        left, top, right, bottom = (each / _LOOKED for each in box)
        yield PicturePart(_fitted(alone, box), (left, top, right, bottom), False)


def _fitted(pixels: Pixels, box: Sequence[int], fill: float = _FILL) -> Pixels:
    """A rectangle of a picture in the middle of a white square."""
    left, top, right, bottom = (int(each) for each in box)
    high, wide = bottom - top, right - left
    side = max(round(max(high, wide) / fill), 1)
    canvas = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - high) // 2, (side - wide) // 2
    canvas[y : y + high, x : x + wide] = pixels[top:bottom, left:right]
    small = Image.fromarray(canvas).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)
