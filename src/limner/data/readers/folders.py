"""Folders of pictures: captioned by text files beside them, or by the folders they lie in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from limner.data.readers.base import SPLITS, SourceEntry, SourceReader, split_of
from limner.data.tree import FileTree
from limner.errors import DataError

_REPEATS = re.compile(r"(\d+)_(.+)")
_SAYING_NOTHING = """
all data dataset datasets file files frame frames gif gifs image images img imgs jpeg jpegs jpg jpgs
mask masks media photo photos pic pics picture pictures png pngs raw sample samples thumbnail
thumbnails thumbs upload uploads webp
"""
_GENERAL = SPLITS | frozenset(_SAYING_NOTHING.split())
_LISTING_ENDINGS = (
    ".csv", ".json", ".jsonl", ".ndjson", ".ods", ".parquet", ".tsv", ".xls", ".xlsx", ".xml",
    ".yaml", ".yml",
)  # fmt: skip


def names_nothing(folder: str) -> bool:
    """Whether a folder is called after what it holds, such as ``images``, or after a split."""
    return folder.lower().strip("0123456789_- ") in _GENERAL


def unread_listings(tree: FileTree) -> list[Path]:
    """Files right in the folder that may hold captions, in a form that no reader knows."""
    return [path for path in tree.top if path.name.lower().endswith(_LISTING_ENDINGS)]


def _are_splits(folders: Iterable[str]) -> bool:
    return {folder.lower() for folder in folders} <= SPLITS


class _ClassFolders(SourceReader):
    """Common to readers of folders: the class that a folder is named after."""

    def count(self) -> int:
        """Count the pictures and what is left out."""
        pictures = self.tree.pictures
        return len(pictures) + sum(1 for _ in self.tree.unused(frozenset(pictures)))

    @cached_property
    def _repeated(self) -> bool:
        """Whether the folders are named as kohya's trainers want it, ``10_name``, all of them."""
        parents = {path.parent for path in self.tree.pictures}
        return all(_REPEATS.fullmatch(parent.name) for parent in parents)

    def _class_of(self, path: Path) -> tuple[str, dict[str, object]]:
        """Return the class that the folder of a picture names, and what else it says."""
        folder = path.parent.name
        facts: dict[str, object] = {"id": self.tree.name(path)}
        if self._repeated and (match := _REPEATS.fullmatch(folder)):
            folder, facts["repeats"] = match[2], int(match[1])
        name = " ".join(folder.replace("_", " ").split())
        if split := split_of(self.tree, path.parent / "_"):
            facts["split"] = split
        return name, facts | {"label": name}


class FolderReader(_ClassFolders):
    """``cat.png`` beside ``cat.txt`` (and ``cat.zh.txt`` for other languages).

    :class:`~limner.data.tree.FileTree` says which text belongs to which picture. In folders that
    are named ``10_name`` a picture without a text is captioned with that name.
    """

    name = "folder"
    understands = frozenset(("--template",))

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """A folder in which some picture has a text file of its name."""
        return not tree.is_file and any(tree.texts(picture) for picture in tree.pictures)

    def entries(self) -> Iterator[SourceEntry]:
        """Yield every picture."""
        for path in self.tree.pictures:
            self.used.add(path)
            key = self.tree.name(path)
            captions, problems = self.tree.captions(path, self.options.lang)
            name, facts = self._class_of(path)
            if not self._repeated:
                del facts["label"]
            elif not captions and not problems:
                captions = self.of_class(name)
            if captions:
                yield SourceEntry(key, path, tuple(captions), facts)
            else:
                yield SourceEntry(key, problem=problems[0] if problems else "no caption")


class ImageFolderReader(_ClassFolders):
    """``dog/1.png``, ``cat/2.png``: the class name goes through the template.

    Folders named ``10_name``, as kohya's trainers use them, are the class ``name``; the number is
    kept in the metadata as ``repeats``.
    """

    name = "imagefolder"

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """A folder whose sub-folders, named after what is shown, hold all the pictures."""
        pictures = [] if tree.is_file else tree.pictures
        classes = {path.parent.name for path in pictures}
        return (
            bool(pictures)
            and all(path.parent != tree.path for path in pictures)
            and not (all(map(names_nothing, classes)) and not _are_splits(classes))
            and not (len(classes) == 1 and unread_listings(tree))
        )

    def entries(self) -> Iterator[SourceEntry]:
        """Yield every picture.

        Raises:
            DataError: the folders are named after splits instead of classes.
        """
        folders = {path.parent.name.lower() for path in self.tree.pictures}
        if folders and _are_splits(folders):
            raise DataError(
                f"the pictures of {self.tree.path} have no captions: their folders "
                f"({', '.join(sorted(folders))}) name splits, not what is shown"
            )
        for path in self.tree.pictures:
            self.used.add(path)
            key = self.tree.name(path)
            if "/" not in key:
                yield SourceEntry(key, problem="not in a class folder")
                continue
            name, facts = self._class_of(path)
            yield SourceEntry(key, path, tuple(self.of_class(name)), facts)
