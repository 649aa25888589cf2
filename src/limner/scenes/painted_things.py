"""Things that are painted of few shapes, where sets of drawings have signs of them alone.

A lighthouse that is drawn as a sign in one ink looks pasted beside coloured things. What
``painted_things.tsv`` lists is painted, part by part, in colours of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from limner.arrays import Doubles, Mask, Pixels
from limner.scenes.paints import paint
from limner.tables import read_table

Points = Doubles
"""``(N, 2)`` in hundredths of the side."""

_FINER = 3
"""Sides of pixels that a thing is painted in, of a pixel's."""
_LIGHTER, _DIMMER = 1.07, 0.86
"""Lightness of a part at its upper left and its lower right corner, of its colour's."""
_SLOPE = 0.65, 0.35
"""How much of that change is downwards, and to the right."""
_STEPS = 12
"""Points of a curve between two that are given."""
_REMEMBERED = 64


class _Part(NamedTuple):
    """A part of a painted thing.

    Attributes:
        colour: key of ``PAINTS``.
        shape: key of ``SHAPES``.
        lengths: of the shape.
        inside: whether it is seen only where the last part is that is not inside another.
    """

    colour: str
    shape: str
    lengths: tuple[float, ...]
    inside: bool


@cache
def painted_names() -> Mapping[str, str]:
    """English names of things that can be painted -> the first name of each."""
    return {name: names[0] for names, _ in _table() for name in names}


@lru_cache(_REMEMBERED)
def painted(name: str, side: int) -> Pixels:
    """A thing as it is painted; not to be written to.

    Args:
        name: its first name in ``painted_things.tsv``.
        side: of the picture, in pixels.

    Returns:
        ``(side, side, 3)``, on white.

    Raises:
        KeyError: there is no such thing.
    """
    fine = side * _FINER
    canvas = np.full((fine, fine, 3), 255, np.uint8)
    last = np.zeros((fine, fine), np.bool_)
    for part in _parts()[name]:
        image = Image.new("L", (fine, fine))
        SHAPES[part.shape](ImageDraw.Draw(image), part.lengths, fine / 100)
        seen = image.getbbox()
        if seen is None:
            continue
        box = slice(seen[1], seen[3]), slice(seen[0], seen[2])
        where = np.asarray(image.crop(seen)) > 0
        if part.inside:
            where &= last[box]
        else:
            last[:] = False
            last[box] = where
        _fill(canvas[box], where, part.colour)
    found = np.array(Image.fromarray(canvas).reduce(_FINER))
    found.setflags(write=False)
    return found


def _fill(canvas: Pixels, where: Mask, colour: str) -> None:
    """Give an area a colour, in place, lit from the upper left."""
    down, across = (np.linspace(0, share, length, dtype=np.float32)
                    for share, length in zip(_SLOPE, where.shape, strict=True))  # fmt: skip
    light = _LIGHTER + (_DIMMER - _LIGHTER) * (down[:, None] + across[None])
    rgb = np.array(paint(colour), np.float32) * 255
    canvas[where] = np.minimum(rgb * light[where][:, None], 255).round()


def _curve(points: Points, *, closed: bool) -> Points:
    """Points of a curve through some, by the spline of Catmull and Rom (1974)."""
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    around = np.concatenate([ends[0], points, ends[1]])
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
    found = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
               + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False)
    ]  # fmt: skip
    return np.concatenate(found if closed else [*found, points[-1:]])


def _points(lengths: Sequence[float]) -> Points:
    return np.array(lengths, np.float64).reshape(-1, 2)


def _corners(points: Points, unit: float) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points * unit]


def _oval(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    x, y, wide, high = (unit * length for length in lengths)
    pen.ellipse((x - wide, y - high, x + wide, y + high), fill=1)


def _box(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    left, top, right, bottom, radius = (unit * length for length in lengths)
    pen.rounded_rectangle((left, top, right, bottom), radius, fill=1)


def _area(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    pen.polygon(_corners(_points(lengths), unit), fill=1)


def _blob(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    pen.polygon(_corners(_curve(_points(lengths), closed=True), unit), fill=1)


def _line(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    _stroke(pen, _points(lengths[1:]), lengths[0], unit)


def _open_curve(pen: ImageDraw.ImageDraw, lengths: Sequence[float], unit: float) -> None:
    _stroke(pen, _curve(_points(lengths[1:]), closed=False), lengths[0], unit)


def _stroke(pen: ImageDraw.ImageDraw, points: Points, wide: float, unit: float) -> None:
    """A line of a width, with round ends and corners."""
    corners, radius = _corners(points, unit), wide * unit / 2
    pen.line(corners, fill=1, width=round(2 * radius))
    for x, y in corners:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)


SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, Sequence[float], float], None]] = {
    "oval": _oval, "box": _box, "area": _area, "blob": _blob, "line": _line, "curve": _open_curve,
}  # fmt: skip
"""How each shape is drawn from its lengths, which are multiplied by a unit in pixels."""


@cache
def _parts() -> Mapping[str, tuple[_Part, ...]]:
    return {names[0]: parts for names, parts in _table()}


@cache
def _table() -> tuple[tuple[tuple[str, ...], tuple[_Part, ...]], ...]:
    """The names of each thing and its parts."""
    return tuple(_things())


def _things() -> Iterator[tuple[tuple[str, ...], tuple[_Part, ...]]]:
    names: tuple[str, ...] = ()
    parts: list[_Part] = []
    for named, colour, shape, lengths in read_table("limner.scenes", "painted_things.tsv")[1:]:
        if named and names:
            yield names, tuple(parts)
            parts = []
        names = tuple(named.split("|")) if named else names
        inside = shape.startswith("in ")
        numbers = tuple(map(float, lengths.split()))
        parts.append(_Part(colour, shape.removeprefix("in "), numbers, inside))
    yield names, tuple(parts)
