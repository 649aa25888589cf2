"""Watches a run for mode collapse: when samples are drawn, a fixed crowd is drawn and measured.

The crowd is the captions and styles of some training pictures, which stay the same over the run,
each with a seed of its own; it is compared with those pictures. It works for every family whose
drawing is cheap enough: the arithmetic of one picture is counted, and as many are drawn as a fixed
amount of arithmetic allows. A bound in operations rather than in seconds keeps the log a function
of the recipe. Where fewer than the least number could be drawn, nothing is measured: a sampler of
many steps costs that much, and such families are not the ones that collapse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count as numbers
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from limner.metrics.collapse import collapse
from limner.models.base import Batch, Capability, ImageModel, SampleRequest
from limner.text.base import concatenate
from limner.training.data import Feeder, rows_of

if TYPE_CHECKING:
    from limner.training.loop import Run

MOST = 128
"""Pictures drawn at a time, and real ones they are compared with."""
LEAST = 48
"""With fewer, coverage says little."""
OPERATIONS = 100e9
"""Of drawing, at a time: some seconds of one core."""
COVERAGE = 0.1
"""Warned about when less is covered; a good crowd of the same size covers 0.8 and more."""
DUPLICATES = 0.5
"""Warned about when more are twins; of real pictures about 0.01 are."""
_LAST = 1 - 1e-9  # the run's last moment still belongs to its last stage
_FROM = 0.25
"""Share of the budget before which nothing is warned about: every family begins with noise."""


class CollapseWatch:
    """Measures how varied a model draws, always on the same requests."""

    def __init__(self) -> None:
        self._size = 0
        self._real: Batch | None = None

    def report(self, run: Run) -> None:
        """Look at a run's averaged model, log what is found, and warn where that is a collapse."""
        progress = run.plan.progress(run.state.step)
        if not run.model.reads_words(min(progress, _LAST)):
            return
        found = self.look(run.ema.model, run.feeder)
        if not found:
            return
        record = {"event": "watch", "step": run.state.step, "watch": found}
        run.log.write(record)
        run.board.scalars(record)
        problem = warning(found, progress)
        if problem:
            run.meter.note(problem)

    def look(self, model: ImageModel, feeder: Feeder) -> dict[str, float]:
        """``coverage``, ``recall`` and ``duplicates`` (:func:`limner.metrics.collapse.collapse`).

        Args:
            model: that is drawn with; its size may change from one look to the next.
            feeder: the run's; its first batches give the pictures and captions.

        Returns:
            Nothing where drawing costs too much, or the data hold too few pictures.
        """
        if model.config.size != self._size:
            self._size, self._real = model.config.size, _gather(model, feeder)
        if self._real is None:
            return {}
        drawn = model.sample(_request(model, self._real))
        return collapse(self._real.images, drawn)


def _gather(model: ImageModel, feeder: Feeder) -> Batch | None:
    """The pictures and captions of as many training pictures as can be afforded."""
    first = feeder.batch(0, ahead=False)
    count = min(MOST, affordable(model, rows_of(first, slice(1))), len(feeder.pictures))
    batches = (feeder.batch(step, ahead=False) for step in numbers())
    return _first_rows(batches, count) if count >= LEAST else None


def affordable(model: ImageModel, row: Batch) -> int:
    """Pictures that can be drawn with :data:`OPERATIONS`, by counting a first one."""
    with FlopCounterMode(display=False) as counter:
        model.sample(_request(model, row))
    # A tile costs the same whether it is filled or not.
    return int(OPERATIONS / max(1, counter.get_total_flops())) * model.tile


def warning(found: dict[str, float], progress: float) -> str | None:
    """One sentence where a look found a collapse, else None.

    Args:
        found: what :meth:`CollapseWatch.look` gave.
        progress: share of the budget spent.
    """
    if not found or progress < _FROM:
        return None
    problems = []
    if found["duplicates"] > DUPLICATES:
        problems.append(f"{found['duplicates']:.0%} of the drawn pictures have a twin among them")
    if found["coverage"] < COVERAGE:
        problems.append(f"only {found['coverage']:.0%} of the real pictures are covered")
    if not problems:
        return None
    return (
        f"warning: the model draws too much alike: {' and '.join(problems)}; look at the samples, "
        f"and try a lower train.lr or a longer run"
    )


def _first_rows(batches: Iterator[Batch], count: int) -> Batch:
    """The first ``count`` rows of batches, as one."""
    parts: list[Batch] = []
    while sum(len(part.images) for part in parts) < count:
        parts.append(next(batches))
    whole = replace(
        parts[0],
        images=torch.cat([part.images for part in parts]),
        text=concatenate([part.text for part in parts]),
        styles=torch.cat([part.styles for part in parts]),
        captions=[text for part in parts for text in part.captions],
        indices=None,
        picture=None,  # a model with a reference draws from the words alone here
    )
    return rows_of(whole, slice(count))


def _request(model: ImageModel, batch: Batch) -> SampleRequest:
    """A drawing of every row, each with its own seed."""
    styles: Tensor | None = batch.styles if Capability.STYLE in model.capabilities else None
    batch = model.understand(batch)
    return SampleRequest(batch.text, range(len(batch.text)), styles)
