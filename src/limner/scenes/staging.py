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
from numpy.typing import NDArray

from limner.scenes.cutout import Floats
from limner.scenes.layout import RELATIONS, Relation
from limner.scenes.relations import Contact
from limner.scenes.sentence import Link
from limner.scenes.sizes import Facts, Role
from limner.vision.masks import largest, parts_of

_EXPONENT = 0.25
"""Power of real lengths that pictures show: a horse is 20 times a bee and looks 2.1 times."""
_SIZES = {"big": 1.5, None: 1.0, "small": 0.7}
_GAP = 0.06
_MARGIN = 0.03
_DARK, _EYE = 0.35, (6e-4, 0.02)
"""Greatest channel of an eye; least and greatest share of the thing that it is."""
_NECK, _NARROW, _HEAD = (0.2, 0.65), 0.93, 0.4
"""Heights between which a neck may be; its greatest width, of the head's and the body's; least
width of one of these, of the other's."""
_ROUND, _AMID = 0.78, 0.4
"""Least width of a face alone, of its height; least height of its eyes."""
_FACE = 0.25
"""Half the width of the middle of a face, and its height from the eyes on, of the head's width."""
_UNDER_EYES = (0.1, 0.4)
"""How far a neck is below the eyes, of the height."""
_TOPPING = 0.55
"""Greatest length of what is put on food, of the food's."""
_WORN: frozenset[Role] = frozenset({"hat", "glasses", "collar", "garment", "shoes"})
_ALIVE: frozenset[Role] = frozenset({"person", "being", "ridden", "bird", "swimmer"})
_ALOFT: frozenset[Role] = frozenset({"celestial", "cloud", "floating"})
_HANDY: frozenset[Role] = frozenset(
    {"food", "toy", "tool", "floating", "vessel", "plant", "umbrella", "bag", "hat"}
)
_ROW = 0.95
"""Greatest width of several things upon one, of its own."""
_WINDOW = 1.5
"""Greatest length of a window in metres; a door is longer."""
_LARGE_BIRD = 0.3
"""Length in metres from which a bird stands."""
_SUPPORTS: frozenset[Role] = frozenset({"table", "seat", "plate", "plant"})


@dataclass(frozen=True)
class Actor:
    """A kind of thing as it is drawn.

    Attributes:
        cut: the thing, ``(H, W, 4)`` premultiplied.
        facts: what is known of its kind.
        count: how many.
        size: ``big``, ``small`` or None.
        hatted: whether it has something on its head as it is drawn.
    """

    cut: Floats
    facts: Facts
    count: int = 1
    size: str | None = None
    hatted: bool = False

    @property
    def aspect(self) -> float:
        """Width over height."""
        return float(self.cut.shape[1] / self.cut.shape[0])


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


@dataclass(frozen=True)
class Shape:
    """What the silhouette of a thing says; all in shares of its width and height.

    Attributes:
        head: centre of the head.
        crown: upper edge of the head, between the ears.
        breadth: of the head.
        tall: height of the head.
        seat: upper edge of the middle, where something can sit.
        rim: where it is nearly as wide as anywhere: the edge of a bowl, below what it holds.
        eyes: height of the eyes; None where none are seen.
        neck: where it is narrower than above and below, under the eyes; None where it is not.
    """

    head: float
    crown: float
    breadth: float
    tall: float
    seat: float
    rim: float
    eyes: float | None = None
    neck: float | None = None


def shape_of(cut: Floats) -> Shape:
    """Where the head of a cut-out thing is, and where something can sit on it."""
    solid = cut[..., 3] > 0.5
    high, wide = solid.shape
    tops = np.where(solid.any(0), solid.argmax(0), high)  # of each column
    band = solid[round(0.1 * high) : max(round(0.34 * high), round(0.1 * high) + 1)]
    rows = [_widest(row) for row in band if row.any()]
    left, right = np.median(rows, 0).tolist() if rows else (0.0, float(wide))
    head, breadth = (left + right) / 2 / wide, (right - left) / wide
    if wide > 1.15 * high and breadth > 0.62:  # an animal seen from the side, looking to the left
        head, breadth = 0.26, 0.4
    eyes = _eyes(cut)
    if eyes is not None and abs(eyes[0] - head) > 0.3 * breadth:
        head, breadth = eyes[0], min(breadth, 0.45)
    near = tops[max(0, round((head - 0.07) * wide)) : round((head + 0.07) * wide) + 1]
    face = wide > _ROUND * high if eyes is None else eyes[1] > _AMID
    tall = 1.0 if breadth > 0.6 and face else min(1.0, 1.05 * breadth * wide / high)
    widths = solid.sum(1)
    middle = tops[round(0.42 * wide) : max(round(0.7 * wide), round(0.42 * wide) + 1)]
    rim = float((widths > 0.7 * widths.max()).argmax()) / high
    crown, seat = (float(np.median(part)) / high for part in (near, middle))
    if eyes is not None:
        crown = max(crown, eyes[1] - 0.5 * breadth * wide / high)  # a tail may be above
        if eyes[1] < _AMID:  # not a face alone
            tall = min(tall, max(0.12, 2.2 * (eyes[1] - crown)))
    sight = None if eyes is None else eyes[1]
    return Shape(head, crown, breadth, tall, seat, rim, sight, _neck(solid, head, sight))


def face_of(cut: Floats) -> tuple[slice, slice]:
    """Rows and columns in the middle of the face of a cut-out thing; empty where no eyes are seen.

    Args:
        cut: ``(H, W, 4)``, premultiplied.
    """
    shape, (high, wide) = shape_of(cut), cut.shape[:2]
    if shape.eyes is None:
        return slice(0, 0), slice(0, 0)
    aside = _FACE * shape.breadth
    return (
        slice(round(shape.eyes * high), round((shape.eyes + aside * wide / high) * high)),
        slice(round((shape.head - aside) * wide), round((shape.head + aside) * wide)),
    )


def _neck(solid: NDArray[np.bool_], head: float, eyes: float | None) -> float | None:
    """Height of the narrowest row between a head and a body, in shares; None where there is none.

    Args:
        solid: ``(H, W)``, where the thing is.
        head: middle of the head, a share of the width.
        eyes: their height, a share; None where none are seen.
    """
    high, middle = len(solid), min(int(head * solid.shape[1]), solid.shape[1] - 1)
    widths = np.zeros(high)
    for number, row in enumerate(solid):
        if row[middle]:
            left = row[middle::-1].argmin() or middle + 1
            right = row[middle:].argmin() or len(row) - middle
            widths[number] = left + right
    first, last = _NECK if eyes is None else (eyes + _UNDER_EYES[0], eyes + _UNDER_EYES[1])
    low, end = round(first * high), round(min(last, _NECK[1]) * high)
    if end - low < 3:
        return None
    at = low + int(widths[low:end].argmin())
    if at in (low, end - 1):
        return None
    sides = widths[:at].max(initial=0), widths[at:].max(initial=0)
    headed = min(sides) > _HEAD * max(sides)  # and no aerial
    return at / high if headed and 0 < widths[at] < _NARROW * min(sides) else None


def _eyes(cut: Floats) -> tuple[float, float] | None:
    """Middle of one or two dark round spots as eyes are, in shares; None where there are others."""
    solid = cut[..., 3] > 0.5
    high, wide = solid.shape
    parts = parts_of((cut[..., :3].max(-1) < _DARK) & solid)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    outside = largest(~solid, 3)
    spots: list[tuple[int, float, float]] = []
    least, most = (share * np.count_nonzero(solid) for share in _EYE)
    for number in np.flatnonzero((sizes > least) & (sizes < most)).tolist():
        rows, columns = np.nonzero(parts == number)
        sides = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        full = len(rows) > 0.6 * sides[0] * sides[1] and max(sides) < 2.2 * min(sides)
        if full and not outside[rows, columns].any():
            x, y = float(columns.mean()) / wide, float(rows.mean()) / high
            spots.append((len(rows), x, y))
    spots = [spot for spot in spots if spot[0] > 0.45 * max(spots)[0]]
    if len(spots) == 1:
        return spots[0][1:] if abs(spots[0][1] - 0.5) > 0.1 and spots[0][2] < 0.6 else None
    if len(spots) != 2:
        return None
    (_, x, y), (_, other, below) = spots
    level = abs(x - other) < 0.45 and abs(y - below) < 0.12
    return ((x + other) / 2, (y + below) / 2) if level else None


def _widest(row: NDArray[np.bool_]) -> tuple[int, int]:
    """Begin and end of what is solid in a row; of two ears both, but not of a raised tail."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    runs = steps.reshape(-1, 2)
    wide = runs[:, 1] - runs[:, 0]
    runs = runs[wide > 0.6 * wide.max()]
    return int(runs[0, 0]), int(runs[-1, 1])


def looks(actor: Actor) -> float:
    """How long a thing looks beside others, in units of a thing of one metre."""
    return float(np.clip(actor.facts.length, 0.03, 30) ** _EXPONENT * _SIZES[actor.size])


def flies(actor: Actor) -> bool:
    """Whether a thing is in the sky where there is one."""
    facts = actor.facts
    return facts.role in _ALOFT or (facts.role == "bird" and facts.length < _LARGE_BIRD)


def stage(actors: Sequence[Actor], links: Sequence[Link], rng: np.random.Generator) -> list[Group]:
    """Join things as their links say.

    Args:
        actors: the kinds of things.
        links: between them, by number.
        rng: decides what the words leave open.

    Returns:
        The groups, each in its own units, standing on y = 0, in the order of the words.
    """
    return _Stage(actors, rng).joined(links)


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


def resolve(relation: Contact, first: Facts, second: Facts) -> str:
    """What a relation means for two kinds: *in a hat* is worn, *in a boat* is not.

    Returns:
        The name of a way to join them, see ``_WAYS``.
    """
    worn = second.role in _WORN and first.role not in _WORN
    if worn and relation in ("wearing", "with", "in", "holding"):
        return "wearing" if relation != "holding" else "holding"
    if relation == "wearing":
        return "wearing"
    if first.role in _WORN and second.role in _ALIVE and relation in ("on", "around", "above"):
        return "worn by"
    if relation == "beside" and second.role in ("celestial", "cloud"):
        return "below"  # howling at the moon
    choose: Mapping[str, Callable[[Facts, Facts], str]] = {
        "with": _with, "doing": _with, "on": _on, "riding": _riding, "in": _in, "under": _under,
        "above": lambda a, b: "on" if b.role in _SUPPORTS and a.role not in _ALOFT else "above",
        "holding": _holding, "front": lambda a, b: "over" if b.role == "celestial" else "front",
    }  # fmt: skip
    return choose[relation](first, second) if relation in choose else relation


def _with(first: Facts, second: Facts) -> str:  # noqa: PLR0911
    if second.role in ("celestial", "cloud"):
        return "below"
    if first.role == "vessel" and second.role in ("food", "toy", "plant"):
        return "full"
    if first.role in ("vessel", "box") and second.role == "swimmer":
        return "holds"
    if first.role == "house" and second.role == "opening":
        return "fitted"
    dish = first.role == "plate" or second.length < _TOPPING * first.length
    if first.role in ("food", "plate") and second.role in ("food", "toy", "plant") and dish:
        return "topped"
    if first.role == "table" and second.role in ("toy", "food") and first.length < 0.6:
        return "topped"  # a cake with candles
    small = second.length < 0.75 * first.length or second.role in ("umbrella", "floating")
    if first.role in _ALIVE and second.role in _HANDY and small:
        return "holding"
    return "beside"


def _on(first: Facts, second: Facts) -> str:
    if second.role in ("ridden", "board") and first.role in (*_ALIVE, "thing"):
        return "riding"
    if first.role in _ALOFT and second.role not in ("board", "seat", "plate"):
        return "above"  # sobre, sopra, 위: they do not say whether it touches
    ways = {"plate": "plate", "seat": "seat", "boat": "in", "vessel": "in", "celestial": "over"}
    return ways.get(second.role, "on")


def _riding(_first: Facts, second: Facts) -> str:
    if second.role in ("vehicle", "boat"):
        return "in"
    return "seat" if second.role == "seat" else "riding"


def _in(first: Facts, second: Facts) -> str:
    if second.role == "seat":
        return "seat"
    if second.role in ("overhead", "plant", "cloud", "house", "celestial"):
        return "inside"
    if second.role == "opening":
        return "inside" if second.length > _WINDOW else "over"
    closed = second.role == "box" and second.length < 0.5 and first.length < second.length
    return "inside" if closed else "in"


def _under(first: Facts, second: Facts) -> str:
    if second.role == "umbrella" or (second.role == "plant" and second.length < first.length):
        return "umbrella"  # a mushroom or a leaf, which is as large as it must be
    roof = second.role in ("overhead", "table", "seat", "house")
    roof |= second.role == "plant"
    return "sheltered" if roof else "below"


def _holding(first: Facts, second: Facts) -> str:
    if second.role in ("umbrella", "floating"):
        return "umbrella" if second.role == "umbrella" else "string"
    large = second.role in ("table", "seat", "board", "vehicle") or second.length > first.length
    return "before" if large else "holding"


def _with_worn(things: Sequence[Facts], links: Sequence[Link]) -> list[Link]:
    """The links, and who wears what is said in a list or of other clothes.

    *A girl with a red hat, blue shoes and a scarf* wears all of them; *a man in a suit with a tie*
    wears the tie, and not the suit.
    """
    wearer: int | None = None
    found = list(links)
    for j, facts in enumerate(things):
        if facts.role not in _WORN:
            continue
        own = [link for link in found if j in (link.first, link.second)]
        by = next((link.first for link in own if link.second == j), None)
        if by is not None and things[by].role not in _WORN:
            wearer = by
        elif by is not None and wearer is not None:
            found = [replace(link, first=wearer) if link.second == j else link for link in found]
        elif not own and wearer is not None:
            found.append(Link(wearer, "wearing", j))
    return found


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


class _Stage:
    """Groups in the making."""

    def __init__(self, actors: Sequence[Actor], rng: np.random.Generator) -> None:
        self.actors, self.rng = actors, rng
        self.shapes = [shape_of(actor.cut) for actor in actors]
        self.groups: dict[int, Group] = {i: self._row(i) for i in range(len(actors))}
        self.root = list(range(len(actors)))
        self.sides: dict[int, int] = {}
        """How many things each thing holds already."""
        self.rows: dict[int, tuple[int, ...]] = {}
        """Things that share a place with others: by the first of them, all of them."""

    def joined(self, links: Sequence[Link]) -> list[Group]:
        links = sorted(
            _with_worn([actor.facts for actor in self.actors], links),
            key=lambda link: self.actors[link.second].facts.role == "shoes",
        )
        for number, link in enumerate(links):
            i, j = link.first, link.second
            if self.root[i] == self.root[j] or not (self._of(i) and self._of(j)):
                continue  # they are together already, or one is hidden in another
            way = self._way(link)
            if way in _TURNED:
                way, i, j = _TURNED[way], j, i
            if way in _SHARED:
                self._line_up(i, [other.first for other in links[number + 1 :]
                                  if other.second == j and self._way(other) == way])  # fmt: skip
            _WAYS.get(way, _Stage._beside)(self, i, j)
        return [self.groups[i] for i in range(len(self.actors)) if self.root[i] == i]

    def _way(self, link: Link) -> str:
        return resolve(link.relation, self.actors[link.first].facts, self.actors[link.second].facts)

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
        """How long a thing looks."""
        return looks(self.actors[i])

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
            step = one.width * (1 + _GAP)
            for place in range(wide):
                x = (place - (wide - 1) / 2) * step
                back = len(rows) - 1 - number
                spots.append(one.moved(1, x, -0.75 * one.height * back, number - len(rows) + 1))
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
        """Each of the first wears one of the second."""
        shape, role = self.shapes[i], self.actors[j].facts.role
        spots = list(self.groups[self.root[i]])
        if self.actors[i].hatted and role == "hat":
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
                wide = (0.5 if face else 0.8) * breadth
                wide = min(wide, 0.5 * who.height * aspect)
                y = crown + 0.82 * tall + wide / aspect
                if shape.neck is not None:
                    y = who.top + shape.neck * who.height + 0.75 * wide / aspect
            elif role in ("garment", "bag"):
                wide = (0.8 if face else 0.85) * who.width
                wide = min(wide, 0.75 * who.height * aspect)
                y, depth = who.bottom + (0.75 * wide / aspect if face else -0.04 * who.height), 0.1
                x, depth = who.left + who.width / 2, -0.1 if face else 0.1
            elif role == "shoes":
                wide = min(0.42 * who.width, 0.36 * who.height * aspect)
                x, y = who.left + 0.3 * who.width, who.bottom + 0.3 * wide / aspect
                if face:  # below what else is worn
                    y = extent(spots).bottom + 1.1 * wide / aspect
                spots.append(Spot(j, x + 0.4 * who.width - wide / 2, y - wide / aspect, wide,
                                  wide / aspect, who.depth + depth))  # fmt: skip
            else:  # on the head
                wide = (0.62 if face else 1.05) * breadth
                wide = min(max(wide, 0.36 * who.width), 0.8 * who.height * aspect)
                y = crown + 0.24 * wide / aspect + (0.03 * who.height if face else 0)
            high = wide / aspect
            spots.append(Spot(j, x - wide / 2, y - high, wide, high, who.depth + depth))
        self._merge(i, j, spots)

    def _hand(self, i: int) -> tuple[float, int]:
        """Side of the next hand: where its x is, and to which side of the thing."""
        side = (1, -1)[self.sides.get(i, 0) % 2]
        self.sides[i] = self.sides.get(i, 0) + 1
        return (1.0 if side > 0 else 0.0), side

    def _hold(self, i: int, j: int) -> None:
        share, side = self._hand(i)
        held = self._held(i, j, lambda who, box, s: (
            who.left + share * who.width + side * (0.5 * box.width * s - 0.12 * who.width),
            who.top + 0.72 * who.height + 0.35 * box.height * s,
        ), 0.48, 0.7)  # fmt: skip
        self._merge(i, j, held)

    def _eat(self, i: int, j: int) -> None:
        shape = self.shapes[i]
        side = -1 if shape.head < 0.4 else 1
        held = self._held(i, j, lambda who, box, s: (
            who.left + shape.head * who.width + side * 0.42 * shape.breadth * who.width,
            who.top + (shape.crown + (0.78 if shape.tall == 1 else 0.7) * shape.tall) * who.height
            + 0.5 * box.height * s,
        ), 0.44, 0.58)  # fmt: skip
        self._merge(i, j, held)

    def _string(self, i: int, j: int) -> None:
        share, side = self._hand(i)
        held = self._held(i, j, lambda who, box, s: (
            who.left + share * who.width + side * (0.5 * box.width * s - 0.1 * who.width),
            who.top + 0.55 * who.height,
        ), 0.5, 0.9)  # fmt: skip
        self._merge(i, j, held)

    def _before(self, i: int, j: int) -> None:
        """Something large that is played or used: in front of whoever does it."""
        held = self._held(i, j, lambda who, box, s: (
            who.left + 0.5 * who.width,
            who.bottom + (0.62 if self.shapes[i].tall == 1 else 0.35) * box.height * s,
        ), 0.55, 0.8)  # fmt: skip
        self._merge(i, j, held)

    def _held(
        self, i: int, j: int, where: Callable[[Spot, Spot, float], tuple[float, float]],
        low: float, high: float,
    ) -> list[Spot]:  # fmt: skip
        """The first group, and the second scaled and put in the hands of each of the first."""
        spots = list(self.groups[self.root[i]])
        for who in self._of(i):
            box = extent(self._of(j))
            scale = self._fit(j, who, low, high)
            x, bottom = where(who, box, scale)
            spots += self._scaled(j, scale, x, bottom, who.depth + 0.2)
        return spots

    def _upon(self, i: int, j: int, stance: Stance) -> None:
        """The first group upon the second."""
        base, box = extent(self._of(j)), self._abreast(i)
        high = stance.high if len(self.rows.get(i, ())) < 2 else max(stance.high, _ROW)
        scale = self._fit(i, base, stance.low, high)
        one = self._of(j)[0]
        edge = self.shapes[j].seat if stance.feet is None else stance.feet
        bottom = one.top + edge * one.height + stance.sink * box.height * scale
        x = base.left + base.width / 2
        if stance.feet is None and self.actors[j].facts.role in ("ridden", "person", "being"):
            x += 0.06 * base.width  # behind the neck
        moved = self._scaled(i, scale, x, bottom, stance.depth)
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _ride(self, i: int, j: int) -> None:
        facts = self.actors[j].facts
        if self.actors[j].aspect > 2.2 or (facts.role == "board" and facts.length < 1.6):
            self._upon(i, j, Stance(0.6, 1.1, 0.04))  # a skateboard, a broom
        elif self.shapes[i].tall == 1.0:  # a face alone
            self._upon(i, j, Stance(0.45, 0.62, 0.1, depth=-0.3))
        else:
            self._upon(i, j, Stance(0.6, 0.85, 0.2, depth=-0.3))

    def _top(self, i: int, j: int) -> None:
        carried = {self.actors[j].facts.role} <= _ALIVE and self.actors[i].facts.role in _HANDY
        self._upon(i, j, Stance(0.3, 0.5, 0.07) if carried else Stance(0.45, 0.85, 0.07))

    def _sit(self, i: int, j: int) -> None:
        self._upon(i, j, Stance(0.5, 0.8, 0.0, feet=0.68))

    def _plate(self, i: int, j: int) -> None:
        self._upon(i, j, Stance(0.45, 0.62, 0.5, feet=0.48))

    def _within(self, i: int, j: int) -> None:
        """Looking out of something open: its lower part is hidden."""
        rim = self.shapes[j].rim if self.actors[j].facts.role in ("vessel", "box") else None
        self._upon(i, j, Stance(0.6, 0.85, 0.34, feet=rim, depth=-0.3))

    def _inside(self, i: int, j: int) -> None:
        if self.actors[j].facts.role in ("house", "opening"):
            self._upon(i, j, Stance(0.4, 0.5, 0.0, feet=0.98))
        else:
            self._upon(i, j, Stance(0.4, 0.5, 0.5, feet=0.42))

    def _over(self, i: int, j: int) -> None:
        self._upon(i, j, Stance(0.45, 0.65, 0.5, feet=0.5))

    def _heap(self, i: int, j: int) -> None:
        """The first is full of the second: a heap that looks out of it."""
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
        spots, door = list(self.groups[self.root[i]]), self.actors[j].facts.length > _WINDOW
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
        side = (-1, 1)[int(self.rng.integers(2))] * (0.2 if base.width > 0.5 * base.height else 0.5)
        x = base.left + (0.5 + side) * base.width
        moved = self._scaled(i, scale, x, base.bottom + 0.08 * box.height * scale, 0.3)
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _umbrella(self, i: int, j: int) -> None:
        """An umbrella over the first, its stick behind them; several are held."""
        if self.actors[j].count > 1:
            self._hold(i, j)
            return
        box = extent(self._of(i))
        base = extent(self._of(j))
        scale = max(1.25 * box.width / base.width, 1.4 * box.height / base.height)
        moved = self._scaled(j, scale, box.left + 0.5 * box.width,
                             box.bottom - 0.06 * box.height, -0.4)  # fmt: skip
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
        elif back.height < 0.8 * front.height:
            y = front.bottom - 0.4 * front.height  # looks over it
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
        gap = _GAP * (base.width + box.width)
        left = base.left + (base.width - box.width) / 2
        left += x * ((base.width + box.width) / 2 + gap)
        top = base.bottom - box.height if y == 0 else base.top - gap - box.height
        top = base.bottom + gap if y > 0 else top
        moved = [s.moved(1, left - box.left, top - box.top) for s in self.groups[self.root[i]]]
        self._merge(i, j, [*self.groups[self.root[j]], *moved])

    def _beside(self, i: int, j: int) -> None:
        self._placed(j, i, 1, 0)


_TURNED = {"worn by": "wearing", "holds": "over"}
"""Ways that are others, of the second to the first."""
_SHARED = frozenset({"on", "seat", "plate", "in", "inside", "over", "riding", "sheltered"})
"""Ways in which several things are in one place."""
_WAYS: Mapping[str, Callable[[_Stage, int, int], None]] = {
    "wearing": _Stage._wear, "holding": _Stage._hold, "eating": _Stage._eat,
    "string": _Stage._string, "before": _Stage._before, "riding": _Stage._ride,
    "on": _Stage._top, "seat": _Stage._sit, "plate": _Stage._plate, "in": _Stage._within,
    "inside": _Stage._inside, "over": _Stage._over, "full": _Stage._heap,
    "topped": _Stage._topping, "fitted": _Stage._fitted,
    "sheltered": _Stage._sheltered, "umbrella": _Stage._umbrella,
    "behind": _Stage._behind, "front": _Stage._front, "around": _Stage._around,
    "beside": _Stage._beside,
    "left": lambda self, i, j: self._placed(i, j, -1, 0),
    "right": lambda self, i, j: self._placed(i, j, 1, 0),
    "above": lambda self, i, j: self._placed(i, j, 0, -1),
    "below": lambda self, i, j: self._placed(i, j, 0, 1),
}  # fmt: skip


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
        gap = _GAP * sum(box.width for box in boxes)
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
        scale = min(0.8 * min(wide, 0.5) / box.width, (high - low) / box.height)
        middle = 0.03 + wide * (number + 0.5)
        if len(groups) == 1:
            middle = float(rng.choice((0.27, 0.73)))
        x = middle - (box.left + box.width / 2) * scale
        slack = 0.7 * max(0.0, high - low - box.height * scale)
        y = low + float(rng.uniform(0, slack)) - box.top * scale
        spots += [replace(s.moved(scale, x, y), depth=s.depth - 10) for s in group]
    return spots
