"""Groups of things put beside each other in a picture: on its ground, in rows, in its sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limner.scenes.actors import Actor, Group, Spot, extent, flies
from limner.scenes.contacts import WINDOW
from limner.scenes.groups import GAP
from limner.scenes.sizes import ALIVE

_MARGIN = 0.03
_LONE, _LONE_HEAD = (0.84, 0.82), (0.6, 0.58)
"""Greatest width of what stands alone in a landscape, of the picture's side, and its greatest
height, of the room; the same of a head without a body."""
_BELOW_SKY = 0.85
"""How high what stands reaches below what flies, of the lowest that may fly."""
_ASIDE = 0.05
"""How far from the middle it may stand."""
_RISE_OF_HEADS, _HEM, _STRAIGHT = 0.12, 0.04, 0.6
"""The same where one of them is a head or a bust; share of the height of a bust, from below, and
the least share of its width that is straight there."""
_DEPTH = 0.16
"""How far back things can stand on white, of the picture's side."""
_WIDE = 0.8
"""Things in a row that are so much smaller, for being wide, than high ones stand in depth."""
_BACK, _TALLER = 0.9, 1.1
"""Size of what stands farther back; how much taller the first must be to stand there."""
_SOME, _IN_ROWS = 4, (0.6, 0.8, 0.45)
"""More than so many on white stand in two rows: overlap, rise and depth as below."""
_FEW, _OVERLAP, _OVERLAP_OF_MANY, _RISE = 3, 0.2, 0.42, 0.5
"""Share of the narrower of two neighbours by which the near one hides the far one, for a few things
and for more; how much higher the far ones stand, of the height of the near ones."""


@dataclass(frozen=True)
class Room:
    """Where groups may stand in a picture, in shares of its side.

    Attributes:
        top: of what stands on the ground.
        ground: where it stands; None where nothing stands and all is centred.
        aloft: heights between which flying things are.
        far: highest place of the feet of what stands farther back; None for the ground itself.
        walls: whether there are walls, on which windows are.
    """

    top: float = 0.14
    ground: float | None = 0.95
    aloft: tuple[float, float] = (0.05, 0.42)
    far: float | None = None
    walls: bool = False


_ALONE_ALOFT, _ABOVE_HORIZON = 0.8, 0.08
"""How low things reach that fly where nothing stands; how far above the highest place of feet, just
below the horizon, where there is one."""
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
    flying = [room is not None and room.ground is not None and _flies(group, actors, room)
              for group in groups]  # fmt: skip
    standing = [group for group, up in zip(groups, flying, strict=True) if not up]
    aloft = [group for group, up in zip(groups, flying, strict=True) if up]
    spots: list[Spot] = []
    if room is not None and aloft:
        low, high = room.aloft
        alone = _ALONE_ALOFT if room.far is None else room.far - _ABOVE_HORIZON
        spots = _aloft(aloft, (low, high if standing else alone), rng)
        room = replace(room, top=max(room.top, _BELOW_SKY * high))
    if standing:
        spots += _grounded(standing, actors, room, rng)
    return sorted(spots, key=lambda spot: spot.depth)


def _flies(group: Group, actors: Sequence[Actor], room: Room) -> bool:
    """Whether a group is in the sky, or on the wall; who flies takes along what is with it."""
    flown = (actors[spot.thing] for spot in group if actors[spot.thing].aloft)
    return any(map(flies, flown)) or all(
        flies(actors[spot.thing])
        or (
            room.walls
            and actors[spot.thing].facts.role == "opening"
            and actors[spot.thing].facts.length <= WINDOW
        )
        for spot in group
    )


def _grounded(
    groups: Sequence[Group], actors: Sequence[Actor], room: Room | None, rng: np.random.Generator
) -> list[Spot]:
    """What does not fly, in the order in which it is painted."""
    row, top, bottom, shift = _row(groups), _MARGIN, 1 - _MARGIN, 0.0
    small = float(rng.uniform(0, 0.05))
    if room is not None:
        top, bottom = room.top, room.ground or 0.9
    on_land = room is not None and room.ground is not None
    depth = _DEPTH if room is None or room.far is None else (room.ground or 0.9) - room.far
    if on_land:
        shift = float(rng.uniform(-1, 1))
    if on_land or (room is None and len(groups) > 1):
        row = _in_depth(groups, row, actors, depth=depth, height=bottom - top, white=room is None)
    box = extent(row)
    scale = min((1 - 2 * _MARGIN) / box.width, (bottom - top) / box.height)
    if on_land:
        wide, high = _LONE_HEAD if len(row) == 1 and _is_head(row, actors) else _LONE
        most = min(wide / box.width, high * (bottom - top) / box.height)
        scale = min(scale, most if len(groups) == 1 else scale)
    scale *= 1 - small
    x = 0.5 + shift * min(_ASIDE, (1 - 2 * _MARGIN - box.width * scale) / 2)
    x -= (box.left + box.width / 2) * scale
    if room is not None and room.ground is not None:
        y = room.ground - box.bottom * scale
    else:
        y = (top + bottom) / 2 - (box.top + box.height / 2) * scale
    return [spot.moved(scale, x, y, 10) for spot in row]


def _is_head(row: Sequence[Spot], actors: Sequence[Actor]) -> bool:
    """Whether all there is is a living thing, perhaps with others, drawn as a head or a bust."""
    alive = {spot.thing for spot in row if actors[spot.thing].facts.role in ALIVE}
    return bool(alive) and all(_is_bust(actors[thing]) for thing in alive)


def _is_bust(actor: Actor) -> bool:
    """Whether a living thing has no feet as it is drawn, to be seen by its outline."""
    if actor.shape().tall == 1.0:
        return True
    solid = actor.cut[..., 3] > 0.5
    straight = solid[-max(1, round(_HEM * len(solid))) :].any(0).mean()
    return actor.facts.role == "person" and bool(straight > _STRAIGHT)


def _in_depth(
    groups: Sequence[Group], row: Sequence[Spot], actors: Sequence[Actor], *,
    depth: float, height: float, white: bool,
) -> list[Spot]:  # fmt: skip
    """Groups of which every other one stands farther back, where they are larger so.

    Args:
        groups: from left to right; single things of a kind are parted from each other.
        row: the same beside each other.
        actors: the kinds of things.
        depth: how far back one can stand, a share of the picture's side.
        height: that there is room for, a share of the picture's side.
        white: whether nothing is behind them, so that many can stand in two rows.
    """
    wide = 1 - 2 * _MARGIN
    units = [part for group in groups for part in _parted(group)]
    box = extent(row)
    if len(units) < 2 or wide / box.width > _WIDE * height / box.height:
        return list(row)
    boxes = [extent(unit) for unit in units]
    overlap, most_rise = _OVERLAP if len(units) <= _FEW else _OVERLAP_OF_MANY, _RISE
    if white and len(units) > _SOME:
        overlap, most_rise, depth = _IN_ROWS
    odd = sum(each.height for each in boxes[1::2]) / len(boxes[1::2])
    first_back = sum(each.height for each in boxes[::2]) / len(boxes[::2]) > _TALLER * odd
    tops = [_BACK if (number % 2 == 0) == first_back else 1.0 for number in range(len(units))]
    front = max(each.height for each, size in zip(boxes, tops, strict=True) if size == 1.0)
    lefts: list[float] = []
    ends = {1.0: -np.inf, _BACK: -np.inf}
    for number, (each, size) in enumerate(zip(boxes, tops, strict=True)):
        left = 0.0
        if number:
            before = boxes[number - 1].width * tops[number - 1]
            left = lefts[-1] + before - overlap * min(before, each.width * size)
            left = max(left, ends[size] + GAP * each.width)
        lefts.append(left)
        ends[size] = left + each.width * size
    scale = wide / (max(ends.values()) - min(lefts))
    headed = any(
        size != 1.0 and _is_head(unit, actors) for unit, size in zip(units, tops, strict=True)
    )
    rise = min((_RISE_OF_HEADS if headed else most_rise) * front, depth / scale)
    found: list[Spot] = []
    for unit, each, size, left in zip(units, boxes, tops, lefts, strict=True):
        back = size != 1.0
        x, y = left - each.left * size, -each.bottom * size - rise * back
        found += [spot.moved(size, x, y, -5 * back) for spot in unit]
    return found


def _parted(group: Group) -> list[Group]:
    """The things of a group of one kind, from left to right; any other group as it is."""
    if len({spot.thing for spot in group}) > 1:
        return [group]
    return [(replace(spot, depth=0.0),) for spot in sorted(group, key=lambda spot: spot.left)]


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
