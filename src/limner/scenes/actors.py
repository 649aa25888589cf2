"""Things of a picture as they are drawn, where they are, and how large they look.

Lengths are in units of a thing of one metre until the picture is framed
(:mod:`limner.scenes.framing`), then in shares of its side; y points down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limner.arrays import Floats
from limner.scenes.contacts import ALOFT, FIXED
from limner.scenes.shapes import Shape, shape_of
from limner.scenes.sizes import UNKNOWN, Facts

_EXPONENT = 0.38
"""Power of real lengths that pictures show: a horse is 21 times a bee and looks 3.2 times."""
_EXPONENT_APART, _APART = 0.12, (0.08, 12.0)
"""The same of things that do not touch, on white, and the lengths that count: a mouse is 0.63 times
as long as a house there."""
SIZES = {"big": 1.65, None: 1.0, "small": 0.65}
"""What a word for the size of a thing multiplies its length by."""
_HEAD_OF_WHOLE = 0.6
"""Where the head of an animal ends that is whole and has no neck, of its height."""
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
        reaching: whether it holds one thing, with both hands and before its body.
        whole: whether it is an animal with its body, however it looks.
        aloft: whether it flies, though its kind does not.
    """

    cut: Floats
    facts: Facts
    count: int = 1
    size: str | None = None
    hatted: bool = False
    dressed: bool = False
    around: bool = False
    reaching: bool = False
    whole: bool = False
    aloft: bool = False

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
        """Right edge of its box."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower edge of its box."""
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
    return float(np.clip(actor.facts.length, 0.03, 30) ** _EXPONENT * SIZES[actor.size])


def looks_apart(actor: Actor) -> float:
    """The same beside others that it does not touch, where small things must be seen, too."""
    if actor.facts == UNKNOWN:
        return 1.0
    return float(np.clip(actor.facts.length, *_APART) ** _EXPONENT_APART)


def flies(actor: Actor) -> bool:
    """Whether a thing is in the sky where there is one."""
    facts = actor.facts
    small_bird = facts.role == "bird" and facts.length < _LARGE_BIRD
    flown = actor.aloft and facts.role not in FIXED  # no bridge over a river
    return flown or facts.role in ALOFT or small_bird
