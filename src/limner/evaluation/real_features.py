"""Features of many pictures; those of real pictures are cached on disk.

Extracting features takes nine tenths of the time of an FID. So whatever depends on real pictures
only is computed once for a store, selection and network, and kept under their fingerprints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from limner.arrays import Indices
from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import Gaussian, gaussian_of
from limner.metrics.manifold import Manifold, manifold
from limner.metrics.memorisation import QUANTILE, Threshold, calibrate, mosaic, pixels
from limner.metrics.memorisation import SAMPLES as NEAREST_SAMPLES
from limner.tensorfile import write_tensors
from limner.text.disk import default_cache_dir

VERSION = 2
"""Of what is cached; raised where the same pictures could give other numbers."""
BATCH = 512


@dataclass
class PictureFeatures:
    """Features of a stream of N pictures, without their pixels.

    Attributes:
        features: ``(N, D)`` float32.
        asked: ``(N,)`` int64, the class asked for, -1 where none was.
        log_probs: ``(N, K)`` float32 of the K classes of the network; K may be 0.
        mosaics: ``(min(N, 2000), 768)`` of the first pictures.
    """

    features: Tensor
    asked: Tensor
    log_probs: Tensor
    mosaics: Tensor

    @property
    def predicted(self) -> Tensor:
        """The likeliest class, ``(N,)`` int64; -1 where the network has no classes."""
        if not self.log_probs.shape[1]:
            return torch.full((len(self.features),), -1)
        return self.log_probs.argmax(1)


@dataclass
class FeatureCollector:
    """Collects pictures into :class:`PictureFeatures`."""

    network: FeatureNetwork
    _rows: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    _mosaics: list[Tensor] = field(default_factory=list)
    count: int = 0

    def add(self, images: Tensor, asked: Tensor) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1] and the ``(B,)`` classes asked for."""
        found = self.network.extract(images)
        known = torch.zeros(len(images), 0) if found.log_probs is None else found.log_probs
        self._rows.append((found.features, asked, known))
        if self.count < NEAREST_SAMPLES:
            self._mosaics.append(mosaic(images[: NEAREST_SAMPLES - self.count]))
        self.count += len(images)

    def collected(self) -> PictureFeatures:
        """The features of everything taken in.

        Raises:
            DataError: nothing was.
        """
        if not self._rows:
            raise DataError("no picture was measured, so there is no score")
        features, asked, known = (torch.cat(part) for part in zip(*self._rows, strict=True))
        return PictureFeatures(features, asked, known, torch.cat(self._mosaics))


def cached(
    text: str, make: Callable[[], dict[str, Tensor]], length: int | None = None
) -> dict[str, Tensor]:
    """Tensors of one length from limner's cache; made and put there if missing or of another one.

    ``text`` is everything that they depend on.
    """
    name = hashlib.sha256(f"{text}/{VERSION}".encode()).hexdigest()[:24]
    path = default_cache_dir() / "features" / f"{name}.safetensors"
    if path.is_file():
        with suppress(OSError, SafetensorError):  # damaged: it is made again
            found: dict[str, Tensor] = load_file(path)
            lengths = {len(each) for each in found.values()}
            if len(lengths) == 1 and length in (None, *lengths):
                return found
    made = {key: value.contiguous() for key, value in make().items()}
    write_tensors(path, made, {"of": text})
    return made


def _of(what: str, store: Store, rows: Indices, *more: str) -> str:
    chosen = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]
    return "/".join([what, store.fingerprint, chosen, *more])


def features_of_rows(store: Store, rows: Indices, network: FeatureNetwork) -> tuple[Tensor, Tensor]:
    """Features ``(N, D)`` and log-probabilities ``(N, K)`` of some pictures of a store."""

    def extract() -> dict[str, Tensor]:
        collector = FeatureCollector(network)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            collector.add(pixels(store, part), torch.full((len(part),), -1))
        found = collector.collected()
        return {"features": found.features, "log_probs": found.log_probs}

    found = cached(_of("features", store, rows, network.fingerprint), extract, len(rows))
    return found["features"], found["log_probs"]


def gaussian_of_rows(
    store: Store, rows: Indices, network: FeatureNetwork, features: Tensor | None = None
) -> Gaussian:
    """Mean and covariance of some pictures' features, with the root of the covariance.

    Args:
        store: holds the pictures.
        rows: which of them.
        network: extracts their features, unless they are cached.
        features: ``(N, D)``, where they are at hand.
    """

    def measure() -> dict[str, Tensor]:
        known = features_of_rows(store, rows, network)[0] if features is None else features
        found = gaussian_of(known)
        return {"mean": found.mean, "covariance": found.covariance, "root": found.root}

    found = cached(_of("gaussian", store, rows, network.fingerprint), measure)
    return Gaussian(found["mean"], found["covariance"], len(rows)).with_root(found["root"])


def manifold_of_rows(
    store: Store, rows: Indices, features: Tensor, network: FeatureNetwork
) -> Manifold:
    """The manifold of some pictures with these features ``(N, D)``."""

    def measure() -> dict[str, Tensor]:
        return {str(k): radii for k, radii in manifold(features).radii.items()}

    found = cached(_of("radii", store, rows, network.fingerprint), measure, len(rows))
    return Manifold(features, {int(k): radii for k, radii in found.items()})


def threshold_of_rows(store: Store, source: Store, rows: Indices, mosaics: Tensor) -> Threshold:
    """How close real pictures, of the store or of another, come to those of the store."""

    def measure() -> dict[str, Tensor]:
        own = rows if source.fingerprint == store.fingerprint else None
        found = calibrate(store, mosaics, own)
        numbers = [found.distance, found.usual, found.expected, found.count]
        return {"threshold": torch.tensor(numbers, dtype=torch.float64)}

    found = cached(_of("threshold", source, rows, store.fingerprint, str(QUANTILE)), measure, 4)
    distance, usual, expected, count = found["threshold"].tolist()
    return Threshold(distance, usual, expected, int(count))
