"""Labels of the pieces of scene captions, for a family that is trained to plan scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.models.base import Parses
from limner.scenes.backgrounds import background_rgb
from limner.scenes.labels import parse
from limner.scenes.layout import RELATIONS
from limner.text.segment import pieces_of
from limner.text.validate import canonical_all

_REMEMBERED = 400_000
_WHITE = (-1.0, -1.0, -1.0)
_Ints = tuple[int, ...]
_Row = tuple[_Ints, _Ints, _Ints, _Ints, int, tuple[float, float, float]]
"""The fields of :class:`limner.models.base.Parses`, in their order."""


class ParseTable:
    """Parses of any picture's captions, computed when they are first asked for.

    Args:
        facts: metadata of every picture.
        texts: the captions' table.
        cut: cuts a text into pieces, as the text encoder does.
        length: most pieces of a caption.
    """

    def __init__(
        self,
        facts: Sequence[Mapping[str, Any]],
        texts: Sequence[str],
        cut: Callable[[str], Sequence[str]],
        length: int,
    ) -> None:
        self._facts, self._cut, self._length = facts, cut, length
        self._texts = canonical_all(texts)
        self._row = lru_cache(_REMEMBERED)(self._parse)

    def select(self, index: NDArray[np.int64]) -> ParseTable:
        """The table of some of the pictures."""
        facts = [self._facts[row] for row in index.tolist()]
        return ParseTable(facts, self._texts, self._cut, self._length)

    def of(self, pictures: NDArray[np.int64], texts: NDArray[np.int64]) -> Parses:
        """The parses of B captions.

        Args:
            pictures: ``(B,)`` rows of the training set.
            texts: ``(B,)`` rows of the captions' table.
        """
        rows = [self._row(p, t) for p, t in zip(pictures.tolist(), texts.tolist(), strict=True)]
        return Parses(*map(torch.tensor, zip(*rows, strict=True)))

    def _parse(self, picture: int, text: int) -> _Row:
        facts = self._facts[picture]
        caption = self._texts[text]
        found = parse(pieces_of(caption, self._cut(caption)[: self._length]), facts)
        if found is None:
            nothing = (0,) * self._length
            return (-1,) * self._length, nothing, nothing, nothing, 0, _WHITE
        fill = (0,) * (self._length - len(found.kinds))
        return (
            (*map(int, found.kinds), *fill),
            (*found.counts, *fill),
            (*found.sizes, *fill),
            (*found.tints, *fill),
            0 if found.relation is None else 1 + RELATIONS.index(found.relation),
            _WHITE if found.background is None else background_rgb(found.background),
        )
