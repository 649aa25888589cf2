"""Things joined into groups, each of which is scaled and moved as one.

Every kind of thing begins as a group of its own, as large as its kind looks beside others
(:mod:`limner.scenes.sizes`). A way of joining two (:data:`limner.scenes.staging.WAYS`) measures
their silhouettes (:mod:`limner.scenes.shapes`), places the spots of one by those of the other, and
makes one group of both.

Lengths are in units of a thing of one metre; y points down. Things are numbered as the actors are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limner.scenes.actors import SIZES, Actor, Group, Spot, extent, looks
from limner.scenes.shapes import in_profile
from limner.scenes.sizes import ALIVE

GAP = 0.06
"""Between things beside each other, of the width of both."""
_LEAST = 0.34
"""Least length that anything looks, of the longest: fruit before a market is seen."""
_HEAD_ALONE = 0.75
"""Length of the head of somebody who is drawn without a body, of the whole one's, as both look."""
ROW_RISE = 0.75
"""How much higher the far row of many of a kind is, of its height."""
_ROW_DEPTH = 0.25
"""By how much the far row of many of a kind is farther back: all of them are upon a plate, which is
0.3 behind what is on it."""
_UPRIGHT = 0.62
"""Greatest width of a standing figure, of its height."""
_FULL, _SQUARE = 0.7, 1.25
"""Least share of its box that a round thing fills, and greatest width of that, of its height."""
_TO_THE_LEFT = 0.42
"""Middle of the head of an animal that looks to the left, of its width."""


class Groups:
    """Groups of spots, made larger by joining two of them at a time.

    Attributes:
        actors: the kinds of things.
        shapes: their silhouettes, measured.
        rng: decides what the words leave open.
    """

    def __init__(self, actors: Sequence[Actor], rng: np.random.Generator) -> None:
        self.actors, self.rng = actors, rng
        self.shapes = [actor.shape() for actor in actors]
        self._least = _LEAST * max(map(looks, actors), default=0.0)
        self._groups: dict[int, Group] = {i: self._row(i) for i in range(len(actors))}
        self._root = list(range(len(actors)))
        self._hands_used: dict[int, int] = {}
        """How many things each thing holds already."""
        self._sharing: dict[int, tuple[int, ...]] = {}
        """Things that share a place with others: by the first of them, all of them."""

    def all(self) -> list[Group]:
        """The groups, in the order of the first actor of each."""
        return [self._groups[i] for i in range(len(self.actors)) if self._root[i] == i]

    def together(self, i: int, j: int) -> bool:
        """Whether two things are in one group."""
        return self._root[i] == self._root[j]

    def group(self, i: int) -> Group:
        """The group that a thing is in, of any number of things."""
        return self._groups[self._root[i]]

    def regroup(self, i: int, spots: Sequence[Spot]) -> None:
        """Give the group that a thing is in other spots."""
        self._groups[self._root[i]] = tuple(spots)

    def merge(self, i: int, j: int, spots: Sequence[Spot]) -> None:
        """Make one group of those of two things, with these spots."""
        into, gone = sorted((self._root[i], self._root[j]))
        self._root = [into if root == gone else root for root in self._root]
        del self._groups[gone]
        self._groups[into] = tuple(spots)

    def length(self, i: int) -> float:
        """How long a thing looks; a head without a body is shorter than who has one."""
        actor = self.actors[i]
        head = actor.facts.role in ALIVE and self.shapes[i].tall == 1.0
        size = SIZES["small"] if actor.size == "small" else 1.0
        return max(looks(actor) * (_HEAD_ALONE if head else 1.0), size * self._least)

    def single(self, i: int, longest: float) -> Spot:
        """One of a kind, so long, standing in the middle of y = 0."""
        aspect = self.actors[i].aspect
        wide, high = (longest, longest / aspect) if aspect > 1 else (longest * aspect, longest)
        return Spot(i, -wide / 2, -high, wide, high)

    def _row(self, i: int) -> Group:
        """All things of a kind, side by side; many in two rows, the far one higher."""
        count, one = self.actors[i].count, self.single(i, self.length(i))
        rows = [count] if count <= 4 else [count // 2, count - count // 2]
        spots: list[Spot] = []
        for number, wide in enumerate(rows):
            step = one.width * (1 + GAP)
            for place in range(wide):
                x = (place - (wide - 1) / 2) * step
                back = len(rows) - 1 - number
                spots.append(one.moved(1, x, -ROW_RISE * one.height * back, -_ROW_DEPTH * back))
        return tuple(spots)

    def spots_of(self, i: int) -> list[Spot]:
        """The spots of all things of a kind."""
        return [spot for spot in self.group(i) if spot.thing == i]

    def sharing(self, i: int) -> tuple[int, ...]:
        """A thing and those that share its place (:meth:`line_up`)."""
        return self._sharing.get(i, (i,))

    def abreast(self, i: int) -> Spot:
        """The box around a thing and those that share its place."""
        return extent([spot for one in self.sharing(i) for spot in self.spots_of(one)])

    def scaled(self, i: int, scale: float, x: float, bottom: float, depth: float) -> list[Spot]:
        """The group of a thing, scaled, with the feet of the thing at a point.

        Args:
            i: the thing.
            scale: of all lengths.
            x: middle of the thing, and of those that share its place.
            bottom: their lower edge.
            depth: added to that of each spot.
        """
        box = self.abreast(i)
        middle, feet = box.left + box.width / 2, box.bottom
        return [spot.moved(scale, x - middle * scale, bottom - feet * scale, depth)
                for spot in self.group(i)]  # fmt: skip

    def scale_to(self, i: int, base: Spot, low: float, high: float) -> float:
        """Scale of a thing's group that brings its longer side to within shares of another's.

        Args:
            i: the thing.
            base: the box of the other.
            low: least share.
            high: greatest share.
        """
        box = self.abreast(i)
        ratio = max(box.width, box.height) / max(base.width, base.height)
        return float(np.clip(ratio, low, high) / ratio)

    def place_beside(self, i: int, j: int, x: int, y: int) -> None:
        """Move the group of the first to one side of that of the second, and make one of both.

        Args:
            i: the first.
            j: the second.
            x: 1 to the right, -1 to the left, 0 above or below.
            y: 1 below, -1 above, 0 where both stand on one line.
        """
        base, box = extent(self.group(j)), extent(self.group(i))
        gap = GAP * (base.width + box.width)
        left = base.left + (base.width - box.width) / 2
        left += x * ((base.width + box.width) / 2 + gap)
        top = base.bottom - box.height if y == 0 else base.top - gap - box.height
        top = base.bottom + gap if y > 0 else top
        moved = [s.moved(1, left - box.left, top - box.top) for s in self.group(i)]
        self.merge(i, j, [*self.group(j), *moved])

    def line_up(self, i: int, others: Sequence[int]) -> None:
        """Put what shares a place with a thing beside it: a cat and a dog on one sofa."""
        row = [i]
        for other in others:
            if not any(self.together(other, one) for one in row) and self.spots_of(other):
                self.place_beside(other, row[-1], 1, 0)
                row.append(other)
        self._sharing[i] = tuple(row)

    def next_hand(self, i: int) -> tuple[float, int]:
        """The next free hand of a thing: its x, of the width, and its side, 1 for the right one."""
        side = (1, -1)[self._hands_used.get(i, 0) % 2]
        side = -side if self._looks_left(i) else side
        self._hands_used[i] = self._hands_used.get(i, 0) + 1
        return (1.0 if side > 0 else 0.0), side

    def _looks_left(self, i: int) -> bool:
        """Whether an animal is seen from the side; in most sets of drawings it looks left."""
        actor, shape = self.actors[i], self.shapes[i]
        if actor.facts.role not in ALIVE or actor.facts.role == "person" or self.is_figure(i):
            return False
        told = shape.eyes is not None
        return shape.head < _TO_THE_LEFT if told else in_profile(actor.cut)

    def is_round(self, i: int) -> bool:
        """Whether a thing is as wide as high and fills its box, as a ball does."""
        actor = self.actors[i]
        full = float((actor.cut[..., 3] > 0.5).mean()) > _FULL
        return actor.count == 1 and full and max(actor.aspect, 1 / actor.aspect) < _SQUARE

    def is_figure(self, i: int) -> bool:
        """Whether somebody, perhaps a robot, is drawn from head to foot, standing."""
        actor = self.actors[i]
        return actor.facts.role in ("person", "being") and actor.aspect < _UPRIGHT
