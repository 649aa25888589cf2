"""Pictures kept apart from learning, and what is measured on them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.store import CaptionTable
from limner.errors import RecipeError
from limner.models.base import Batch, Capability, ImageModel
from limner.models.words import TunedModel
from limner.text.bulk import FeatureTable
from limner.training.data import Feeder, Pictures
from limner.training.recipe import Augment, HoldoutSection, Recipe, StopSection

_MANY_CONCEPTS = 100
_SEED = 1_000_003
"""Of the held-out batches and their noise: the same in every run, whatever its own seed."""


def split(pictures: Pictures, section: HoldoutSection, source: str) -> tuple[Pictures, Pictures]:
    """Pictures to learn from, and pictures kept apart.

    What is kept apart is decided by a hash of each concept (or of each picture's place in its
    store), so that it is the same in every run on the same data.

    Args:
        pictures: all of them.
        section: the recipe's ``data.holdout``.
        source: the recipe's file, for messages.

    Returns:
        Both with the same table of texts, so that features of the whole serve both.

    Raises:
        RecipeError: there is no concept to go by, or nothing would be left to learn from.
    """
    keys = _keys(pictures, section, source)
    unique = sorted(dict.fromkeys(keys), key=_hash)
    share = max(1, round(section.share * len(unique)))
    apart = set(unique[:share])
    if share >= len(unique):
        raise RecipeError(
            f"{source}: data.holdout: a share of {section.share:g} of {len(unique)} "
            f"{section.by} keys would leave nothing to learn from"
        )
    held = np.array([key in apart for key in keys])
    return take(pictures, np.flatnonzero(~held)), take(pictures, np.flatnonzero(held))


def _keys(pictures: Pictures, section: HoldoutSection, source: str) -> list[str]:
    places = zip(pictures.owner.tolist(), pictures.rows.tolist(), strict=True)
    single = [f"picture {owner} {row}" for owner, row in places]
    if section.by == "picture":
        return single
    concepts = pictures.concepts()
    found = {concept for concept in concepts if concept is not None}
    if section.by == "auto" and len(found) < _MANY_CONCEPTS:
        return single
    if not found:
        raise RecipeError(
            f"{source}: data.holdout.by: no picture has a 'concept' in its metadata; say picture"
        )
    return [
        key if concept is None else f"concept {concept}"
        for key, concept in zip(single, concepts, strict=True)
    ]


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"holdout").digest()


def take(pictures: Pictures, index: NDArray[np.int64]) -> Pictures:
    """Some of the pictures, with the same table of texts."""
    table = pictures.captions
    counts = np.diff(table.offsets)[index]
    members = np.concatenate([
        np.arange(table.offsets[row], table.offsets[row + 1]) for row in index.tolist()
    ]) if len(index) else np.zeros(0, np.int64)  # fmt: skip
    captions = CaptionTable(
        texts=table.texts,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        text_index=table.text_index[members],
        weight=table.weight[members],
        lang=table.lang[members],
        languages=table.languages,
    )
    return replace(
        pictures,
        owner=pictures.owner[index],
        rows=pictures.rows[index],
        style_ids=pictures.style_ids[index],
        captions=captions,
        references=None if pictures.references is None else pictures.references.take(index),
        parses=None if pictures.parses is None else pictures.parses.take(index),
    )


@dataclass(frozen=True)
class Look:
    """What a held-out metric sees.

    Attributes:
        model: the averaged weights, in eval mode.
        batches: held-out pictures, none of them twice.
        losses: mean of every named loss on them, with noise that is always the same.
        weights: the recipe's base factors.
    """

    model: ImageModel
    batches: Sequence[Batch]
    losses: Mapping[str, float]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class HeldOutMetric:
    """A number that says how good a model is on held-out pictures."""

    measure: Callable[[Look], float]
    higher: bool
    needs: Capability | None = None


METRICS: dict[str, HeldOutMetric] = {}


def metric(
    name: str, *, higher: bool = False, needs: Capability | None = None
) -> Callable[[Callable[[Look], float]], Callable[[Look], float]]:
    """Sign a function into :data:`METRICS`.

    Args:
        name: what ``train.stop.metric`` says.
        higher: whether more is better.
        needs: what the family must be able to do.

    Raises:
        ValueError: the name is taken.
    """

    def sign(measure: Callable[[Look], float]) -> Callable[[Look], float]:
        if name in METRICS:
            raise ValueError(f"there is a held-out metric {name!r} already")
        METRICS[name] = HeldOutMetric(measure, higher, needs)
        return measure

    return sign


@metric("loss")
def weighted_loss(look: Look) -> float:
    """The sum of all players' losses, each times its base factor."""
    return sum(look.weights.get(name, 1.0) * value for name, value in look.losses.items())


@metric("psnr", higher=True, needs=Capability.RECONSTRUCT)
def psnr(look: Look) -> float:
    """Peak signal-to-noise ratio of reconstructions in decibels, range 2: 10 log10(4 / mse)."""
    errors = [(look.model.reconstruct(b.images) - b.images).square().mean() for b in look.batches]
    mse = _mean(errors, [len(b.images) for b in look.batches])
    return 10 * math.log10(4 / max(mse, 1e-12))


@metric("likelihood", higher=True, needs=Capability.LIKELIHOOD)
def likelihood(look: Look) -> float:
    """Mean log p(picture | text) per number of the picture, nats."""
    found = [
        look.model.log_likelihood(b.images, b.text, b.styles).mean() / b.images[0].numel()
        for b in look.batches
    ]
    return _mean(found, [len(b.images) for b in look.batches])


def _mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    total = sum(float(v) * n for v, n in zip(values, counts, strict=True))
    return total / sum(counts)


def find_metric(name: str, model: ImageModel, source: str) -> HeldOutMetric:
    """The metric that a recipe names; ``loss/NAME`` is one loss alone.

    Raises:
        RecipeError: there is no such metric, or the family cannot be measured by it.
    """
    part = name.removeprefix("loss/")
    if part != name:
        return HeldOutMetric(lambda look: look.losses.get(part, math.inf), higher=False)
    able = {n for n, m in METRICS.items() if m.needs is None or m.needs in model.capabilities}
    if name not in able:
        why = "the family cannot be measured by" if name in METRICS else "there is no"
        raise RecipeError(
            f"{source}: train.stop.metric: {why} {name!r}; "
            f"choose from: {', '.join(sorted(able))}, loss/NAME"
        )
    return METRICS[name]


class HeldOut:
    """Measures a model on held-out pictures.

    Args:
        pictures: those kept apart.
        table: features of their texts.
        recipe: its batch size, weights and ``train.stop``.
        device: where to measure.
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
        self.section, self.recipe = recipe.train.stop or StopSection(patience=None), recipe
        plain = recipe.data.model_copy(update={"flip": False, "augment": Augment()})
        count = min(len(pictures), self.section.pictures)
        size = min(count, recipe.train.batch_size // recipe.train.accumulate)
        self.count = max(1, count // size)
        self.feeder = Feeder(
            pictures, table, plain,
            batch_size=size, seed=_SEED, device=device, channels_last=channels_last,
        )  # fmt: skip

    def measure(self, model: ImageModel, size: int, progress: float) -> dict[str, float]:
        """The named metric (``"metric"``), the weighted loss and every loss, by name.

        Args:
            model: averaged weights.
            size: side of the pictures it learns now.
            progress: share of the budget spent, for families that learn in stages.
        """
        metric = find_metric(self.section.metric, model, self.recipe.source)
        self.feeder.pictures = replace(self.feeder.pictures, size=size)
        batches = list(self._batches(model, progress))
        losses = self._losses(model, batches)
        if isinstance(model, TunedModel):
            batches = [model.understand(batch) for batch in batches]
        look = Look(model, batches, losses, self.recipe.weights)
        with torch.no_grad():
            value = metric.measure(look)
        found = {"loss": weighted_loss(look), **{f"loss/{n}": v for n, v in losses.items()}}
        return {**found, self.section.metric: value}

    def _batches(self, model: ImageModel, progress: float) -> Iterator[Batch]:
        for number in range(self.count):
            batch = self.feeder.batch(number, ahead=False)
            batch.generator.manual_seed(_SEED + number)
            # Families remember by index what they computed of training pictures.
            yield model.understand(replace(batch, indices=None, progress=progress))

    def _losses(self, model: ImageModel, batches: Sequence[Batch]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for player in model.players:
            for number, batch in enumerate(batches):
                torch.manual_seed(_SEED + number)
                # Gradients stay on: a loss may be made of them (R1), though none is kept.
                for name, value in model.losses(batch, player).items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(batches)
        return sums

    def close(self) -> None:
        """End the feeder's thread."""
        self.feeder.close()
