"""The real pictures that drawn ones are measured against, and what real and noise would score.

Of every figure three are always published: that of the drawn pictures, that of real pictures
nobody trained on (the floor: nothing drawn can honestly do better), and that of uniform noise
(the ceiling of badness). All three are measured against the same real pictures with the same
network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.metrics.copies import nearest_pictures
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import Gaussian, frechet_distance, gaussian_of, kernel_distance
from limner.metrics.inception import SPLITS, inception_score
from limner.metrics.manifold import NEAREST, NEAREST_DENSE, Crowd, crowd, neighbourhood
from limner.metrics.memorisation import QUANTILE, Threshold, Verdict, mosaics_of, verdict
from limner.metrics.memorisation import SAMPLES as NEAREST_SAMPLES
from limner.metrics.real import (
    BATCH,
    VERSION,
    Advance,
    Drawn,
    Taking,
    crowd_of_rows,
    gaussian_of_rows,
    looked_at,
    threshold_of_rows,
)

SAMPLES = 10_000
NOISE_SAMPLES = 2000
_MOST = 100_000


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
        features, known = looked_at(store, rows, network, advance)
        if holdout is None:
            cut = min(samples, len(rows) // 2)
            seen = features[:cut], known[:cut]
            others, source, rows, features = rows[:cut], store, rows[cut:], features[cut:]
        else:
            others, source = _shuffled(holdout, selection)[:samples], holdout
            seen = looked_at(source, others, network, advance)
        nearest = mosaics_of(source, others[:NEAREST_SAMPLES])
        self._other = Drawn(seen[0], _labels(source, others, network.classes), seen[1], nearest)
        self.count = len(features)
        self.gaussian: Gaussian = gaussian_of_rows(store, rows, network, features)
        self._real = features[:samples]
        self.crowd: Crowd = crowd_of_rows(store, rows[:samples], self._real, network)
        self._spread = spread_within(features, _labels(store, rows, network.classes))
        self.threshold: Threshold = threshold_of_rows(
            store, source, others[:NEAREST_SAMPLES], nearest, QUANTILE
        )

    @property
    def key(self) -> str:
        """Changes whenever the same pictures could score otherwise."""
        other = self.holdout.fingerprint if self.holdout else ""
        parts = [self.network.fingerprint, self.store.fingerprint, other, self.samples, VERSION]
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
            "fid": frechet_distance(self.gaussian, gaussian_of(drawn.features)),
            "kid": kernel_distance(theirs, self._real),
            **neighbourhood(self.crowd, crowd(theirs)),
            "diversity": spread_within(drawn.features, drawn.asked) / max(self._spread, 1e-12),
            "count": float(n),
        }
        if drawn.log_probs.shape[1] and n >= SPLITS:
            figures["inception"] = inception_score(drawn.log_probs)[0]
        named = (drawn.asked >= 0) & (drawn.told >= 0)
        if bool(named.any()):
            hits = (drawn.asked == drawn.told)[named]
            figures["accuracy"] = hits.double().mean().item()
        return figures

    def memorised(self, drawn: Drawn) -> Verdict:
        """Whether drawn pictures lie nearer to training pictures than real ones do."""
        return verdict(nearest_pictures(drawn.mosaics, self.store).distance, self.threshold)

    def nearness(self, drawn: Drawn) -> dict[str, float]:
        """How near the training pictures are: ``nearest`` and ``copies``.

        ``nearest`` is the median distance to the nearest training picture over that of unseen
        real pictures; below 1 is nearer than real pictures come by themselves. ``copies`` is the
        share nearer than all but one in a hundred unseen real pictures; 0.01 is what chance gives.
        """
        found = self.memorised(drawn)
        return {"nearest": found.nearest, "copies": found.memorised}

    def floor(self) -> dict[str, float]:
        """What unseen real pictures score."""
        return {**self.compare(self._other), "nearest": 1.0, "copies": QUANTILE}

    def noise(self) -> dict[str, float]:
        """What uniform noise scores."""
        rng = torch.Generator().manual_seed(0)
        taking, side = Taking(self.network), self.store.size
        classes = max(1, len(self.network.classes))
        wanted = min(NOISE_SAMPLES, self.samples)
        while taking.count < wanted:
            count = min(BATCH, wanted - taking.count)
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
        return self.asked(count, seed)[1]

    def asked(self, count: int, seed: int = 1) -> tuple[list[int], list[str]]:
        """The pictures of :meth:`prompts` and the prompts; both come again where they run out.

        Raises:
            DataError: no picture has a caption that counts.
        """
        table = self.store.caption_table()
        order = np.random.default_rng([seed, 77]).permutation(len(self.store))
        spoken = order[np.isin(order, self.selection.rows(self.store))]
        if not len(spoken):
            raise DataError(f"no picture of the store {self.store.path} has a caption")
        weight = np.where(self.selection.caption_mask(table), table.weight, -np.inf)
        rows: list[int] = np.resize(spoken, count).tolist()
        best: list[str] = []
        for row in rows:
            first, last = table.offsets[row], table.offsets[row + 1]
            heaviest = first + int(weight[first:last].argmax())
            best.append(table.texts[table.text_index[heaviest]])
        return rows, best

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

    def drawn(self) -> Drawn:
        """What is kept of the pictures.

        Raises:
            DataError: none were taken in.
        """
        return self._taking.drawn()

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


def _labels(store: Store, rows: NDArray[np.int64], classes: Sequence[str]) -> Tensor:
    """Class of each picture, ``(N,)`` int64; -1 where its ``label`` is none of the classes."""
    if not classes:
        return torch.full((len(rows),), -1)
    number = {name: i for i, name in enumerate(classes)}
    names = (store.metadata(int(row)).get("label") for row in rows)
    return torch.tensor([number.get(str(name), -1) for name in names])
