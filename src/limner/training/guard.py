"""The guard of a run that learns from votes: it ends where quality on held-out pictures falls.

The averaged weights of the last value that was good enough are kept, and taken back then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor

from limner.models.base import Model
from limner.training.recipe import PreferencesSection


@dataclass
class QualityGuard:
    """Compares a figure of the averaged weights with its value before the first step.

    Attributes:
        most: share of that value by which it may become worse.
        start: the value before the first step; None until it is measured.
        step: of the last value that was good enough.
        fell: whether one was not.
        kept: the averaged weights at that step; not of the checkpoint.
    """

    most: float
    start: float | None = None
    step: int = 0
    fell: bool = False
    kept: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, section: PreferencesSection | None) -> Self | None:
        """A new guard, where votes are learned from."""
        return None if section is None else cls(section.guard)

    def check(self, value: float, step: int, *, higher: bool) -> bool:
        """Whether a value is good enough; the first one is what others are compared with.

        Args:
            value: of the figure.
            step: at which it was measured.
            higher: whether higher values are better.
        """
        if self.start is None:
            self.start = value
        loss = (self.start - value) if higher else (value - self.start)
        good = math.isfinite(value) and loss <= self.most * abs(self.start)
        if good and not self.fell:
            self.step = step
        self.fell = self.fell or not good
        return good

    def keep(self, average: Model) -> None:
        """Keep a copy of the averaged weights."""
        self.kept = {name: tensor.clone() for name, tensor in average.state_dict().items()}

    def guarded(self, average: Model, value: float, step: int, *, higher: bool) -> None:
        """Keep the averaged weights where a value is good enough; else take the last good ones.

        Args:
            average: is measured, and gets the last good weights.
            value: as for :meth:`check`; so with the others.
            step: at which it was measured.
            higher: whether higher values are better.
        """
        if self.check(value, step, higher=higher):
            self.keep(average)
        else:
            average.load_state_dict(self.kept)

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {"most": self.most, "start": self.start, "step": self.step, "fell": self.fell}
