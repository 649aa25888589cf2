"""Readers: every kind of captioned pictures limner can pack, behind one interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from limner.data.readers.base import ReaderOptions, SourceEntry, SourceReader
from limner.data.readers.folders import (
    FolderReader,
    ImageFolderReader,
    names_nothing,
    unread_listings,
)
from limner.data.readers.idx import IdxReader
from limner.data.readers.json_listings import JsonReader
from limner.data.readers.tables import CsvReader, JsonlReader, ParquetReader, TsvReader
from limner.data.readers.tars import TarReader
from limner.data.tree import FileTree
from limner.errors import DataError

__all__ = ["READERS", "ReaderOptions", "SourceEntry", "open_source", "other_kinds"]

READERS: tuple[type[SourceReader], ...] = (
    IdxReader, TarReader, FolderReader, TsvReader, CsvReader, JsonlReader, ParquetReader,
    JsonReader, ImageFolderReader,
)  # fmt: skip
"""Every kind, the surest first: detection tries them in this order."""


def open_source(
    source: Path, options: ReaderOptions | None = None, kind: str | None = None
) -> SourceReader:
    """Open a file or folder with the reader called ``kind``, or that which its structure fits.

    Raises:
        DataError: the source is missing, its kind is unknown or cannot be detected, or an option
            has no meaning for it.
    """
    known = {reader.name: reader for reader in READERS}
    if not source.exists():
        raise DataError(f"there is nothing at {source}")
    if kind is not None and kind not in known:
        raise DataError(f"unknown format {kind!r}; known are {', '.join(known)}")
    options = options or ReaderOptions()
    tree = FileTree(source, options.encoding)
    chosen = known[kind] if kind else next(_kinds(tree), None)
    if chosen is None:
        if tree.pictures:
            raise DataError(f"no picture in {source} has a caption: {_what_to_do(tree)}")
        raise DataError(
            f"cannot tell what {source} is: no caption files beside pictures, class folders, "
            f"listing or shards found; pass --format ({', '.join(known)})"
        )
    return chosen(tree, options)


def _kinds(tree: FileTree) -> Iterator[type[SourceReader]]:
    """Readers whose structure a source has, the surest first."""
    return (reader for reader in READERS if reader.detects(tree))


def other_kinds(source: Path, encoding: str = "") -> list[str]:
    """Names of readers that find captions in a source beside those that are read without a name.

    Class folders are none of them: pictures in folders always look like these.
    """
    kinds = list(_kinds(FileTree(source, encoding)))[1:]
    return [kind.name for kind in kinds if kind is not ImageFolderReader]


def _what_to_do(tree: FileTree) -> str:
    """How the pictures of a folder get captions."""
    if listings := unread_listings(tree):
        return (
            f"{listings[0].name} is read as no listing of them; write one as CSV or JSON lines, "
            "with a column that names the picture and one with its caption"
        )
    folders = sorted({path.parent.name for path in tree.pictures if path.parent != tree.path})
    said = (
        f" (the folder {folders[0]} does not say what is in its pictures; --format imagefolder "
        "takes its name nevertheless)"
        if folders and not tree.is_file and all(map(names_nothing, folders))
        else ""
    )
    return (
        "put a text file beside each, cat.txt for cat.png, or sort them into folders named after "
        f"what they show{said}"
    )
