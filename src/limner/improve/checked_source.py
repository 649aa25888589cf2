"""What is checked: the pictures of a store, or of anything that can be packed into one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from limner.arrays import Pixels
from limner.data.pack import PackOptions, cleaned_entries, usable_captions
from limner.data.pictures import Cleaned
from limner.data.readers import SourceEntry, open_source
from limner.data.readers.base import SourceReader
from limner.data.store import HEADER, Caption, Store
from limner.data.tree import FileTree
from limner.errors import DataError

_NO_CAPTION = "no caption"


@dataclass(frozen=True)
class CheckedItem:
    """One picture of a data set.

    Attributes:
        key: its name in the source.
        pixels: ``(S, S, 3)`` uint8; None where it cannot be read.
        problem: why it cannot, or what is wrong with its captions.
        captions: those that could be prompts.
        metadata: JSON-able.
        original: width and height of the file in pixels; None in a store.
        notes: how the picture was changed.
    """

    key: str
    pixels: Pixels | None
    problem: str = ""
    captions: tuple[Caption, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    original: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


class CheckedSource(Protocol):
    """A data set that can be read more than once, in the same order.

    Attributes:
        kind: ``store``, or the name of the reader.
        size: side S of its pictures.
        name: of a store made of it.
        licences: of its pictures.
        identity: changes when another source is meant; JSON-able.
    """

    kind: str
    size: int
    name: str
    licences: dict[str, str]
    identity: dict[str, str]

    def __iter__(self) -> Iterator[CheckedItem]:
        """Every item."""

    def count(self) -> int | None:
        """How many items there are, where that is cheap to know."""

    def pick(self, numbers: Collection[int]) -> dict[int, Pixels]:
        """The pictures of some items, by their numbers; those that can be read."""


class StoreSource:
    """A packed store.

    Args:
        path: of the store.

    Raises:
        DataError: it cannot be read.
    """

    kind = "store"

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.size, self.name = self.store.size, self.store.name
        self.licences = self.store.licences
        self.identity = {"store": self.store.fingerprint}

    def __iter__(self) -> Iterator[CheckedItem]:
        """Every picture of the store."""
        for row in range(len(self.store)):
            facts = self.store.metadata(row)
            yield CheckedItem(
                str(facts.get("id", row)), np.asarray(self.store.images[row]),
                captions=self.store.captions(row), metadata=facts,
            )  # fmt: skip

    def count(self) -> int:
        """How many pictures there are."""
        return len(self.store)

    def pick(self, numbers: Collection[int]) -> dict[int, Pixels]:
        """The pictures of some rows."""
        return {row: np.array(self.store.images[row]) for row in numbers}


class FileSource:
    """Anything that ``limner data pack`` reads; also a folder of pictures without any caption.

    Args:
        path: of the source.
        options: how pictures are read and made square.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, path: Path, options: PackOptions) -> None:
        self.path, self.options = path, options
        self.size, self.name = options.cleaning.size, options.name or path.name
        self.licences = {self.name: options.licence}
        self.identity = {
            "source": str(path.resolve()), "options": repr(replace(options, workers=0)),
        }  # fmt: skip
        self.tree = FileTree(path)
        self._reader: SourceReader | None = None
        try:
            self._reader = open_source(path, options.reader, options.format)
            self.kind = self._reader.name
        except DataError:
            if options.format is not None or not path.is_dir() or not self.tree.pictures:
                raise
            self.kind = "pictures"

    def _entries(self) -> Iterator[SourceEntry]:
        """Entries of the reader; pictures without captions are read too."""
        if self._reader is None:
            for path in self.tree.pictures:
                name = self.tree.name(path)
                yield SourceEntry(name, path, (), {"id": name}, _NO_CAPTION)
            return
        for number, entry in enumerate(self._reader):
            if number == self.options.limit:
                return
            if entry.image is None and (entry.problem or "").startswith(_NO_CAPTION):
                path = self.path / entry.key
                if path.is_file():
                    entry = replace(entry, image=path, metadata={"id": entry.key})  # noqa: PLW2901
            yield entry

    def __iter__(self) -> Iterator[CheckedItem]:
        """Every entry of the source."""
        for entry, outcome in cleaned_entries(self._entries(), self.options):
            captions, unusable = usable_captions(entry.captions)
            facts = dict(entry.metadata)
            if self.options.style:
                facts["style"] = self.options.style
            if isinstance(outcome, Cleaned):
                yield CheckedItem(
                    entry.key, outcome.pixels, unusable or entry.problem or "", tuple(captions),
                    facts, outcome.original, outcome.notes,
                )  # fmt: skip
            else:
                # Of a file that is there, why it cannot be read matters more than its captions.
                found = (
                    (entry.problem, outcome) if entry.image is None else (outcome, entry.problem)
                )
                problem = next((each for each in found if each), "no picture")
                yield CheckedItem(entry.key, None, problem, tuple(captions), facts)

    def count(self) -> int | None:
        """How many entries there are, where that is cheap to know."""
        known = len(self.tree.pictures) if self._reader is None else self._reader.count()
        limit = self.options.limit
        return known if limit is None or known is None else min(limit, known)

    def pick(self, numbers: Collection[int]) -> dict[int, Pixels]:
        """The pictures of some entries, which are decoded again."""
        wanted = set(numbers)
        entries = (entry for number, entry in enumerate(self._entries()) if number in wanted)
        cleaned = cleaned_entries(entries, replace(self.options, workers=1))
        found = zip(sorted(wanted), cleaned, strict=False)
        return {n: o.pixels for n, (_, o) in found if isinstance(o, Cleaned)}


def open_checked(path: Path, options: PackOptions | None = None) -> CheckedSource:
    """The store, or the pictures, at a path.

    Raises:
        DataError: there is nothing that can be read.
    """
    if (path / HEADER).is_file():
        return StoreSource(path)
    return FileSource(path, options or PackOptions())
