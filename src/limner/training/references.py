"""Reference pictures: their features, and the choice of a reference for each training picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from limner.vision.base import ImageEncoder, ImageFeatures
from limner.vision.pixels import to_tensor

if TYPE_CHECKING:
    from limner.training.data import Pictures

_BATCH = 32

Kind = Literal["concept", "self", "random"]


_Runs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""For every place, the first place of its run and the place after its last."""


@dataclass(frozen=True)
class References:
    """Features of N pictures, and the rule that chooses a reference among them.

    Attributes:
        tokens: ``(N, L, D)`` float16.
        pooled: ``(N, D)`` float16.
        kind: ``concept``: another picture of the same concept, in another style where there is
            one, itself where it is alone; ``self``: the picture itself; ``random``: any other.
        concepts: ``(N,)`` int64, equal where the concept is the same.
        styles: ``(N,)`` int64.
    """

    tokens: Tensor
    pooled: Tensor
    kind: Kind
    concepts: NDArray[np.int64]
    styles: NDArray[np.int64]

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], _Runs, _Runs]:
        """Pictures by concept, then style; the place of each; the runs of both."""
        order = np.lexsort((self.styles, self.concepts))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        concepts, styles = self.concepts[order], self.styles[order]
        new_concept = np.diff(concepts, prepend=concepts[:1] - 1) != 0
        new_style = new_concept | (np.diff(styles, prepend=styles[:1]) != 0)
        return order, place, _runs(new_concept), _runs(new_style)

    def __len__(self) -> int:
        return len(self.pooled)

    def choose(self, index: NDArray[np.int64], chances: NDArray[np.float64]) -> NDArray[np.int64]:
        """The reference of each picture.

        Args:
            index: ``(B,)`` pictures, int64.
            chances: ``(B,)`` uniform in [0, 1).
        """
        count = len(self)
        if self.kind == "self" or count == 1:
            return index
        if self.kind == "random":
            other = (chances * (count - 1)).astype(np.int64)
            return other + (other >= index)
        order, places, concepts, styles = self._sorted
        place = places[index]
        (first, end), (start, stop) = (
            [side[place] for side in runs] for runs in (concepts, styles)
        )
        one_style = (stop - start) == (end - first)
        start, stop = np.where(one_style, place, start), np.where(one_style, place + 1, stop)
        rest = (end - first) - (stop - start)  # pictures of the concept outside [start, stop)
        chosen = first + (chances * rest).astype(np.int64)
        chosen = np.where(chosen >= start, chosen + (stop - start), chosen)
        return order[np.where(rest > 0, chosen, place)]

    def features(self, index: NDArray[np.int64]) -> ImageFeatures:
        """Float32 features of some pictures, by their ``(B,)`` numbers; on the CPU."""
        rows = torch.from_numpy(index)
        return ImageFeatures(self.tokens[rows].float(), self.pooled[rows].float())

    def select(self, rows: NDArray[np.int64]) -> References:
        """Some of the pictures; references are chosen among these only."""
        kept = torch.from_numpy(rows)
        return replace(
            self, tokens=self.tokens[kept], pooled=self.pooled[kept],
            concepts=self.concepts[rows], styles=self.styles[rows],
        )  # fmt: skip


def _runs(begins: NDArray[np.bool_]) -> _Runs:
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(begins))
    which = np.cumsum(begins) - 1
    return starts[which], ends[which]


def encode_pictures(
    pictures: Pictures,
    encoder: ImageEncoder,
    kind: Kind,
    max_tokens: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> References:
    """Encode every picture once, without any augmentation; ``on_progress`` gets (done, total)."""
    count = len(pictures)
    tokens, pooled = [], []
    for start in range(0, count, _BATCH):
        index = np.arange(start, min(start + _BATCH, count))
        images = to_tensor(pictures.batch(index))
        # At the size of the model, as references are encoded when drawing.
        images = avg_pool2d(images, images.shape[-1] // pictures.size)
        features = encoder.encode(images).at_most(max_tokens)
        tokens.append(_half(features.tokens))
        pooled.append(_half(features.pooled))
        if on_progress is not None:
            on_progress(start + len(index), count)
    return References(
        torch.cat(tokens), torch.cat(pooled), kind, _numbers(pictures.concepts()),
        np.asarray(pictures.style_ids, np.int64),
    )  # fmt: skip


def _half(values: Tensor) -> Tensor:
    """As float16, clipped to its range."""
    limit = torch.finfo(torch.float16).max
    return values.clamp(-limit, limit).half()


def _numbers(concepts: Sequence[str | None]) -> NDArray[np.int64]:
    """Equal numbers for equal concepts; a picture without one gets a number of its own."""
    known: dict[str, int] = {}
    return np.array(
        [-1 - i if key is None else known.setdefault(key, len(known))
         for i, key in enumerate(concepts)],
        np.int64,
    )  # fmt: skip
