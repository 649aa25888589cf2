"""Progress of long work: a rich bar on terminals, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PLAIN_SECONDS = 10.0


class Meter:
    """Counts the finished units of a task, and shows nothing."""

    def __init__(self, total: float | None = None, label: str = "", unit: str = "items") -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = 0.0
        self.started = time.monotonic()
        self.fields: dict[str, str] = {}

    def advance(self, n: float = 1, **fields: object) -> None:
        """Count ``n`` more finished units.

        Args:
            n: may be fractional (for example seconds of a time budget).
            fields: figures to show beside the bar, such as ``loss=0.12``; they stay until replaced.
        """
        self.done += n
        for key, value in fields.items():
            self.fields[key] = f"{value:.4g}" if isinstance(value, float) else str(value)
        self.show()

    def reach(self, done: float, total: float | None) -> None:
        """Count up to ``done`` units of ``total``; may be given as an ``on_progress``."""
        self.total = total
        self.advance(done - self.done)

    def show(self) -> None:
        """Bring the display up to date."""

    def note(self, text: str) -> None:
        """Print one line without disturbing the display."""

    def close(self) -> None:
        """Show the final state."""

    def _count(self) -> str:
        total = "" if self.total is None else f"/{self.total:,.0f}"
        return f"{self.done:,.0f}{total}"

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def _seconds_left(self) -> float | None:
        rate = self._rate()
        return None if self.total is None or not rate else max(0, self.total - self.done) / rate

    def _figures(self) -> list[str]:
        said = " ".join(f"{key} {value}" for key, value in self.fields.items())
        return [said] if said else []


class PlainMeter(Meter):
    """Prints a line on stderr at most every ten seconds, and one at the end of longer work."""

    def __init__(self, total: float | None, label: str, unit: str) -> None:
        super().__init__(total, label, unit)
        self._spoke_at, self._spoke_done = self.started, -1.0

    def show(self) -> None:
        """Print a line where the last one is ten seconds old."""
        if time.monotonic() - self._spoke_at >= _PLAIN_SECONDS:
            self._speak()

    def note(self, text: str) -> None:
        """Print one line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the final count unless it has been printed already."""
        if self.done != self._spoke_done and time.monotonic() - self.started >= 1.0:
            self._speak()

    def _speak(self) -> None:
        self._spoke_at, self._spoke_done = time.monotonic(), self.done
        parts = [f"{self.label}: {self._count()}", f"{self._rate():,.1f} {self.unit}/s"]
        if left := self._seconds_left():
            minutes, seconds = divmod(int(left), 60)
            hours, minutes = divmod(minutes, 60)
            clock = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
            parts.append(f"{clock}:{seconds:02d} left")
        self.note(", ".join(parts + self._figures()))


class BarMeter(Meter):
    """A live rich bar on a terminal: share, count, rate, time left and end time."""

    def __init__(self, total: float | None, label: str, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(total, label, unit)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", style="dim", markup=False),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(label, total=total, count="0", figures="")
        self._progress.start()

    def show(self) -> None:
        """Redraw the bar."""
        left = self._seconds_left()
        clock = time.localtime(time.time() + (left or 0))
        ends = [] if left is None else [time.strftime("ends %H:%M:%S", clock)]
        self._progress.update(
            self._task,
            total=self.total,
            completed=self.done,
            count=f"{self._count()} {self._rate():,.1f} {self.unit}/s",
            figures=" ".join(ends + self._figures()),
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
    kind = Meter if quiet else BarMeter if sys.stderr.isatty() else PlainMeter
    meter = kind(total, label, unit)
    try:
        yield meter
    finally:
        meter.close()
