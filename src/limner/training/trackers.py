"""Where a run's figures go: a JSONL log, TensorBoard, wandb, trackio, and lines for people."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from limner.errors import MissingExtraError, TrainingError
from limner.files import whole_file
from limner.training.recipe import Recipe

PROJECT = "limner"
"""What runs are filed under at wandb and trackio."""


class Meter(Protocol):
    """What shows a run to a person; :class:`limner.progress.Meter` is one."""

    def advance(self, n: float = 1, **fields: object) -> None:
        """Count ``n`` more units (here: percent of the budget)."""
        ...

    def note(self, text: str) -> None:
        """Show one line."""
        ...


class _Appender:
    """A file that grows by whole pieces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _failure(path, error) from error

    def append(self, piece: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(piece) != len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._file.truncate(end)
            raise _failure(self.path, error) from error

    def close(self) -> None:
        self._file.close()


def _failure(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"cannot write {path}: {error.strerror or error}")


class JsonLog:
    """One JSON object a line, appended; a line is there whole or not at all.

    Everything but the values under ``"clock"`` is a function of the recipe (and, with a budget of
    minutes, of the plan), so that two logs can be compared.

    Args:
        path: the log.
        step: lines of later steps are cut off: they will be written again. None starts afresh.

    Raises:
        TrainingError: it cannot be written.
    """

    def __init__(self, path: Path, step: int | None) -> None:
        with whole_file(path, TrainingError) as part:
            part.write_bytes(_until(path, step) if step is not None and path.exists() else b"")
        self._file = _Appender(path)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            TrainingError: the disk is full; the log ends with its last whole line.
        """
        self._file.append(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NoLog:
    """For a process that does not write."""

    def write(self, record: dict[str, Any]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """There is nothing to close."""


def _until(path: Path, step: int) -> bytes:
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # torn by a crash
    return b"".join(kept)


class Window:
    """Means of the figures since the last line of the log, summed where they are computed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[str, tuple[Tensor | float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    @property
    def finite(self) -> bool:
        """Whether every figure so far was a number."""
        return all(math.isfinite(float(total)) for total, _ in self._sums.values())

    def add(self, figures: Mapping[str, Tensor | float]) -> None:
        """Take in the float64 scalars of one step."""
        for name, value in figures.items():
            if name in self._sums:
                total, count = self._sums[name]
                self._sums[name] = (total + value, count + 1)
            else:
                self._sums[name] = (value, 1)

    def means(self) -> dict[str, float]:
        """The mean of each figure over the steps that had it; the window is empty after."""
        means = {name: float(total) / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    def state(self) -> dict[str, list[float]]:
        """Plain values, for the checkpoint."""
        return {name: [float(total), count] for name, (total, count) in self._sums.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Take back what :meth:`state` gave."""
        self._sums = {
            name: (torch.tensor(total, dtype=torch.float64, device=self.device), int(count))
            for name, (total, count) in state.items()
        }


class Tracker(Protocol):
    """Something that shows a run's figures and sheets."""

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth, at ``record["step"]``."""
        ...

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        ...

    def close(self) -> None:
        """End the tracking."""
        ...


class Trackers:
    """Several trackers as one."""

    def __init__(self, members: Sequence[Tracker]) -> None:
        self.members = members

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth."""
        for member in self.members:
            member.scalars(record)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        for member in self.members:
            member.picture(name, pixels, step)

    def close(self) -> None:
        """End all of them."""
        for member in self.members:
            member.close()


def open_trackers(
    names: Sequence[str], out: Path, step: int, meter: Meter, recipe: Recipe
) -> Trackers:
    """The trackers that a recipe names.

    Args:
        names: of ``train.trackers``.
        out: the run's folder, whose name the run goes by.
        step: the run's first step.
        meter: is told when TensorBoard, which nobody asked for by name, is not there.
        recipe: shown as the run's configuration.

    Raises:
        MissingExtraError: a package is not installed.
        TrainingError: a tracker cannot begin.
    """
    members: list[Tracker] = []
    for name in dict.fromkeys(names):
        if name == "tensorboard":
            members.append(TensorBoard(out / "tensorboard", step, meter))
        else:
            members.append(Service(name, out, recipe))
    return Trackers(members)


class Service:
    """wandb or trackio, which speak alike: init, log, Image, finish.

    What they need of a network is set up outside (``WANDB_MODE=offline`` for none at all); trackio
    keeps its figures on this machine unless told otherwise.

    Args:
        name: of the package.
        out: the run's folder; its name is the run's, and a resumed run goes on under it.
        recipe: shown as the run's configuration.

    Raises:
        MissingExtraError: the package is not installed.
        TrainingError: it refuses to begin.
    """

    def __init__(self, name: str, out: Path, recipe: Recipe) -> None:
        try:
            self._package: Any = import_module(name)
        except ImportError as error:
            raise MissingExtraError(name, name, f"tracking with {name}") from error
        self.name = name
        options: dict[str, Any] = {"project": PROJECT, "name": out.name, "resume": "allow"}
        if name == "wandb":
            digest = hashlib.blake2b(str(out.resolve()).encode(), digest_size=8).hexdigest()
            options |= {
                "dir": str(out),
                "id": digest,
                "settings": {"silent": True, "console": "off"},
            }
        else:
            options |= {"embed": False}
        try:
            self._run = self._package.init(config=recipe.model_dump(mode="json"), **options)
        except Exception as error:
            raise TrainingError(f"{name} cannot begin: {_first_line(error)}") from error

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth."""
        self._log(dict(_numbers(record)), record["step"])

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        self._log({name: self._package.Image(pixels)}, step)

    def _log(self, values: dict[str, Any], step: int) -> None:
        try:
            self._run.log(values, step=step)
        except Exception as error:
            raise TrainingError(f"{self.name} took no figures: {_first_line(error)}") from error

    def close(self) -> None:
        """End the tracking."""
        self._run.finish()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


class TensorBoard:
    """Curves and grids for TensorBoard, where it is installed.

    Events are written by the calling thread, so that a full disk is an error here and not in a
    thread of TensorBoard's own.

    Args:
        folder: where the event file goes; None for nowhere.
        step: the run's first step, so that TensorBoard forgets later ones of a killed run.
        meter: is told once when TensorBoard is not there.

    Raises:
        TrainingError: the file cannot be written.
    """

    def __init__(self, folder: Path | None, step: int, meter: Meter) -> None:
        self._file: _Appender | None = None
        if folder is None:
            return
        try:
            from tensorboard.compat.proto.event_pb2 import SessionLog
            from torch.utils.tensorboard import summary
        except ImportError:
            meter.note("TensorBoard is not installed; for curves: pip install 'limner[train]'")
            return
        self._summary = summary
        name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}"
        self._file = _Appender(folder / name)
        self._write(file_version="brain.Event:2")
        if step:
            self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth."""
        if self._file is None:
            return
        for name, value in _numbers(record):
            shown = self._summary.scalar(name, value)  # type: ignore[no-untyped-call]
            self._write(step=record["step"], summary=shown)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        if self._file is not None:
            picture = self._summary.image(name, pixels, dataformats="HWC")  # type: ignore[no-untyped-call]
            self._write(step=step, summary=picture)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._file is not None
        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **event).SerializeToString())
        self._file.append(record.getvalue())


def _numbers(record: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            found.append((prefix + name, float(value)))
    return found
