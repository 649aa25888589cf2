"""Groups of things put beside each other in a picture: on its ground, in rows, in its sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limner.scenes.staging import GAP, Actor, Group, Spot, extent, flies

_MARGIN = 0.03


@dataclass(frozen=True)
class Room:
    """Where groups may stand in a picture, in shares of its side.

    Attributes:
        top: of what stands on the ground.
        ground: where it stands; None where nothing stands and all is centred.
        aloft: heights between which flying things are.
    """

    top: float = 0.14
    ground: float | None = 0.95
    aloft: tuple[float, float] = (0.05, 0.42)


_SPREAD = 1.6
"""Width of a group, of its height, from which on it is in the middle of the sky."""


def framed(
    groups: Sequence[Group], actors: Sequence[Actor], room: Room | None, rng: np.random.Generator
) -> list[Spot]:
    """Put groups beside each other, as large as there is room.

    Args:
        groups: of :func:`stage`.
        actors: the kinds of things.
        room: of a landscape; None for the whole white picture.
        rng: varies places a little.

    Returns:
        Places in shares of the picture's side, the far things first.
    """
    flying = [room is not None and room.ground is not None and _flies(group, actors)
              for group in groups]  # fmt: skip
    standing = [group for group, up in zip(groups, flying, strict=True) if not up]
    aloft = [group for group, up in zip(groups, flying, strict=True) if up]
    spots: list[Spot] = []
    if room is not None and aloft:
        low, high = room.aloft
        spots = _aloft(aloft, (low, high if standing else 0.8), rng)
    if standing:
        row = _row(standing)
        box = extent(row)
        top, bottom = (_MARGIN, 1 - _MARGIN) if room is None else (room.top, room.ground or 0.9)
        scale = min((1 - 2 * _MARGIN) / box.width, (bottom - top) / box.height)
        scale *= 1 - float(rng.uniform(0, 0.05))
        x = 0.5 - (box.left + box.width / 2) * scale
        if room is not None and room.ground is not None:
            y = room.ground - box.bottom * scale
        else:
            y = (top + bottom) / 2 - (box.top + box.height / 2) * scale
        spots += [spot.moved(scale, x, y, 10) for spot in row]
    return sorted(spots, key=lambda spot: spot.depth)


def _flies(group: Group, actors: Sequence[Actor]) -> bool:
    return all(flies(actors[spot.thing]) for spot in group)


def _row(groups: Sequence[Group]) -> list[Spot]:
    """Groups beside each other on one ground; four and more in two rows, the far ones higher."""
    rows = (
        [groups] if len(groups) <= 3 else [groups[: len(groups) // 2], groups[len(groups) // 2 :]]
    )
    spots: list[Spot] = []
    for number, row in enumerate(rows):
        boxes = [extent(group) for group in row]
        gap = GAP * sum(box.width for box in boxes)
        total = sum(box.width for box in boxes) + gap * (len(boxes) - 1)
        left = -total / 2
        back = len(rows) - 1 - number
        for group, box in zip(row, boxes, strict=True):
            y = -box.bottom - back * 0.8 * max(b.height for b in map(extent, rows[-1]))
            spots += [spot.moved(1, left - box.left, y, -5 * back) for spot in group]
            left += box.width + gap
    return spots


def _aloft(
    groups: Sequence[Group], heights: tuple[float, float], rng: np.random.Generator
) -> list[Spot]:
    """Flying groups side by side in the sky, between two heights."""
    spots: list[Spot] = []
    low, high = heights
    for number, group in enumerate(groups):
        box, wide = extent(group), 0.94 / len(groups)
        spread = box.width > _SPREAD * box.height
        scale = min((0.8 * min(wide, 1.0 if spread else 0.5)) / box.width,
                    (high - low) / box.height)  # fmt: skip
        middle = 0.03 + wide * (number + 0.5)
        if len(groups) == 1 and not spread:
            middle = float(rng.choice((0.27, 0.73)))
        x = middle - (box.left + box.width / 2) * scale
        slack = 0.7 * max(0.0, high - low - box.height * scale)
        y = low + float(rng.uniform(0, slack)) - box.top * scale
        spots += [replace(s.moved(scale, x, y), depth=s.depth - 10) for s in group]
    return spots
