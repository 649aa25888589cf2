"""Places for things that touch, hide, wear, hold and ride each other.

Every kind of thing begins as a group of its own, as large as its kind is beside others
(:mod:`limner.scenes.sizes`). Each link of the sentence joins two groups: one is scaled and moved to
where the relation wants it, by the silhouettes of the two (where is the head, where can something
sit). The groups that remain are put beside each other. Far things are painted first.

Inside a group, lengths are in units of a thing of one metre; y points down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from limner.scenes.contacts import ALIVE, ALOFT, HANDY, WINDOW, resolve, with_worn
from limner.scenes.cutout import Floats
from limner.scenes.layout import RELATIONS, Relation
from limner.scenes.sentence import Link
from limner.scenes.shapes import Shape, in_profile, shape_of
from limner.scenes.sizes import UNKNOWN, Facts

_EXPONENT = 0.38
"""Power of real lengths that pictures show: a horse is 21 times a bee and looks 3.2 times."""
_EXPONENT_APART, _APART = 0.12, (0.08, 12.0)
"""The same of things that do not touch, on white, and the lengths that count: a mouse is 0.63 times
as long as a house there."""
_LEAST = 0.34
"""Least length that anything looks, of the longest: fruit before a market is seen."""
_HEAD_ALONE = 0.75
"""Length of the head of somebody who is drawn without a body, of the whole one's, as both look."""
_SIZES = {"big": 1.65, None: 1.0, "small": 0.65}
GAP = 0.06
_HIDDEN = 0.9
"""How far down what is in something may reach, of its height."""
_SUNK, _SUNK_HEAD = 0.34, 0.2
"""How far what is in something reaches below its edge, of its height; the same of a head alone in a
vessel, of which the face is seen."""
_ROW = 0.95
"""Greatest width of several things upon one, of its own."""
_ROW_RISE, _CLOSE = 0.75, 0.48
"""How much higher the far row of many of a kind is, of its height; the same upon something."""
_ROW_DEPTH = 0.25
"""By how much the far row of many of a kind is farther back: all of them are upon a plate, which is
0.3 behind what is on it."""
_FLOWER, _PLANT, _IN_VASE, _MOST_FLOWERS = 0.62, 0.95, 0.3, 5
"""Length of one of several flowers, of the vase's that they are in, and of a single one; share of
it that is inside; most of them."""
_SIGN = 0.34
"""Length of what says a feeling, of who feels it."""
_UPRIGHT, _FIGURE = 0.62, 0.6
"""Greatest width of a standing figure, of its height; how much smaller, beside its height, is what
it holds than beside the side of a head."""
_ROUND, _FULL, _SQUARE = 0.75, 0.7, 1.25
"""How much smaller what is round is held, as it is as large in both directions; least share of its
box that it fills, and greatest width of that, of its height."""
_ON_WHOLE = 0.5
"""Height of what an animal that sits wears on its body, of its own."""
_HEAD_OF_WHOLE = 0.6
"""Where the head of an animal ends that is whole and has no neck, of its height."""
_MOON, _MOON_MOST = 3.0, 0.55
"""Greatest length of what is a point in the sky, and no rainbow, in metres; how large it is at
most, of those below it."""
_TO_THE_LEFT = 0.42
"""Middle of the head of an animal that looks to the left, of its width."""
_LAP = 0.84
"""Lower edge of who is carried, of the height of who carries him."""
_GRIP, _ROWS = 0.12, 16
"""How far what is held reaches into the outline of who holds it, of the narrower; rows in which
that is looked at."""
_DRESSED = {"garment": (0.34, 0.36), "trousers": (0.26, 0.6)}
"""Width of what is worn on the body of such a figure, and where it begins, of its height."""
_CANOPY, _COVERED, _RIM = (1.3, 0.9), 0.12, 0.6
"""Least width of an umbrella, of the width and of the height of who is under it; how far down it
reaches, of the height; least width of the lower edge of its canopy, of its own."""
_NECK_MOST, _NO_NECK = 1.35, 1.15
"""Widest neck, of the breadth of the head; the same of a scarf on who has none."""
_BELOW_HAT, _NECK_OF_HATTED = 0.35, 0.49
"""Height above which what is narrow is below the hat that somebody is drawn with, and where the
neck is then."""
_SURFACE = 0.16
"""Most of its height by which the far edge of a table is above its middle."""
_LARGE_BIRD = 0.3
"""Length in metres from which a bird stands."""


@dataclass(frozen=True)
class Actor:
    """A kind of thing as it is drawn.

    Attributes:
        cut: the thing, ``(H, W, 4)`` premultiplied.
        facts: what is known of its kind.
        count: how many.
        size: ``big``, ``small`` or None.
        hatted: whether it has something on its head as it is drawn.
        dressed: whether it moves in a dress as it is drawn, over which none fits.
        around: whether it is a band around the neck of who wears it.
        whole: whether it is an animal with its body, however it looks.
    """

    cut: Floats
    facts: Facts
    count: int = 1
    size: str | None = None
    hatted: bool = False
    dressed: bool = False
    around: bool = False
    whole: bool = False

    @property
    def aspect(self) -> float:
        """Width over height."""
        return float(self.cut.shape[1] / self.cut.shape[0])

    def shape(self) -> Shape:
        """What its silhouette says; the head of a whole animal is no larger than half of it."""
        found = shape_of(self.cut)
        if not self.whole or found.tall < 1.0:
            return found
        return replace(found, tall=_HEAD_OF_WHOLE - found.crown, neck=None)


@dataclass(frozen=True)
class Spot:
    """The place of one thing: left, top, width and height, and its depth (larger is nearer)."""

    thing: int
    left: float
    top: float
    width: float
    height: float
    depth: float = 0.0

    @property
    def right(self) -> float:
        """Of its box."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Of its box."""
        return self.top + self.height

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        return self.left, self.top, self.width, self.height

    def moved(self, scale: float, x: float, y: float, depth: float = 0.0) -> Spot:
        """Scaled about the origin, then moved."""
        return Spot(self.thing, self.left * scale + x, self.top * scale + y,
                    self.width * scale, self.height * scale, self.depth + depth)  # fmt: skip


Group = tuple[Spot, ...]


def extent(spots: Sequence[Spot]) -> Spot:
    """The box around some things."""
    left, top = min(s.left for s in spots), min(s.top for s in spots)
    right, bottom = max(s.right for s in spots), max(s.bottom for s in spots)
    return Spot(-1, left, top, right - left, bottom - top, max(s.depth for s in spots))


def looks(actor: Actor) -> float:
    """How long a thing looks beside others, in units of a thing of one metre."""
    return float(np.clip(actor.facts.length, 0.03, 30) ** _EXPONENT * _SIZES[actor.size])


def looks_apart(actor: Actor) -> float:
    """The same beside others that it does not touch, where small things must be seen, too."""
    if actor.facts == UNKNOWN:
        return 1.0
    return float(np.clip(actor.facts.length, *_APART) ** _EXPONENT_APART)


def flies(actor: Actor) -> bool:
    """Whether a thing is in the sky where there is one."""
    facts = actor.facts
    return facts.role in ALOFT or (facts.role == "bird" and facts.length < _LARGE_BIRD)


def stage(
    actors: Sequence[Actor], links: Sequence[Link], rng: np.random.Generator, *,
    loose: bool = False, sky: bool = False,
) -> list[Group]:  # fmt: skip
    """Join things as their links say.

    Args:
        actors: the kinds of things.
        links: between them, by number.
        rng: decides what the words leave open.
        loose: whether things that are only beside each other stay apart, for
            :func:`limner.scenes.framing.framed` to put them.
        sky: whether there is one, where the sun and clouds are.

    Returns:
        The groups, each in its own units, standing on y = 0, in the order of the words.
    """
    return _Stage(actors, rng, loose=loose, sky=sky).joined(links)


def apart(actors: Sequence[Actor], links: Sequence[Link]) -> tuple[bool, Relation | None]:
    """Whether no two things touch or go together, and where the first is, if links say only that.

    Such things are put in order by :func:`limner.scenes.layout.arrange`.
    """
    ways = [
        resolve(link.relation, actors[link.first].facts, actors[link.second].facts)
        for link in links
    ]
    said = [(link, way) for link, way in zip(links, ways, strict=True)
            if way not in ("beside", "made", "at")]  # fmt: skip
    if not said:
        return True, None
    if len(said) == 1 and len(actors) == 2 and said[0][0].first == 0:
        for relation in RELATIONS:
            if said[0][1] == relation:
                return True, relation
    return False, None


class Stance(NamedTuple):
    """How something is upon something else.

    Attributes:
        low: its least size, as a share of what it is upon.
        high: its largest.
        sink: share of its height by which it reaches below the edge.
        feet: where the edge is, as a share of the other's height; None for its silhouette's.
        depth: before the other if positive.
    """

    low: float
    high: float
    sink: float
    feet: float | None = None
    depth: float = 0.3


_SEATED = Stance(0.5, 0.8, 0.0, feet=0.68)


class _Stage:
    """Groups in the making."""

    def __init__(
        self, actors: Sequence[Actor], rng: np.random.Generator, *,
        loose: bool = False, sky: bool = False,
    ) -> None:  # fmt: skip
        self.actors, self.rng, self.loose, self.sky = actors, rng, loose, sky
        self.shapes = [actor.shape() for actor in actors]
        self.least = _LEAST * max(map(looks, actors), default=0.0)
        self.groups: dict[int, Group] = {i: self._row(i) for i in range(len(actors))}
        self.root = list(range(len(actors)))
        self.sides: dict[int, int] = {}
        """How many things each thing holds already."""
        self.rows: dict[int, tuple[int, ...]] = {}
        """Things that share a place with others: by the first of them, all of them."""

    def joined(self, links: Sequence[Link]) -> list[Group]:
        links = sorted(
            with_worn([actor.facts for actor in self.actors], links),
            key=lambda link: self.actors[link.second].facts.role == "shoes",
        )
        for number, link in enumerate(links):
            i, j = link.first, link.second
            if self.root[i] == self.root[j] or not (self._of(i) and self._of(j)):
                continue  # they are together already, or one is hidden in another
            way, i, j = self._turned(link)
            if self._parted(way, i, j):
                continue
            if way in _SHARED:
                further = map(self._turned, links[number + 1 :])
                self._line_up(i, [one for other, one, base in further if (other, base) == (way, j)])
            _WAYS.get(way, _Stage._beside)(self, i, j)
        return [self.groups[i] for i in range(len(self.actors)) if self.root[i] == i]

    def _way(self, link: Link) -> str:
        return resolve(link.relation, self.actors[link.first].facts, self.actors[link.second].facts)

    def _turned(self, link: Link) -> tuple[str, int, int]:
        """The way in which a link joins two things, and which of them is joined to which."""
        way = self._way(link)
        if way in _TURNED:
            return _TURNED[way], link.second, link.first
        return way, link.first, link.second

    def _parted(self, way: str, i: int, j: int) -> bool:
        """Whether two things stay apart: beside each other, or one in the sky."""
        if self.loose and (way not in _WAYS or way == "beside"):
            return True
        high = ("celestial", "cloud") if self.sky else ()
        roles = self.actors[i].facts.role, self.actors[j].facts.role
        return (way == "above" and roles[0] in high) or (way == "below" and roles[1] in high)

    def _line_up(self, i: int, others: Sequence[int]) -> None:
        """Put what shares a place with a thing beside it: a cat and a dog on one sofa."""
        row = [i]
        for other in others:
            if self.root[other] not in {self.root[one] for one in row} and self._of(other):
                self._placed(other, row[-1], 1, 0)
                row.append(other)
        self.rows[i] = tuple(row)

    def _merge(self, i: int, j: int, spots: Sequence[Spot]) -> None:
        """The groups of two things become one."""
        into, gone = sorted((self.root[i], self.root[j]))
        self.root = [into if root == gone else root for root in self.root]
        del self.groups[gone]
        self.groups[into] = tuple(spots)

    def length(self, i: int) -> float:
        """How long a thing looks; a head without a body is shorter than who has one."""
        actor = self.actors[i]
        head = actor.facts.role in ALIVE and self.shapes[i].tall == 1.0
        size = _SIZES["small"] if actor.size == "small" else 1.0
        return max(looks(actor) * (_HEAD_ALONE if head else 1.0), size * self.least)

    def _one(self, i: int, longest: float) -> Spot:
        aspect = self.actors[i].aspect
        wide, high = (longest, longest / aspect) if aspect > 1 else (longest * aspect, longest)
        return Spot(i, -wide / 2, -high, wide, high)

    def _row(self, i: int) -> Group:
        """All things of a kind, side by side; many in two rows, the far one higher."""
        count, one = self.actors[i].count, self._one(i, self.length(i))
        rows = [count] if count <= 4 else [count // 2, count - count // 2]
        spots: list[Spot] = []
        for number, wide in enumerate(rows):
            step = one.width * (1 + GAP)
            for place in range(wide):
                x = (place - (wide - 1) / 2) * step
                back = len(rows) - 1 - number
                spots.append(one.moved(1, x, -_ROW_RISE * one.height * back, -_ROW_DEPTH * back))
        return tuple(spots)

    def _of(self, i: int) -> list[Spot]:
        return [spot for spot in self.groups[self.root[i]] if spot.thing == i]

    def _abreast(self, i: int) -> Spot:
        """The box around a thing and those that share its place."""
        return extent([spot for one in self.rows.get(i, (i,)) for spot in self._of(one)])

    def _scaled(self, i: int, scale: float, x: float, bottom: float, depth: float) -> list[Spot]:
        """The group of a thing, scaled, with the feet of the thing at a point."""
        box = self._abreast(i)
        middle, feet = box.left + box.width / 2, box.bottom
        return [spot.moved(scale, x - middle * scale, bottom - feet * scale, depth)
                for spot in self.groups[self.root[i]]]  # fmt: skip

    def _fit(self, i: int, base: Spot, low: float, high: float) -> float:
        """Scale of a thing's group so that its side is within shares of the base's."""
        box = self._abreast(i)
        ratio = max(box.width, box.height) / max(base.width, base.height)
        return float(np.clip(ratio, low, high) / ratio)

    # -- ways to join two groups ----------------------------------------------------------------

    def _wear(self, i: int, j: int) -> None:
        """Each of the first wears one of the second, as others beside it may, too."""
        if {spot.thing for spot in self.groups[self.root[j]]} != {j}:
            self._placed(i, j, 1, 0)
        shape, role = self.shapes[i], self.actors[j].facts.role
        spots = list(self.groups[self.root[i]])
        actor = self.actors[i]
        if (actor.hatted and role == "hat") or (actor.dressed and role == "garment"):
            self._merge(i, j, spots)  # a witch with a hat has one, in the colour asked for
            return
        for who in self._of(i):
            face = shape.tall == 1.0
            breadth = shape.breadth * who.width
            x, crown = who.left + shape.head * who.width, who.top + shape.crown * who.height
            tall = shape.tall * who.height * (1 - (shape.crown if face else 0))
            aspect, depth = self.actors[j].aspect, 0.1
            if role == "glasses":
                wide = (0.66 if face else 0.9) * breadth
                y = crown + 0.42 * tall + wide / aspect / 2
                if shape.eyes is not None:
                    y = who.top + shape.eyes * who.height + wide / aspect / 2
            elif role == "collar":
                x, wide, y = _at_neck(actor, who, shape, self.actors[j])
            elif role == "headset":
                wide = (0.9 if face else 1.15) * breadth
                level = 0.5 * tall + crown
                level = level if shape.eyes is None else who.top + shape.eyes * who.height
                y = max(level + 0.3 * wide / aspect, crown + 0.85 * wide / aspect)
            elif role in ("garment", "trousers") and self._is_figure(i):
                share, top = _DRESSED[role]
                wide = share * who.height
                y = who.top + max(top, shape.crown + shape.tall - 0.02) * who.height + wide / aspect
                x = who.left + 0.5 * who.width
            elif role in ("garment", "trousers", "bag"):
                x, wide, y = _on_animal(actor, who, shape, aspect)
                depth = -0.1 if face else 0.1
            elif role == "shoes":
                wide = min(0.42 * who.width, 0.36 * who.height * aspect)
                x, y = who.left + 0.3 * who.width, who.bottom + 0.3 * wide / aspect
                if face:  # below what else is worn
                    y = extent(spots).bottom + 1.1 * wide / aspect
                spots.append(Spot(j, x + 0.4 * who.width - wide / 2, y - wide / aspect, wide,
                                  wide / aspect, who.depth + depth))  # fmt: skip
            else:  # on the head
                wide = (0.62 * min(1.0, 1.1 * who.height / who.width) if face else 1.05) * breadth
                wide = min(max(wide, 0.36 * who.width), 0.8 * who.height * aspect)
                y = crown + 0.24 * wide / aspect + (0.03 * who.height if face else 0)
            high = wide / aspect
            spots.append(Spot(j, x - wide / 2, y - high, wide, high, who.depth + depth))
        self._merge(i, j, spots)

    def _hand(self, i: int) -> tuple[float, int]:
        """Side of the next hand: where its x is, and to which side of the thing."""
        side = (1, -1)[self.sides.get(i, 0) % 2]
        side = -side if self._looks_left(i) else side
        self.sides[i] = self.sides.get(i, 0) + 1
        return (1.0 if side > 0 else 0.0), side

    def _looks_left(self, i: int) -> bool:
        """Whether an animal is seen from the side; in most sets of drawings it looks left."""
        actor, shape = self.actors[i], self.shapes[i]
        if actor.facts.role not in ALIVE or actor.facts.role == "person" or self._is_figure(i):
            return False
        told = shape.eyes is not None
        return shape.head < _TO_THE_LEFT if told else in_profile(actor.cut)

    def _hold(self, i: int, j: int) -> None:
        if self._is_figure(i) and self.actors[j].facts.role in ALIVE:
            self._carry(i, j)
            return
        share, side = self._hand(i)
        self._bunch(j)
        held = self._held(i, j, lambda who, box, s: (
            who.left + share * who.width + side * (0.5 * box.width * s - 0.12 * who.width),
            who.top + 0.72 * who.height + 0.35 * box.height * s,
        ), 0.48, 0.7)  # fmt: skip
        self._merge(i, j, held)

    def _carry(self, i: int, j: int) -> None:
        """A child or an animal in somebody's arms, before the chest."""
        head = self.shapes[j].tall == 1.0
        held = self._held(i, j, lambda who, box, s: (
            who.left + 0.5 * who.width, who.top + (0.76 if head else _LAP) * who.height,
        ), *((0.36, 0.46) if head else (0.48, 0.62)))  # fmt: skip
        self._merge(i, j, held)

    def _bunch(self, j: int) -> None:
        """Several of a kind that somebody holds in one hand, close together."""
        spots = self._of(j)
        if len(spots) < 2 or len(spots) < len(self.groups[self.root[j]]):
            return
        one = self._one(j, self.length(j))
        asides = [place - (len(spots) - 1) / 2 for place in range(len(spots))]
        self.groups[self.root[j]] = tuple(
            one.moved(
                1, 0.5 * aside * one.width, 0.08 * abs(aside) * one.height, -0.01 * abs(aside)
            )
            for aside in asides
        )

    def _eat(self, i: int, j: int) -> None:
        shape = self.shapes[i]
        side = -1 if shape.head < 0.4 else 1
        held = self._held(i, j, lambda who, box, s: (
            who.left + shape.head * who.width + side * 0.42 * shape.breadth * who.width,
            who.top + (shape.crown + (0.78 if shape.tall == 1 else 0.7) * shape.tall) * who.height
            + 0.5 * box.height * s,
        ), *((0.36, 0.5) if shape.tall == 1 else (0.3, 0.42)))  # fmt: skip
        self._merge(i, j, held)

    def _string(self, i: int, j: int) -> None:
        share, side = self._hand(i)
        self._bunch(j)
        held = self._held(i, j, lambda who, box, s: (
            who.left + share * who.width + side * (0.5 * box.width * s - 0.1 * who.width),
            who.top + 0.55 * who.height,
        ), 0.5, 0.9, grip=0.0)  # fmt: skip
        self._merge(i, j, held)

    def _before(self, i: int, j: int) -> None:
        """Something large that is played or used: in front of whoever does it."""
        held = self._held(i, j, lambda who, box, s: (
            who.left + 0.5 * who.width,
            who.bottom + (0.62 if self.shapes[i].tall == 1 else 0.35) * box.height * s,
        ), 0.55, 0.8)  # fmt: skip
        self._merge(i, j, held)

    def _is_figure(self, i: int) -> bool:
        """Whether somebody, perhaps a robot, is drawn from head to foot, standing."""
        actor = self.actors[i]
        return actor.facts.role in ("person", "being") and actor.aspect < _UPRIGHT

    def _held(
        self, i: int, j: int, where: Callable[[Spot, Spot, float], tuple[float, float]],
        low: float, high: float, *, grip: float = _GRIP,
    ) -> list[Spot]:  # fmt: skip
        """The first group, and the second scaled and put in the hands of each of the first."""
        spots = list(self.groups[self.root[i]])
        if self._is_figure(i):
            low, high = _FIGURE * low, _FIGURE * high
        if self._is_round(j):
            low, high = _ROUND * low, _ROUND * high
        for who in self._of(i):
            box = extent(self._of(j))
            scale = self._fit(j, who, low, high)
            x, bottom = where(who, box, scale)
            held = self._scaled(j, scale, x, bottom, who.depth + 0.2)
            spots += self._touching(who, held, grip)
        return spots

    def _is_round(self, j: int) -> bool:
        """Whether a thing is as wide as high and fills its box, as a ball does."""
        actor = self.actors[j]
        full = float((actor.cut[..., 3] > 0.5).mean()) > _FULL
        return actor.count == 1 and full and max(actor.aspect, 1 / actor.aspect) < _SQUARE

    def _touching(self, who: Spot, held: Sequence[Spot], grip: float) -> Sequence[Spot]:
        """What is held at a side, moved so that it reaches into the outline of who holds it."""
        box = extent(held)
        side = np.sign(box.left + box.width / 2 - who.left - who.width / 2)
        if side == 0:
            return held
        ours = _outline(self.actors[who.thing].cut, who, side)
        theirs = [_outline(self.actors[spot.thing].cut, spot, -side) for spot in held]
        rows = np.linspace(box.top, box.bottom, 2 * _ROWS + 1)[1::2]
        reach = np.array([ours(y) for y in rows])
        near = np.array([np.nanmin([side * one(y) for one in theirs] + [np.inf]) for y in rows])
        gaps = near - side * reach
        gaps = gaps[np.isfinite(gaps)]
        if not len(gaps):
            return held
        short = float(gaps.min()) + grip * min(who.width, box.width)
        return [spot.moved(1, -side * short, 0) for spot in held] if short > 0 else held

    def _upon(self, i: int, j: int, stance: Stance) -> None:
        """The first group upon the second."""
        if self.actors[j].facts.role != "plate":
            self._close_up(i)
        base, box = extent(self._of(j)), self._abreast(i)
        high = stance.high if len(self.rows.get(i, ())) < 2 else max(stance.high, _ROW)
        scale = self._fit(i, base, stance.low, high)
        one = self._of(j)[0]
        edge = self.shapes[j].seat if stance.feet is None else stance.feet
        if stance.feet is None and self.actors[j].facts.role == "table":  # seen from above
            edge = max(edge, min(self.shapes[j].rim, edge + _SURFACE))
        bottom = one.top + edge * one.height + stance.sink * box.height * scale
        if stance.depth < 0:  # what is behind it must not look out below it
            bottom = min(bottom, one.top + _HIDDEN * self.shapes[j].keel * one.height)
        x = base.left + base.width / 2
        if stance.feet is None and self.actors[j].facts.role in ("ridden", "person", "being"):
            x += 0.06 * base.width  # behind the neck
        moved = self._scaled(i, scale, x, bottom, stance.depth)
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _close_up(self, i: int) -> None:
        """Move the far row of many of a kind down: what is upon something does not float above."""
        spots = self.groups[self.root[i]]
        if {spot.thing for spot in spots} != {i}:
            return
        low = max(spot.bottom for spot in spots)
        self.groups[self.root[i]] = tuple(
            spot.moved(1, 0, (low - spot.bottom) * (1 - _CLOSE / _ROW_RISE)) for spot in spots
        )

    def _ride(self, i: int, j: int) -> None:
        facts = self.actors[j].facts
        if self.actors[j].aspect > 2.2 or (facts.role == "board" and facts.length < 1.6):
            self._upon(i, j, Stance(0.6, 1.1, 0.04))  # a skateboard, a broom
        elif self.shapes[i].tall == 1.0:  # a face alone
            self._upon(i, j, Stance(0.45, 0.62, 0.1, depth=-0.3))
        else:
            self._upon(i, j, Stance(0.6, 0.85, 0.2, depth=-0.3))

    def _top(self, i: int, j: int) -> None:
        carried = {self.actors[j].facts.role} <= ALIVE and self.actors[i].facts.role in HANDY
        self._upon(i, j, Stance(0.3, 0.5, 0.07) if carried else Stance(0.45, 0.85, 0.07))

    def _sit(self, i: int, j: int) -> None:
        face = self.shapes[i].tall == 1.0
        self._upon(i, j, Stance(0.4, 0.56, 0.0, feet=0.66) if face else _SEATED)

    def _plate(self, i: int, j: int) -> None:
        self._upon(i, j, Stance(0.45, 0.62, 0.5, feet=0.48))

    def _within(self, i: int, j: int) -> None:
        """Looking out of something open: its lower part is hidden."""
        rim = self.shapes[j].rim if self.actors[j].facts.role in ("vessel", "box") else None
        widest = 0.85 if self.actors[i].count == 1 else _ROW
        head = self.shapes[i].tall == 1.0 and self.actors[i].facts.role in ALIVE
        sink = _SUNK_HEAD if head and rim is not None else _SUNK
        self._upon(i, j, Stance(0.6, widest, sink, feet=rim, depth=-0.3))

    def _inside(self, i: int, j: int) -> None:
        if self.actors[j].facts.role in ("house", "opening"):
            self._upon(i, j, Stance(0.4, 0.5, 0.0, feet=0.98))
        else:
            self._upon(i, j, Stance(0.4, 0.5, 0.5, feet=0.42))

    def _over(self, i: int, j: int) -> None:
        self._upon(i, j, Stance(0.45, 0.65, 0.5, feet=0.5))

    def _heap(self, i: int, j: int) -> None:
        """The first is full of the second: a heap that looks out of it."""
        if self.actors[j].facts.role == "plant":
            self._bouquet(i, j)
            return
        base = extent(self._of(i))
        vessel = self._of(i)[0]
        edge = vessel.top + self.shapes[i].rim * vessel.height
        one = self._one(j, 0.4 * base.width)
        spots = list(self.groups[self.root[i]])
        for y, places in ((0.62, (-0.13, 0.13)), (0.18, (-0.27, 0.0, 0.27))):
            for x in places:
                middle, depth = base.left + (0.5 + x) * base.width, -0.6 if y > 0.5 else -0.5
                spots.append(one.moved(1, middle, edge + (0.6 - y) * one.height, depth))
        self._merge(i, j, spots)

    def _bouquet(self, i: int, j: int) -> None:
        """Flowers that stand in each of the first, with their stalks in it."""
        spots = list(self.groups[self.root[i]])
        count = min(max(self.actors[j].count, 1), _MOST_FLOWERS)
        for vessel in self._of(i):
            length = _FLOWER if count > 1 else _PLANT
            one = self._one(j, length * max(vessel.width, vessel.height))
            for place in range(count):
                aside = place - (count - 1) / 2
                x = vessel.left + vessel.width / 2 + 0.55 * one.width * aside
                y = vessel.top + (_IN_VASE + 0.05 * abs(aside)) * one.height
                spots.append(one.moved(1, x, y, vessel.depth - 0.5 - 0.01 * abs(aside)))
        self._merge(i, j, spots)

    def _sign(self, i: int, j: int) -> None:
        """What says a feeling, small at the upper right of the head of each of the first."""
        spots, shape = list(self.groups[self.root[i]]), self.shapes[i]
        for who in self._of(i):
            one = self._one(j, _SIGN * max(who.width, who.height))
            x = who.left + (shape.head + 0.5 * shape.breadth) * who.width + 0.42 * one.width
            tall = shape.tall * who.height * (1 - (shape.crown if shape.tall == 1.0 else 0))
            y = who.top + shape.crown * who.height + 0.12 * tall
            if shape.tall == 1.0:
                y += 0.08 * tall
            spots.append(one.moved(1, x, y, who.depth + 0.3))
        self._merge(i, j, spots)

    def _topping(self, i: int, j: int) -> None:
        """Some of the second on the first."""
        base = extent(self._of(i))
        one = self._one(j, 0.34 * max(base.width, base.height))
        middle, spots = base.left + base.width / 2, list(self.groups[self.root[i]])
        top = base.top + self.shapes[i].seat * base.height
        for x in (-0.25, 0.0, 0.25):
            spots.append(one.moved(1, middle + x * base.width, top + 0.3 * one.height, 0.1))
        self._merge(i, j, spots)

    def _fitted(self, i: int, j: int) -> None:
        """A door or windows in the wall of each of the first."""
        spots, door = list(self.groups[self.root[i]]), self.actors[j].facts.length > WINDOW
        count = self.actors[j].count
        for house in self._of(i):
            one = self._one(j, (0.4 if door else 0.22) * min(house.height, house.width))
            for place in range(count):
                x = house.left + (0.5 + 0.6 * ((place + 0.5) / count - 0.5)) * house.width
                y = house.bottom - (0.03 if door else 0.3) * house.height
                spots.append(one.moved(1, x, y, house.depth + 0.1))
        self._merge(i, j, spots)

    def _sheltered(self, i: int, j: int) -> None:
        """Under a tree or a table: at its foot, before it."""
        base, box = extent(self._of(j)), self._abreast(i)
        scale = self._fit(i, base, 0.42, 0.6)
        aside = 0.2 if base.width > 0.5 * base.height else 0.5
        if self.actors[j].facts.role in ("table", "seat"):  # between its legs
            aside = max(0.0, min(aside, 0.45 - 0.5 * box.width * scale / base.width))
        side = (-1, 1)[int(self.rng.integers(2))] * aside
        x = base.left + (0.5 + side) * base.width
        moved = self._scaled(i, scale, x, base.bottom + 0.08 * box.height * scale, 0.3)
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _umbrella(self, i: int, j: int) -> None:
        """An umbrella over the first, its stick behind them; several are held."""
        if self.actors[j].count > 1:
            self._hold(i, j)
            return
        box, base = self._abreast(i), extent(self._of(j))
        if self.actors[j].facts.role == "umbrella":
            scale = max(_CANOPY[0] * box.width / base.width, _CANOPY[1] * box.height / base.width)
            edge = _canopy(self.actors[j].cut) * base.height * scale
            bottom = box.top + _COVERED * box.height - edge + base.height * scale
            bottom = min(bottom, box.bottom - 0.06 * box.height)
        else:  # a mushroom, which stands on the ground
            scale = max(1.25 * box.width / base.width, 1.4 * box.height / base.height)
            bottom = box.bottom - 0.06 * box.height
        moved = self._scaled(j, scale, box.left + 0.5 * box.width, bottom, -0.4)
        self._merge(i, j, [*self.groups[self.root[i]], *moved])

    def _depth(self, near: int, far: int) -> None:
        """One before the other, which is seen beside and above it."""
        front, back = extent(self._of(near)), extent(self._of(far))
        side = (-1, 1)[int(self.rng.integers(2))]
        smaller = min(back.width, front.width)
        x = (
            front.left
            + front.width / 2
            + side * (0.5 * (front.width + back.width) - 0.32 * smaller)
        )
        y = front.bottom - 0.14 * front.height
        if back.width > 1.3 * front.width:
            x = front.left + front.width / 2 + side * 0.16 * back.width
        elif back.height < 0.8 * front.height:  # looks over it, or past the trunk of a tree
            tree = self.actors[near].facts.role == "plant"
            y = front.bottom - (0.03 if tree else 0.4) * front.height
        moved = self._scaled(far, 1.0, x, y, front.depth - 1)
        self._merge(near, far, [*self.groups[self.root[near]], *moved])

    def _behind(self, i: int, j: int) -> None:
        self._depth(j, i)

    def _front(self, i: int, j: int) -> None:
        self._depth(i, j)

    def _around(self, i: int, j: int) -> None:
        """The first all around the second."""
        base = extent(self._of(j))
        count = max(self.actors[i].count, 6)
        one = self._one(i, min(self.length(i), 0.42 * max(base.width, base.height)))
        spots = list(self.groups[self.root[j]])
        wide, high = 0.5 * base.width + 0.5 * one.width, 0.5 * base.height + 0.4 * one.height
        for number in range(count):
            angle = 2 * np.pi * (number + 0.5) / count
            x = base.left + base.width / 2 + wide * float(np.cos(angle))
            y = base.top + base.height / 2 + high * float(np.sin(angle))
            spots.append(one.moved(1, x, y + one.height / 2, float(np.sin(angle))))
        self._merge(i, j, spots)

    def _placed(self, i: int, j: int, x: int, y: int) -> None:
        """The group of the first to one side of that of the second."""
        base, box = extent(self.groups[self.root[j]]), extent(self.groups[self.root[i]])
        gap = GAP * (base.width + box.width)
        left = base.left + (base.width - box.width) / 2
        left += x * ((base.width + box.width) / 2 + gap)
        top = base.bottom - box.height if y == 0 else base.top - gap - box.height
        top = base.bottom + gap if y > 0 else top
        moved = [s.moved(1, left - box.left, top - box.top) for s in self.groups[self.root[i]]]
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _below(self, i: int, j: int) -> None:
        """The group of the first below the second's; the moon or a star is no larger than it."""
        facts, group = self.actors[j].facts, self.groups[self.root[j]]
        if facts.role == "celestial" and facts.length <= _MOON and self.actors[j].size is None:
            sky, box = extent(group), extent(self.groups[self.root[i]])
            most = _MOON_MOST * max(box.width, box.height)
            scale = min(1.0, most / max(sky.width, sky.height))
            self.groups[self.root[j]] = tuple(spot.moved(scale, 0, 0) for spot in group)
        self._placed(i, j, 0, 1)

    def _beside(self, i: int, j: int) -> None:
        self._placed(j, i, 1, 0)


def _outline(cut: Floats, spot: Spot, side: float) -> Callable[[float], float]:
    """The outermost place of a thing to one side at a height; NaN where it has none.

    Args:
        cut: the thing.
        spot: where it is.
        side: 1 for its right edge, -1 for its left one.
    """
    solid = cut[..., 3] > 0.5
    wide = solid.shape[1]
    edge = wide - solid[:, ::-1].argmax(1) if side > 0 else solid.argmax(1)
    edges = np.where(solid.any(1), spot.left + edge / wide * spot.width, np.nan)

    def at(y: float) -> float:
        row = int((y - spot.top) / spot.height * len(edges))
        return float(edges[row]) if 0 <= row < len(edges) else float("nan")

    return at


def _canopy(cut: Floats) -> float:
    """Lower edge of the canopy of an umbrella, above its handle, in shares of its height."""
    widths = (cut[..., 3] > 0.5).sum(1)
    return float(np.flatnonzero(widths > _RIM * widths.max())[-1] + 1) / len(widths)


def _at_neck(
    actor: Actor, who: Spot, shape: Shape, worn: Actor
) -> tuple[float, float, float]:  # fmt: skip
    """Middle, width and lower edge of what somebody wears around the neck; below a face's chin.

    Args:
        actor: who wears it.
        who: where that is.
        shape: of the wearer.
        worn: what is worn.
    """
    aspect = worn.aspect
    face, breadth = shape.tall == 1.0, shape.breadth * who.width
    x = who.left + shape.head * who.width
    wide = min((0.5 if face else 0.8) * breadth, 0.5 * who.height * aspect)
    high = wide / aspect
    if face:
        return x, wide, who.bottom + 0.7 * high
    if actor.hatted and shape.eyes is None and (shape.neck or 0) < _BELOW_HAT:
        y = who.top + _NECK_OF_HATTED * who.height  # a snowman
    elif shape.neck is not None:
        y = who.top + shape.neck * who.height
    else:
        y = who.top + (shape.crown + 0.82 * shape.tall) * who.height + 0.25 * high
        if shape.eyes is not None:  # no farther below them than a head is wide
            below = 0.4 if worn.around else 0.5
            y = min(y, who.top + shape.eyes * who.height + below * breadth)
    if worn.around:
        left, right = _run(actor.cut, (y - who.top) / who.height, shape.head)
        across = (right - left) * who.width
        if across < _NECK_MOST * breadth:
            x, wide = who.left + (left + right) / 2 * who.width, 1.06 * across
        elif not in_profile(actor.cut):  # who has no neck, as a penguin
            wide = min(_NO_NECK * breadth, 1.06 * across)
    return x, wide, y + 0.75 * wide / aspect


def _on_animal(actor: Actor, who: Spot, shape: Shape, aspect: float) -> tuple[float, float, float]:
    """Middle, width and lower edge of clothes that an animal, or a head alone, wears.

    Args:
        actor: who wears them.
        who: where that is.
        shape: of the wearer.
        aspect: width of the clothes over their height.
    """
    face, x = shape.tall == 1.0, who.left + who.width / 2
    if actor.whole and not in_profile(actor.cut):
        wide = _ON_WHOLE * who.height * aspect  # from the chin to below the feet
        chin = who.top + (shape.crown + shape.tall - 0.03) * who.height
        return x, wide, chin + wide / aspect
    wide = (0.8 if face else 0.85) * who.width
    below = 0.96 - shape.crown - 0.8 * shape.tall  # the face, of its height
    most = 0.75 if face else min(0.75, max(0.45, below))
    wide = min(wide, most * who.height * aspect)
    return x, wide, who.bottom + (0.75 * wide / aspect if face else -0.04 * who.height)


def _run(cut: Floats, height: float, column: float) -> tuple[float, float]:
    """The left and right edge of a thing around a column, at a height; all in shares."""
    solid = cut[..., 3] > 0.5
    row = solid[min(max(0, int(height * len(solid))), len(solid) - 1)]
    middle = min(int(column * len(row)), len(row) - 1)
    left = row[middle::-1].argmin() or middle + 1
    right = row[middle:].argmin() or len(row) - middle
    return (middle - left + 1) / len(row), (middle + right) / len(row)


_TURNED = {"worn by": "wearing", "holds": "over", "carries": "in", "stands in": "full",
           "bears": "on"}  # fmt: skip
"""Ways that are others, of the second to the first."""
_SHARED = frozenset({"below", "on", "seat", "plate", "in", "inside", "over", "riding", "sheltered",
                     "umbrella"})  # fmt: skip
"""Ways in which several things are in one place."""
_WAYS: Mapping[str, Callable[[_Stage, int, int], None]] = {
    "wearing": _Stage._wear, "holding": _Stage._hold, "eating": _Stage._eat,
    "string": _Stage._string, "before": _Stage._before, "riding": _Stage._ride,
    "on": _Stage._top, "seat": _Stage._sit, "plate": _Stage._plate, "in": _Stage._within,
    "inside": _Stage._inside, "over": _Stage._over, "full": _Stage._heap,
    "topped": _Stage._topping, "sign": _Stage._sign, "fitted": _Stage._fitted,
    "sheltered": _Stage._sheltered, "umbrella": _Stage._umbrella,
    "behind": _Stage._behind, "front": _Stage._front, "around": _Stage._around,
    "beside": _Stage._beside,
    "left": lambda self, i, j: self._placed(i, j, -1, 0),
    "right": lambda self, i, j: self._placed(i, j, 1, 0),
    "above": lambda self, i, j: self._placed(i, j, 0, -1),
    "below": _Stage._below,
}  # fmt: skip
