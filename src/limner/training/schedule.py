"""Learning rates, and the schedule that fits them to a budget of steps or of minutes."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from limner.training.recipe import ScheduleSection

_CALIBRATION_SHARE = 0.02
_CALIBRATION_SECONDS = 20.0
_CALIBRATION_STEPS = 3
_REPLAN_SHARE = 0.01
_WINDOWS = 10
_EARLY = 0.1
"""Share of the seconds that a run may leave unspent, where its steps were planned too few."""
_LONGEST_WARMUP = 0.1


def decay_factor(schedule: ScheduleSection, progress: float) -> float:
    """The learning rate as a share of the full one, ``schedule.final`` at progress 1.

    Cosine: one period of SGDR (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5). Wsd: the
    warmup-stable-decay of MiniCPM (Hu et al. 2024, arXiv:2404.06395, section 4), whose decay is a
    straight line here.
    """
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "cosine":
        shape = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif schedule.kind == "linear":
        shape = 1.0 - progress
    else:  # warmup-stable-decay: full rate, then straight down
        shape = min(1.0, (1.0 - progress) / schedule.decay_fraction)
    return schedule.final + (1.0 - schedule.final) * shape


def rate_factor(schedule: ScheduleSection, warmup_steps: int, step: int, progress: float) -> float:
    """The rate of one step as a share of the full one: a straight climb, times the decay.

    The climb ends after ``warmup_steps``, or with a tenth of the budget if that comes first.
    """
    warm = 1.0
    if warmup_steps:
        warm = min(1.0, max((step + 1) / warmup_steps, progress / _LONGEST_WARMUP))
    return warm * decay_factor(schedule, progress)


@dataclass(frozen=True)
class ScheduleSegment:
    """From ``step`` on, progress rises linearly from ``progress`` to 1 at step ``total``.

    ``total`` is None while the speed is being measured; progress is then constant.
    """

    step: int
    progress: float
    total: int | None
    seconds: float = 0.0


@dataclass
class BudgetSchedule:
    """How many steps a run has, and the progress of each: the share of the budget spent before it.

    With a budget of minutes the speed is measured over the first steps, and progress then rises
    linearly to the expected last step. When the measured speed moves that step, a new linear
    segment begins at the progress reached. The progress of a step depends on the segments alone.
    """

    steps: int | None = None
    seconds: float | None = None
    segments: list[ScheduleSegment] = field(default_factory=list)
    _marks: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_WINDOWS))

    _fresh: bool = True

    def __post_init__(self) -> None:
        if not self.segments:
            total = self.steps if self.seconds is None else None
            self.segments = [ScheduleSegment(0, 0.0, total)]

    @property
    def total(self) -> int | None:
        """Number of steps of the whole run; None until the speed is known."""
        return self.segments[-1].total

    def progress(self, step: int) -> float:
        """Share of the budget spent when ``step`` begins, in [0, 1]."""
        last = self.segments[-1]
        if last.total is None:
            return last.progress
        if last.total <= last.step:
            return 1.0
        share = (step - last.step) / (last.total - last.step)
        return min(1.0, last.progress + (1.0 - last.progress) * share)

    def share(self, step: int, elapsed: float) -> float:
        """Share of the budget that is spent, in [0, 1]; by the clock where it has minutes."""
        if self.seconds is not None:
            return min(1.0, elapsed / self.seconds)
        return self.progress(step)

    def done(self, step: int, elapsed: float) -> bool:
        """Whether the budget is spent after ``step`` steps and ``elapsed`` seconds."""
        if self.seconds is None:
            return self._is_through(step)
        if elapsed >= self.seconds or (self.steps is not None and step >= self.steps):
            return True
        return self._is_through(step) and elapsed >= (1 - _EARLY) * self.seconds

    def _is_through(self, step: int) -> bool:
        """Whether the steps that were planned are done."""
        return self.total is not None and step >= self.total

    def begin(self, step: int, elapsed: float) -> None:
        """Start to measure the speed, at the start and after every resume."""
        self._marks.clear()
        self._marks.append((step, elapsed))
        self._fresh = True

    def measure(self, step: int, elapsed: float) -> ScheduleSegment | None:
        """Begin a new segment if the measured speed calls for it; the new segment, or None.

        Args:
            step: steps done.
            elapsed: seconds spent on the run, resumes included.
        """
        if self.seconds is None or not self._marks or self.done(step, elapsed):
            return None
        if self._fresh:  # the first step compiles, and allocates
            self._marks[0], self._fresh = (step, elapsed), False
            return None
        through = self._is_through(step)
        steps, spent = step - self._marks[-1][0], elapsed - self._marks[-1][1]
        wait = min(_CALIBRATION_SECONDS, _CALIBRATION_SHARE * self.seconds)
        if self.total is not None:
            wait = _REPLAN_SHARE * self.seconds
        if not through and (steps < _CALIBRATION_STEPS or spent < wait):
            return None
        if through:  # the speed was measured far too low
            while len(self._marks) > 1:
                self._marks.popleft()
        speed = (step - self._marks[0][0]) / (elapsed - self._marks[0][1])
        self._marks.append((step, elapsed))
        total = step + max(1, round(max(0.0, self.seconds - elapsed) * speed))
        if self.steps is not None:
            total = min(total, self.steps)
        if total == self.total:
            return None
        progress = elapsed / self.seconds if through else self.progress(step)
        segment = ScheduleSegment(step, progress, total, round(elapsed, 3))
        self.segments.append(segment)
        return segment

    def rebudget(self, steps: int | None, seconds: float | None, step: int, elapsed: float) -> None:
        """Continue with another budget, from the share of it that is already spent.

        A run that had finished goes back to a lower progress, so to a higher learning rate, which
        decays again.
        """
        if (steps, seconds) == (self.steps, self.seconds):
            return
        self.steps, self.seconds = steps, seconds
        if seconds is None:
            self.segments = [ScheduleSegment(0, 0.0, steps)]
        else:
            self.segments.append(ScheduleSegment(step, min(1.0, elapsed / seconds), None, elapsed))

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {
            "steps": self.steps,
            "seconds": self.seconds,
            "segments": [[s.step, s.progress, s.total, s.seconds] for s in self.segments],
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> BudgetSchedule:
        """The schedule whose :meth:`state` this is."""
        return cls(
            state["steps"], state["seconds"], [ScheduleSegment(*s) for s in state["segments"]]
        )
