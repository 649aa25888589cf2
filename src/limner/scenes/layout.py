"""Places of the things of a scene: tidy ones for a prompt, random ones for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal, get_args

import numpy as np

Relation = Literal["left", "right", "above", "below"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
INVERSE: dict[Relation, Relation] = {
    "left": "right", "right": "left", "above": "below", "below": "above",
}  # fmt: skip

_ROWS = {
    1: ((1,),), 2: ((2,),), 3: ((1, 2), (2, 1)), 4: ((2, 2),), 5: ((2, 3), (3, 2)),
    6: ((3, 3),), 7: ((2, 3, 2),), 8: ((3, 2, 3),), 9: ((3, 3, 3),),
}  # fmt: skip
"""Number of things -> things in each row; one of several ways is drawn at random."""
_FILLED = 0.9
"""Share of its cell that a thing takes."""
_SIZES = {"big": 1.5, None: 1.0, "small": 0.7}
_SHIFT = 0.4
"""Share of the free space around a thing by which it may be moved; things never touch."""
_SHRINK = 0.06
_MARGIN = 0.03
_TRIES = 60


@dataclass(frozen=True)
class Box:
    """Place of a thing: centre and longest side, as shares of the picture's side."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Area:
    """A rectangle in a picture, in shares of its side."""

    left: float
    top: float
    width: float
    height: float


_WHOLE = Area(0.02, 0.02, 0.96, 0.96)


def arrange(
    counts: Sequence[int],
    sizes: Sequence[str | None],
    relation: Relation | None,
    rng: np.random.Generator,
    *,
    lengths: Sequence[float] | None = None,
) -> list[Box]:
    """Tidy places for every single thing of a prompt; none touch.

    Args:
        counts: how many of each kind, 1 or more.
        sizes: ``big``, ``small`` or None for each kind.
        relation: where the first kind is, seen from the others; None for side by side in the
            order given, or in rows.
        rng: chooses among arrangements, and varies sizes and places a little.
        lengths: how long each kind looks beside the others; None for alike.

    Returns:
        Boxes of the first kind's things, then of the second's, and so on.
    """
    looks = lengths or [1.0] * len(counts)
    factors = [
        _SIZES[size] * length / max(looks)
        for size, length, count in zip(sizes, looks, counts, strict=True)
        for _ in range(count)
    ]
    if relation is None and len(counts) == 2 and sum(counts) > 2:
        relation = "above"  # a row of the one, a row of the other
    if relation is None or len(counts) < 2:
        return _moved(_filled(_WHOLE, factors, rng), rng)
    split = counts[0]
    large, largest = max(factors[:split]), max(factors[split:])
    first, others = _parted(relation, large / (large + largest))
    mine = [factor / large for factor in factors[:split]]  # the part's own size says the rest
    theirs = [factor / largest for factor in factors[split:]]
    return _moved(_filled(first, mine, rng) + _filled(others, theirs, rng), rng)


def _parted(relation: Relation, share: float) -> tuple[Area, Area]:
    """Split the picture: an area for the first kind, and one for the others.

    Args:
        relation: where the first is.
        share: of the way along the relation's axis that is the first kind's.
    """
    left, top, wide, high = astuple(_WHOLE)
    near = share if relation in ("left", "above") else 1 - share
    if relation in ("left", "right"):
        one = Area(left, top, wide * near, high)
        other = Area(left + one.width, top, wide - one.width, high)
    else:
        one = Area(left, top, wide, high * near)
        other = Area(left, top + one.height, wide, high - one.height)
    return (one, other) if relation in ("left", "above") else (other, one)


def _filled(area: Area, factors: Sequence[float], rng: np.random.Generator) -> list[Box]:
    """Rows of things within an area, as large as fits."""
    rows = _rows(len(factors), area, rng)
    high = area.height / len(rows)
    boxes: list[Box] = []
    for number, wide in enumerate(rows):
        mine = factors[len(boxes) : len(boxes) + wide]
        cells = [area.width * factor / sum(mine) for factor in mine]
        side = min(high, area.width / max(rows))
        middle = area.top + high * (number + 0.5)
        used = sum(cells)
        left = area.left + (area.width - used) / 2
        for cell, factor in zip(cells, mine, strict=True):
            fit = min(cell, high) if len(set(mine)) > 1 else side * min(factor, 1.0)
            boxes.append(Box(left + cell / 2, middle, _FILLED * fit))
            left += cell
    return _gathered(boxes, rows)


def _gathered(boxes: list[Box], rows: Sequence[int]) -> list[Box]:
    """Close the gaps in rows that have fewer things than the longest."""
    found: list[Box] = []
    for wide in rows:
        row = boxes[len(found) : len(found) + wide]
        if wide > 1 and wide < max(rows):
            middle = sum(box.x for box in row) / wide
            step = max(box.side for box in row) / _FILLED
            row = [Box(middle + (i - (wide - 1) / 2) * step, b.y, b.side)
                   for i, b in enumerate(row)]  # fmt: skip
        found += row
    return found


def _rows(count: int, area: Area, rng: np.random.Generator) -> tuple[int, ...]:
    if area.width < area.height and count in (2, 3):
        return (1,) * count
    if area.width > area.height and count in (2, 3):
        return (count,)
    ways = _ROWS.get(count)
    if ways is None:
        side = int(np.ceil(np.sqrt(count)))
        return (*((side,) * (count // side)), *((count % side,) if count % side else ()))
    return ways[int(rng.integers(len(ways)))]


def _moved(boxes: Sequence[Box], rng: np.random.Generator) -> list[Box]:
    """Move all boxes a little at random, and make them smaller by one common factor."""
    factor = 1 - float(rng.uniform(0, _SHRINK))
    found = []
    for box in boxes:
        side = box.side * factor
        shift = _SHIFT * box.side * (1 / _FILLED - 1) / 2
        x, y = rng.uniform(-shift, shift, 2).tolist()
        low, high = side / 2, 1 - side / 2
        found.append(Box(min(max(box.x + x, low), high), min(max(box.y + y, low), high), side))
    return found


# -- random layouts of training scenes ------------------------------------------------------------

_SIDES = {
    1: (0.6, 0.9), 2: (0.4, 0.5), 3: (0.34, 0.42), 4: (0.32, 0.38), 5: (0.27, 0.32),
    6: (0.25, 0.3), 7: (0.23, 0.28), 8: (0.22, 0.27), 9: (0.21, 0.26),
}  # fmt: skip


def scatter(
    counts: Sequence[int],
    sizes: Sequence[str | None],
    relation: Relation | None,
    rng: np.random.Generator,
) -> tuple[Box, ...]:
    """Random places for every single thing of a scene made for training; none touch.

    As :func:`arrange`, for nine things in all at most, but two things without a relation are
    anywhere.
    """
    count = sum(counts)
    common = float(rng.uniform(*_SIDES[count]))
    if relation is not None:
        return _related(rng, relation, min(common, 0.44))
    sides = []
    for kind, size in zip(counts, sizes, strict=True):
        side = {"big": 0.55, "small": 0.27, None: common}[size]
        even = 1.0 if kind > 1 else float(rng.uniform(0.92, 1.08))
        sides += [min(0.92, side * even)] * kind
    return _scattered(rng, sides)


def _related(rng: np.random.Generator, relation: Relation, side: float) -> tuple[Box, Box]:
    """Two boxes apart along the axis of the relation, and nearly aligned on the other."""
    low = side / 2 + _MARGIN
    near, far = low + float(rng.uniform(0, 0.03)), 1 - low - float(rng.uniform(0, 0.03))
    across = rng.uniform(max(low, 0.38), min(1 - low, 0.62), 2).tolist()
    along = (near, far) if relation in ("left", "above") else (far, near)
    places = zip(along, across, strict=True)
    boxes = [Box(a, b, side) if relation in ("left", "right") else Box(b, a, side)
             for a, b in places]  # fmt: skip
    return boxes[0], boxes[1]


def _scattered(rng: np.random.Generator, sides: Sequence[float]) -> tuple[Box, ...]:
    """Random boxes that do not touch; after too many failed tries, smaller ones on a grid."""
    for _ in range(_TRIES):
        found: list[Box] = []
        for side in sides:
            low = side / 2 + _MARGIN
            for _ in range(_TRIES):
                x, y = rng.uniform(low, 1 - low, 2)
                gaps = (max(abs(x - o.x), abs(y - o.y)) - (side + o.side) / 2 for o in found)
                if all(gap > 0.01 for gap in gaps):
                    found.append(Box(float(x), float(y), side))
                    break
            else:
                break
        if len(found) == len(sides):
            return tuple(found)
    rows = 2 if len(sides) <= 4 else 3
    cell = (1 - 2 * _MARGIN) / rows
    low, cells = _MARGIN + cell / 2, rng.permutation(rows**2)[: len(sides)]
    return tuple(Box(low + cell * (c % rows), low + cell * (c // rows), min(s, 0.9 * cell))
                 for c, s in zip(cells.tolist(), sides, strict=True))  # fmt: skip
