"""How much arithmetic a picture costs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from limner.models.base import Batch, ImageModel
from limner.training.data import rows_of
from limner.training.optim import Players

_PHASES = (0.0, 0.25, 0.5, 0.75, 0.999)
_PROBE = 8


@dataclass(frozen=True)
class Costs:
    """What a training step computes, and which losses it reports, over the phases of a run.

    Attributes:
        flops: ``(progress, floating-point operations per picture)``, rising in progress;
            forward and backward of every player, multiply and add counted apart.
        losses: every name that a player reported at any phase.
    """

    flops: tuple[tuple[float, float], ...]
    losses: frozenset[str]

    def per_picture(self, progress: float) -> float:
        """Operations per picture in the phase that ``progress`` lies in."""
        return next(f for p, f in reversed(self.flops) if p <= progress or p == self.flops[0][0])


def count(model: ImageModel, batch: Batch) -> Costs:
    """Run real forward and backward passes of a small batch at several phases and count.

    The passes run in a copy of the model, and each phase twice: what a family remembers from
    earlier steps is not counted as work. Nor is the optimiser's own arithmetic, a few operations
    per weight.
    """
    size = min(_PROBE, len(batch.images))
    small, probe = rows_of(batch, slice(size)), copy.deepcopy(model)
    players = Players(probe.players)
    flops, names = [], set[str]()
    for progress in _PHASES:
        for _ in range(2):
            small.generator.manual_seed(0)
            with FlopCounterMode(display=False) as counter:
                for player in players.names:
                    players.only(player)
                    losses = probe.losses(replace(small, progress=progress), player)
                    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
                    names |= losses.keys()
        flops.append((progress, counter.get_total_flops() / size))
    return Costs(tuple(flops), frozenset(names))
