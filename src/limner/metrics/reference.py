"""The real pictures that drawn ones are measured against, and what real and noise would score.

Of every figure three are always published: that of the drawn pictures, that of real pictures
nobody trained on (the floor: nothing drawn can honestly do better), and that of uniform noise
(the ceiling of badness). All three are measured against the same real pictures with the same
network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.metrics.copies import mosaic, nearest_pictures, pixels
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import Gaussian, frechet_distance, gaussian_of, kernel_distance
from limner.metrics.manifold import NEAREST, NEAREST_DENSE, Crowd, crowd, neighbourhood
from limner.modelfile import write_tensors
from limner.text.disk import default_cache_dir

SAMPLES = 10_000
NEAREST_SAMPLES = 2000
"""Pictures whose nearest training picture is looked up; a whole search for each of them."""
NOISE_SAMPLES = 2000
COPY_QUANTILE = 0.01
_VERSION = 1
_MOST = 100_000
_BATCH = 512

Advance = Callable[[float], Any]


@dataclass
class Drawn:
    """What is kept of a stream of pictures: never their pixels.

    Attributes:
        features: ``(N, D)`` float32.
        asked: ``(N,)`` int64, the class asked for, -1 where none was.
        told: ``(N,)`` int64, the class the network sees, -1 where it knows none.
        mosaics: ``(min(N, 2000), 768)`` of the first pictures.
    """

    features: Tensor
    asked: Tensor
    told: Tensor
    mosaics: Tensor


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
        told = torch.full((len(images),), -1)
        if seen.log_probs is not None:
            told = seen.log_probs.argmax(1)
        self._rows.append((seen.features, asked, told))
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
        features, asked, told = (torch.cat(part) for part in zip(*self._rows, strict=True))
        return Drawn(features, asked, told, torch.cat(self._mosaics))


def spread_within(features: Tensor, asked: Tensor) -> float:
    """Root mean squared distance from the mean of the own class, pooled over the classes."""
    total, free = 0.0, 0
    for number in sorted(set(asked.tolist())):
        mine = features[asked == number].double()
        total += (mine - mine.mean(0)).square().sum().item()
        free += len(mine) - 1
    return (total / free) ** 0.5 if free > 0 else 0.0


class Reference:
    """Real pictures, ready to be compared with.

    Args:
        store: what the models learned from.
        network: what looks at the pictures.
        holdout: pictures of the same kind that no model learned from; None to split ``store``,
            whose one part then stands in for them.
        samples: N of everything that is measured against it.
        selection: the part of ``store`` and ``holdout`` that counts as real, and whose captions
            are drawn. Copies are looked for in all of ``store``.
        advance: called with a number of pictures looked at.

    Raises:
        DataError: too few pictures.
        UsageError: ``samples`` too small.
    """

    def __init__(
        self,
        store: Store,
        network: FeatureNetwork,
        *,
        holdout: Store | None = None,
        samples: int = SAMPLES,
        selection: Selection = Selection(),  # noqa: B008 - frozen
        advance: Advance | None = None,
    ) -> None:
        if samples < 10:
            raise UsageError(f"{samples} pictures say nothing; measure at least 10")
        self.store, self.network, self.holdout, self.samples = store, network, holdout, samples
        self.selection = selection
        rows = _shuffled(store, selection)[:_MOST]
        seen = _looked_at(store, rows, network, advance)
        labels = _labels(store, rows, network.classes)
        if holdout is None:
            cut = min(samples, len(rows) // 2)
            self._other = _other(store, rows[:cut], seen[0][:cut], seen[1][:cut], labels[:cut])
            self._own_rows: NDArray[np.int64] | None = rows[:NEAREST_SAMPLES][:cut]
            features, labels = seen[0][cut:], labels[cut:]
        else:
            others = _shuffled(holdout, selection)[:samples]
            known = _labels(holdout, others, network.classes)
            both = _looked_at(holdout, others, network, advance)
            self._other = _other(holdout, others, *both, known)
            self._own_rows, features = None, seen[0]
        self.count = len(features)
        self.gaussian: Gaussian = gaussian_of(features)
        self._real = features[:samples]
        self.crowd: Crowd = crowd(self._real)
        self._spread = spread_within(features, labels)
        self._threshold, self._usual = self._calibrate()

    def _calibrate(self) -> tuple[float, float]:
        """The nearest-picture distances of unseen real pictures: their 1 % quantile, median."""
        skip = None
        if self._own_rows is not None:
            mine = self._own_rows

            def skip(rows: NDArray[np.int64]) -> Tensor:
                return torch.from_numpy(mine[:, None] == rows[None])

        nearest = nearest_pictures(self._other.mosaics, self.store, skip)
        return torch.quantile(nearest, COPY_QUANTILE).item(), nearest.median().item()

    @property
    def key(self) -> str:
        """Changes whenever the same pictures could score otherwise."""
        other = self.holdout.fingerprint if self.holdout else ""
        parts = [self.network.fingerprint, self.store.fingerprint, other, self.samples, _VERSION]
        if self.selection:
            parts.append(json.dumps(self._selected(), sort_keys=True))
        return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]

    def _selected(self) -> dict[str, Any]:
        filters = {key: list(kept) for key, kept in self.selection.filters.items()}
        chosen = {"filters": filters, "languages": list(self.selection.languages)}
        return {name: value for name, value in chosen.items() if value}

    def compare(self, drawn: Drawn) -> dict[str, float]:
        """Every figure of some pictures against the real ones."""
        n = len(drawn.features)
        theirs = drawn.features[: self.samples]
        figures = {
            "fid": frechet_distance(gaussian_of(drawn.features), self.gaussian),
            "kid": kernel_distance(theirs, self._real),
            **neighbourhood(self.crowd, crowd(theirs)),
            "diversity": spread_within(drawn.features, drawn.asked) / max(self._spread, 1e-12),
            "count": float(n),
        }
        named = (drawn.asked >= 0) & (drawn.told >= 0)
        if bool(named.any()):
            hits = (drawn.asked == drawn.told)[named]
            figures["accuracy"] = hits.double().mean().item()
        return figures

    def nearness(self, drawn: Drawn) -> dict[str, float]:
        """How near the training pictures are: ``nearest`` and ``copies``.

        ``nearest`` is the median distance to the nearest training picture over that of unseen
        real pictures; below 1 is nearer than real pictures come by themselves. ``copies`` is the
        share nearer than all but one in a hundred unseen real pictures; 0.01 is what chance gives.
        """
        nearest = nearest_pictures(drawn.mosaics, self.store)
        return {
            "nearest": nearest.median().item() / max(self._usual, 1e-12),
            "copies": (nearest < self._threshold).double().mean().item(),
        }

    def floor(self) -> dict[str, float]:
        """What unseen real pictures score."""
        return {**self.compare(self._other), "nearest": 1.0, "copies": COPY_QUANTILE}

    def noise(self) -> dict[str, float]:
        """What uniform noise scores."""
        rng = torch.Generator().manual_seed(0)
        taking, side = Taking(self.network), self.store.size
        classes = max(1, len(self.network.classes))
        wanted = min(NOISE_SAMPLES, self.samples)
        while taking.count < wanted:
            count = min(_BATCH, wanted - taking.count)
            images = torch.rand(count, 3, side, side, generator=rng) * 2 - 1
            taking.add(images, torch.arange(taking.count, taking.count + count) % classes)
        drawn = taking.drawn()
        return {**self.compare(drawn), **self.nearness(drawn)}

    def protocol(self) -> dict[str, Any]:
        """What the figures were measured with."""
        return {
            "features": self.network.spec,
            "features_hash": self.network.fingerprint,
            "store": self.store.name,
            "store_fingerprint": self.store.fingerprint,
            "holdout": self.holdout.name if self.holdout else None,
            "holdout_fingerprint": self.holdout.fingerprint if self.holdout else None,
            **self._selected(),
            "real": self.count,
            "floor_samples": len(self._other.features),
            "noise_samples": min(NOISE_SAMPLES, self.samples),
            "samples": self.samples,
            "k_precision_recall": NEAREST,
            "k_density_coverage": NEAREST_DENSE,
            "nearest_samples": min(NEAREST_SAMPLES, self.samples),
        }

    def prompts(self, count: int, seed: int = 1) -> list[str]:
        """The heaviest captions of ``count`` pictures of the store, in a fixed random order."""
        table = self.store.caption_table()
        order = np.random.default_rng([seed, 77]).permutation(len(self.store))
        spoken = order[np.isin(order, self.selection.rows(self.store))]
        if not len(spoken):
            raise DataError(f"no picture of the store {self.store.path} has a caption")
        weight = np.where(self.selection.spoken(table), table.weight, -np.inf)
        best: list[str] = []
        for row in np.resize(spoken, count).tolist():
            first, last = table.offsets[row], table.offsets[row + 1]
            heaviest = first + int(weight[first:last].argmax())
            best.append(table.texts[table.text_index[heaviest]])
        return best

    def classes_of(self, captions: Sequence[str]) -> dict[str, int]:
        """Caption -> the class most of its pictures are of; -1 where the network knows none."""
        names = {name: number for number, name in enumerate(self.network.classes)}
        if not names:
            return dict.fromkeys(captions, -1)
        table = self.store.caption_table()
        rows = np.arange(len(self.store))
        labels = _labels(self.store, rows, self.network.classes).numpy()
        votes = np.zeros((len(table.texts), len(names) + 1))
        np.add.at(votes, (table.text_index, labels.repeat(np.diff(table.offsets))), 1)
        owner = dict(zip(table.texts, votes[:, :-1].argmax(1).tolist(), strict=True))
        return {caption: owner.get(caption, -1) for caption in captions}


class DistributionScore:
    """FID and its kin over a stream of pictures: the metric contract of limner.

    Args:
        reference: real pictures.
        captions: every caption that will come.
    """

    def __init__(self, reference: Reference, captions: Sequence[str]) -> None:
        self.reference = reference
        self._classes = reference.classes_of(list(dict.fromkeys(captions)))
        self._taking = Taking(reference.network)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures ``(B, 3, H, W)`` in [-1, 1] and the captions they were drawn from.

        Raises:
            DataError: pictures hold numbers that are not finite.
            KeyError: a caption was not announced.
        """
        self._taking.add(images, torch.tensor([self._classes[text] for text in captions]))

    def compute(self) -> dict[str, float]:
        """``fid``, ``kid``, ``precision``, ``recall``, ``density``, ``coverage`` and the rest.

        Raises:
            DataError: too few pictures.
        """
        drawn = self._taking.drawn()
        return {**self.reference.compare(drawn), **self.reference.nearness(drawn)}

    def per_class(self) -> dict[str, float]:
        """Class name -> share of the pictures asked to show it that do; empty without classes."""
        drawn, found = self._taking.drawn(), {}
        for number, name in enumerate(self.reference.network.classes):
            mine = drawn.asked == number
            if bool(mine.any()):
                found[name] = (drawn.told[mine] == number).double().mean().item()
        return found


def _order(count: int) -> NDArray[np.int64]:
    """A fixed random order, so that the first pictures are a fair sample."""
    return np.random.default_rng(0).permutation(count).astype(np.int64)


def _shuffled(store: Store, selection: Selection) -> NDArray[np.int64]:
    """The pictures that count, in a fixed random order."""
    rows = selection.rows(store) if selection else np.arange(len(store))
    if len(rows) < 20:
        raise DataError(f"the store {store.path} holds {len(rows)} pictures; 20 are needed")
    return rows[_order(len(rows))]


def _other(
    store: Store, rows: NDArray[np.int64], features: Tensor, told: Tensor, labels: Tensor
) -> Drawn:
    parts = [
        mosaic(pixels(store, rows[i : i + _BATCH]))
        for i in range(0, min(len(rows), NEAREST_SAMPLES), _BATCH)
    ]
    return Drawn(features, labels, told, torch.cat(parts)[:NEAREST_SAMPLES])


def _labels(store: Store, rows: NDArray[np.int64], classes: Sequence[str]) -> Tensor:
    """Class of each picture, ``(N,)`` int64; -1 where its ``label`` is none of the classes."""
    if not classes:
        return torch.full((len(rows),), -1)
    number = {name: i for i, name in enumerate(classes)}
    names = (store.metadata(int(row)).get("label") for row in rows)
    return torch.tensor([number.get(str(name), -1) for name in names])


def _looked_at(
    store: Store, rows: NDArray[np.int64], network: FeatureNetwork, advance: Advance | None
) -> tuple[Tensor, Tensor]:
    """Features and classes seen of some pictures, from limner's cache where they are there."""
    chosen = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]
    text = f"{network.fingerprint}/{store.fingerprint}/{chosen}/{_VERSION}"
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = default_cache_dir() / "features" / f"{name}.safetensors"
    found = _cached(path, len(rows))
    if found is not None:
        if advance is not None:
            advance(len(rows))
        return found
    taking = Taking(network)
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        taking.add(pixels(store, part), torch.full((len(part),), -1))
        if advance is not None:
            advance(len(part))
    drawn = taking.drawn()
    features, told = drawn.features.contiguous(), drawn.told
    write_tensors(path, {"features": features, "told": told}, {"of": text})
    return features, told


def _cached(path: Path, count: int) -> tuple[Tensor, Tensor] | None:
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        features, told = tensors["features"], tensors["told"]
    except (OSError, KeyError, SafetensorError):
        return None  # damaged: it is made again
    return (features, told) if len(features) == len(told) == count else None
