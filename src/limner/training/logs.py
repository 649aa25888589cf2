"""The log of a run: JSON lines, and means of the figures of several steps."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.errors import TrainingError
from limner.files import whole_file

LOG_NAME = "log.jsonl"


class AppendedFile:
    """A file, in a folder that is made where it is missing, to which pieces are appended whole.

    Raises:
        TrainingError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _failure(path, error) from error

    def append(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            TrainingError: the disk is full; the file ends as before.
        """
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(piece) != len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._file.truncate(end)
            raise _failure(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _failure(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"cannot write {path}: {error.strerror or error}")


class JsonLog(AppendedFile):
    """One JSON object a line, appended whole or not at all.

    Everything but the values under ``"clock"`` is a function of the recipe (and, with a budget of
    minutes, of the schedule), so that two logs can be compared.

    Args:
        path: of the log.
        step: lines of later steps are removed, because they will be written again. None empties
            the log.

    Raises:
        TrainingError: it cannot be written.
    """

    def __init__(self, path: Path, step: int | None) -> None:
        with whole_file(path, TrainingError) as part:
            part.write_bytes(_until(path, step) if step is not None and path.exists() else b"")
        super().__init__(path)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            TrainingError: the disk is full; the log ends with its last whole line.
        """
        self.append(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _until(path: Path, step: int) -> bytes:
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # torn by a crash
    return b"".join(kept)


def numbers(values: Sequence[Tensor | float]) -> list[float]:
    """Scalars as float64 numbers; tensors, all of one device, are fetched in one copy."""
    tensors = [value.detach().double() for value in values if isinstance(value, Tensor)]
    fetched = iter(torch.stack(tensors).tolist() if tensors else [])
    return [next(fetched) if isinstance(value, Tensor) else float(value) for value in values]


class FigureMeans:
    """Means of figures over the steps since the last line of the log.

    Args:
        device: of the sums, so that no step waits for a transfer.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[str, tuple[Tensor | float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    @property
    def finite(self) -> bool:
        """Whether every figure so far was finite."""
        return all(math.isfinite(total) for total in self._totals())

    def add(self, figures: Mapping[str, Tensor | float]) -> None:
        """Add the float64 scalars of one step."""
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def means(self) -> dict[str, float]:
        """The mean of each figure over the steps that had it; clears the sums."""
        pairs = zip(self._sums.items(), self._totals(), strict=True)
        means = {name: total / count for (name, (_, count)), total in pairs}
        self._sums = {}
        return means

    def state(self) -> dict[str, list[float]]:
        """Plain values, for the checkpoint."""
        pairs = zip(self._sums.items(), self._totals(), strict=True)
        return {name: [total, count] for (name, (_, count)), total in pairs}

    def _totals(self) -> list[float]:
        """The sums, in order; those of a device are fetched together."""
        return numbers([total for total, _ in self._sums.values()])

    def restore(self, state: dict[str, list[float]]) -> None:
        """Set the state that :meth:`state` returned."""
        self._sums = {
            name: (torch.tensor(total, dtype=torch.float64, device=self.device), int(count))
            for name, (total, count) in state.items()
        }
