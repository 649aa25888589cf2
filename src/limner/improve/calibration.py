"""Options of drawing chosen by measured quality and speed.

One option after the other is tried at a few values, the others as they were chosen before. Half of
the pictures that are given choose; the chosen values and the model's own are compared on the other
half, with other prompts and seeds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from limner.data.store import Store
from limner.errors import DataError, UsageError
from limner.evaluation.drawing import BATCH, draw_batches
from limner.evaluation.part import trained_selection
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.metrics.consistency import Consistency
from limner.metrics.features import FeatureNetwork, features_for, load_features
from limner.metrics.frechet import Gaussian, frechet_distance, frechet_replicates, gaussian_of
from limner.metrics.manifold import Manifold, manifold, manifold_scores
from limner.metrics.memorisation import pixels
from limner.models.settings import CALIBRATED, Settings, capability_of
from limner.progress import Meter

if TYPE_CHECKING:
    from limner.vision.aligner import Aligner

GRIDS: Mapping[str, tuple[float, ...]] = {
    "guidance": (1.0, 1.5, 2.0, 3.0, 4.5, 7.0),
    "temperature": (0.5, 0.7, 0.85, 1.0, 1.15),
    "top_p": (0.7, 0.85, 0.95, 1.0),
    "truncation": (0.6, 0.7, 0.8, 0.9),
    "variety": (0.0, 0.2, 0.4, 0.6, 0.8),
    "steps": (2, 4, 8, 16, 32),
}
"""Values that are tried, besides the model's own; in this order."""
LEAST, SAMPLES = 24, 256
"""Pictures of each half: at least, and at most unless asked otherwise."""
_TOLERANCE = 0.02
"""Share of the Fréchet distance by which settings may be worse than the best and still count as as
good; of those, the fastest are chosen."""
_FASTER = 0.9
"""Settings count as faster than the model's own where they take this share of the time or less."""
_WORSE_WINS, _WORSE_RECALL = 0.01, 0.05
"""By how much the win rate and the recall may fall below those of the model's own settings."""
_CHANCE = 2.0
"""Times as much they may fall on the measuring half, where what was chosen has had no luck."""
_MEASURED_SEEDS = 1_000_000
_WARM = 2
"""Pictures that are drawn before time is taken."""


class Measured(BaseModel):
    """What was measured of some settings on one half of the pictures.

    Attributes:
        settings: that differ from the model's own.
        frechet: squared Fréchet distance to the real pictures of the half; lower is better.
        interval: of it, 95 %, by resampling the drawn pictures; only of the measuring half.
        precision: share of drawn pictures inside the manifold of real ones.
        recall: share of real pictures inside that of drawn ones.
        win_rate: how often a picture fits its own prompt better than another one, by the aligner;
            None without an aligner.
        milliseconds: a picture takes, drawn many at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, float]
    frechet: float
    interval: tuple[float, float] | None = None
    precision: float
    recall: float
    win_rate: float | None
    milliseconds: float

    @property
    def name(self) -> str:
        """The settings in a few words."""
        said = (f"{name} {value:g}" for name, value in self.settings.items())
        return ", ".join(said) or "the model's own"


class Trial(BaseModel):
    """One option's values, measured on the choosing half.

    Attributes:
        option: that was varied.
        tried: its values, the one that was chosen before first.
        chosen: number of the one that was taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: str
    tried: tuple[Measured, ...]
    chosen: int


class Calibration(BaseModel):
    """What was tried, chosen and measured.

    Attributes:
        model: name of the model.
        model_hash: of its file.
        family: of the model.
        store: name of the store of real pictures.
        store_fingerprint: of it.
        trained_on_store: whether the model learned from that store.
        judge: the feature network, with its fingerprint.
        aligner: the judge of agreement, with its fingerprint; empty for none.
        samples: pictures of each half.
        trials: in order, on the choosing half.
        defaults: what was chosen; empty where nothing was better than the model's own.
        before: the model's own settings on the measuring half.
        after: the chosen ones there; the same where nothing was chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    model_hash: str
    family: str
    store: str
    store_fingerprint: str
    trained_on_store: bool
    judge: str
    aligner: str
    samples: int
    trials: tuple[Trial, ...]
    defaults: dict[str, float]
    before: Measured
    after: Measured

    @property
    def gain(self) -> float:
        """Share of the Fréchet distance that is gained on the measuring half; below 0 if lost."""
        return 1 - self.after.frechet / self.before.frechet if self.before.frechet else 0.0

    @property
    def helps(self) -> bool:
        """Whether the chosen settings are no worse there, and better or faster."""
        if not self.defaults:
            return False
        if not fits(self.after, self.before, _CHANCE):
            return False
        faster = self.after.milliseconds <= _FASTER * self.before.milliseconds
        return self.gain > 0 or (faster and self.gain >= -_TOLERANCE)


@dataclass(frozen=True)
class _Half:
    """Some real pictures with their captions, and what the judge sees in them.

    Attributes:
        prompts: N captions.
        gaussian: of the real pictures' features.
        manifold: of the same.
        first_seed: picture i is drawn with this seed and i.
    """

    prompts: Sequence[str]
    gaussian: Gaussian
    manifold: Manifold
    first_seed: int


@dataclass
class Calibrator:
    """Tries options of one model.

    Args:
        generator: draws. Its own defaults are what settings are compared with.
        store: real pictures with captions, of which the model should know none.
        samples: pictures of each half at most.
        features: spec of the feature network.
        aligner: judges agreement with the prompts; None for no such judge.
        meter: shows how many pictures were drawn.

    Raises:
        DataError: the store has too few pictures with captions.
    """

    generator: Generator
    store: Store
    samples: int = SAMPLES
    features: str = "auto"
    aligner: Aligner | None = None
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        if self.samples < LEAST:
            raise UsageError(f"{self.samples} pictures are too few to measure; use {LEAST} or more")
        rows = _captioned(self.generator, self.store)
        if len(rows) < 2 * LEAST:
            raise DataError(
                f"the store {self.store.path} has {len(rows)} pictures with captions, and "
                f"calibrating takes {2 * LEAST} or more: half to choose, half to measure"
            )
        count = min(self.samples, len(rows) // 2)
        self._network = load_features(features_for(self.store, self.features))
        self._choosing = self._half(rows[:count], 0)
        self._measuring = self._half(rows[count : 2 * count], _MEASURED_SEEDS)

    def options(self, named: Sequence[str] | None = None) -> list[str]:
        """The options that the model takes and that are worth trying.

        Args:
            named: those asked for; None for all.

        Raises:
            UsageError: one of them is none that can be calibrated.
            CapabilityError: the model does not take one of them.
        """
        for name in named or ():
            if name not in CALIBRATED:
                raise UsageError(
                    f"{name!r} cannot be calibrated; choose among: {', '.join(CALIBRATED)}"
                )
            self.generator.check_settings(Settings(**{name: GRIDS[name][0]}))
        return [name for name in CALIBRATED if name in named] if named else [
            name for name in CALIBRATED if self._takes(name)
        ]  # fmt: skip

    def _takes(self, name: str) -> bool:
        model = self.generator.model
        if name == "variety":  # others bend their drawings by it, which can only cost quality
            return model.draws_training_pictures
        return capability_of(name) in model.capabilities

    def calibrate(self, options: Sequence[str] | None = None) -> Calibration:
        """Choose on one half, measure on the other.

        Args:
            options: names of those that are tried; None for all that the model takes.
        """
        names = self.options(options)
        tries = 2 + 1 + sum(len(GRIDS[name]) for name in names)
        self.meter.total = tries * len(self._choosing.prompts)
        own = best = self._measure({}, self._choosing)
        trials = []
        for name in names:
            tried = [best]
            tried += [
                self._measure({**best.settings, name: value}, self._choosing)
                for value in GRIDS[name]
                if value != best.settings.get(name, self._own(name))
            ]
            number = choose(tried, own)
            best = tried[number]
            trials.append(Trial(option=name, tried=tuple(tried), chosen=number))
        before = self._measure({}, self._measuring, interval=True)
        after = before
        if best.settings:
            after = self._measure(best.settings, self._measuring, interval=True)
        generator, network, info = self.generator, self._network, self.generator.info
        return Calibration(
            model=generator.name, model_hash=generator.hash, family=info.family,
            store=self.store.name, store_fingerprint=self.store.fingerprint,
            trained_on_store=info.trained_on(
                self.store.fingerprint, self.store.name, self.store.licences
            ),
            judge=f"{network.spec} {network.fingerprint}",
            aligner="" if self.aligner is None else self.aligner.fingerprint,
            samples=len(self._choosing.prompts), trials=tuple(trials), defaults=best.settings,
            before=before, after=after,
        )  # fmt: skip

    def _own(self, name: str) -> float | None:
        """The value that the model takes by itself, where it says so."""
        value = getattr(self.generator.defaults, name)
        if value is None:
            value = getattr(self.generator.model.config, name, None)
        return None if value is None else float(value)

    def _half(self, rows: NDArray[np.int64], first_seed: int) -> _Half:
        table = self.store.caption_table()
        texts = table.heaviest()
        seen = torch.cat([
            self._network.extract(pixels(self.store, rows[start : start + BATCH])).features
            for start in range(0, len(rows), BATCH)
        ])  # fmt: skip
        prompts = [table.texts[texts[row]] for row in rows.tolist()]
        return _Half(prompts, gaussian_of(seen), manifold(seen), first_seed)

    def _measure(
        self, settings: Mapping[str, float], half: _Half, *, interval: bool = False
    ) -> Measured:
        """Draw the captions of a half, and compare with its pictures."""
        given: Any = {k: int(v) if k == "steps" else v for k, v in settings.items()}
        requests = [
            DrawRequest(prompt, half.first_seed + number, Settings(**given))
            for number, prompt in enumerate(half.prompts)
        ]
        for _ in self.generator.draw(requests[:_WARM]):
            pass
        agreement = None if self.aligner is None else Consistency(self.aligner)
        features: list[Tensor] = []
        seconds, began = 0.0, time.perf_counter()
        for images, drawn in draw_batches(self.generator, requests):
            seconds += time.perf_counter() - began
            features.append(_extracted(self._network, images))
            if agreement is not None:
                agreement.update(images, [each.prompt for each in drawn])
            self.meter.advance(len(images))
            began = time.perf_counter()
        seen = torch.cat(features)
        scores = manifold_scores(half.manifold, manifold(seen)).means()
        spread = None
        if interval:
            near = sorted(frechet_replicates(half.gaussian, seen))
            error = float(np.std(near))
            middle = frechet_distance(half.gaussian, gaussian_of(seen))
            spread = (max(0.0, middle - 1.96 * error), middle + 1.96 * error)
        return Measured(
            settings=dict(settings),
            frechet=frechet_distance(half.gaussian, gaussian_of(seen)), interval=spread,
            precision=scores["precision"], recall=scores["recall"],
            win_rate=None if agreement is None else agreement.compute()["win_rate"],
            milliseconds=1000 * seconds / len(requests),
        )  # fmt: skip


def fits(each: Measured, own: Measured, slack: float = 1.0) -> bool:
    """Whether settings agree with prompts, and cover the real pictures, about as the own ones do.

    Args:
        each: the settings.
        own: the model's own ones on the same pictures.
        slack: times as much as usual they may fall behind.
    """
    if not math.isfinite(each.frechet) or each.recall < own.recall - slack * _WORSE_RECALL:
        return False
    if each.win_rate is None or own.win_rate is None:
        return True
    return each.win_rate >= own.win_rate - slack * _WORSE_WINS


def choose(tried: Sequence[Measured], own: Measured) -> int:
    """The number of the settings that are taken.

    Settings whose win rate or recall is clearly below that of the model's own are left out. Among
    the others, those within 2 % of the least Fréchet distance count as equally good, and the
    fastest of them is taken; the first, which is what was chosen before, unless another is at least
    a tenth faster, or the first is not among them.

    Args:
        tried: what was chosen before, then other values.
        own: the model's own settings on the same pictures.
    """
    fit = [
        number for number, each in enumerate(tried) if number == 0 or fits(each, own)
    ]  # fmt: skip
    least = min(tried[number].frechet for number in fit)
    good = [number for number in fit if tried[number].frechet <= (1 + _TOLERANCE) * least]
    fastest = min(tried[number].milliseconds for number in good)
    quick = [number for number in good if _FASTER * tried[number].milliseconds <= fastest]
    if 0 in quick:
        return 0
    return min(quick, key=lambda number: tried[number].frechet)


def _extracted(network: FeatureNetwork, images: Tensor) -> Tensor:
    return network.extract(images).features


def _captioned(generator: Generator, store: Store) -> NDArray[np.int64]:
    """The pictures that count, in a fixed random order."""
    order = np.random.default_rng([3, 61]).permutation(len(store))
    rows = trained_selection(generator.info, store).rows(store)
    found: NDArray[np.int64] = order[np.isin(order, rows)]
    return found
