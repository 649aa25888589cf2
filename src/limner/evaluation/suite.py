"""``limner evaluate``: some parts measured of one model, in one report.

A part is one class in :mod:`limner.evaluation.parts`. Parts that measure pictures of the store's
captions share one lazy stream of them, drawn once; others draw what they need when they are asked
to finish. A part that does not apply to the model or the store gives the
reason.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, LimnerError, UsageError
from limner.evaluation.drawing import BATCH, draw_batches, store_requests
from limner.evaluation.reference import Reference
from limner.evaluation.report import PartResult, Report
from limner.generation.generator import DrawRequest, Generator, RefusedPromptError
from limner.metrics.features import FeatureNetwork, LastBatch, features_for, load_features
from limner.metrics.memorisation import pixels
from limner.modelfile import ModelInfo
from limner.progress import Meter, QuietMeter
from limner.training.machine import hardware

if TYPE_CHECKING:
    from limner.evaluation.scene_prompts import ScenePrompt
    from limner.reading.captions import Captioner
    from limner.vision.aligner import Aligner

FULL = "full"
FULL_SAMPLES = 2000


@dataclass(frozen=True)
class EvaluationOptions:
    """What to measure, and with what.

    Attributes:
        samples: pictures of the store's captions; None for the suite's own number.
        languages: of prompts and captions.
        seeds: pictures a prompt of concept recall; prompt i of seed s is drawn with seed
            ``1000 s + i``.
        also: further stores that the model was trained on, searched for memorised pictures too.
        holdout: real pictures of the same kind that the model was not trained on.
        features: spec of the feature network; ``auto`` for the shipped one that fits the store.
        aligner: judges whether prompts and pictures agree; None for none.
        scenes: training scenes that composition's baseline searches.
        scene_prompts: None for the frozen ones; figures of others compare with nothing.
        samples_dir: folder for the pictures of concept recall and their ranks.
        device: where the feature network runs.
        command: written into the report.
    """

    samples: int | None = None
    languages: Sequence[str] = ("en", "zh")
    seeds: int = 1
    also: Sequence[Store] = ()
    holdout: Store | None = None
    features: str = "auto"
    aligner: Aligner | None = None
    scenes: Store | None = None
    scene_prompts: Sequence[ScenePrompt] | None = None
    samples_dir: Path | None = None
    device: str = "cpu"
    command: str = ""


@dataclass
class Subject:
    """The model that is measured.

    Attributes:
        path: its file.
        hash: first 16 hex digits of the file's SHA-256.
        info: what the file says of itself.
        generator: draws with it; None for a model that does not draw.
        captioner: describes pictures with it; None for a model that does not.
    """

    path: Path
    hash: str
    info: ModelInfo
    generator: Generator | None = None
    captioner: Captioner | None = None

    @classmethod
    def of(cls, generator: Generator) -> Subject:
        """A generator that was loaded from a file."""
        return cls(Path(generator.path or "model"), generator.hash, generator.info, generator)


@dataclass
class EvaluationContext:
    """What all parts of one evaluation share.

    Attributes:
        subject: the model.
        store: real pictures.
        options: what to measure.
        samples: pictures of the store's captions.
        drawn: what was asked for of each picture of the store's captions, once drawn; prompts that
            the model refuses are left out.
        refused: those prompts.
    """

    subject: Subject
    store: Store
    options: EvaluationOptions
    samples: int
    drawn: list[DrawRequest] = field(default_factory=list)
    refused: list[RefusedPromptError] = field(default_factory=list)

    @property
    def generator(self) -> Generator:
        """Draws with the model.

        Raises:
            InapplicableError: the model does not draw.
        """
        if self.subject.generator is None:
            raise InapplicableError(f"a {self.subject.info.family} model draws no pictures")
        return self.subject.generator

    @cached_property
    def network(self) -> FeatureNetwork:
        """Extracts features; of the batch it extracted last only once."""
        spec = features_for(self.store, self.options.features)
        return LastBatch(load_features(spec, device=self.options.device))

    @cached_property
    def reference(self) -> Reference:
        """The real pictures that the model was trained on, as far as its file records it."""
        return Reference(
            self.store,
            self.network,
            holdout=self.options.holdout,
            samples=self.samples,
            selection=trained_selection(self.subject.info, self.store),
        )

    @cached_property
    def captioned(self) -> tuple[list[int], list[str]]:
        """Pictures of the store and their captions, which are the prompts that are drawn."""
        return self.reference.captioned(self.samples)

    @property
    def prompts(self) -> list[str]:
        """The captions that are drawn; picture i from prompt i with seed i."""
        return self.captioned[1]

    def real_pairs(self, count: int) -> Iterator[tuple[Tensor, list[str]]]:
        """The store's own pictures of the first ``count`` prompts in batches, none twice."""
        rows, prompts = self.captioned
        last = min(count, len(set(rows)))  # from there on they repeat
        for start in range(0, last, BATCH):
            some = slice(start, min(start + BATCH, last))
            yield pixels(self.store, np.array(rows[some])), prompts[some]


class InapplicableError(Exception):
    """A part has nothing to measure here; its message says why."""


class Part(ABC):
    """One thing that is measured.

    The constructor takes the :class:`EvaluationContext` and raises :class:`InapplicableError` where
    there is nothing to measure. ``update`` is given the pictures of the store's captions, in their
    order; then ``finish`` is called once.

    Attributes:
        name: of the part, and of the suite that measures it alone.
        title: for people.
        samples: pictures of the store's captions that it wants when measured alone; 0 for none.
        options: names of the :class:`EvaluationOptions` it depends on.
        draws: whether it measures pictures that the model draws.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    samples: ClassVar[int] = 0
    options: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = True

    def __init__(self, evaluation: EvaluationContext) -> None:
        self.evaluation = evaluation
        if self.draws:
            _ = evaluation.generator  # a model that does not draw is refused

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures, ``(B, 3, H, W)`` in [-1, 1], and the captions they show."""
        return

    @abstractmethod
    def finish(self, meter: Meter) -> PartResult:
        """What was found.

        Raises:
            LimnerError: it could not be measured.
        """


def trained_selection(info: ModelInfo, store: Store) -> Selection:
    """The part of a store that a model was trained on; all of it where the file has no filters."""
    data = info.training.get("recipe", {}).get("data", {})
    found = Selection(data.get("filters", {}), data.get("languages", []))
    return found if found and len(found.rows(store)) else Selection()


def suite_parts(suite: str) -> list[type[Part]]:
    """The parts that a suite measures: the one of its name, or all for ``full``.

    Raises:
        UsageError: there is no such suite.
    """
    from limner.evaluation.parts import PARTS

    if suite == FULL:
        return list(PARTS)
    found = [part for part in PARTS if part.name == suite]
    if not found:
        known = ", ".join([FULL, *(part.name for part in PARTS)])
        raise UsageError(f"there is no suite {suite!r}; choose one of: {known}")
    return found


def evaluate(
    subject: Subject | Generator,
    store: Store,
    suite: str = FULL,
    options: EvaluationOptions | None = None,
    meter: Meter | None = None,
) -> Report:
    """Measure a model against a store of real pictures.

    Args:
        subject: the model, or its generator.
        store: real pictures.
        suite: the name of a part, or ``full`` for all that apply.
        options: what to measure; None for the defaults.
        meter: shows how many pictures were drawn.

    Raises:
        DataError: the only part does not apply to the model and the store.
        LimnerError: the pictures cannot be drawn or measured. In a ``full`` evaluation a part that
            fails once they are drawn is listed in ``failed`` instead.
    """
    start, meter = time.monotonic(), meter or QuietMeter(None, "drawing", "pictures")
    options = options or EvaluationOptions()
    subject = Subject.of(subject) if isinstance(subject, Generator) else subject
    kinds = suite_parts(suite)
    default = FULL_SAMPLES if suite == FULL else kinds[0].samples
    samples = default if options.samples is None else options.samples
    evaluation = EvaluationContext(subject, store, options, samples)
    parts: list[Part] = []
    skipped: dict[str, str] = {}
    for kind in kinds:
        try:
            parts.append(kind(evaluation))
        except InapplicableError as reason:
            if suite != FULL:
                raise DataError(str(reason)) from None
            skipped[kind.name] = str(reason)
    streamed = [part for part in parts if part.samples]
    if streamed:
        _draw(evaluation, streamed, meter)
    results, failed = _finish(parts, meter, alone=suite != FULL)
    info = subject.info
    return Report(
        suite=suite,
        date=datetime.now(UTC).date().isoformat(),
        machine=hardware(torch.device("cpu")),
        model=subject.path.name,
        model_hash=subject.hash,
        family=info.family,
        encoder=info.encoder_fingerprint,
        store=store.name,
        store_fingerprint=store.fingerprint,
        trained_on_store=info.trained_on(store.fingerprint, store.name, store.licences),
        warnings=(*_refusals(evaluation), *(w for each in results for w in each.warnings)),
        parts=tuple(results),
        skipped=skipped,
        failed=failed,
        seconds=round(time.monotonic() - start, 1),
        command=options.command,
    )


def _draw(evaluation: EvaluationContext, parts: Sequence[Part], meter: Meter) -> None:
    """Draw the store's captions once, for all parts."""
    network, prompts = evaluation.network, evaluation.prompts
    meter.note(f"drawing {len(prompts):,} captions of {evaluation.store.name}; features by "
                  f"{network.spec} ({network.fingerprint})")  # fmt: skip
    stream = draw_batches(evaluation.generator, store_requests(prompts), evaluation.refused)
    for images, requests in stream:
        captions = [request.prompt for request in requests]
        for part in parts:
            part.update(images, captions)
        evaluation.drawn += requests
        meter.advance(len(images))
    if not evaluation.drawn:
        raise DataError(f"the model refuses every caption: {evaluation.refused[0]}")


def _refusals(evaluation: EvaluationContext) -> list[str]:
    refused = evaluation.refused
    if not refused:
        return []
    total = len(refused) + len(evaluation.drawn)
    return [f"{len(refused)} of {total:,} captions were refused and not drawn; the first: "
            f"{refused[0]}"]  # fmt: skip


def _finish(
    parts: Sequence[Part], meter: Meter, *, alone: bool
) -> tuple[list[PartResult], dict[str, str]]:
    """The results of the parts, and why others failed: hours of drawing must not be lost."""
    results: list[PartResult] = []
    failed: dict[str, str] = {}
    for part in parts:
        try:
            results.append(part.finish(meter))
        except LimnerError as error:
            if alone:
                raise
            failed[part.name] = str(error)
    return results, failed


Advance = Callable[[float], Any]
"""Called with a number of finished pictures."""
