"""Floating-point operations of training on a picture."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

from limner.models.base import Batch, Model
from limner.training.data import rows_of
from limner.training.dynamo import never_compiled
from limner.training.optim import OptimizerGroups

_STAGES = (0.0, 0.25, 0.5, 0.75, 0.999)
_PROBE_PIXELS, _LEAST_PROBE, _MOST_PROBE = 8 * 64 * 64, 2, 8
"""Pixels of the pictures that operations are counted of, and how many pictures that are."""

never_compiled(flop_counter._FlopCounterMode.__torch_dispatch__)


@dataclass(frozen=True)
class Costs:
    """Operations of a training step, and the losses that it reports, over the stages of a run.

    Attributes:
        flops: ``(progress, floating-point operations per picture)``, rising in progress;
            forward and backward of every optimizer group, multiply and add counted apart.
        losses: every name that a group reported at any stage.
    """

    flops: tuple[tuple[float, float], ...]
    losses: frozenset[str]

    def per_picture(self, progress: float) -> float:
        """Operations per picture in the stage that ``progress`` lies in."""
        return next(f for p, f in reversed(self.flops) if p <= progress or p == self.flops[0][0])


def count(model: Model, batch: Batch, stages: Sequence[float] = _STAGES) -> Costs:
    """Count the operations of real forward and backward passes of a small batch.

    They run in a copy of the model, twice each, so that what a family caches in earlier steps is
    not counted; nor is the optimizer's own arithmetic. Where the ends of the budget cost the same,
    so does what is between them; else five stages of it are counted, or those that are given.
    """
    pixels = batch.images.shape[-1] * batch.images.shape[-2]
    size = min(max(_LEAST_PROBE, _PROBE_PIXELS // pixels), _MOST_PROBE, len(batch.images))
    small, probe = rows_of(batch, slice(size)), copy.deepcopy(model)
    groups = OptimizerGroups(probe.optimizer_groups)

    def stage(progress: float) -> tuple[float, frozenset[str]]:
        counter, names = FlopCounterMode(display=False), set[str]()
        for context in (nullcontext(), counter):  # counting costs more than what is counted
            small.generator.manual_seed(0)
            with context:
                for name in groups.groups:
                    groups.only(name)
                    losses = probe.losses(replace(small, progress=progress), name)
                    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
                    names |= losses.keys()
        return counter.get_total_flops() / size, frozenset(names)

    first, last = stage(stages[0]), stage(stages[-1])
    between = [first] if first == last else [first, *map(stage, stages[1:-1]), last]
    flops = tuple((progress, cost) for progress, (cost, _) in zip(stages, between, strict=False))
    return Costs(flops, frozenset[str]().union(*(names for _, names in between)))
