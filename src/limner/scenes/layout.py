"""Where the things of a scene stand when nobody says more than the words do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from limner.scenes.scene import INVERSE, Box, Relation

_ROWS = {
    1: ((1,),), 2: ((2,),), 3: ((1, 2), (2, 1)), 4: ((2, 2),), 5: ((2, 3), (3, 2)),
    6: ((3, 3),), 7: ((2, 3, 2),), 8: ((3, 2, 3),), 9: ((3, 3, 3),),
}  # fmt: skip
"""How many stand in each row; where there are several ways, chance decides."""
_FILLED = 0.9
"""Share of its cell that a thing takes."""
_SIZES = {"big": 1.5, None: 1.0, "small": 0.7}
_ROAM = 0.4
"""Share of the room around a thing that it may be moved by, so that none touch."""
_EVEN = 0.06


@dataclass(frozen=True)
class Area:
    """Part of a picture, in shares of its side."""

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
) -> list[Box]:
    """A place for every single thing, so that all are seen and none touch.

    Args:
        counts: how many of each kind, 1 or more.
        sizes: ``big``, ``small`` or None for each kind.
        relation: where the first kind is, seen from the others; None for side by side in the
            order given, or in rows.
        rng: what is left open: which of several arrangements, how large exactly, where exactly.

    Returns:
        Boxes of the first kind's things, then of the second's, and so on.
    """
    factors = [
        _SIZES[size] for size, count in zip(sizes, counts, strict=True) for _ in range(count)
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
    """The part of the picture for the first kind, and that for the others.

    Args:
        relation: where the first is.
        share: of the way along the relation's axis that is the first kind's.
    """
    if relation in ("right", "below"):
        others, first = _parted(INVERSE[relation], 1 - share)
        return first, others
    left, top, wide, high = astuple(_WHOLE)
    if relation == "left":
        mine = wide * share
        return Area(left, top, mine, high), Area(left + mine, top, wide - mine, high)
    mine = high * share
    return Area(left, top, wide, mine), Area(left, top + mine, wide, high - mine)


def _filled(area: Area, factors: Sequence[float], rng: np.random.Generator) -> list[Box]:
    """Rows of things within an area, as large as they can be."""
    rows = _rows(len(factors), area, rng)
    high = area.height / len(rows)
    boxes: list[Box] = []
    for number, wide in enumerate(rows):
        mine = factors[len(boxes) : len(boxes) + wide]
        cells = [area.width * factor / sum(mine) for factor in mine]
        side = min(high, area.width / max(rows))
        middle = area.top + high * (number + 0.5)
        room = sum(cells)
        left = area.left + (area.width - room) / 2
        for cell, factor in zip(cells, mine, strict=True):
            fit = min(cell, high) if len(set(mine)) > 1 else side * min(factor, 1.0)
            boxes.append(Box(left + cell / 2, middle, _FILLED * fit))
            left += cell
    return _gathered(boxes, rows)


def _gathered(boxes: list[Box], rows: Sequence[int]) -> list[Box]:
    """Rows of fewer things than the longest drawn together, as bricks lie."""
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
    """The same a little smaller and elsewhere, by chance, all equally small."""
    factor = 1 - float(rng.uniform(0, _EVEN))
    found = []
    for box in boxes:
        side = box.side * factor
        roam = _ROAM * box.side * (1 / _FILLED - 1) / 2
        x, y = rng.uniform(-roam, roam, 2).tolist()
        low, high = side / 2, 1 - side / 2
        found.append(Box(min(max(box.x + x, low), high), min(max(box.y + y, low), high), side))
    return found
