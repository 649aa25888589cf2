"""Where the figures of a run go besides the log: TensorBoard, wandb and trackio."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import platform
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from limner.errors import MissingExtraError, TrainingError, first_line
from limner.training.logs import AppendedFile
from limner.training.recipe import Recipe

PROJECT = "limner"
"""Name of the project at wandb and trackio."""
_LOGGER = logging.getLogger(__name__)


class Service:
    """wandb or trackio, which have the same functions: init, log, Image, finish.

    Their own environment variables decide how they use a network (``WANDB_MODE=offline`` for not
    at all); trackio keeps its figures on this machine by default.

    Args:
        name: of the package.
        out: the run folder; its name is the name of the run, also of a resumed one.
        recipe: shown as the configuration of the run.

    Raises:
        MissingExtraError: the package is not installed.
        TrainingError: it cannot be started.
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
            raise TrainingError(f"{name} cannot be started: {first_line(error)}") from error

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth, at ``record["step"]``."""
        self._log(dict(_numbers(record)), record["step"])

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        self._log({name: self._package.Image(pixels)}, step)

    def _log(self, values: dict[str, Any], step: int) -> None:
        try:
            self._run.log(values, step=step)
        except Exception as error:
            raise TrainingError(f"{self.name} cannot log: {first_line(error)}") from error

    def close(self) -> None:
        """End the tracking."""
        self._run.finish()


class TensorBoard(AppendedFile):
    """Writes an event file for TensorBoard.

    Events are written in the calling thread, so that a full disk is an error here and not in a
    thread of TensorBoard's own.

    Args:
        folder: of the event file.
        step: first step of the run, so that TensorBoard drops later steps of a killed run.

    Raises:
        TrainingError: the file cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from torch.utils.tensorboard import summary

        self._summary = summary
        name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}"
        super().__init__(folder / name)
        self._write(file_version="brain.Event:2")
        if step:
            self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, record: dict[str, Any]) -> None:
        """Show the numbers of a log record, at any depth, at ``record["step"]``."""
        for name, value in _numbers(record):
            shown = self._summary.scalar(name, value)  # type: ignore[no-untyped-call]
            self._write(step=record["step"], summary=shown)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show an ``(H, W, 3)`` uint8 array."""
        picture = self._summary.image(name, pixels, dataformats="HWC")  # type: ignore[no-untyped-call]
        self._write(step=step, summary=picture)

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **event).SerializeToString())
        self.append(record.getvalue())


Tracker: TypeAlias = Service | TensorBoard


def open_trackers(names: Sequence[str], out: Path, step: int, recipe: Recipe) -> list[Tracker]:
    """The trackers of ``train.trackers`` of a run; TensorBoard only where it is installed.

    Raises:
        MissingExtraError: a package is not installed.
        TrainingError: a tracker cannot be started.
    """
    members: list[Tracker] = []
    for name in dict.fromkeys(names):
        if name != "tensorboard":
            members.append(Service(name, out, recipe))
        elif find_spec("tensorboard"):
            members.append(TensorBoard(out / "tensorboard", step))
        else:
            _LOGGER.info("TensorBoard is not installed; for curves: pip install 'limner[train]'")
    return members


def _numbers(record: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            found.append((prefix + name, float(value)))
    return found
