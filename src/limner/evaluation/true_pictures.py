"""True pictures: real drawings of a prompt's things, composed like scenes; an upper bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.data.store import Store
from limner.evaluation.named_drawings import NamedDrawings
from limner.scenes.cutout import cut_out, place, to_pixels
from limner.scenes.layout import arrange

_STREAM = 79


class TruePictures:
    """Draws prompts with the drawings of a store.

    Args:
        store: drawings on white with English captions.
        size: side of the pictures in pixels.
    """

    def __init__(self, store: Store, size: int) -> None:
        self.drawings, self.size = NamedDrawings(store), size

    def draw(self, things: Sequence[Sequence[str]], number: int) -> NDArray[np.uint8] | None:
        """The picture of some things, ``(S, S, 3)`` uint8.

        Args:
            things: each by one of its names.
            number: chooses among drawings and arrangements.

        Returns:
            The picture; None where a thing has no drawing, or one that cannot be cut out.
        """
        rng = np.random.default_rng([number, _STREAM])
        canvas = np.ones((self.size, self.size, 3), np.float32)
        boxes = arrange([1] * len(things), [None] * len(things), None, rng)
        for names, box in zip(things, boxes, strict=True):
            cut = self._cut(names, rng)
            if cut is None:
                return None
            # The edges of real drawings are what others are measured by: none is made steeper.
            x, y, longest = (self.size * length for length in (box.x, box.y, box.side))
            place(canvas, cut, x, y, longest, steepen=False)
        return to_pixels(canvas)

    def _cut(self, names: Sequence[str], rng: np.random.Generator) -> Floats | None:
        """A drawing of a thing without its background: the first that has one, in random order."""
        rows = rng.permutation(self.drawings.rows_of(names))
        cuts = (cut_out(self.drawings.store.batch([row])[0]) for row in rows)
        return next((cut for cut in cuts if cut is not None), None)
