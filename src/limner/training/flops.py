"""Floating-point operations of training on a picture."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from limner.models.base import Batch, Model
from limner.training.data import rows_of
from limner.training.optim import OptimizerGroups

_STAGES = (0.0, 0.25, 0.5, 0.75, 0.999)
_PROBE = 8


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


def count(model: Model, batch: Batch) -> Costs:
    """Count the operations of real forward and backward passes of a small batch.

    They run in a copy of the model at five stages of the budget, each twice, so that what a family
    caches in earlier steps is not counted; nor is the optimizer's own arithmetic.
    """
    size = min(_PROBE, len(batch.images))
    small, probe = rows_of(batch, slice(size)), copy.deepcopy(model)
    groups = OptimizerGroups(probe.optimizer_groups)
    flops, names = [], set[str]()
    for progress in _STAGES:
        counter = FlopCounterMode(display=False)
        for context in (nullcontext(), counter):  # counting costs more than what is counted
            small.generator.manual_seed(0)
            with context:
                for name in groups.groups:
                    groups.only(name)
                    losses = probe.losses(replace(small, progress=progress), name)
                    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
                    names |= losses.keys()
        flops.append((progress, counter.get_total_flops() / size))
    return Costs(tuple(flops), frozenset(names))
