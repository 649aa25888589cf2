"""Crowds of pictures as a feature network sees them; what it saw of a store is remembered on disk.

Looking is what a score costs: at 64 pixels the network takes nine tenths of the time of an FID.
So whatever depends on real pictures only (features, mean and covariance, the neighbourhoods) is
worked out once a store, selection and network, and kept in limner's cache under their fingerprints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.copies import mosaic, pixels
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import Gaussian, gaussian_of
from limner.metrics.manifold import NEAREST, NEAREST_DENSE, Crowd, crowd
from limner.metrics.memorisation import SAMPLES as NEAREST_SAMPLES
from limner.metrics.memorisation import Threshold, calibrate
from limner.tensorfile import write_tensors
from limner.text.disk import default_cache_dir

VERSION = 2
"""Of what is remembered; raised where the same pictures could give other numbers."""
BATCH = 512

Advance = Callable[[float], Any]
Rows = NDArray[np.int64]


@dataclass
class Drawn:
    """What is kept of a stream of pictures: never their pixels.

    Attributes:
        features: ``(N, D)`` float32.
        asked: ``(N,)`` int64, the class asked for, -1 where none was.
        log_probs: ``(N, K)`` float32 of the classes the network knows; K may be 0.
        mosaics: ``(min(N, 2000), 768)`` of the first pictures.
    """

    features: Tensor
    asked: Tensor
    log_probs: Tensor
    mosaics: Tensor

    @property
    def told(self) -> Tensor:
        """The class the network sees, ``(N,)`` int64; -1 where it knows none."""
        if not self.log_probs.shape[1]:
            return torch.full((len(self.features),), -1)
        return self.log_probs.argmax(1)


@dataclass
class Taking:
    """Takes pictures in and makes a :class:`Drawn` of them."""

    network: FeatureNetwork
    _rows: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    _mosaics: list[Tensor] = field(default_factory=list)
    count: int = 0

    def add(self, images: Tensor, asked: Tensor) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1] and the ``(B,)`` classes asked for.

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        if not bool(torch.isfinite(images).all()):
            raise DataError("a drawn picture is not made of finite numbers; its model is broken")
        seen = self.network.see(images)
        known = torch.zeros(len(images), 0) if seen.log_probs is None else seen.log_probs
        self._rows.append((seen.features, asked, known))
        if self.count < NEAREST_SAMPLES:
            self._mosaics.append(mosaic(images[: NEAREST_SAMPLES - self.count]))
        self.count += len(images)

    def drawn(self) -> Drawn:
        """Everything taken in.

        Raises:
            DataError: nothing was.
        """
        if not self._rows:
            raise DataError("no picture was measured, so there is no score")
        features, asked, known = (torch.cat(part) for part in zip(*self._rows, strict=True))
        return Drawn(features, asked, known, torch.cat(self._mosaics))


def remembered(
    text: str, make: Callable[[], dict[str, Tensor]], fits: Callable[[dict[str, Tensor]], bool]
) -> dict[str, Tensor]:
    """Tensors from limner's cache, or made and put there.

    Args:
        text: everything that they depend on.
        make: makes them.
        fits: whether what was found is whole; else it is made again.
    """
    name = hashlib.sha256(f"{text}/{VERSION}".encode()).hexdigest()[:24]
    path = default_cache_dir() / "features" / f"{name}.safetensors"
    if path.is_file():
        try:
            found: dict[str, Tensor] = load_file(path)
            if fits(found):
                return found
        except (OSError, KeyError, SafetensorError):
            pass  # damaged: it is made again
    made = {key: value.contiguous() for key, value in make().items()}
    write_tensors(path, made, {"of": text})
    return made


def _of(what: str, store: Store, rows: Rows, *more: str) -> str:
    chosen = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]
    return "/".join([what, store.fingerprint, chosen, *more])


def looked_at(
    store: Store, rows: Rows, network: FeatureNetwork, advance: Advance | None = None
) -> tuple[Tensor, Tensor]:
    """Features ``(N, D)`` and log-probabilities ``(N, K)`` of some pictures of a store."""

    def look() -> dict[str, Tensor]:
        taking = Taking(network)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            taking.add(pixels(store, part), torch.full((len(part),), -1))
            if advance is not None:
                advance(len(part))
        drawn = taking.drawn()
        return {"features": drawn.features, "log_probs": drawn.log_probs}

    def fits(found: dict[str, Tensor]) -> bool:
        return len(found["features"]) == len(found["log_probs"]) == len(rows)

    found = remembered(_of("seen", store, rows, network.fingerprint), look, fits)
    return found["features"], found["log_probs"]


def gaussian_of_rows(
    store: Store,
    rows: Rows,
    network: FeatureNetwork,
    features: Tensor | None = None,
    advance: Advance | None = None,
) -> Gaussian:
    """Mean and covariance of some pictures' features, with the root of the covariance.

    Args:
        store: holds the pictures.
        rows: which of them.
        network: looks at them, unless it is all remembered.
        features: ``(N, D)``, where they are at hand.
        advance: called with a number of pictures looked at.
    """

    def measure() -> dict[str, Tensor]:
        seen = looked_at(store, rows, network, advance)[0] if features is None else features
        found = gaussian_of(seen)
        return {"mean": found.mean, "covariance": found.covariance, "root": found.root}

    def fits(found: dict[str, Tensor]) -> bool:
        width = len(found["mean"])
        return found["covariance"].shape == found["root"].shape == (width, width)

    found = remembered(_of("gaussian", store, rows, network.fingerprint), measure, fits)
    return Gaussian(found["mean"], found["covariance"], len(rows)).with_root(found["root"])


def crowd_of_rows(store: Store, rows: Rows, features: Tensor, network: FeatureNetwork) -> Crowd:
    """The neighbourhoods of some pictures with these features ``(N, D)``."""

    def measure() -> dict[str, Tensor]:
        return {str(k): radii for k, radii in crowd(features).radii.items()}

    def fits(found: dict[str, Tensor]) -> bool:
        return all(len(found[str(k)]) == len(rows) for k in (NEAREST, NEAREST_DENSE))

    found = remembered(_of("radii", store, rows, network.fingerprint), measure, fits)
    return Crowd(features, {k: found[str(k)] for k in (NEAREST, NEAREST_DENSE)})


def threshold_of_rows(
    store: Store, source: Store, rows: Rows, mosaics: Tensor, quantile: float
) -> Threshold:
    """How near some real pictures, of the store or of another, come to those of the store."""

    def measure() -> dict[str, Tensor]:
        own = rows if source.fingerprint == store.fingerprint else None
        found = calibrate(store, mosaics, own, quantile)
        numbers = [found.distance, found.usual, found.expected, found.count]
        return {"threshold": torch.tensor(numbers, dtype=torch.float64)}

    text = _of("threshold", source, rows, store.fingerprint, str(quantile))
    found = remembered(text, measure, lambda each: each["threshold"].shape == (4,))
    distance, usual, expected, count = found["threshold"].tolist()
    return Threshold(distance, usual, expected, int(count))
