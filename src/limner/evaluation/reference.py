"""Real reference pictures, with the scores of held-out real pictures and of noise.

Every figure comes with two bounds, measured against the same real pictures with the same network:
the upper bound, what held-out real pictures score, and the lower bound, what uniform noise scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.evaluation.real_features import (
    BATCH,
    VERSION,
    FeatureCollector,
    PictureFeatures,
    features_of_rows,
    gaussian_of_rows,
    manifold_of_rows,
    threshold_of_rows,
)
from limner.evaluation.report import Direction, Figure
from limner.metrics.base import Stream
from limner.metrics.diversity import scatter_within
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import (
    Gaussian,
    frechet_distance,
    frechet_replicates,
    gaussian_of,
    kernel_sums,
)
from limner.metrics.inception import SPLITS, inception_score
from limner.metrics.intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_weights,
    mean_interval,
    median_interval,
    share_of_hits,
)
from limner.metrics.manifold import (
    NEAREST,
    NEAREST_DENSE,
    Manifold,
    ManifoldScores,
    manifold,
    manifold_scores,
)
from limner.metrics.memorisation import QUANTILE, Threshold, mosaics_of, nearest_pictures, verdict
from limner.metrics.memorisation import SAMPLES as NEAREST_SAMPLES

SAMPLES = 10_000
NOISE_SAMPLES = 2000
_MOST = 100_000


@dataclass(frozen=True)
class FigureType:
    """One figure that is measured against real pictures.

    Attributes:
        key: in :attr:`DistributionFigures.values`.
        title: name for people.
        description: one sentence.
        direction: whether higher or lower is better; empty where neither is.
        scale: factor for display.
        least: pictures of either side below which the figure says little (``docs/compare.md`` has
            the measurements); of FID it is the number of features, below which the covariance has
            no full rank.
    """

    key: str
    title: str
    description: str
    direction: Direction = ""
    scale: float = 1.0
    least: int = 0


FIGURES = (
    FigureType("fid", "FID", "Fréchet distance of the features; lower is better", "lower"),
    FigureType("kid", "KID × 1000", "unbiased kernel distance; lower is better", "lower", 1000,
               least=100),
    FigureType("precision", "precision", "share of drawn pictures inside the real manifold",
               "higher", least=500),
    FigureType("recall", "recall", "share of real pictures inside the drawn manifold", "higher",
               least=500),
    FigureType("density", "density", "number of real neighbourhoods around a drawn picture over "
               "that expected of a real one", "higher", least=500),
    FigureType("coverage", "coverage", "share of real pictures with a drawn one in their "
               "neighbourhood", "higher", least=500),
    FigureType("inception", "IS", "Inception Score by the classes of the network", "higher",
               least=1000),
    FigureType("accuracy", "accuracy", "share that the network classifies as the class asked for",
               "higher", least=100),
    FigureType("concept_top5", "concept top-5", "concept recall over its upper bound", "higher",
               least=100),
    FigureType("diversity", "diversity", "spread within a class over that of real pictures",
               least=100),
    FigureType("nearest", "nearest", "median distance to the nearest training picture over that of "
               "real pictures", least=100),
    FigureType("memorised", "memorised", "share nearer to a training picture than 99 % of real "
               "pictures", "lower", least=400),
)  # fmt: skip
"""In the order they are shown."""


def spread_within(features: Tensor, asked: Tensor) -> tuple[float, Tensor]:
    """Root mean squared distance from the mean of the own class, pooled over the classes.

    Returns:
        It, and what each picture contributes to its square: ``(N,)``, whose mean it is.
    """
    square, free = scatter_within(features, torch.unique(asked, return_inverse=True)[1])
    spread = (square.sum().item() / free) ** 0.5 if free else 0.0
    return spread, square * len(features) / max(free, 1)


class DistributionFigures(NamedTuple):
    """Figures of some pictures against the real ones.

    Attributes:
        values: key of :data:`FIGURES` -> value; ``count``, how many pictures.
        intervals: the same keys -> 95 % confidence interval over the sampling of pictures.
    """

    values: dict[str, float]
    intervals: dict[str, Interval]


class Reference:
    """Real reference pictures, with their features.

    Args:
        store: what the models were trained on.
        network: extracts features.
        holdout: held-out pictures of the same kind; None to split ``store``,
            one part of which then stands in for them.
        samples: N of everything that is measured against it.
        selection: the part of ``store`` and ``holdout`` that counts as real, and whose captions
            are drawn. Memorised pictures are searched for in all of ``store``.

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
    ) -> None:
        if samples < 10:
            raise UsageError(f"{samples} pictures are too few; measure at least 10")
        self.store, self.network, self.holdout, self.samples = store, network, holdout, samples
        self.selection = selection
        rows = _shuffled(store, selection)[:_MOST]
        features, known = features_of_rows(store, rows, network)
        if holdout is None:
            cut = min(samples, len(rows) // 2)
            other = features[:cut], known[:cut]
            others, source, rows, features = rows[:cut], store, rows[cut:], features[cut:]
        else:
            others, source = _shuffled(holdout, selection)[:samples], holdout
            other = features_of_rows(source, others, network)
        nearest = mosaics_of(source, others[:NEAREST_SAMPLES])
        labels = _labels(source, others, network.classes)
        self._other = PictureFeatures(other[0], labels, other[1], nearest)
        self.count = len(features)
        self.gaussian: Gaussian = gaussian_of_rows(store, rows, network, features)
        self._real = features[:samples]
        self.manifold: Manifold = manifold_of_rows(store, rows[:samples], self._real, network)
        self._spread, _ = spread_within(features, _labels(store, rows, network.classes))
        few = others[:NEAREST_SAMPLES]
        self.threshold: Threshold = threshold_of_rows(store, source, few, nearest)

    @property
    def key(self) -> str:
        """A key that changes whenever the same pictures could score differently."""
        other = self.holdout.fingerprint if self.holdout else ""
        parts = [self.network.fingerprint, self.store.fingerprint, other, self.samples, VERSION]
        if self.selection:
            parts.append(json.dumps(self._selected(), sort_keys=True))
        return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]

    def _selected(self) -> dict[str, Any]:
        filters = {key: list(kept) for key, kept in self.selection.filters.items()}
        chosen = {"filters": filters, "languages": list(self.selection.languages)}
        return {name: value for name, value in chosen.items() if value}

    def overlap(self, drawn: PictureFeatures) -> ManifoldScores:
        """Precision and density of each drawn picture, recall and coverage of each real one."""
        return manifold_scores(self.manifold, manifold(drawn.features[: self.samples]))

    def compare(self, drawn: PictureFeatures, *, intervals: bool = True) -> DistributionFigures:
        """Every figure of some pictures against the real ones.

        Args:
            drawn: their features.
            intervals: whether to estimate them; FID's takes fifty decompositions.
        """
        n, features = len(drawn.features), drawn.features
        overlap, kernel = self.overlap(drawn), kernel_sums(features[: self.samples], self._real)
        spread, squares = spread_within(features, drawn.asked)
        values = {
            "fid": frechet_distance(self.gaussian, gaussian_of(features)),
            "kid": kernel.distance,
            **overlap.means(),
            "diversity": spread / max(self._spread, 1e-12),
            "count": float(n),
        }
        between: dict[str, Interval] = {}
        if intervals:
            replicates = frechet_replicates(self.gaussian, features)
            low, high = bootstrap_interval(values["fid"], replicates)
            between = {
                "fid": (max(0.0, low), high),
                "kid": mean_interval(kernel.influence),
                "density": mean_interval(overlap.density),
                "diversity": bootstrap_interval(
                    values["diversity"],
                    (bootstrap_weights(n) @ squares / n).sqrt() / max(self._spread, 1e-12),
                ),
            }
            between |= {key: share_of_hits(getattr(overlap, key)).interval
                        for key in ("precision", "recall", "coverage")}  # fmt: skip
        if drawn.log_probs.shape[1] and n >= SPLITS:
            values["inception"], spread = inception_score(drawn.log_probs)
            if intervals:  # the published spread is over the parts, of which it is the mean
                reach = 1.96 * spread / SPLITS**0.5
                between["inception"] = (values["inception"] - reach, values["inception"] + reach)
        named = (drawn.asked >= 0) & (drawn.predicted >= 0)
        if bool(named.any()):
            hits = share_of_hits((drawn.asked == drawn.predicted)[named])
            values["accuracy"], between["accuracy"] = hits.value, hits.interval
        return DistributionFigures(values, between)

    def nearness(self, drawn: PictureFeatures) -> DistributionFigures:
        """Distances to the training pictures: ``nearest`` and ``memorised``.

        ``nearest`` is the median distance to the nearest training picture over that of real
        pictures; below 1 is nearer than real pictures come. ``memorised`` is the
        share nearer than all but one in a hundred real pictures; 0.01 is what chance gives.
        """
        distances = nearest_pictures(drawn.mosaics, self.store).distance
        found = verdict(distances, self.threshold)
        return DistributionFigures(
            {"nearest": found.nearest, "memorised": found.memorised.value},
            {
                "nearest": median_interval(distances / max(self.threshold.usual, 1e-12)),
                "memorised": found.memorised.interval,
            },
        )

    @cached_property
    def upper_bound(self) -> dict[str, float]:
        """What held-out real pictures score."""
        found = self.compare(self._other, intervals=False).values
        return {**found, "nearest": 1.0, "memorised": QUANTILE}

    @cached_property
    def lower_bound(self) -> dict[str, float]:
        """What uniform noise scores."""
        rng = torch.Generator().manual_seed(0)
        collector, side = FeatureCollector(self.network), self.store.size
        classes = torch.arange(min(NOISE_SAMPLES, self.samples)) % max(1, len(self.network.classes))
        for asked in torch.split(classes, BATCH):
            images = torch.rand(len(asked), 3, side, side, generator=rng) * 2 - 1
            collector.add(images, asked)
        noise = collector.collected()
        return {**self.compare(noise, intervals=False).values, **self.nearness(noise).values}

    def figures(self, scores: DistributionFigures) -> list[Figure]:
        """The figures of a report, with their bounds, from :meth:`DistributionScore.scores`."""
        count = int(scores.values["count"])
        return [
            Figure(
                key=each.key, title=each.title, description=each.description,
                value=scores.values[each.key], interval=scores.intervals.get(each.key),
                upper_bound=self.upper_bound.get(each.key),
                lower_bound=self.lower_bound.get(each.key),
                direction=each.direction, scale=each.scale,
                count=_measured(each, count),
            )
            for each in FIGURES if each.key in scores.values
        ]  # fmt: skip

    def warnings(self, count: int | None = None) -> tuple[str, ...]:
        """Sentences on figures for which there are too few pictures on either side.

        Args:
            count: pictures that were drawn; None for ``samples``.
        """
        found = []
        count = self.samples if count is None else count
        real = dict.fromkeys(("precision", "recall", "density", "coverage", "kid"), len(self._real))
        real["fid"] = self.count
        for kind in FIGURES:
            least = len(self.gaussian.mean) if kind.key == "fid" else kind.least
            sides = {"drawn": _measured(kind, count), "real": real.get(kind.key, least)}
            short = " and ".join(f"{n:,} {side}" for side, n in sides.items() if n < least)
            if short and kind.key in self.upper_bound:
                found.append(f"{kind.title}: {short} pictures are too few, measure at least "
                             f"{least:,}")  # fmt: skip
        for key in ("precision", "density"):
            noise, bound = self.lower_bound[key], self.upper_bound[key]
            if noise > 0.5 * bound:
                found.append(
                    f"{key} does not tell pictures from noise here (noise scores {noise:.2f}, real "
                    f"pictures {bound:.2f}); read coverage and recall instead"
                )
        return tuple(found)

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
            "upper_bound_samples": len(self._other.features),
            "lower_bound_samples": min(NOISE_SAMPLES, self.samples),
            "samples": self.samples,
            "k_precision_recall": NEAREST,
            "k_density_coverage": NEAREST_DENSE,
            "nearest_samples": min(NEAREST_SAMPLES, self.samples),
        }

    def prompts(self, count: int) -> list[str]:
        """The heaviest captions of ``count`` pictures of the store, in a fixed random order."""
        return self.captioned(count)[1]

    def captioned(self, count: int) -> tuple[list[int], list[str]]:
        """The pictures of :meth:`prompts` and the prompts; both repeat where they run out.

        Raises:
            DataError: no picture has a caption that counts.
        """
        table = self.store.caption_table()
        order = np.random.default_rng([1, 77]).permutation(len(self.store))
        captioned = order[np.isin(order, self.selection.rows(self.store))]
        if not len(captioned):
            raise DataError(f"no picture of the store {self.store.path} has a caption")
        weight = np.where(self.selection.caption_mask(table), table.weight, -np.inf)
        rows: list[int] = np.resize(captioned, count).tolist()
        best: list[str] = []
        for row in rows:
            first, last = table.offsets[row], table.offsets[row + 1]
            heaviest = first + int(weight[first:last].argmax())
            best.append(table.texts[table.text_index[heaviest]])
        return rows, best

    def classes_of(self, captions: Sequence[str]) -> dict[str, int]:
        """Caption -> the class most of its pictures are of; -1 where they are of none."""
        names = {name: number for number, name in enumerate(self.network.classes)}
        if not names:
            return dict.fromkeys(captions, -1)
        table = self.store.caption_table()
        rows = np.arange(len(self.store))
        labels = _labels(self.store, rows, self.network.classes).numpy()
        votes = np.zeros((len(table.texts), len(names) + 1))
        np.add.at(votes, (table.text_index, labels.repeat(np.diff(table.offsets))), 1)
        most = np.where(votes[:, :-1].any(1), votes[:, :-1].argmax(1), -1)
        owner = dict(zip(table.texts, most.tolist(), strict=True))
        return {caption: owner.get(caption, -1) for caption in captions}


class DistributionScore(Stream):
    """FID, KID, precision, recall, density, coverage and more over a stream of pictures.

    Args:
        reference: real pictures.
        captions: every caption that will come.
    """

    def __init__(self, reference: Reference, captions: Sequence[str]) -> None:
        self.reference = reference
        self._classes = reference.classes_of(list(dict.fromkeys(captions)))
        self._collector = FeatureCollector(reference.network)

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        self._collector.add(images, torch.tensor([self._classes[text] for text in captions]))

    def compute(self) -> dict[str, float]:
        """The values of :meth:`scores`, without the work for intervals."""
        return self.scores(intervals=False).values

    def scores(self, *, nearness: bool = True, intervals: bool = True) -> DistributionFigures:
        """Everything that can be measured, with intervals.

        Raises:
            DataError: too few pictures.
        """
        drawn = self._collector.collected()
        values, between = self.reference.compare(drawn, intervals=intervals)
        near = self.reference.nearness(drawn) if nearness else DistributionFigures({}, {})
        return DistributionFigures({**values, **near.values}, {**between, **near.intervals})

    def per_picture(self) -> dict[str, Tensor]:
        """``precision`` and ``density`` of each picture, and ``nearest`` of the first 2,000.

        Also ``accuracy``, 1 or 0, where the network has classes. ``(N,)`` each.
        """
        drawn = self._collector.collected()
        overlap = self.reference.overlap(drawn)
        found = {
            "precision": overlap.precision.float(),
            "density": overlap.density,
            "nearest": nearest_pictures(drawn.mosaics, self.reference.store).distance,
        }
        if self.reference.network.classes:
            found["accuracy"] = (drawn.asked == drawn.predicted).float()
        return found

    def per_class(self) -> dict[str, float]:
        """Class name -> share of the pictures asked to show it that do; empty without classes."""
        drawn, found = self._collector.collected(), {}
        for number, name in enumerate(self.reference.network.classes):
            mine = drawn.asked == number
            if bool(mine.any()):
                found[name] = (drawn.predicted[mine] == number).double().mean().item()
        return found


def _measured(kind: FigureType, count: int) -> int:
    """Pictures behind a figure: fewer where each takes a search through the store."""
    return min(count, NEAREST_SAMPLES) if kind.key in ("nearest", "memorised") else count


def _shuffled(store: Store, selection: Selection) -> NDArray[np.int64]:
    """The pictures that count, in a fixed random order: the first ones are a fair sample."""
    rows = selection.rows(store) if selection else np.arange(len(store))
    if len(rows) < 20:
        raise DataError(f"the store {store.path} holds {len(rows)} pictures; 20 are needed")
    return rows[np.random.default_rng(0).permutation(len(rows))]


def _labels(store: Store, rows: NDArray[np.int64], classes: Sequence[str]) -> Tensor:
    """Class of each picture, ``(N,)`` int64; -1 where its ``label`` is none of the classes."""
    if not classes:
        return torch.full((len(rows),), -1)
    number = {name: i for i, name in enumerate(classes)}
    names = (store.metadata(int(row)).get("label") for row in rows)
    return torch.tensor([number.get(str(name), -1) for name in names])
