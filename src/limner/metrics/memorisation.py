"""Memorisation: drawn pictures that lie nearer to a training picture than real ones ever do.

How near is too near depends on the data: photographs of shoes are all alike, icons are not. The
threshold is therefore measured on the store itself. Each of some real pictures is compared with
the nearest training picture other than itself (or, where unseen real pictures are at hand, those
with the nearest training picture); one in a hundred of them may lie below the threshold, which is
what chance gives. A model whose pictures lie below it clearly more often repeats what it learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.copies import Nearest, mosaic, nearest_pictures, pixels
from limner.metrics.intervals import wilson

QUANTILE = 0.01
"""Share of real pictures that may lie below the threshold."""
SAMPLES = 2000
"""Pictures whose nearest is looked up; a whole search of the store for each of them."""
_EQUAL = 2e-3
"""Distances below it are of equal pictures: a quarter of a step of 8 bits, above all rounding."""
_BATCH = 512


@dataclass(frozen=True)
class Threshold:
    """How near real pictures come to each other by themselves.

    Attributes:
        distance: below it a picture is taken for a repetition; root mean square difference of
            mosaics in units of the pixel range [-1, 1].
        usual: median distance of a real picture to its nearest.
        expected: share of real pictures that lie below ``distance``: the quantile, or more where
            the store itself repeats pictures.
        count: real pictures measured.
    """

    distance: float
    usual: float
    expected: float
    count: int


def mosaics_of(store: Store, rows: NDArray[np.int64]) -> Tensor:
    """Mosaics of some pictures of a store, ``(R, 768)``."""
    parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    return torch.cat([mosaic(pixels(store, part)) for part in parts])


def calibrate(
    store: Store,
    mosaics: Tensor,
    own: NDArray[np.int64] | None = None,
    quantile: float = QUANTILE,
) -> Threshold:
    """Measure how near real pictures come to those of a store.

    Args:
        store: what a model learned from.
        mosaics: ``(R, 768)`` of real pictures.
        own: ``(R,)`` their rows where they are in the store, so that none finds itself.
        quantile: share of them that may lie below the threshold.

    Raises:
        DataError: there is nothing to measure.
    """
    skip = None
    if own is not None:
        mine = own

        def skip(rows: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(mine[:, None] == rows[None])

    nearest = nearest_pictures(mosaics, store, skip).distance
    nearest = nearest[torch.isfinite(nearest)]
    if not len(nearest):
        raise DataError(f"no two real pictures of the store {store.path} can be compared")
    distance = max(torch.quantile(nearest, quantile).item(), _EQUAL)
    return Threshold(
        distance=distance,
        usual=nearest.median().item(),
        expected=max((nearest < distance).double().mean().item(), quantile),
        count=len(nearest),
    )


def threshold_of(
    store: Store, holdout: Store | None = None, samples: int = SAMPLES, seed: int = 0
) -> Threshold:
    """:func:`calibrate` on unseen real pictures, or else on the store's own, each left out in turn.

    Args:
        store: what a model learned from, at least two pictures.
        holdout: real pictures of the same kind that it did not learn from.
        samples: how many of them are measured at most.
        seed: of their choice.

    Raises:
        DataError: there is nothing to measure.
    """
    source = store if holdout is None else holdout
    rows = np.random.default_rng(seed).permutation(len(source))[:samples].astype(np.int64)
    return calibrate(store, mosaics_of(source, rows), rows if holdout is None else None)


@dataclass(frozen=True)
class Verdict:
    """What the nearest training pictures say.

    Attributes:
        memorised: share of drawn pictures below the threshold.
        low: of its 95 % Wilson interval.
        high: of the same.
        expected: share that real pictures have.
        chance: the most that share may truly be, by its own 95 % interval.
        threshold: distance.
        nearest: median distance over that of real pictures; below 1 is nearer than real ones come.
        count: drawn pictures measured.
    """

    memorised: float
    low: float
    high: float
    expected: float
    chance: float
    threshold: float
    nearest: float
    count: int

    @property
    def alarm(self) -> bool:
        """Whether more pictures lie below the threshold than chance explains.

        That is where the intervals of the drawn and of the real pictures have nothing in common.
        """
        return self.low > self.chance

    def sentence(self) -> str:
        """One sentence for a person."""
        said = (
            f"{self.memorised:.1%} of {self.count:,} pictures ({self.low:.1%} to {self.high:.1%}) "
            f"lie nearer to a training picture than the threshold of {self.threshold:.3f}, below "
            f"which {self.expected:.1%} of real pictures lie"
        )
        if self.alarm:
            return f"{said}: it repeats pictures that it learned from"
        return f"{said}: nothing points to memorised pictures"


def verdict(distances: Tensor, threshold: Threshold) -> Verdict:
    """Judge the distances ``(N,)`` of drawn pictures to their nearest training pictures.

    Raises:
        DataError: there are none.
    """
    count = len(distances)
    if not count:
        raise DataError("no picture was measured, so nothing can be said of memorisation")
    hits = int((distances < threshold.distance).sum())
    low, high = wilson(hits, count)
    return Verdict(
        memorised=hits / count,
        low=low,
        high=high,
        expected=threshold.expected,
        chance=wilson(threshold.expected * threshold.count, threshold.count)[1],
        threshold=threshold.distance,
        nearest=distances.median().item() / max(threshold.usual, 1e-12),
        count=count,
    )


class Memorisation:
    """The nearest training pictures of a stream: the metric contract of limner.

    Only the first pictures are looked up, as each takes a search through the whole store.

    Args:
        store: what the model learned from.
        others: further stores it learned from.
        holdout: real pictures it did not learn from, to calibrate on.
        samples: how many drawn and how many real pictures are looked up at most.
        threshold: one that is known already.

    Raises:
        DataError: the store holds fewer than two pictures.
    """

    def __init__(
        self,
        store: Store,
        *,
        others: Sequence[Store] = (),
        holdout: Store | None = None,
        samples: int = SAMPLES,
        threshold: Threshold | None = None,
    ) -> None:
        if len(store) < 2:
            raise DataError(f"the store {store.path} holds a single picture; give it more")
        self.stores, self.samples = (store, *others), samples
        self.threshold = threshold or threshold_of(store, holdout, samples)
        self._mosaics: list[Tensor] = []
        self._count = 0

    def update(self, images: Tensor, captions: Sequence[str] = ()) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1]; the captions do not matter.

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        if not bool(torch.isfinite(images).all()):
            raise DataError("a drawn picture is not made of finite numbers; its model is broken")
        wanted = images[: max(0, self.samples - self._count)]
        if len(wanted):
            self._mosaics.append(mosaic(wanted))
            self._count += len(wanted)

    def neighbours(self) -> tuple[Nearest, Tensor]:
        """Of every picture looked up the nearest training picture, and the number of its store.

        Raises:
            DataError: no picture was taken in.
        """
        if not self._mosaics:
            raise DataError("no picture was measured, so nothing can be said of memorisation")
        queries = torch.cat(self._mosaics)
        found = [nearest_pictures(queries, store) for store in self.stores]
        distance, which = torch.stack([each.distance for each in found]).min(0)
        rows = torch.stack([each.row for each in found]).gather(0, which[None])[0]
        return Nearest(distance, rows), which

    def verdict(self) -> Verdict:
        """What they say.

        Raises:
            DataError: no picture was taken in.
        """
        return verdict(self.neighbours()[0].distance, self.threshold)

    def compute(self) -> dict[str, float]:
        """The numbers of :class:`Verdict`, and ``alarm``, 1 or 0."""
        found = self.verdict()
        return {
            "memorised": found.memorised, "expected": found.expected, "nearest": found.nearest,
            "threshold": found.threshold, "alarm": float(found.alarm), "count": float(found.count),
        }  # fmt: skip
