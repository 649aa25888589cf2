"""Readers: every kind of captioned pictures limner can pack, behind one interface."""

from __future__ import annotations

from pathlib import Path

from limner.data.readers import folders, idx, tables, tars
from limner.data.readers.base import ReaderOptions, SourceEntry, SourceReader, readers
from limner.data.tree import FileTree
from limner.errors import DataError

__all__ = [
    "ReaderOptions",
    "SourceEntry",
    "SourceReader",
    "folders",
    "idx",
    "open_source",
    "readers",
    "tables",
    "tars",
]


def open_source(
    source: Path, options: ReaderOptions | None = None, kind: str | None = None
) -> SourceReader:
    """Open a source with the reader that fits it.

    Args:
        source: a file or folder.
        options: of the reader.
        kind: name of a reader; None to detect it from the structure of the source.

    Raises:
        DataError: the source is missing, its kind is unknown or cannot be detected, or an option
            has no meaning for it.
    """
    known = readers()
    if not source.exists():
        raise DataError(f"there is nothing at {source}")
    if kind is not None and kind not in known:
        raise DataError(f"unknown format {kind!r}; known are {', '.join(known)}")
    tree = FileTree(source)
    chosen = known[kind] if kind else next((r for r in known.values() if r.detects(tree)), None)
    if chosen is None:
        if tree.pictures:
            raise DataError(
                f"no picture in {source} has a caption: put a text file beside each, cat.txt for "
                f"cat.png, or sort them into folders named after what they show"
            )
        raise DataError(
            f"cannot tell what {source} is: no caption files beside pictures, class folders, "
            f"listing or shards found; pass --format ({', '.join(known)})"
        )
    return chosen(tree, options or ReaderOptions())
