"""Progress of long work: a rich bar on terminals, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_PLAIN_SECONDS = 10.0


class Meter(ABC):
    """Counts the finished units of a task and shows them."""

    def __init__(self, total: float | None, label: str, unit: str) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = 0.0
        self.started = time.monotonic()
        self.fields: dict[str, str] = {}

    @property
    def rate(self) -> float:
        """Units per second since the work began."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def advance(self, n: float = 1, **fields: object) -> None:
        """Count ``n`` more finished units.

        Args:
            n: may be fractional (for example seconds of a time budget).
            fields: figures to show beside the bar, such as ``loss=0.12``; they stay until replaced.
        """
        self.done += n
        self.fields.update({key: _short(value) for key, value in fields.items()})
        self._show()

    def note(self, text: str) -> None:
        """Print one line without disturbing the bar."""
        print(text, file=sys.stderr, flush=True)

    @property
    def extras(self) -> str:
        """The fields as one string, ``loss 0.12 lr 0.001``."""
        return " ".join(f"{key} {value}" for key, value in self.fields.items())

    @abstractmethod
    def _show(self) -> None:
        """Bring the display up to date."""

    @abstractmethod
    def close(self) -> None:
        """Show the final state."""


class QuietMeter(Meter):
    """Counts and shows nothing."""

    def _show(self) -> None:
        pass

    def close(self) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        """Nothing is printed."""


class PlainMeter(Meter):
    """Prints a line on stderr at most every ten seconds, and one at the end of longer work."""

    def __init__(self, total: float | None, label: str, unit: str) -> None:
        super().__init__(total, label, unit)
        self._spoke_at = self.started
        self._spoke_done = -1.0

    def _show(self) -> None:
        if time.monotonic() - self._spoke_at >= _PLAIN_SECONDS:
            self._speak()

    def close(self) -> None:
        """Print the final count unless it has been printed already."""
        if self.done != self._spoke_done and time.monotonic() - self.started >= 1.0:
            self._speak()

    def _speak(self) -> None:
        self._spoke_at, self._spoke_done = time.monotonic(), self.done
        rate = self.rate
        parts = [f"{self.label}: {self.done:,.0f}"]
        if self.total is not None:
            parts[0] += f"/{self.total:,.0f}"
        parts.append(f"{rate:,.1f} {self.unit}/s")
        if self.total is not None and rate > 0 and self.done < self.total:
            parts.append(f"{_clock((self.total - self.done) / rate)} left")
        if self.fields:
            parts.append(self.extras)
        print(", ".join(parts), file=sys.stderr, flush=True)


class BarMeter(Meter):
    """A live rich bar on a terminal: share, count, rate, time left and end time."""

    def __init__(self, total: float | None, label: str, unit: str) -> None:
        super().__init__(total, label, unit)
        self._progress = _rich_progress()
        self._task = self._progress.add_task(
            label, total=total, rate="", extras="", end="", count="0"
        )
        self._progress.start()

    def _show(self) -> None:
        rate = self.rate
        count, end = f"{self.done:,.0f}", ""
        if self.total is not None:
            count += f"/{self.total:,.0f}"
            if rate > 0:
                left = max(0.0, (self.total - self.done) / rate)
                end = f"ends {time.strftime('%H:%M:%S', time.localtime(time.time() + left))}"
        self._progress.update(
            self._task,
            completed=self.done,
            rate=f"{rate:,.1f} {self.unit}/s",
            count=count,
            end=end,
            extras=self.extras,
        )

    def note(self, text: str) -> None:
        """Print one line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the finished bar on the screen."""
        self._progress.stop()


@contextmanager
def progress(
    total: float | None, label: str, quiet: bool = False, unit: str = "items"
) -> Iterator[Meter]:
    """Show work of ``total`` units (None where unknown) on stderr.

    A rich bar where stderr is a terminal, a plain line every ten seconds elsewhere, nothing if
    ``quiet``. Use as ``with progress(len(jobs), "packing") as bar: bar.advance(1, loss=0.1)``.
    """
    meter: Meter
    if quiet:
        meter = QuietMeter(total, label, unit)
    elif sys.stderr.isatty():
        meter = BarMeter(total, label, unit)
    else:
        meter = PlainMeter(total, label, unit)
    try:
        yield meter
    finally:
        meter.close()


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    def text(field: str, style: str) -> ProgressColumn:
        return TextColumn("{task.fields[" + field + "]}", style=style, markup=False)

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        text("count", "none"),
        text("rate", "cyan"),
        TimeRemainingColumn(),
        text("end", "dim"),
        text("extras", "magenta"),
        console=Console(stderr=True),
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
