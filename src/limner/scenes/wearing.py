"""The way to put clothes, hats and glasses where they are worn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from limner.arrays import Floats
from limner.scenes.actors import Actor, Spot, extent
from limner.scenes.groups import Groups
from limner.scenes.shapes import Shape, in_profile

_FIGURE_WEARS = {"garment": (0.34, 0.36), "trousers": (0.26, 0.6)}
"""Width of what a standing figure wears on the body, and where it begins, of its height."""
_ON_WHOLE = 0.5
"""Height of what an animal that sits wears on its body, of its own."""
_NECK_MOST, _NO_NECK = 1.35, 1.15
"""Widest neck, of the breadth of the head; the same of a scarf on who has none."""
_BELOW_HAT, _NECK_OF_HATTED = 0.35, 0.49
"""Height above which what is narrow is below the hat that somebody is drawn with, and where the
neck is then."""


class _Fit(NamedTuple):
    """Where something is worn: its middle, width and lower edge, and how far before the wearer."""

    x: float
    width: float
    bottom: float
    depth: float = 0.1


@dataclass(frozen=True)
class _Wearer:
    """One of those who wear something, and what was measured of them.

    Attributes:
        actor: as they are drawn.
        spot: where this one is.
        shape: of all of them.
        figure: whether they are drawn from head to foot, standing.
        lowest: lower edge of all that is in their group already.
    """

    actor: Actor
    spot: Spot
    shape: Shape
    figure: bool
    lowest: float

    @property
    def face(self) -> bool:
        """Whether only a head is drawn."""
        return self.shape.tall == 1.0

    @property
    def breadth(self) -> float:
        """Width of the head."""
        return self.shape.breadth * self.spot.width

    @property
    def middle(self) -> float:
        """Middle of the head, from the left."""
        return self.spot.left + self.shape.head * self.spot.width

    @property
    def crown(self) -> float:
        """Upper edge of the head."""
        return self.spot.top + self.shape.crown * self.spot.height

    @property
    def tall(self) -> float:
        """Height of the head, below its crown."""
        shape = self.shape
        return shape.tall * self.spot.height * (1 - (shape.crown if self.face else 0))

    @property
    def eyes(self) -> float | None:
        """Height at which the eyes are; None where none are seen."""
        eyes = self.shape.eyes
        return None if eyes is None else self.spot.top + eyes * self.spot.height


def wear(groups: Groups, i: int, j: int) -> None:
    """Each of the first wears one of the second, as others beside it may, too.

    Args:
        groups: of the things.
        i: number of who wears it.
        j: number of what is worn.
    """
    if {spot.thing for spot in groups.group(j)} != {j}:
        groups.place_beside(i, j, 1, 0)
    actor, worn = groups.actors[i], groups.actors[j]
    role, spots = worn.facts.role, list(groups.group(i))
    if (actor.hatted and role == "hat") or (actor.dressed and role == "garment"):
        groups.merge(i, j, spots)  # a witch with a hat has one, in the colour asked for
        return
    for who in groups.spots_of(i):
        lowest = extent(spots).bottom
        wearer = _Wearer(actor, who, groups.shapes[i], groups.is_figure(i), lowest)
        fit = _FITS.get(role, _on_head)(wearer, worn)
        high = fit.width / worn.aspect
        left, top, depth = fit.x - fit.width / 2, fit.bottom - high, who.depth + fit.depth
        if role == "shoes":
            other = fit.x + 0.4 * who.width - fit.width / 2
            spots.append(Spot(j, other, top, fit.width, high, depth))
        spots.append(Spot(j, left, top, fit.width, high, depth))
    groups.merge(i, j, spots)


def _on_head(wearer: _Wearer, worn: Actor) -> _Fit:
    who, aspect, face = wearer.spot, worn.aspect, wearer.face
    share = 0.62 * min(1.0, 1.1 * who.height / who.width) if face else 1.05
    wide = share * wearer.breadth
    wide = min(max(wide, 0.36 * who.width), 0.8 * who.height * aspect)
    lower = 0.03 * who.height if face else 0
    return _Fit(wearer.middle, wide, wearer.crown + 0.24 * wide / aspect + lower)


def _before_eyes(wearer: _Wearer, worn: Actor) -> _Fit:
    wide = (0.66 if wearer.face else 0.9) * wearer.breadth
    level = wearer.crown + 0.42 * wearer.tall if wearer.eyes is None else wearer.eyes
    return _Fit(wearer.middle, wide, level + wide / worn.aspect / 2)


def _over_ears(wearer: _Wearer, worn: Actor) -> _Fit:
    aspect = worn.aspect
    wide = (0.9 if wearer.face else 1.15) * wearer.breadth
    level = 0.5 * wearer.tall + wearer.crown if wearer.eyes is None else wearer.eyes
    bottom = max(level + 0.3 * wide / aspect, wearer.crown + 0.85 * wide / aspect)
    return _Fit(wearer.middle, wide, bottom)


def _on_body(wearer: _Wearer, worn: Actor) -> _Fit:
    """Clothes and bags; below a face and behind it, before the body of who has one."""
    who, shape, aspect, role = wearer.spot, wearer.shape, worn.aspect, worn.facts.role
    if wearer.figure and role in _FIGURE_WEARS:
        share, top = _FIGURE_WEARS[role]
        wide = share * who.height
        top = max(top, shape.crown + shape.tall - 0.02)
        return _Fit(who.left + 0.5 * who.width, wide, who.top + top * who.height + wide / aspect)
    if wearer.actor.whole and not in_profile(wearer.actor.cut):
        wide = _ON_WHOLE * who.height * aspect  # from the chin to below the feet
        chin = who.top + (shape.crown + shape.tall - 0.03) * who.height
        return _Fit(who.left + who.width / 2, wide, chin + wide / aspect)
    wide = (0.8 if wearer.face else 0.85) * who.width
    below = 0.96 - shape.crown - 0.8 * shape.tall  # the face, of its height
    most = 0.75 if wearer.face else min(0.75, max(0.45, below))
    wide = min(wide, most * who.height * aspect)
    if wearer.face:
        return _Fit(who.left + who.width / 2, wide, who.bottom + 0.75 * wide / aspect, -0.1)
    return _Fit(who.left + who.width / 2, wide, who.bottom - 0.04 * who.height)


def _on_feet(wearer: _Wearer, worn: Actor) -> _Fit:
    """The shoe of the left foot; below a face, below what else is worn."""
    who, aspect = wearer.spot, worn.aspect
    wide = min(0.42 * who.width, 0.36 * who.height * aspect)
    bottom = who.bottom + 0.3 * wide / aspect
    if wearer.face:
        bottom = wearer.lowest + 1.1 * wide / aspect
    return _Fit(who.left + 0.3 * who.width, wide, bottom)


def _at_neck(wearer: _Wearer, worn: Actor) -> _Fit:
    """Around the neck; below a face's chin."""
    actor, who, shape, aspect = wearer.actor, wearer.spot, wearer.shape, worn.aspect
    x, breadth = wearer.middle, wearer.breadth
    wide = min((0.5 if wearer.face else 0.8) * breadth, 0.5 * who.height * aspect)
    high = wide / aspect
    if wearer.face:
        return _Fit(x, wide, who.bottom + 0.7 * high)
    if actor.hatted and shape.eyes is None and (shape.neck or 0) < _BELOW_HAT:
        y = who.top + _NECK_OF_HATTED * who.height  # a snowman
    elif shape.neck is not None:
        y = who.top + shape.neck * who.height
    else:
        y = who.top + (shape.crown + 0.82 * shape.tall) * who.height + 0.25 * high
        if wearer.eyes is not None:  # no farther below them than a head is wide
            y = min(y, wearer.eyes + (0.4 if worn.around else 0.5) * breadth)
    if worn.around:
        left, right = _run(actor.cut, (y - who.top) / who.height, shape.head)
        across = (right - left) * who.width
        if across < _NECK_MOST * breadth:
            x, wide = who.left + (left + right) / 2 * who.width, 1.06 * across
        elif not in_profile(actor.cut):  # who has no neck, as a penguin
            wide = min(_NO_NECK * breadth, 1.06 * across)
    return _Fit(x, wide, y + 0.75 * wide / aspect)


def _run(cut: Floats, height: float, column: float) -> tuple[float, float]:
    """The left and right edge of a thing around a column, at a height; all in shares."""
    solid = cut[..., 3] > 0.5
    row = solid[min(max(0, int(height * len(solid))), len(solid) - 1)]
    middle = min(int(column * len(row)), len(row) - 1)
    left = row[middle::-1].argmin() or middle + 1
    right = row[middle:].argmin() or len(row) - middle
    return (middle - left + 1) / len(row), (middle + right) / len(row)


_FITS: Mapping[str, Callable[[_Wearer, Actor], _Fit]] = {
    "glasses": _before_eyes, "collar": _at_neck, "headset": _over_ears, "garment": _on_body,
    "trousers": _on_body, "bag": _on_body, "shoes": _on_feet,
}  # fmt: skip
"""Where what is not on the head is worn, by its role."""
