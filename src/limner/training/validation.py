"""Validation on held-out pictures during a run, and early stopping by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

from limner.models.base import Batch, Model
from limner.models.image_model import ImageModel
from limner.models.rows import SampleRequest
from limner.models.settings import Capability
from limner.models.words import TunedModel
from limner.text.bulk import FeatureTable
from limner.training.data import BatchLoader, Pictures
from limner.training.logs import numbers
from limner.training.recipe import AugmentSection, Recipe, StopSection
from limner.vision.aligner import Aligner

_SEED = 1_000_003
"""Of the held-out batches and their noise: the same in every run, whatever the run's own seed."""


@dataclass(frozen=True)
class ValidationPass:
    """What a validation metric is computed from.

    Attributes:
        model: the averaged weights, in eval mode.
        batches: held-out pictures, each once.
        losses: mean of every named loss on them, with the same noise in every pass.
        weights: base factors of the losses, from the recipe.
    """

    model: Model
    batches: Sequence[Batch]
    losses: Mapping[str, float]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class ValidationMetric:
    """A figure of a model on held-out pictures.

    Attributes:
        measure: computes it.
        higher: whether higher values are better.
        needs: the capability that a family must have.
    """

    measure: Callable[[ValidationPass], float]
    higher: bool
    needs: Capability | None = None


METRICS: dict[str, ValidationMetric] = {}
"""Every metric that ``train.stop.metric`` may name, besides ``loss/NAME``."""


_Measure: TypeAlias = Callable[[ValidationPass], float]


def metric(
    name: str, *, higher: bool = False, needs: Capability | None = None
) -> Callable[[_Measure], _Measure]:
    """Register a function in :data:`METRICS`.

    Args:
        name: value of ``train.stop.metric`` that selects it.
        higher: whether higher values are better.
        needs: the capability that a family must have.

    Raises:
        ValueError: the name is taken.
    """

    def register(measure: _Measure) -> _Measure:
        if name in METRICS:
            raise ValueError(f"there is a validation metric {name!r} already")
        METRICS[name] = ValidationMetric(measure, higher, needs)
        return measure

    return register


@metric("loss")
def weighted_loss(found: ValidationPass) -> float:
    """The sum of the losses of all optimizer groups, each times its base factor."""
    return sum(found.weights.get(name, 1.0) * value for name, value in found.losses.items())


@metric("psnr", higher=True, needs=Capability.RECONSTRUCT)
def psnr(found: ValidationPass) -> float:
    """Peak signal-to-noise ratio of reconstructions in decibels, range 2: 10 log10(4 / mse)."""
    errors = [(found.model.reconstruct(b.images) - b.images).square().mean() for b in found.batches]
    mse = _mean(errors, [len(b.images) for b in found.batches])
    return 10 * math.log10(4 / max(mse, 1e-12))


@metric("likelihood", higher=True, needs=Capability.LIKELIHOOD)
def likelihood(found: ValidationPass) -> float:
    """Mean log p(picture | text) per pixel value, nats."""
    values = [
        found.model.log_likelihood(b.images, b.text, b.styles).mean() / b.images[0].numel()
        for b in found.batches
    ]
    return _mean(values, [len(b.images) for b in found.batches])


@metric("match", higher=True, needs=Capability.GENERATE)
def match(found: ValidationPass) -> float:
    """Mean cosine of drawn pictures with the captions they are drawn from, by the shipped aligner.

    The seeds are the same in every pass.
    """
    assert isinstance(found.model, ImageModel)
    device = next(found.model.parameters()).device
    aligner, values = _shipped_aligner(device.type), list[Tensor]()
    for number, batch in enumerate(found.batches):
        seeds = [_SEED + 1000 * number + row for row in range(len(batch.images))]
        drawn = found.model.sample(SampleRequest(batch.text, seeds))
        vectors = aligner.encode_images(drawn.cpu()), aligner.encode_texts(batch.captions)
        values.append((vectors[0] * vectors[1]).sum(1).mean())
    return _mean(values, [len(batch.images) for batch in found.batches])


@cache
def _shipped_aligner(device: str) -> Aligner:
    """The shipped aligner, loaded once in a run."""
    from limner.reading.aligner import load_aligner

    return load_aligner(device=device)


def _mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    total = sum(v * n for v, n in zip(numbers(values), counts, strict=True))
    return total / sum(counts)


def find_metric(name: str, model: Model, recipe: Recipe) -> ValidationMetric:
    """The metric that a recipe names; ``loss/NAME`` is a single loss.

    Raises:
        RecipeError: there is no such metric, or the family lacks the capability that it needs.
    """
    part = name.removeprefix("loss/")
    if part != name:
        return ValidationMetric(lambda found: found.losses.get(part, math.inf), higher=False)
    able = {n for n, m in METRICS.items() if m.needs is None or m.needs in model.capabilities}
    if name not in able:
        why = "the family cannot be measured by" if name in METRICS else "there is no"
        known = ", ".join(sorted(able))
        raise recipe.error("train.stop.metric", f"{why} {name!r}; choose from: {known}, loss/NAME")
    return METRICS[name]


class Validator:
    """Measures a model on held-out pictures.

    Args:
        pictures: the held-out pictures.
        table: features of their texts.
        recipe: gives batch size, loss weights and ``train.stop``.
        device: of the batches.
        channels_last: memory layout of the pictures.
    """

    def __init__(
        self,
        pictures: Pictures,
        table: FeatureTable,
        recipe: Recipe,
        device: torch.device,
        *,
        channels_last: bool,
    ) -> None:
        self.section, self.recipe = recipe.validation, recipe
        plain = recipe.data.model_copy(update={"flip": False, "augment": AugmentSection()})
        count = min(len(pictures), self.section.pictures)
        size = min(count, recipe.train.batch_size // recipe.train.accumulate)
        self.count = max(1, count // size)
        self.loader = BatchLoader(
            pictures, table, plain,
            batch_size=size, seed=_SEED, device=device, channels_last=channels_last,
        )  # fmt: skip

    def measure(self, model: Model, progress: float) -> dict[str, float]:
        """The metric of the recipe, the weighted loss and every loss, by name.

        Args:
            model: the averaged weights; its size is that of the pictures it is measured on.
            progress: share of the budget spent, for families that train in stages.
        """
        metric = find_metric(self.section.metric, model, self.recipe)
        self.loader.pictures = replace(self.loader.pictures, size=model.config.size)
        batches = list(self._batches(model, progress))
        losses = self._losses(model, batches)
        if isinstance(model, TunedModel):
            batches = [model.understand(batch) for batch in batches]
        found = ValidationPass(model, batches, losses, self.recipe.weights)
        with torch.no_grad():
            value = metric.measure(found)
        figures = {"loss": weighted_loss(found), **{f"loss/{n}": v for n, v in losses.items()}}
        return {**figures, self.section.metric: value}

    def _batches(self, model: Model, progress: float) -> Iterator[Batch]:
        for number in range(self.count):
            batch = self.loader.batch(number, ahead=False)
            batch.generator.manual_seed(_SEED + number)
            # Families cache by index what they computed of training pictures.
            yield model.understand(replace(batch, indices=None, progress=progress))

    def _losses(self, model: Model, batches: Sequence[Batch]) -> dict[str, float]:
        sums: dict[str, Tensor] = {}
        for group in model.optimizer_groups:
            for number, batch in enumerate(batches):
                torch.manual_seed(_SEED + number)
                # With gradients, because a loss may contain some (R1); no backward pass follows.
                for name, value in model.losses(batch, group).items():
                    share = value.detach().double() / len(batches)
                    sums[name] = sums[name] + share if name in sums else share
        return dict(zip(sums, numbers(list(sums.values())), strict=True))


@dataclass
class EarlyStopping:
    """When to validate, and whether the metric still improves.

    Attributes:
        best: best value of the metric; None before the first validation.
        best_step: step of that value.
        bad: validations since then.
        marks: number of ``every`` shares of the budget at the last validation.
        seconds: training time of the last validation.
        last: step of the last validation, -1 before it.
    """

    best: float | None = None
    best_step: int = 0
    bad: int = 0
    marks: int = 0
    seconds: float = 0.0
    last: int = -1

    def due(
        self,
        section: StopSection,
        step: int,
        progress: float,
        elapsed: float,
        *,
        last: bool = False,
    ) -> bool:
        """Whether to validate after ``step`` updates; at the end unless it was just done.

        Args:
            section: ``train.stop`` of the recipe.
            step: updates done.
            progress: share of the budget spent, in [0, 1].
            elapsed: seconds of training.
            last: whether the run ends here.
        """
        if last:
            return self.last != step
        if progress < section.after:
            return False
        if section.every_steps is not None:
            return step % section.every_steps == 0
        if section.every_minutes is not None:
            return elapsed - self.seconds >= section.every_minutes * 60
        # The tiny share added: 20 times 0.05 must reach 1.
        return math.floor(progress / section.every + 1e-9) > self.marks

    def validated(self, section: StopSection, step: int, progress: float, elapsed: float) -> None:
        """Note that a validation has been done."""
        self.last, self.seconds = step, elapsed
        self.marks = math.floor(progress / section.every + 1e-9)

    def improved(self, value: float, step: int, *, higher: bool, least: float) -> bool:
        """Compare a value of the metric with the best so far; whether it is better.

        Args:
            value: of the metric.
            step: at which it was measured.
            higher: whether higher values are better.
            least: smallest gain that counts.
        """
        gain = math.inf
        if self.best is not None:
            gain = (value - self.best) if higher else (self.best - value)
        if math.isfinite(value) and gain > least:
            self.best, self.best_step, self.bad = value, step, 0
            return True
        self.bad += 1
        return False

    def reset(self) -> None:
        """Forget the best value, because values from now on do not compare with it."""
        self.best, self.bad = None, 0

    def should_stop(self, section: StopSection) -> bool:
        """Whether the last ``patience`` validations brought no gain."""
        return section.patience is not None and self.bad >= section.patience
