"""``limner evaluate``: some parts measured of one model, in one report.

A part is one class in :mod:`limner.evaluation.parts`. Parts that measure pictures of the store's
captions share one lazy stream of them; others draw what they need when they are asked to finish.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import torch

from limner.data.store import Store
from limner.errors import DataError, LimnerError, UsageError
from limner.evaluation.drawing import draw_batches, store_requests
from limner.evaluation.part import (
    EvaluationContext,
    EvaluationOptions,
    InapplicableError,
    Part,
    Subject,
)
from limner.evaluation.parts import PARTS
from limner.evaluation.report import PartResult, Report
from limner.generation.generator import Generator
from limner.progress import Meter
from limner.training.machine import hardware

FULL = "full"
FULL_SAMPLES = 2000


def suite_parts(suite: str) -> list[type[Part]]:
    """The parts that a suite measures: the one of its name, or all for ``full``.

    Raises:
        UsageError: there is no such suite.
    """
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
    start, meter = time.monotonic(), meter or Meter()
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
    results: list[PartResult] = []
    failed: dict[str, str] = {}
    for part in parts:
        try:
            results.append(part.finish(meter))
        except LimnerError as error:
            if suite != FULL:
                raise
            failed[part.name] = str(error)  # hours of drawing must not be lost
    info = subject.info
    device = "cpu" if subject.generator is None else subject.generator.device
    return Report(
        suite=suite,
        date=datetime.now(UTC).date().isoformat(),
        machine=hardware(torch.device(device)),
        model=subject.path.name,
        model_hash=subject.hash,
        family=info.family,
        encoder=info.encoder_fingerprint,
        store=store.name,
        store_fingerprint=store.fingerprint,
        trained_on_store=info.trained_on(store.fingerprint, store.name, store.licences),
        warnings=(*evaluation.refusals(), *(w for each in results for w in each.warnings)),
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
