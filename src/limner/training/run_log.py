"""What a run writes of itself as it goes on: events, and means of its figures with its speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.training import checkpoint
from limner.training.checkpoint import RunState
from limner.training.logs import LOG_NAME, FigureMeans, JsonLog
from limner.training.schedule import BudgetSchedule
from limner.training.trackers import Tracker


class RunLog:
    """The log of one run, and the trackers that follow it.

    Args:
        out: the run folder; None in a process that writes nothing.
        state: of the run, read whenever something is written.
        device: of the figures.
        resumed: whether the log of the folder is continued; else it is begun anew.

    Raises:
        TrainingError: the log cannot be written.
    """

    def __init__(
        self, out: Path | None, state: RunState, device: torch.device, *, resumed: bool
    ) -> None:
        self._state, self._trackers = state, list[Tracker]()
        self.means = FigureMeans(device)
        if resumed:
            self.means.restore(state.window)
        self._lap = state.step, state.elapsed
        self._closing = ExitStack()
        self._file: JsonLog | None = None
        if out is not None:
            self._file = JsonLog(out / LOG_NAME, state.step if resumed else None)
            self._closing.callback(self._file.close)

    def follow(self, trackers: Sequence[Tracker]) -> None:
        """Show records in trackers, too, from now on; they are closed with the log."""
        for tracker in trackers:
            self._trackers.append(tracker)
            self._closing.callback(tracker.close)

    def close(self) -> None:
        """Close the log and the trackers."""
        self._closing.close()

    def write(self, event: str | None, *, track: bool = False, **values: Any) -> None:
        """Write a record.

        Args:
            event: what happened; None for a line of figures.
            track: whether it goes to the trackers, too.
            values: of the record, besides its step.

        Raises:
            TrainingError: the disk is full.
        """
        kind = {"event": event} if event else {}
        record = {**kind, "step": self._state.step, **values}
        if self._file is not None:
            self._file.write(record)
        for tracker in self._trackers if track else ():
            tracker.scalars(record)

    def picture(self, name: str, pixels: Any) -> None:
        """Show an ``(H, W, 3)`` uint8 array in the trackers."""
        for tracker in self._trackers:
            tracker.picture(name, pixels, self._state.step)

    def add(self, figures: Mapping[str, Tensor | float]) -> None:
        """Add the float64 scalars of one step to the means."""
        self.means.add(figures)

    def line(
        self,
        schedule: BudgetSchedule,
        *,
        batch_size: int,
        progress: float,
        lr: float,
        total: str,
        kinds: Iterable[str],
        operations: float | None = None,
    ) -> tuple[float, float]:
        """Write the means of the figures since the last line, and the speed since then.

        Args:
            schedule: says how many steps are left.
            batch_size: pictures a step.
            progress: of the last step.
            lr: learning rate of the last step.
            total: name of the figure that is the whole loss.
            kinds: what figures are called before their slash; each is an entry of the line.
            operations: floating-point operations a picture; None where they are not counted.

        Returns:
            The whole loss, and pictures a second.
        """
        state, means = self._state, self.means.means()
        steps, seconds = state.step - self._lap[0], state.elapsed - self._lap[1]
        self._lap = (state.step, state.elapsed)
        speed = steps * batch_size / max(seconds, 1e-9)
        counted = {} if operations is None else {"gflops": round(speed * operations / 1e9, 2)}
        left = None
        if schedule.total is not None:
            left = round((schedule.total - state.step) * batch_size / max(speed, 1e-9), 1)
        self.write(
            None,
            track=True,
            progress=progress,
            lr=lr,
            pictures=state.pictures,
            total=means[total],
            **{kind: checkpoint.under(means, f"{kind}/") for kind in kinds},
            clock={
                "seconds": round(state.elapsed, 3),
                "pictures_per_second": round(speed, 2),
                **counted,
                "seconds_left": left,
            },
        )
        return means[total], speed
