"""The exponential moving average (EMA) of a model's weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from limner.models.base import Model
from limner.training.recipe import EmaSection

_UNCOUNTED = ("running_mean", "running_var")
"""Names of buffers that torch writes to without counting it."""


def ema_decay(section: EmaSection, step: int) -> float:
    """Factor of the old average in the update after ``step`` earlier ones, in [0, 1).

    The half-life is ``section.half_life`` (or that of ``section.decay``), and early on at most
    ``section.warmup`` of the steps done, so that the weights of the first steps soon drop out
    (Karras et al. 2020, "Training GANs with limited data", appendix C).
    """
    if section.half_life is not None:
        half_life = section.half_life
    else:
        decay = section.decay or 0.0
        half_life = math.log(0.5) / math.log(decay) if decay > 0 else 0.0
    if section.warmup > 0:
        half_life = min(half_life, section.warmup * step)
    return 0.5 ** (1.0 / half_life) if half_life > 0 else 0.0


class Ema:
    """A copy of a model whose weights are the moving average of the model's.

    ``average ← decay · average + (1 − decay) · weights``; buffers are copied as they are.
    """

    def __init__(self, model: Model, section: EmaSection) -> None:
        self.section = section
        self.model: Model = copy.deepcopy(model).eval().requires_grad_(False)
        self._copied: dict[str, tuple[Tensor, Tensor, int]] = {}

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Update the average with the weights after update ``step`` (the first is 0)."""
        weight = 1.0 - ema_decay(self.section, step)
        averages: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averages, list(model.parameters()), weight)
        for name, theirs in model.named_buffers():
            mine = self.model.get_buffer(name)
            # torch counts what is written to a tensor, so that exemplars, which are large and
            # written once, are copied once; but not what its batch normalisation writes
            before = self._copied.get(name)
            if (
                before is None
                or name.endswith(_UNCOUNTED)
                or before[0] is not mine
                or before[1] is not theirs
                or before[2] != theirs._version
            ):
                mine.copy_(theirs)
                self._copied[name] = mine, theirs, theirs._version
