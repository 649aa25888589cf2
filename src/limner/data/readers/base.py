"""What every reader yields, and which options it takes."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.pictures import Source
from limner.data.store import Caption
from limner.data.tree import FileTree, encoding_of
from limner.errors import DataError

DEFAULT_TEMPLATE = "a photo of {}"
METADATA_COLUMNS = ("id", "source", "style", "concept", "label", "group", "licence", "split")
SPLITS = frozenset(("train", "training", "test", "testing", "validation", "valid", "val", "dev"))


@dataclass(frozen=True)
class SourceEntry:
    """One entry of a source.

    Attributes:
        key: names it within the source, the same every time the source is read.
        image: a file, bytes or an array; None with a ``problem``.
        captions: at least one, unless there is a ``problem``.
        metadata: JSON-able.
        problem: why the entry is left out. Reports count by the part before the first colon.
    """

    key: str
    image: Source | None = None
    captions: tuple[Caption, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class ReaderOptions:
    """Options of the readers. One that a source has no use for is refused.

    Attributes:
        template: makes a caption of a class name; holds one ``{}``.
        text_columns: columns with captions; empty to guess. ``json.caption`` is the key
            ``caption`` within the column ``json``.
        image_column: column with the picture or its path; empty to guess.
        labels: class names by number, for sources that only hold numbers.
        lang: language of the captions that name none.
        encoding: of texts, as Python calls it (``cp1252``); empty for UTF-8, and for UTF-16 where a
            text begins with its byte order mark.
    """

    template: str = DEFAULT_TEMPLATE
    text_columns: tuple[str, ...] = ()
    image_column: str = ""
    labels: tuple[str, ...] = ()
    lang: str = "en"
    encoding: str = ""

    def __post_init__(self) -> None:
        if self.template.count("{}") != 1:
            raise DataError(f"the template {self.template!r} must hold {{}} exactly once")

    def given(self) -> dict[str, str]:
        """The options that differ from their defaults: name on the command line, what it needs."""
        needs = {
            "--template": ("class names", self.template != DEFAULT_TEMPLATE),
            "--labels": ("class numbers", bool(self.labels)),
            "--image-column": (f"column {self.image_column!r}", bool(self.image_column)),
        }
        found = {name: what for name, (what, changed) in needs.items() if changed}
        return found | {f"--text-column {name}": "such column" for name in self.text_columns}


class SourceReader(ABC):
    """A kind of source.

    Args:
        tree: the files of the source.
        options: of the command.

    Raises:
        DataError: an option is given that has no meaning for this kind.
    """

    name: str
    understands: frozenset[str] = frozenset(("--template", "--labels"))

    def __init__(self, tree: FileTree, options: ReaderOptions) -> None:
        self.tree = tree
        self.options = options
        self.used: set[Path] = set()
        self.applied: set[str] = set()
        for option in options.given():
            if option.partition(" ")[0] not in self.understands:
                raise DataError(
                    f"{option} has no meaning for {tree.path}, which is read as {self.name}; "
                    "leave it out or name another --format"
                )

    @classmethod
    @abstractmethod
    def detects(cls, tree: FileTree) -> bool:
        """Say whether the files are laid out like this kind."""

    @abstractmethod
    def entries(self) -> Iterator[SourceEntry]:
        """Yield the entries of the source, and add the files they come from to ``used``."""

    def __iter__(self) -> Iterator[SourceEntry]:
        """Yield every entry, then what is left out, in the same order every time."""
        self.used.clear()
        yield from self.entries()
        for path, reason in self.tree.unused(self.used):
            yield SourceEntry(self.tree.name(path), problem=reason)

    def count(self) -> int | None:
        """Return how many entries there are, where that is cheap to know."""
        return None

    def check_options(self) -> None:
        """Call when everything has been read.

        Raises:
            DataError: an option was given and no entry had a use for it.
        """
        for option, what in self.options.given().items():
            if option not in self.applied:
                raise DataError(
                    f"{option} was never needed: no entry of {self.tree.path} has {what}; "
                    "correct it or leave it out"
                )

    def of_class(self, name: str) -> list[Caption]:
        """Make the caption of a class name, or of a number that ``labels`` names.

        Raises:
            DataError: the number has no name in ``labels``.
        """
        labels = self.options.labels
        if labels and name.isdecimal():
            self.applied.add("--labels")
            if int(name) >= len(labels):
                raise DataError(f"the class {name} has no name: --labels gives {len(labels)} names")
            name = labels[int(name)]
        self.applied.add("--template")
        return [Caption(self.options.template.replace("{}", name), self.options.lang)]

    def decoded(self, data: bytes) -> str:
        """A text of the source.

        Raises:
            ValueError: bytes that are not of its encoding.
        """
        return data.decode(encoding_of(data, self.tree.encoding))

    def captions_of(self, value: object) -> list[Caption]:
        """Make captions of a text, a class number, or a list of them; of anything else none.

        Raises:
            ValueError: bytes that are not of the encoding.
        """
        if isinstance(value, list | tuple):
            return [caption for item in value for caption in self.captions_of(item)]
        if isinstance(value, bytes):
            value = self.decoded(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.of_class(str(value)) if value >= 0 else []
        if not isinstance(value, str) or not value.strip():
            return []
        text = value.strip()
        if self.options.labels and text.isdecimal():
            return self.of_class(text)
        return [Caption(text, self.options.lang)]


def inside(root: Path, name: str) -> Path:
    """Resolve a path that a listing gives, which may not leave the listing's folder.

    A link in the folder is followed, wherever it leads: whoever made the folder made the link.

    Raises:
        DataError: it is absolute, climbs out of the folder, or is no path at all.
    """
    plain = name.strip().replace("\\", "/")
    if "://" in plain:
        raise DataError("picture given by URL, not as a file")
    pure = PurePosixPath(plain)
    if pure.is_absolute() or ".." in pure.parts or (len(plain) > 1 and plain[1] == ":"):
        raise DataError("path leads outside the source")
    return root / plain


def shards(tree: FileTree, *endings: str) -> list[Path]:
    """Return the files with certain endings: at the top, else anywhere below.

    Files below the top are used only where the tree holds no pictures: an archive somewhere
    among pictures is not the data set.
    """
    if tree.is_file:
        return list(tree.files)
    top = [path for path in tree.top if path.name.lower().endswith(endings)]
    if top or tree.pictures:
        return top
    return [path for path in tree.files if path.name.lower().endswith(endings)]


def split_of(tree: FileTree, path: Path) -> str:
    """Return the split in a file's folders or at the start of its name, such as ``train``."""
    *folders, name = tree.name(path).lower().split("/")
    for part in (*folders, re.split(r"[-.]", name)[0]):
        if part in SPLITS:
            return part
    return ""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from outside.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def facts_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the metadata columns of a row."""
    return {
        name: row[name]
        for name in METADATA_COLUMNS
        if isinstance(row.get(name), str | int | float) and row[name] != ""
    }


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """Return a row's value in a column; ``json.caption`` is the key ``caption`` in column ``json``.

    A column on the way may hold JSON as text.
    """
    if column in row:
        return row[column]
    first, dot, rest = column.partition(".")
    inner = row.get(first) if dot else None
    if isinstance(inner, str | bytes):
        try:
            inner = parse_json(inner)
        except ValueError:
            return None
    return value_at(inner, rest) if isinstance(inner, Mapping) else None
