"""Where the pictures of an index lie: in a folder, or in a packed store."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limner.data.pictures import is_picture, whole
from limner.data.readers.base import inside
from limner.data.store import HEADER, Store
from limner.data.tree import walk
from limner.errors import DataError

SIDE = 256
"""Pixels that the pictures of a folder are scaled to."""


@dataclass(frozen=True)
class Entry:
    """One picture of an index.

    Attributes:
        name: path below the folder, or row of the store.
        stamp: changes when the picture does.
        caption: what is said of it where something is.
    """

    name: str
    stamp: str
    caption: str = ""


class Source(Protocol):
    """Pictures that can be listed without being read."""

    @property
    def kind(self) -> str:
        """``folder`` or ``store``."""
        ...

    def entries(self) -> list[Entry]:
        """All pictures."""
        ...

    def pixels(self, names: Sequence[str]) -> list[NDArray[np.uint8] | str]:
        """Each ``(H, W, 3)`` uint8, or the reason why it cannot be had."""
        ...


class FolderSource:
    """Picture files below a folder; captions are the ``.txt`` beside them.

    Args:
        path: of the folder.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"there is no folder {path}")
        self.path = path

    def entries(self) -> list[Entry]:
        """Every file that is named like a picture."""
        return [self._entry(path) for path in walk(self.path) if is_picture(path)]

    def _entry(self, path: Path) -> Entry:
        facts, text = path.stat(), path.with_suffix(".txt")
        said = text.read_text("utf-8", "replace").strip() if text.is_file() else ""
        stamp = f"{facts.st_size}-{facts.st_mtime_ns}"
        name = path.relative_to(self.path).as_posix()
        return Entry(name, stamp, said.splitlines()[0] if said else "")

    def pixels(self, names: Sequence[str]) -> list[NDArray[np.uint8] | str]:
        """Whole, on white, scaled to 256 px."""
        return [self._read(name) for name in names]

    def _read(self, name: str) -> NDArray[np.uint8] | str:
        try:
            return whole(inside(self.path, name), SIDE)
        except DataError as error:
            return str(error)


class StoreSource:
    """The pictures of a packed store.

    Args:
        path: of the store.
    """

    kind = "store"

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)

    def entries(self) -> list[Entry]:
        """Every row; its heaviest caption."""
        table = self.store.caption_table()
        found = []
        for row in range(len(self.store)):
            first, last = table.offsets[row], table.offsets[row + 1]
            heaviest = first + int(table.weight[first:last].argmax())
            stamp = f"{zlib.crc32(self.store.images[row].tobytes()):08x}"
            found.append(Entry(str(row), stamp, table.texts[table.text_index[heaviest]]))
        return found

    def pixels(self, names: Sequence[str]) -> list[NDArray[np.uint8] | str]:
        """As packed."""
        count = len(self.store)
        rows = [int(name) if name.isdecimal() else count for name in names]
        return [
            np.asarray(self.store.images[row]) if row < count else "no such row" for row in rows
        ]


def open_source(path: Path) -> FolderSource | StoreSource:
    """The store or the folder at a path.

    Raises:
        DataError: there is none.
    """
    return StoreSource(path) if (path / HEADER).is_file() else FolderSource(path)
