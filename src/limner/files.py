"""Files that are never half-written: a temporary name beside them, then a rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from limner.errors import LimnerError


@contextmanager
def whole_file(path: Path, failure: type[LimnerError], *, sync: bool = False) -> Iterator[Path]:
    """Write a file so that ``path`` is either the old file or the whole new one.

    The block writes the path it is given, ``path`` with ``.part`` at its end; that is renamed if
    the block ends well and removed if it does not.

    Args:
        path: what to write; its folder is made where it is missing.
        failure: the error to raise for an ``OSError``.
        sync: wait until the disk has it, for files that took long to make.

    Raises:
        LimnerError: a ``failure``; the folder cannot be made, or the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync:
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
        part.replace(path)
    except BaseException as error:
        # A folder that could not be written to cannot be cleaned either.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise failure(f"cannot write {path}: {reason}; nothing was changed") from error
        raise


def make_folder(path: Path, failure: type[LimnerError]) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        LimnerError: a ``failure``; it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"cannot make the folder {path}: {error.strerror or error}") from error


def write_text(path: Path, text: str, failure: type[LimnerError]) -> Path:
    """Write a text as UTF-8, whole or not at all.

    Raises:
        LimnerError: a ``failure``; it cannot be written.
    """
    with whole_file(path, failure) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any, failure: type[LimnerError]) -> Path:
    """Write JSON in UTF-8, whole or not at all, and return ``path``.

    Raises:
        LimnerError: a ``failure``; the file cannot be written.
    """
    return write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n", failure)
