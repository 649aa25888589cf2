"""The pictures of an index: in a folder, or in a packed store."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from limner.data.pictures import whole
from limner.data.store import HEADER, Store
from limner.data.tree import FileTree
from limner.errors import DataError

SIDE = 256
"""Pixels that the pictures of a folder are scaled to."""
_LANGUAGE = "en"


@dataclass(frozen=True)
class IndexedPicture:
    """One picture of an index.

    Attributes:
        name: path below the folder, or row of the store.
        stamp: changes when the picture does.
        caption: of the picture; empty where it has none.
    """

    name: str
    stamp: str
    caption: str = ""


class FolderSource:
    """Picture files below a folder, captioned by the text files beside them.

    Args:
        path: of the folder.

    Attributes:
        problems: what could not be listed or followed, by name, and why.

    Raises:
        DataError: there is no such folder.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"there is no folder {path}")
        self.path, self._tree = path, FileTree(path)
        self.problems: dict[str, str] = {}

    def pictures(self) -> list[IndexedPicture]:
        """Every file that is named like a picture, with its first caption, English before others.

        Raises:
            DataError: the folder cannot be listed.
        """
        found = []
        for path in self._tree.pictures:
            name = self._tree.name(path)
            try:
                stamp = file_stamp(path)
            except OSError as error:
                self.problems[name] = f"unreadable file ({error.strerror})"
                continue
            captions, _ = self._tree.captions(path, _LANGUAGE)
            captions.sort(key=lambda caption: caption.lang != _LANGUAGE)
            found.append(IndexedPicture(name, stamp, captions[0].text if captions else ""))
        self.problems |= {self._tree.name(path): why for path, why in self._tree.problems.items()}
        return found

    def pixels(self, names: Sequence[str]) -> list[NDArray[np.uint8] | str]:
        """``(256, 256, 3)`` uint8, uncropped and on white; or why one cannot be read."""
        return [self._read(name) for name in names]

    def _read(self, name: str) -> NDArray[np.uint8] | str:
        # Names may come from an index of unknown origin.
        pure = PurePath(name)
        if pure.is_absolute() or ".." in pure.parts or "\0" in name:
            return "path leads outside the source"
        try:
            return whole(self.path / pure, SIDE)
        except DataError as error:
            return str(error)


class StoreSource:
    """The pictures of a packed store.

    Args:
        path: of the store.

    Raises:
        DataError: it is no store that can be read.
    """

    kind = "store"

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.problems: dict[str, str] = {}

    def pictures(self) -> list[IndexedPicture]:
        """Every row, with its caption of the largest weight."""
        table = self.store.caption_table()
        found = []
        for row in range(len(self.store)):
            first, last = table.offsets[row], table.offsets[row + 1]
            best = first + int(table.weight[first:last].argmax())
            stamp = f"{zlib.crc32(self.store.images[row].tobytes()):08x}"
            found.append(IndexedPicture(str(row), stamp, table.texts[table.text_index[best]]))
        return found

    def pixels(self, names: Sequence[str]) -> list[NDArray[np.uint8] | str]:
        """As packed."""
        count = len(self.store)
        rows = [int(name) if name.isdecimal() else count for name in names]
        return [
            np.asarray(self.store.images[row]) if row < count else "no such row" for row in rows
        ]


def open_pictures(path: Path) -> FolderSource | StoreSource:
    """The pictures of the store or the folder at a path.

    Raises:
        DataError: there is neither.
    """
    return StoreSource(path) if (path / HEADER).is_file() else FolderSource(path)


def file_stamp(path: Path) -> str:
    """A string that changes when a file does: its size, and when it and its inode last changed.

    A file that is replaced by another of the same size and time has another inode time.

    Raises:
        OSError: there is no such file.
    """
    facts = path.stat()
    return f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ctime_ns}"
