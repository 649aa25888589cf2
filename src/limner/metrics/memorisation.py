"""Memorisation: drawn pictures that lie nearer to a training picture than real ones come.

The distance is the root mean square difference of the mean colours of a 16 x 16 grid. The threshold
is measured: the distance below which one in a hundred real pictures, held out or left out in turn,
lies from its nearest training picture (``docs/evaluation.md``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.arrays import Indices
from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.base import Stream
from limner.metrics.intervals import Share, share_of, share_of_hits
from limner.vision.pixels import to_tensor

QUANTILE = 0.01
"""Share of real pictures that may lie below the threshold."""
SAMPLES = 2000
"""Pictures whose nearest one is searched for; each takes a pass over the whole store."""
_EQUAL = 2e-3
"""Distances below it are of equal pictures: a quarter of a step of 8 bits, above all rounding."""
_CALIBRATION = 500
_CHUNK = 2048


def mosaic(images: Tensor, fields: int = 16) -> Tensor:
    """Mean colours of an F x F grid: ``(B, 3, H, W)`` in [-1, 1] -> ``(B, 3 F^2)`` float32."""
    return F.adaptive_avg_pool2d(images.float(), fields).flatten(1)


def pixels(store: Store, rows: Indices) -> Tensor:
    """Pictures of a store, ``(B, 3, S, S)`` float32 in [-1, 1]."""
    return to_tensor(store.batch(rows))


def mosaics_of(store: Store, rows: Indices) -> Tensor:
    """Mosaics of some pictures of a store, ``(R, 768)``."""
    return torch.cat([mosaic(pixels(store, part)) for part in _parts(rows)])


def _parts(rows: Indices) -> Iterator[Indices]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


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
    queries: Tensor, store: Store, skip: Callable[[Indices], Tensor] | None = None
) -> Nearest:
    """How far each mosaic is from the nearest picture of a store, and which one that is.

    Args:
        queries: ``(Q, 768)`` from :func:`mosaic`.
        store: read once, in pieces.
        skip: of R rows of the store, ``(Q, R)`` bool: the pairs that do not count.
    """
    nearest = torch.full((len(queries),), torch.inf)
    found = torch.zeros(len(queries), dtype=torch.int64)
    for rows in _parts(np.arange(len(store))):
        distance = torch.cdist(queries, mosaic(pixels(store, rows)))
        if skip is not None:
            distance[skip(rows)] = torch.inf
        least, where = distance.min(1)
        found = torch.where(least < nearest, where + int(rows[0]), found)
        nearest = torch.minimum(nearest, least)
    return Nearest(nearest / math.sqrt(queries.shape[1]), found)


@dataclass(frozen=True)
class Threshold:
    """How near real pictures come to each other.

    Attributes:
        distance: below it a picture counts as a reproduction.
        usual: median distance of a real picture to its nearest.
        expected: share of real pictures that lie below ``distance``: :data:`QUANTILE`, or more
            where the store itself holds duplicates.
        count: real pictures measured.
    """

    distance: float
    usual: float
    expected: float
    count: int


def calibrate(
    store: Store,
    mosaics: Tensor,
    own: Indices | None = None,
    skip: Callable[[Indices], Tensor] | None = None,
) -> Threshold:
    """Measure how near real pictures come to those of a store.

    Args:
        store: what a model was trained on.
        mosaics: ``(R, 768)`` of real pictures.
        own: ``(R,)`` their rows where they are in the store, so that none finds itself.
        skip: as for :func:`nearest_pictures`, instead of ``own``.

    Raises:
        DataError: there is nothing to measure.
    """
    if own is not None:
        mine = own

        def skip(rows: Indices) -> Tensor:
            return torch.from_numpy(mine[:, None] == rows[None])

    nearest = nearest_pictures(mosaics, store, skip).distance
    nearest = nearest[torch.isfinite(nearest)]
    if not len(nearest):
        raise DataError(f"no two real pictures of the store {store.path} can be compared")
    distance = max(torch.quantile(nearest, QUANTILE).item(), _EQUAL)
    expected = max((nearest < distance).double().mean().item(), QUANTILE)
    return Threshold(distance, nearest.median().item(), expected, len(nearest))


def threshold_between_styles(store: Store) -> Threshold:
    """:func:`calibrate` on pairs of pictures from different icon sets, or on all without styles.

    Raises:
        DataError: the store holds a single picture.
    """
    if len(store) < 2:
        raise DataError(f"the store {store.path} holds a single picture; nothing can be compared")
    sample = np.arange(0, len(store), max(1, len(store) // _CALIBRATION))

    def related(rows: Indices) -> Tensor:
        one, other = store.style_ids[sample], store.style_ids[rows]
        same_set = (one[:, None] == other[None]) & (one[:, None] >= 0)
        return torch.from_numpy(same_set | (sample[:, None] == rows[None]))

    return calibrate(store, mosaics_of(store, sample), skip=related)


@dataclass(frozen=True)
class Verdict:
    """What the distances to the nearest training pictures say.

    Attributes:
        memorised: share of drawn pictures below the threshold.
        expected: share that real pictures have.
        chance: the most that share may truly be, by its own 95 % interval.
        threshold: distance below which a picture counts as a reproduction.
        nearest: median distance over that of real pictures; below 1 is nearer than real ones come.
    """

    memorised: Share
    expected: float
    chance: float
    threshold: float
    nearest: float

    @property
    def alarm(self) -> bool:
        """Whether the intervals of the drawn and of the real pictures do not overlap."""
        return self.memorised.low > self.chance

    def sentence(self) -> str:
        """One sentence for a person."""
        share = self.memorised
        sentence = (
            f"{share.value:.1%} of {share.count:,} pictures ({share.low:.1%} to {share.high:.1%}) "
            f"lie nearer to a training picture than the threshold of {self.threshold:.3f}, below "
            f"which {self.expected:.1%} of real pictures lie"
        )
        if self.alarm:
            return f"{sentence}: it reproduces training pictures"
        return f"{sentence}: no sign of memorisation"


def verdict(distances: Tensor, threshold: Threshold) -> Verdict:
    """Judge the distances ``(N,)`` of drawn pictures to their nearest training pictures.

    Raises:
        DataError: there are none.
    """
    if not len(distances):
        raise DataError("no picture was measured, so there is no figure of memorisation")
    return Verdict(
        memorised=share_of_hits(distances < threshold.distance),
        expected=threshold.expected,
        chance=share_of(threshold.expected, threshold.count).high,
        threshold=threshold.distance,
        nearest=distances.median().item() / max(threshold.usual, 1e-12),
    )


class Memorisation(Stream):
    """The nearest training picture of each picture of a stream.

    Only the first :data:`SAMPLES` are searched for, as each takes a pass over the store.

    Args:
        store: what the model was trained on.
        threshold: of :func:`calibrate` or :func:`threshold_between_styles`.
        others: further stores it was trained on.

    Raises:
        DataError: the store holds fewer than two pictures.
    """

    def __init__(self, store: Store, threshold: Threshold, *, others: Sequence[Store] = ()) -> None:
        if len(store) < 2:
            raise DataError(f"the store {store.path} holds a single picture; give it more")
        self.stores, self.threshold = (store, *others), threshold
        self._mosaics: list[Tensor] = []
        self._count = 0

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        wanted = images[: max(0, SAMPLES - self._count)]
        if len(wanted):
            self._mosaics.append(mosaic(wanted))
            self._count += len(wanted)

    def neighbours(self) -> tuple[Nearest, Tensor]:
        """The nearest training picture of each picture, and the number of its store.

        Raises:
            DataError: no picture was taken in.
        """
        if not self._mosaics:
            raise DataError("no picture was measured, so there is no figure of memorisation")
        queries = torch.cat(self._mosaics)
        found = [nearest_pictures(queries, store) for store in self.stores]
        distance, which = torch.stack([each.distance for each in found]).min(0)
        rows = torch.stack([each.row for each in found]).gather(0, which[None])[0]
        return Nearest(distance, rows), which

    def per_picture(self) -> dict[str, Tensor]:
        """``nearest``, ``(N,)``: distance of each picture to its nearest training picture."""
        return {"nearest": self.neighbours()[0].distance}

    def verdict(self) -> Verdict:
        """Share of pictures below the threshold, and whether it is too large.

        Raises:
            DataError: no picture was taken in.
        """
        return verdict(self.neighbours()[0].distance, self.threshold)

    def compute(self) -> dict[str, float]:
        """The numbers of :class:`Verdict`, and ``alarm``, 1 or 0."""
        found = self.verdict()
        return {
            "memorised": found.memorised.value, "expected": found.expected,
            "nearest": found.nearest, "threshold": found.threshold,
            "alarm": float(found.alarm), "count": float(found.memorised.count),
        }  # fmt: skip
