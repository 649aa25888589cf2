"""Copy rate: how often a picture of something new is a training picture after all.

Prompts that no training picture shows (a purple banana, a pink fox) are drawn, and each
picture's nearest training picture is looked up by the root mean square difference of the colours
of a 16 x 16 mosaic. It counts as a copy if it is nearer than 99 in 100 real pictures are to the
nearest real picture of any other icon set: at that distance two hands hardly ever meet by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limner.data.store import Store
from limner.errors import DataError
from limner.scenes.colours import NOVEL
from limner.vision.pixels import to_tensor

QUANTILE = 0.01
_MOSAIC = 16
_CALIBRATION = 500
_CHUNK = 2048
NOVEL_PROMPTS = tuple(f"a {colour} {thing}" for thing, colour in sorted(NOVEL))
"""Everyday things in colours that no icon of the sets we know has."""
_CALLED = {"jack-o-lantern": "pumpkin"}
"""What an icon's label calls a thing otherwise."""


def novel_prompts(stores: Sequence[Store]) -> list[str]:
    """Those of :data:`NOVEL_PROMPTS` that are new to whoever learned from these stores.

    A store of painted icons keeps *grey cheese* out, and holds a *grey cheese wedge* all the same.
    """
    shown: set[tuple[str, str]] = set()
    for store in stores:
        for row in range(len(store)):
            facts = store.metadata(row)
            colour = str(facts.get("colour", ""))
            words = str(facts.get("label", "")).removeprefix(colour).split() if colour else []
            shown.update((_CALLED.get(word, word), colour) for word in words)
    return [f"a {colour} {thing}" for thing, colour in sorted(NOVEL - shown)]


def mosaic(images: Tensor) -> Tensor:
    """Mean colours of 16 x 16 fields: ``(B, 3, H, W)`` in [-1, 1] -> ``(B, 768)``."""
    return F.adaptive_avg_pool2d(images.float(), _MOSAIC).flatten(1)


def pixels(store: Store, rows: NDArray[np.int64]) -> Tensor:
    """Pictures of a store, ``(B, 3, S, S)`` float32 in [-1, 1]."""
    return to_tensor(store.batch(rows))


class Nearest(NamedTuple):
    """The nearest picture of a store to each of Q queries.

    Attributes:
        distance: ``(Q,)`` float32, root mean square difference in units of the range [-1, 1];
            infinite where no pair counts.
        row: ``(Q,)`` int64, which picture of the store.
    """

    distance: Tensor
    row: Tensor


def nearest_pictures(
    queries: Tensor,
    store: Store,
    skip: Callable[[NDArray[np.int64]], Tensor] | None = None,
) -> Nearest:
    """How far each mosaic is from the nearest picture of a store, and which one that is.

    Args:
        queries: ``(Q, 768)`` from :func:`mosaic`.
        store: read once, in pieces.
        skip: of R rows of the store, ``(Q, R)`` bool: the pairs that do not count.
    """
    nearest = torch.full((len(queries),), torch.inf)
    found = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(store), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(store)))
        distance = torch.cdist(queries, mosaic(pixels(store, rows)))
        if skip is not None:
            distance[skip(rows)] = torch.inf
        least, where = distance.min(1)
        found = torch.where(least < nearest, where + start, found)
        nearest = torch.minimum(nearest, least)
    return Nearest(nearest / math.sqrt(queries.shape[1]), found)


class CopyRate:
    """Share of pictures whose nearest training picture is nearer than real ones ever are.

    Args:
        store: what the model was trained on. With styles, the threshold is calibrated between
            icon sets; without, between different pictures.
        quantile: share of real pictures that are allowed below the threshold.
        others: further stores it was trained on; copies are looked for there too.

    Raises:
        DataError: the store holds one picture only.
    """

    def __init__(
        self, store: Store, quantile: float = QUANTILE, others: Sequence[Store] = ()
    ) -> None:
        if len(store) < 2:
            raise DataError(f"the store {store.path} holds a single picture; copies need more")
        self.store, self.quantile, self.others = store, quantile, tuple(others)
        self._queries: list[Tensor] = []

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures ``(B, 3, H, W)`` in [-1, 1]; the captions do not matter."""
        if not bool(torch.isfinite(images).all()):
            raise DataError("a drawn picture holds numbers that are not finite")
        self._queries.append(mosaic(images))

    def compute(self) -> dict[str, float]:
        """``copy_rate`` in [0, 1], ``threshold`` and ``median`` distance, ``count``.

        Distances are in units of the pixel range [-1, 1]. The stores are read once, in pieces.

        Raises:
            DataError: no picture was taken in.
        """
        if not self._queries:
            raise DataError("no picture was measured, so there is no copy rate")
        drawn = torch.cat(self._queries)
        step = max(1, len(self.store) // _CALIBRATION)
        sample = np.arange(0, len(self.store), step)
        queries = torch.cat([drawn, mosaic(pixels(self.store, sample))])

        def related(rows: NDArray[np.int64]) -> Tensor:
            unlimited = torch.zeros(len(drawn), len(rows), dtype=torch.bool)
            return torch.cat([unlimited, self._related(sample, rows)])

        nearest = nearest_pictures(queries, self.store, related).distance
        calibration = nearest[len(drawn) :]
        calibration = calibration[torch.isfinite(calibration)]
        threshold = torch.quantile(calibration, self.quantile).item() if len(calibration) else 0.0
        mine = nearest[: len(drawn)]
        for other in self.others:
            mine = torch.minimum(mine, nearest_pictures(drawn, other).distance)
        return {
            "copy_rate": (mine < threshold).double().mean().item(),
            "threshold": threshold,
            "median": mine.median().item(),
            "count": float(len(mine)),
        }

    def _related(self, sample: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        """Pairs that calibrate nothing: a picture and itself, or two of one icon set."""
        one, other = self.store.style_ids[sample], self.store.style_ids[rows]
        same_set = (one[:, None] == other[None]) & (one[:, None] >= 0)
        return torch.from_numpy(same_set | (sample[:, None] == rows[None]))
