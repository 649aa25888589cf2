"""Where the things of a picture are: which pixels show which of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.scenes.actors import Spot
from limner.scenes.cutout import paste_box, resize, without_background


@dataclass(eq=False)
class Placed:
    """The things of a scene as they were put into its picture; filled when it is drawn.

    Attributes:
        cuts: each kind of thing, cut out: ``(H, W, 4)`` in [0, 1].
        pixels: the same as they were drawn, ``(S, S, 3)`` uint8 on white.
        spots: where they are, in the order in which they were painted; empty where the picture is
            the first of them as it was drawn.
        words: that each kind of thing is drawn from.
        on_white: whether nothing is painted behind them.
    """

    cuts: Sequence[Floats] = ()
    pixels: Sequence[NDArray[np.uint8]] = ()
    spots: Sequence[Spot] = ()
    words: Sequence[str] = ()
    on_white: bool = True

    def masks(self, side: int) -> list[Floats]:
        """How much of each pixel shows each kind of thing, ``(side, side)`` in [0, 1] each.

        What is hidden behind another thing is not shown.
        """
        if not self.spots:
            return [resize(without_background(each), side, side)[..., 3] for each in self.pixels]
        shown = [np.zeros((side, side), np.float32) for _ in self.cuts]
        for spot in self.spots:
            canvas = np.zeros((side, side, 4), np.float32)
            paste_box(canvas, self.cuts[spot.thing], spot.box)
            shown = [mask * (1 - canvas[..., 3]) for mask in shown]
            shown[spot.thing] += canvas[..., 3]
        return [mask.clip(0, 1) for mask in shown]
