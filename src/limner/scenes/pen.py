"""A pen that draws bodies of few shapes, with soft edges and the outline of what they belong to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from limner.arrays import Floats
from limner.scenes.paints import RGB

_FINER = 3
"""Sides of pixels that a body is drawn in, of a pixel's."""


class Inks(NamedTuple):
    """Colours of a body, by their names, and its outline, of a width in shares of the head's."""

    colours: dict[str, RGB]
    outline: RGB | None
    width: float


class Stand(NamedTuple):
    """A place, and the size that lengths are shares of, in pixels."""

    x: float
    y: float
    size: float


class Pen:
    """Draws shapes in shares of a size about a place.

    Args:
        side: of the picture, in pixels.
        stand: the place and the size.
        inks: the colours.
    """

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

    def area(self, ink: str, corners: NDArray[np.float64], *, bare: bool = True) -> None:
        """An area of corners ``(N, 2)``; ``bare`` of an outline."""
        border = None if bare else self._inks.outline
        at = np.array([self._x, self._y]) + self._size * corners
        places = [(float(x), float(y)) for x, y in at]
        if border is not None:
            edge = tuple(round(255 * channel) for channel in border)
            wide = round(2 * self._inks.width * self._size)
            self._draw.line([*places, places[0]], fill=edge, width=wide, joint="curve")
        self._draw.polygon(places, fill=self.ink(ink))

    def _oval(self, ink: tuple[int, ...], x: float, y: float, wide: float, high: float) -> None:
        x, y = self._x + x * self._size, self._y + y * self._size
        wide, high = wide * self._size, high * self._size
        self._draw.ellipse((x - wide, y - high, x + wide, y + high), fill=ink)

    def canvas(self) -> Floats:
        """What was drawn, ``(S, S, 3)`` in [0, 1]."""
        return np.asarray(self.image.reduce(_FINER), np.float32) / np.float32(255)
