"""Changing the places of some things of a picture, while all others stay where they are.

Only where there is no room at all do others give way: for a thing that is added all become smaller
together, and a thing that is moved changes places with its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Literal, NamedTuple, get_args

import numpy as np

from limner.scenes.actors import Actor, Spot, extent, flies, looks
from limner.scenes.contacts import resolve
from limner.scenes.framing import Room
from limner.scenes.layout import Area
from limner.scenes.sentence import Link
from limner.scenes.staging import stage

Direction = Literal["left", "right", "up", "down"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_GAP, _EDGE = 0.02, 0.03
_SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Sizes that are tried for what is added, of the usual one."""
_LEAST = 0.08
"""Share of the picture's side by which a thing must move to be seen elsewhere."""
_NOTICED = 1.12
"""Growth from which a thing is seen to be larger."""
_YIELD = 0.75
"""To what others shrink where a thing has no room to grow."""
_STEPS = 41
_CARRIES: Mapping[str, bool] = dict.fromkeys(
    ("wearing", "holding", "eating", "string", "umbrella", "full", "hung", "laden", "topped"), True
) | dict.fromkeys(("worn by", "on", "riding", "seat", "plate", "in", "inside", "over"), False)
"""Ways to be joined in which the first carries the second, or the second the first."""
_SIDES: Mapping[str, tuple[int, int]] = {
    "left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1),
}  # fmt: skip


class _Way(NamedTuple):
    """Along which axis a direction goes, and to which end."""

    axis: int
    sign: int


_WAYS: Mapping[Direction, _Way] = {
    "left": _Way(0, -1), "right": _Way(0, 1), "up": _Way(1, -1), "down": _Way(1, 1),
}  # fmt: skip


class Arrangement:
    """The places of a picture's things, in shares of its side.

    Args:
        spots: in the order in which they are painted.
        actors: the kinds of things by number; those of ``spots``, and those that are to come.
        links: how they stand to each other.
        sized: whether things are as large as their kind is beside others.
        room: of the setting; None for a plain background.
        rng: decides what is left open.
    """

    def __init__(
        self, spots: Sequence[Spot], actors: Mapping[int, Actor], links: Iterable[Link] = (), *,
        sized: bool = False, room: Room | None = None, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.spots, self.actors = list(spots), actors
        self.room, self._sized, self._rng = room, sized, rng
        self._carrier: dict[int, int] = {}
        for link in links:
            self._carry(link)

    def of(self, thing: int) -> list[Spot]:
        """The places of all of a kind."""
        return [spot for spot in self.spots if spot.thing == thing]

    def remove(self, thing: int) -> None:
        """Take away all of a kind, and what they wear or hold."""
        gone = self._group(thing)
        self.spots = [spot for spot in self.spots if spot.thing not in gone]

    def recast(self, thing: int, other: int, count: int | None = None) -> None:
        """Put another thing in the places of one."""
        places = self.of(thing)
        carried = self._group(thing) - {thing}
        self._carrier = {k: other if v == thing else v for k, v in self._carrier.items()}
        aspect = self.actors[other].aspect
        for old in places:
            blocked = [s for s in self.spots if s is not old and s.thing not in carried]
            side = max(old.width, old.height)
            square = self._placed(old, side, side)
            area = _grown(old, blocked, square)
            (box,) = _filled(area, 1, aspect, side, low=self._stands(other))
            new = Spot(other, *box, old.depth)
            self.spots[self.spots.index(old)] = new
            self._follow(carried, old, new)
        if count is not None and count != len(places):
            self.count(other, count)

    def count(self, thing: int, count: int) -> None:
        """Show so many of a kind: the first stay, or all are put anew where they are."""
        spots = self.of(thing)
        if count <= len(spots):
            kept = [id(spot) for spot in spots[:count]]
            self.spots = [s for s in self.spots if s.thing != thing or id(s) in kept]
            return
        carried = self._group(thing) - {thing}
        blocked = [s for s in self.spots if s.thing != thing and s.thing not in carried]
        whole, one = extent(spots), spots[0]
        area = _grown(whole, blocked, self._limits(whole.bottom if self._stands(thing) else None))
        longest = max(one.width, one.height)
        found = _filled(area, count, one.width / one.height, longest, low=self._stands(thing))
        self._follow(carried, one, Spot(thing, *found[0]))
        first = self.spots.index(one)
        self.spots = [s for s in self.spots if s.thing != thing]
        self.spots[first:first] = [Spot(thing, *box, one.depth) for box in found]

    def scale(self, thing: int, factor: float) -> bool:
        """Make all of a kind larger or smaller, with what they carry; False where no room is."""
        found = self._scaled(thing, factor)
        if found < _NOTICED <= factor and len({s.thing for s in self.spots}) > 1:
            group = self._group(thing)
            for spot in self.spots:
                if spot.thing not in group:
                    self._replace(spot, self._sized_to(spot, _YIELD))
            found = self._scaled(thing, factor / found) * found
        return found >= _NOTICED or found < 1

    def _scaled(self, thing: int, factor: float) -> float:
        """Scale all of a kind as far as there is room; by how much."""
        carried = self._group(thing) - {thing}
        least = factor
        for old in self.of(thing):
            blocked = [s for s in self.spots if s is not old and s.thing not in carried]
            want = self._sized_to(old, factor)
            if factor > 1:
                area = _grown(old, blocked, self._limits(want.bottom))
                reach = min(factor, area.width / old.width, area.height / old.height)
                want = _inside(self._sized_to(old, max(1.0, reach)), area)
            least = min(least, want.width / old.width)
            self._replace(old, want)
            self._follow(carried, old, want)
        return least

    def move(self, thing: int, direction: Direction) -> bool:
        """Move all of a kind, with what they carry; False where they are there already."""
        group, way = self._group(thing), _WAYS[direction]
        box = extent([s for s in self.spots if s.thing in group])
        others = [s for s in self.spots if s.thing not in group]
        ends = _EDGE, 1 - _EDGE - (box.width, box.height)[way.axis]
        start = box.box[way.axis]
        for at in np.linspace(ends[way.sign > 0], start, _STEPS)[:-1].tolist():
            moved = replace(box, **{("left", "top")[way.axis]: at})
            if way.sign * (at - start) > _LEAST and _is_free(moved, others):
                self._shift(group, moved.left - box.left, moved.top - box.top)
                return True
        beyond = [s for s in others if way.sign * (_middle(s)[way.axis] - _middle(box)[way.axis])
                  > _LEAST and s.thing not in self._carrier]  # fmt: skip
        if not beyond:
            return False
        next_to = min(beyond, key=lambda s: math.dist(_middle(s), _middle(box)))
        self._exchange(thing, next_to.thing)
        return True

    def relate(self, link: Link) -> bool:
        """Bring a thing to where a relation to another wants it; False where it cannot be so."""
        one = link.first
        facts = [self.actors[i].facts for i in (link.first, link.second)]
        way = resolve(link.relation, *facts)
        group = self._group(one)
        moved = [s for s in self.spots if s.thing in group]
        box = extent(moved)
        if way in (*_SIDES, "beside", "at"):
            others = [s for s in self.spots if s.thing not in group]
            place = self._beside(box, way, extent(self.of(link.second)), others, (1.0,))
            if place is None:
                self._exchange(one, link.second)
                return way == "beside" or _is_at(way, self.of(one)[0], self.of(link.second)[0])
            self._shift(group, place.left - box.left, place.top - box.top)
            return True
        old = self.of(one)[0]
        self.spots = [s for s in self.spots if s.thing != one]
        self._join(link, one, link.second, 1)
        self._follow(group - {one}, old, self.of(one)[0])
        self._contain()
        return True

    def add(self, thing: int, count: int, link: Link | None = None) -> None:
        """Put so many of a kind where there is room, or where a relation wants them."""
        if link is not None:
            old = link.second if link.first == thing else link.first
            way = resolve(link.relation, self.actors[link.first].facts,
                          self.actors[link.second].facts)  # fmt: skip
            if way not in (*_SIDES, "beside", "at", "made"):
                self._join(link, thing, old, count)
                self._contain()
                return
            if way in _SIDES and link.second == thing:
                way = {"left": "right", "right": "left", "above": "below", "below": "above"}[way]
            block = self._block(thing, count, self._usual(thing))
            place = self._beside(block, way, extent(self.of(old)), self.spots, _SHRINKS)
            if place is not None:
                self._fill(thing, count, place)
                return
            side = way if way in _SIDES else "right"
        else:
            place = self._anywhere(thing, count)
            if place is not None:
                self._fill(thing, count, place)
                return
            side = "right"
        self._squeeze(thing, count, side)

    def _anywhere(self, thing: int, count: int) -> Spot | None:
        """A free place for a block of a kind, as large as fits."""
        for share in _SHRINKS:
            block = self._block(thing, count, share * self._usual(thing))
            bottom = self._bottom(thing)
            aloft = self.room is not None and flies(self.actors[thing])
            near = (0.5, 0.2) if aloft else (0.5, 0.5 if bottom is None else bottom)
            tops = _span(block.height) if bottom is None else [bottom - block.height]
            places = (replace(block, left=x, top=y) for x in _span(block.width) for y in tops)
            free = [p for p in places if p.top >= _EDGE - 1e-6 and _is_free(p, self.spots)]
            if free:
                return min(free, key=lambda p: math.dist(_middle(p), near))
        return None

    def _beside(
        self, box: Spot, way: str, base: Spot, others: Sequence[Spot], shares: Sequence[float]
    ) -> Spot | None:
        """A free place for a box to one side of another, the nearest; None where there is none."""
        for share in shares:
            wide, high = share * box.width, share * box.height
            places = (
                replace(box, left=x, top=y, width=wide, height=high)
                for x in _span(wide)
                for y in (*_span(high), base.bottom - high)
            )
            sides = [way] if way in _SIDES else ["left", "right"]
            free = [p for p in places if any(_is_at(side, p, base) for side in sides)
                    and _is_free(p, others)]  # fmt: skip
            if free:
                level = base.bottom if way not in ("above", "below") else None
                return min(free, key=lambda p: _distance(p, base, level))
        return None

    def _join(self, link: Link, new: int, old: int, count: int) -> None:
        """Put a thing on, in or before another as :func:`stage` does."""
        order = link.first, link.second
        actors = [replace(self.actors[i], count=count if i == new else 1, size=None) for i in order]
        (group, *_) = stage(actors, [Link(0, link.relation, 1)], self._rng)
        base = next(spot for spot in group if order[spot.thing] == old)
        holds = _CARRIES.get(resolve(link.relation, actors[0].facts, actors[1].facts))
        every = holds is not None and order[0 if holds else 1] == old
        for there in self.of(old)[: None if every else 1]:
            scale = there.height / base.height
            for spot in group:
                if order[spot.thing] == new:
                    at = spot.moved(scale, there.left - base.left * scale,
                                    there.top - base.top * scale)  # fmt: skip
                    depth = there.depth + (spot.depth - base.depth)
                    self.spots.append(replace(at, thing=new, depth=depth))
        self.spots.sort(key=lambda spot: spot.depth)
        self._carry(link)

    def _carry(self, link: Link) -> None:
        """Remember which of two joined things goes where the other goes."""
        facts = [self.actors[i].facts for i in (link.first, link.second)]
        holds = _CARRIES.get(resolve(link.relation, *facts))
        if holds is not None:
            pair = (link.first, link.second) if holds else (link.second, link.first)
            self._carrier[pair[1]] = pair[0]

    def _group(self, thing: int) -> set[int]:
        """A thing with all that it carries."""
        found = {thing}
        for _ in self._carrier:
            found |= {child for child, parent in self._carrier.items() if parent in found}
        return found

    def _usual(self, thing: int) -> float:
        """The longest side that a thing would have beside the others."""
        tops = [s for s in self.spots if s.thing not in self._carrier] or self.spots
        if not tops:
            return 0.6
        scale = [max(s.width, s.height) / (looks(self.actors[s.thing]) if self._sized else 1)
                 for s in tops]  # fmt: skip
        return median(scale) * (looks(self.actors[thing]) if self._sized else 1)

    def _stands(self, thing: int) -> bool:
        """Whether a thing stands on a ground."""
        grounded = self.room is not None and self.room.ground is not None
        return grounded and not flies(self.actors[thing])

    def _bottom(self, thing: int) -> float | None:
        """Where the feet of a thing are that comes; None for anywhere."""
        if not self._stands(thing) or self.room is None or self.room.ground is None:
            return None
        feet = [s.bottom for s in self.spots
                if s.thing not in self._carrier and not flies(self.actors[s.thing])]  # fmt: skip
        return max(feet, default=self.room.ground)

    def _limits(self, bottom: float | None = None) -> Area:
        """All of the picture, down to a ground."""
        floor = 1 - _EDGE if bottom is None else max(bottom, _EDGE)
        if self.room is None or self.room.ground is None:
            floor = 1 - _EDGE
        return Area(_EDGE, _EDGE, 1 - 2 * _EDGE, floor - _EDGE)

    def _block(self, thing: int, count: int, longest: float) -> Spot:
        """The box around so many of a kind, in rows."""
        aspect = self.actors[thing].aspect
        wide, high = longest * min(1, aspect), longest / max(1, aspect)
        rows = 1 if count <= 3 else 2 if count <= 6 else 3
        columns = -(-count // rows)
        return Spot(thing, 0, 0, columns * (wide + _GAP) - _GAP, rows * (high + _GAP) - _GAP)

    def _fill(self, thing: int, count: int, place: Spot) -> None:
        area = Area(place.left, place.top, place.width, place.height)
        depth = max((spot.depth for spot in self.spots), default=0.0)
        boxes = _filled(area, count, self.actors[thing].aspect, 1, low=self._stands(thing))
        self.spots += [Spot(thing, *box, depth) for box in boxes]

    def _squeeze(self, thing: int, count: int, side: str) -> None:
        """Make all smaller together, and put something to one side of them."""
        tops = sum(spot.thing not in self._carrier for spot in self.spots)
        share = min(0.5, max(0.34, count / (count + tops)))
        whole, limits = extent(self.spots), self._limits(self._bottom(thing))
        x, y = _SIDES[side]
        kept, free = 1 - share - _GAP / 2, share - _GAP / 2
        areas = []
        for part, towards in ((kept, -1), (free, 1)):
            wide, high = (limits.width * (part if x else 1), limits.height * (part if y else 1))
            left = limits.left + (limits.width - wide if towards * x > 0 else 0)
            top = limits.top + (limits.height - high if towards * y > 0 else 0)
            areas.append(Area(left, top, wide, high))
        old, new = areas
        scale = min(1.0, old.width / whole.width, old.height / whole.height)
        dx = old.left + (old.width - scale * whole.width) / 2 - scale * whole.left
        dy = old.top + (old.height - scale * whole.height) / 2 - scale * whole.top
        if self._stands(thing):
            dy = whole.bottom * (1 - scale)
        self.spots = [replace(s.moved(scale, dx, dy), depth=s.depth) for s in self.spots]
        if self.room is not None and flies(self.actors[thing]):
            new = replace(new, height=min(new.height, self.room.aloft[1] - new.top))
        longest = min(1.0, self._usual(thing))
        boxes = _filled(new, count, self.actors[thing].aspect, longest, low=self._stands(thing))
        depth = max(spot.depth for spot in self.spots)
        self.spots += [Spot(thing, *box, depth) for box in boxes]

    def _contain(self) -> None:
        """Make all smaller together where something reaches out of the picture."""
        box = extent(self.spots)
        if min(box.left, box.top) >= -0.01 and max(box.right, box.bottom) <= 1.01:
            return
        scale = min(1.0, (1 - 2 * _EDGE) / box.width, (1 - 2 * _EDGE) / box.height)
        x = min(max(box.left, _EDGE), 1 - _EDGE - scale * box.width) - scale * box.left
        y = min(box.bottom, 1 - _EDGE) - scale * box.bottom
        y = max(y, _EDGE - scale * box.top)
        self.spots = [replace(s.moved(scale, x, y), depth=s.depth) for s in self.spots]

    def _exchange(self, one: int, other: int) -> None:
        """Two things change places, each as large as fits."""
        groups = self._group(one), self._group(other)
        if other in groups[0] or one in groups[1]:
            return
        boxes = [extent([s for s in self.spots if s.thing in group]) for group in groups]
        still = [s for s in self.spots if s.thing not in groups[0] | groups[1]]
        targets = []
        for mine, there in (boxes, boxes[::-1]):
            blocked = [*still, mine]
            square = self._placed(there, max(there.width, there.height, mine.width),
                                  max(there.height, there.width, mine.height))  # fmt: skip
            area = _grown(there, blocked, square)
            scale = min(1.0, area.width / mine.width, area.height / mine.height)
            targets.append(_inside(self._placed_spot(there, mine, scale), area))
        for group, old, new in zip(groups, boxes, targets, strict=True):
            self._follow(group, old, new)

    def _placed(self, spot: Spot, wide: float, high: float) -> Area:
        """A box of a size about the middle of another; on a ground, above its lower edge."""
        grounded = self.room is not None and self.room.ground is not None
        top = spot.bottom - high if grounded else spot.top + (spot.height - high) / 2
        return Area(spot.left + (spot.width - wide) / 2, top, wide, high)

    def _placed_spot(self, there: Spot, one: Spot, scale: float) -> Spot:
        area = self._placed(there, scale * one.width, scale * one.height)
        return Spot(one.thing, area.left, area.top, area.width, area.height, one.depth)

    def _sized_to(self, spot: Spot, scale: float) -> Spot:
        return replace(self._placed_spot(spot, spot, scale), thing=spot.thing, depth=spot.depth)

    def _replace(self, old: Spot, new: Spot) -> None:
        self.spots = [new if spot is old else spot for spot in self.spots]

    def _shift(self, group: set[int], x: float, y: float) -> None:
        self._change(group, lambda s: replace(s.moved(1, x, y), depth=s.depth))

    def _follow(self, group: set[int], old: Spot, new: Spot) -> None:
        """Things keep their places in a box that is moved and scaled."""
        scale = new.width / old.width
        x, y = new.left - old.left * scale, new.bottom - old.bottom * scale
        self._change(group, lambda s: replace(s.moved(scale, x, y), depth=s.depth))

    def _change(self, group: set[int], change: Callable[[Spot], Spot]) -> None:
        self.spots = [change(spot) if spot.thing in group else spot for spot in self.spots]


def _middle(spot: Spot) -> tuple[float, float]:
    return spot.left + spot.width / 2, spot.top + spot.height / 2


def _span(length: float) -> list[float]:
    """Places along a side for something of a length."""
    found: list[float] = np.linspace(_EDGE, max(_EDGE, 1 - _EDGE - length), _STEPS).tolist()
    return found if length <= 1 - 2 * _EDGE + 1e-6 else []


def _apart(one: Spot, other: Spot, gap: float = _GAP) -> bool:
    return (
        one.right + gap <= other.left or other.right + gap <= one.left
        or one.bottom + gap <= other.top or other.bottom + gap <= one.top
    )  # fmt: skip


def _is_free(place: Spot, blocked: Iterable[Spot]) -> bool:
    return all(_apart(place, each, _GAP - 1e-6) for each in blocked)


def _is_at(side: str, one: Spot, other: Spot) -> bool:
    """Whether one is wholly to a side of another, and more so than across it."""
    x, y = _SIDES.get(side, (0, 0))
    away = (_middle(one)[0] - _middle(other)[0], _middle(one)[1] - _middle(other)[1])
    along, across = (away[0] * x, away[1]) if x else (away[1] * y, away[0])
    return along > abs(across) and not (
        min(one.right, other.right) > max(one.left, other.left) + 1e-6 if x
        else min(one.bottom, other.bottom) > max(one.top, other.top) + 1e-6
    )  # fmt: skip


def _distance(place: Spot, base: Spot, level: float | None) -> float:
    far = math.dist(_middle(place), _middle(base))
    return far + (0.0 if level is None else abs(place.bottom - level))


def _grown(spot: Spot, blocked: Sequence[Spot], limits: Area) -> Area:
    """A box as large as it can become within limits before it meets others."""
    found = {"left": spot.left, "top": spot.top, "right": spot.right, "bottom": spot.bottom}
    ends = {"left": min(limits.left, spot.left), "top": min(limits.top, spot.top),
            "right": max(limits.left + limits.width, spot.right),
            "bottom": max(limits.top + limits.height, spot.bottom)}  # fmt: skip
    touching = [each for each in blocked if not _apart(spot, each)]  # they overlap already
    others = [each for each in blocked if each not in touching]
    going = dict(found)
    for _ in range(100):
        moved = False
        for side, end in ends.items():
            step = 0.01 if end > going[side] else -0.01
            if abs(end - going[side]) < 1e-9:
                continue
            trial = going | {side: end if abs(end - going[side]) < 0.01 else going[side] + step}
            box = Spot(-1, trial["left"], trial["top"], trial["right"] - trial["left"],
                       trial["bottom"] - trial["top"])  # fmt: skip
            if _is_free(box, others):
                going, moved = trial, True
        if not moved:
            break
    wide, high = going["right"] - going["left"], going["bottom"] - going["top"]
    return Area(going["left"], going["top"], wide, high)


def _inside(spot: Spot, area: Area) -> Spot:
    """A box moved into an area that holds it."""
    left = min(max(spot.left, area.left), max(area.left, area.left + area.width - spot.width))
    top = min(max(spot.top, area.top), max(area.top, area.top + area.height - spot.height))
    return replace(spot, left=left, top=top)


def _filled(
    area: Area, count: int, aspect: float, longest: float, *, low: bool
) -> list[tuple[float, float, float, float]]:
    """Boxes of one size in rows within an area, as large as fits up to a longest side.

    Those that stand on its lower edge are in one row.
    """
    best, most = 0.0, longest * min(1.0, aspect)
    rows = columns = 1
    for many in range(1, 2 if low else count + 1):
        wide = -(-count // many)
        width = min(
            most, (area.width - _GAP * (wide - 1)) / wide,
            aspect * (area.height - _GAP * (many - 1)) / many,
        )  # fmt: skip
        if width > best + 1e-9:
            best, rows, columns = width, many, wide
    high = best / aspect
    whole = rows * high + _GAP * (rows - 1)
    top = area.top + (area.height - whole) * (1.0 if low else 0.5)
    found: list[tuple[float, float, float, float]] = []
    for row in range(rows):
        here = min(columns, count - len(found))
        left = area.left + (area.width - here * best - _GAP * (here - 1)) / 2
        for place in range(here):
            found.append((left + place * (best + _GAP), top + row * (high + _GAP), best, high))
    return found
