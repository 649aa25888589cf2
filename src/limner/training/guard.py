"""The guard of a run that learns from votes: it ends where quality on held-out pictures falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from limner.training.recipe import PreferencesSection


@dataclass
class QualityGuard:
    """Compares a figure of the averaged weights with its value before the first step.

    Attributes:
        most: share of that value by which it may become worse.
        start: the value before the first step; None until it is measured.
        step: of the last value that was good enough.
        fell: whether one was not.
    """

    most: float
    start: float | None = None
    step: int = 0
    fell: bool = False

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
