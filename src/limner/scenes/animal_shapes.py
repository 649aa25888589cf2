"""Bodies of animals as few shapes: how they sit or stand, their limbs and tails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from limner.arrays import Floats

RGB = tuple[float, float, float]

_FINER = 3
"""Sides of pixels that a body is drawn in, of a pixel's."""
_BANDS = {
    "bushy": ((0, 1), (0.66, 1)),
    "ringed": ((0, 1), (0.4, 0.52), (0.64, 0.76), (0.88, 1)),
}
"""Parts of thick tails, in shares of their length: all of it, and what has the tip's colour."""
_ROUNDED = 0.88
"""From here on a thick tail is rounded off."""


@dataclass(frozen=True)
class AnimalBody:
    """What body the head of an animal gets.

    Attributes:
        frame: how it sits or stands, a key of ``FRAMES``.
        fur: ``head`` or ``face``: what has the colour of the body.
        chest: ``light`` or ``fur``.
        paws: ``light``, ``dark``, ``black``, ``pink`` or ``fur``.
        tail: ``bushy``, ``ringed``, ``thin``, ``tuft``, ``hair`` or ``none``.
        tip: of the tail, as the paws, or ``mane``.
        also_whole: whether sets that show its head have another drawing of it that is whole.
    """

    frame: str
    fur: str
    chest: str
    paws: str
    tail: str
    tip: str
    also_whole: bool = False


class Inks(NamedTuple):
    """Colours of a body, by their names, and its outline, of a width in shares of the head's."""

    colours: dict[str, RGB]
    outline: RGB | None
    width: float


class Stand(NamedTuple):
    """Where the middle of an animal's shoulders is, and the size of its head, in pixels."""

    x: float
    y: float
    size: float


def drawn(body: AnimalBody, inks: Inks, side: int, stand: Stand) -> Floats:
    """A body on white, ``(S, S, 3)`` in [0, 1].

    Args:
        body: what is drawn.
        inks: its colours.
        side: S.
        stand: where it is.
    """
    pen = _Pen(side, stand, inks)
    _tail(pen, body)
    FRAMES[body.frame](pen, body)
    return pen.canvas()


class _Pen:
    """Draws shapes in shares of a head's size about the middle of an animal's shoulders."""

    def __init__(self, side: int, stand: Stand, inks: Inks) -> None:
        self.image = Image.new("RGB", (side * _FINER, side * _FINER), "white")
        self._draw = ImageDraw.Draw(self.image)
        self._x, self._y, self._size = (_FINER * length for length in stand)
        self._inks = inks

    def ink(self, name: str) -> tuple[int, int, int]:
        """A colour as it is drawn."""
        red, green, blue = (round(255 * c) for c in self._inks.colours[name])
        return red, green, blue

    def ovals(
        self, ink: str, *ovals: tuple[float, float, float, float], bare: bool = False
    ) -> None:
        """Ovals of one part: middle, half width and half height; ``bare`` of an outline."""
        border = None if self._inks.outline is None or bare else self._inks.outline
        if border is not None:
            edge = tuple(round(255 * channel) for channel in border)
            for x, y, wide, high in ovals:
                self._oval(edge, x, y, wide + self._inks.width, high + self._inks.width)
        for oval in ovals:
            self._oval(self.ink(ink), *oval)

    def limb(self, ink: str, start: tuple[float, float], end: tuple[float, float],
             thick: float, last: float | None = None, *, bare: bool = False) -> None:  # fmt: skip
        """A limb of two ends, with half its thickness at both."""
        steps = 24
        last = thick if last is None else last
        shares = np.linspace(0, 1, steps)
        self.ovals(ink, *(
            (start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]),
             thick + t * (last - thick), thick + t * (last - thick)) for t in shares
        ), bare=bare)  # fmt: skip

    def area(self, ink: str, corners: NDArray[np.float64]) -> None:
        """An area of corners ``(N, 2)``, without an outline."""
        at = np.array([self._x, self._y]) + self._size * corners
        self._draw.polygon([(float(x), float(y)) for x, y in at], fill=self.ink(ink))

    def _oval(self, ink: tuple[int, ...], x: float, y: float, wide: float, high: float) -> None:
        x, y = self._x + x * self._size, self._y + y * self._size
        wide, high = wide * self._size, high * self._size
        self._draw.ellipse((x - wide, y - high, x + wide, y + high), fill=ink)

    def canvas(self) -> Floats:
        """What was drawn, ``(S, S, 3)`` in [0, 1]."""
        return np.asarray(self.image.reduce(_FINER), np.float32) / np.float32(255)


def _sit(pen: _Pen, body: AnimalBody) -> None:
    for s in (-1, 1):
        pen.ovals("shade", (0.27 * s, 0.44, 0.19, 0.19))
        pen.ovals(body.paws, (0.34 * s, 0.585, 0.135, 0.07))
    pen.ovals("fur", *((0, y, 0.2 + 0.13 * t, 0.16) for t in np.linspace(0, 1, 16)
                       for y in [-0.06 + 0.5 * t]))  # fmt: skip
    if body.chest != "fur":
        pen.ovals(body.chest, (0, 0.14, 0.16, 0.3), bare=True)
    legs = "black" if body.paws == "black" else "fur"
    for s in (-1, 1):
        pen.limb("line", (0.115 * s, 0.2), (0.125 * s, 0.55), 0.098, 0.098, bare=True)
    for s in (-1, 1):
        pen.limb(legs, (0.115 * s, 0.2), (0.125 * s, 0.55), 0.085, 0.085)
        pen.ovals(body.paws, (0.13 * s, 0.595, 0.105, 0.06))


def _lounge(pen: _Pen, body: AnimalBody) -> None:
    """As a teddy bear sits, its feet to the front."""
    limbs = "black" if body.paws == "black" else "fur"
    pen.ovals("fur", (0, 0.2, 0.34, 0.37))
    if body.chest != "fur":
        pen.ovals(body.chest, (0, 0.24, 0.22, 0.27), bare=True)
    for s in (-1, 1):
        pen.limb(limbs, (0.27 * s, 0.08), (0.36 * s, 0.28), 0.095, 0.095)
        pen.ovals(limbs, (0.24 * s, 0.47, 0.155, 0.14))
        if body.paws != "black":
            pen.ovals("line", (0.24 * s, 0.48, 0.125, 0.11), bare=True)
            pen.ovals(body.paws, (0.24 * s, 0.49, 0.095, 0.085), bare=True)


def _crouch(pen: _Pen, body: AnimalBody) -> None:
    for s in (-1, 1):
        pen.ovals("shade", (0.42 * s, 0.17, 0.2, 0.2))
        pen.ovals(body.paws, (0.48 * s, 0.365, 0.17, 0.065))
    pen.ovals("fur", (0, 0.1, 0.42, 0.3))
    if body.chest != "fur":
        pen.ovals(body.chest, (0, 0.12, 0.27, 0.25), bare=True)
    for s in (-1, 1):
        pen.limb("fur", (0.26 * s, 0.1), (0.23 * s, 0.34), 0.085, 0.065)
        pen.ovals(body.paws, (0.23 * s, 0.38, 0.13, 0.055))


def _stand(pen: _Pen, body: AnimalBody) -> None:
    for s in (-1, 1):
        pen.limb("shade", (0.25 * s, 0.3), (0.27 * s, 0.64), 0.085, 0.065)
        pen.ovals(body.paws, (0.27 * s, 0.69, 0.08, 0.06))
    pen.ovals("fur", (0, 0.24, 0.34, 0.28))
    if body.chest != "fur":
        pen.ovals(body.chest, (0, 0.2, 0.16, 0.24), bare=True)
    for s in (-1, 1):
        pen.limb("line", (0.15 * s, 0.34), (0.15 * s, 0.68), 0.1, 0.08, bare=True)
    for s in (-1, 1):
        pen.limb("fur", (0.15 * s, 0.34), (0.15 * s, 0.7), 0.09, 0.07)
        pen.ovals(body.paws, (0.15 * s, 0.735, 0.085, 0.06))


def _stand_sideways(pen: _Pen, body: AnimalBody) -> None:
    """As a pony stands that looks to the left, its shoulders at the origin."""
    t = np.linspace(0, 1, 24)
    sway = 0.66 + 0.13 * np.sin(np.pi * t * 0.8), 0.12 + 0.4 * t
    wide = 0.03 + 0.06 * np.sin(np.pi * (0.15 + 0.8 * t))
    pen.ovals(body.tip, *zip(*sway, wide, wide, strict=True))
    for x in (0.08, 0.5):
        pen.limb("shade", (x, 0.2), (x, 0.6), 0.07, 0.055)
        pen.ovals(body.paws, (x, 0.635, 0.064, 0.045))
    pen.ovals("fur", *((x, 0.14 + 0.02 * np.sin(np.pi * x / 0.5), 0.21, 0.19)
                       for x in np.linspace(0, 0.5, 24)))  # fmt: skip
    for x in (-0.06, 0.61):
        pen.limb("line", (x, 0.2), (x, 0.6), 0.09, 0.075, bare=True)
        pen.limb("fur", (x, 0.2), (x, 0.61), 0.08, 0.065)
        pen.ovals(body.paws, (x, 0.65, 0.073, 0.048))


def _tail(pen: _Pen, body: AnimalBody) -> None:
    """The tail, behind the body, to the right and up."""
    t = np.linspace(0, 1, 40)
    start, over, end = (0.2, 0.52), (0.78, 0.62), (0.58, 0.06)
    xs, ys = ((1 - t) ** 2 * start[i] + 2 * t * (1 - t) * over[i] + t**2 * end[i] for i in range(2))
    if body.tail == "thin":
        pen.ovals(body.tip, *((x, y, 0.035, 0.035) for x, y in zip(xs, ys, strict=True)))
    elif body.tail == "tuft":
        pen.ovals("fur", *((x, y, 0.035, 0.035) for x, y in zip(xs, ys, strict=True)))
        pen.ovals(body.tip, (*end, 0.08, 0.1))
    for first, last in _BANDS.get(body.tail, ()):
        wide = 0.05 + 0.12 * np.sin(np.pi * np.minimum(1, t * 0.62 + 0.1)) ** 1.5
        wide *= np.sqrt(np.clip((1.02 - t) / 0.3, 0, 1))
        if first == 0:
            pen.ovals("fur", *zip(xs, ys, wide, wide, strict=True))
            continue
        along = np.stack([np.gradient(xs), np.gradient(ys)])
        across = wide * np.stack([-along[1], along[0]]) / np.hypot(*along)
        some = (t >= first) & (t <= last)
        amid = np.stack([xs, ys])[:, some]
        edges = [amid - across[:, some], (amid + across[:, some])[:, ::-1]]
        pen.area(body.tip, np.concatenate(edges, 1).T)
        rounded = some & (t > _ROUNDED)
        ovals = zip(xs[rounded], ys[rounded], wide[rounded], wide[rounded], strict=True)
        pen.ovals(body.tip, *ovals, bare=True)


FRAMES: dict[str, Callable[[_Pen, AnimalBody], None]] = {
    "sitting": _sit, "seated": _lounge, "crouching": _crouch, "standing": _stand,
    "profile": _stand_sideways,
}  # fmt: skip
"""How animals sit or stand."""
