"""FID of 10,000 pictures: ours and torchmetrics', by the same network on the same pictures.

``limner bench --run fid`` measures, on Fashion-MNIST and on icons,

* torchmetrics' own path: ``FrechetInceptionDistance(feature=network)`` extracts the features of
  the real and of the drawn pictures, in every evaluation;
* the same with ``reset_real_features=False``, which keeps the real side inside one process;
* ours with an empty cache; and
* ours as it is from the second evaluation of a store on, the real side read from limner's cache.

Real are all pictures of the store, as in ``limner compare`` and ``limner evaluate``, and once more
as many as were drawn. Test pictures, and icons in other colours, stand in for drawn ones: what is
measured is not the drawing. Repetitions alternate, medians are compared. The last figures are of
the sums alone, without any network, for features as wide as Inception's.
``LIMNER_FID_THREADS`` (1), ``LIMNER_FID_REPEATS`` (3), ``LIMNER_FASHION``, ``LIMNER_FASHION_TEST``
and ``LIMNER_ICONS`` change it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from evaluate import colours, icons
from fashion import clothes
from limner.arrays import Indices
from limner.data.store import Store
from limner.evaluation.real_features import gaussian_of_rows
from limner.metrics.features import FeatureNetwork, load_features
from limner.metrics.frechet import FrechetScore, frechet_distance, gaussian_of
from limner.metrics.memorisation import pixels

COUNT = 10_000
BATCH = 256
WIDE = 2048
GOAL, EQUAL = 3.0, 1e-4


class Module(nn.Module):
    """A feature network as torchmetrics takes one."""

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.extract(torch.zeros(1, 3, 28, 28)).features.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to ``(B, D)``."""
        return self.network.extract(images).features


class Passing(nn.Module):
    """Features that are there already."""

    num_features = WIDE

    def forward(self, features: Tensor) -> Tensor:
        """They are what they are."""
        return features


def some(store: Store, count: int) -> Indices:
    """The first pictures of a store, over again where it runs out."""
    return np.resize(np.arange(len(store), dtype=np.int64), count)


def batches(store: Store, rows: Indices) -> Iterator[Tensor]:
    """Pictures of a store, a few at a time."""
    for start in range(0, len(rows), BATCH):
        yield pixels(store, rows[start : start + BATCH])


@contextmanager
def cache(folder: Path) -> Iterator[None]:
    """Keep what is remembered in a folder of its own."""
    before = os.environ.get("LIMNER_CACHE")
    os.environ["LIMNER_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["LIMNER_CACHE"]
        else:
            os.environ["LIMNER_CACHE"] = before


class BothSides:
    """Both implementations on the same pictures.

    Args:
        network: extracts features for both.
        real: store of the real pictures, and which of them.
        drawn: the same of those that stand in for drawn ones.
    """

    def __init__(
        self, network: FeatureNetwork, real: tuple[Store, Indices], drawn: tuple[Store, Indices]
    ) -> None:
        self.network, self.real, self.drawn = network, real, drawn
        self.kept = FrechetInceptionDistance(feature=Module(network), reset_real_features=False)

    def torchmetrics(self) -> float:
        """Both sides, by torchmetrics."""
        metric = FrechetInceptionDistance(feature=Module(self.network))
        for images in batches(*self.real):
            metric.update(images, real=True)
        for images in batches(*self.drawn):
            metric.update(images, real=False)
        return float(metric.compute())

    def torchmetrics_again(self) -> float:
        """The drawn side, the real one being kept from before."""
        self.kept.reset()
        for images in batches(*self.drawn):
            self.kept.update(images, real=False)
        return float(self.kept.compute())

    def ours(self) -> float:
        """The drawn side, and the real one where the cache lacks it."""
        score = FrechetScore(gaussian_of_rows(*self.real, self.network), self.network)
        for images in batches(*self.drawn):
            score.update(images)
        return score.compute()["fid"]


def timed(work: Callable[[], float], found: list[float]) -> float:
    """What came out; the seconds it took are appended."""
    start = time.perf_counter()
    value = work()
    found.append(time.perf_counter() - start)
    return value


def timings(name: str, both: BothSides, repeats: int, goal: float | None) -> dict[str, Any]:
    """Figures of one comparison."""
    seconds: dict[str, list[float]] = {k: [] for k in ("theirs", "kept", "fresh", "cached")}
    apart = 0.0
    for images in batches(*both.real):
        both.kept.update(images, real=True)
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder, cache(Path(folder)):
            theirs = timed(both.torchmetrics, seconds["theirs"])
            fresh = timed(both.ours, seconds["fresh"])
            kept = timed(both.torchmetrics_again, seconds["kept"])
            cached = timed(both.ours, seconds["cached"])
        apart = max(apart, *(abs(theirs - each) for each in (fresh, kept, cached)))
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    titles = {
        "theirs": "torchmetrics", "kept": "torchmetrics, real side kept in the process",
        "fresh": "ours, cache empty", "cached": "ours, real side cached",
    }  # fmt: skip
    figures: dict[str, Any] = {
        f"{name}: {title}": {"value": middle[key], "unit": "s", "better": "lower"}
        for key, title in titles.items()
    }
    figures[f"{name}: times as fast"] = {
        "value": middle["theirs"] / middle["cached"], "goal": goal, "better": "higher",
    }  # fmt: skip
    figures[f"{name}: times as fast, cache empty"] = {
        "value": middle["theirs"] / middle["fresh"], "better": "higher",
    }  # fmt: skip
    figures[f"{name}: difference"] = {"value": apart, "goal": EQUAL, "better": "lower"}
    return figures


def sums(repeats: int) -> dict[str, Any]:
    """The same of features that are there already: means, covariances, roots."""
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(WIDE, WIDE, generator=rng) / WIDE**0.5
    real = torch.randn(COUNT, WIDE, generator=rng) @ mix
    drawn = 1.1 * torch.randn(COUNT, WIDE, generator=rng) @ mix + 0.01

    def theirs() -> float:
        metric = FrechetInceptionDistance(feature=Passing())
        for part in torch.split(real, BATCH):
            metric.update(part, real=True)
        for part in torch.split(drawn, BATCH):
            metric.update(part, real=False)
        return float(metric.compute())

    known = gaussian_of(real)
    seconds: dict[str, list[float]] = {"theirs": [], "ours": [], "cached": []}
    apart = 0.0
    for _ in range(repeats):
        wanted = timed(theirs, seconds["theirs"])
        fresh = timed(lambda: frechet_distance(gaussian_of(real), gaussian_of(drawn)),
                      seconds["ours"])  # fmt: skip
        assert known.root is not None  # worked out before the clock starts
        cached = timed(lambda: frechet_distance(known, gaussian_of(drawn)), seconds["cached"])
        apart = max(apart, abs(wanted - fresh) / wanted, abs(wanted - cached) / wanted)
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    name = f"{WIDE} features, no network"
    return {
        f"{name}: torchmetrics": {"value": middle["theirs"], "unit": "s"},
        f"{name}: ours, cache empty": {"value": middle["ours"], "unit": "s"},
        f"{name}: ours, real side cached": {"value": middle["cached"], "unit": "s"},
        f"{name}: times as fast": {
            "value": middle["theirs"] / middle["cached"], "better": "higher",
        },
        f"{name}: relative difference": {"value": apart, "goal": EQUAL, "better": "lower"},
    }  # fmt: skip


def run() -> dict[str, Any]:
    """Measure."""
    torch.set_num_threads(int(os.environ.get("LIMNER_FID_THREADS", "1")))
    repeats = int(os.environ.get("LIMNER_FID_REPEATS", "3"))
    train, test, store = clothes("train"), clothes("test"), icons()
    other = colours(store)
    fashion, judge = load_features("fashion"), load_features("judge")
    clothed, painted = (test, some(test, COUNT)), (other, some(other, COUNT))
    cases = {
        f"clothes, {len(train):,} real": (
            BothSides(fashion, (train, some(train, len(train))), clothed), GOAL
        ),
        f"clothes, {COUNT:,} real": (
            BothSides(fashion, (train, some(train, COUNT)), clothed), None
        ),
        f"icons, {len(store):,} real": (
            BothSides(judge, (store, some(store, len(store))), painted), None
        ),
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, (both, goal) in cases.items():
        figures |= timings(name, both, repeats, goal)
    figures |= sums(repeats)
    return {
        "figures": figures,
        "headline": f"clothes, {len(train):,} real: times as fast",
        "drawn": COUNT,
        "batch": BATCH,
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "networks": {each.spec: each.fingerprint for each in (fashion, judge)},
        "goal": "is that of the protocol: drawn pictures against all of a store",
    }
