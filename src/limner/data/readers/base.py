"""What every reader gives, what it may be told, and the registry they sign."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.pictures import Source
from limner.data.store import Caption
from limner.errors import DataError

DEFAULT_TEMPLATE = "a photo of {}"
METADATA_COLUMNS = ("id", "source", "style", "concept", "label", "group", "licence", "split")


@dataclass(frozen=True)
class Item:
    """One entry of a source.

    Attributes:
        key: names it within the source, always the same.
        image: a file, bytes or an array; None with a ``problem``.
        captions: at least one, unless there is a ``problem``.
        metadata: JSON-able.
        problem: why the entry cannot be used, as the report counts it.
    """

    key: str
    image: Source | None = None
    captions: tuple[Caption, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class ReaderOptions:
    """What a reader may be told.

    Attributes:
        template: makes a caption of a class name; holds one ``{}``.
        text_columns: columns with captions; empty to guess.
        image_column: column with the picture or its path; empty to guess.
        labels: class names by number, for sources that only hold numbers.
        lang: language of the captions.
    """

    template: str = DEFAULT_TEMPLATE
    text_columns: tuple[str, ...] = ()
    image_column: str = ""
    labels: tuple[str, ...] = ()
    lang: str = "en"

    def __post_init__(self) -> None:
        if self.template.count("{}") != 1:
            raise DataError(f"the template {self.template!r} must hold {{}} exactly once")

    def of_class(self, name: str) -> tuple[Caption, ...]:
        """Make the caption of a class name, or of a number that ``labels`` names.

        Raises:
            DataError: the number has no name in ``labels``.
        """
        if self.labels and name.isdecimal():
            if int(name) >= len(self.labels):
                raise DataError(
                    f"the class {name} has no name: --labels gives {len(self.labels)} names"
                )
            name = self.labels[int(name)]
        return (Caption(self.template.replace("{}", name), self.lang),)

    def texts(self, values: Iterable[object]) -> tuple[Caption, ...]:
        """Make captions of the non-empty strings among ``values``, each once."""
        strings = (value.strip() for value in values if isinstance(value, str))
        return tuple(Caption(text, self.lang) for text in dict.fromkeys(strings) if text)


class Reader(ABC):
    """A kind of source."""

    name: str
    summary: str
    rank: int

    def __init__(self, source: Path, options: ReaderOptions) -> None:
        self.source = source
        self.options = options

    @classmethod
    @abstractmethod
    def detects(cls, source: Path) -> bool:
        """Say whether ``source`` is built like this kind."""

    @abstractmethod
    def __iter__(self) -> Iterator[Item]:
        """Yield every entry, always in the same order."""

    def count(self) -> int | None:
        """Return how many entries there are, where that is cheap to know."""
        return None


_READERS: dict[str, type[Reader]] = {}


def register(name: str, summary: str, *, rank: int) -> Callable[[type[Reader]], type[Reader]]:
    """Sign a reader into the registry; detection tries low ranks, the surest kinds, first."""

    def sign(kind: type[Reader]) -> type[Reader]:
        if name in _READERS:
            raise TypeError(f"two readers are called {name!r}")
        kind.name, kind.summary, kind.rank = name, summary, rank
        _READERS[name] = kind
        return kind

    return sign


def readers() -> dict[str, type[Reader]]:
    """Return the registry, ``name -> class``, the surest kinds first."""
    return dict(sorted(_READERS.items(), key=lambda pair: pair[1].rank))


def inside(root: Path, name: str) -> Path:
    """Resolve a path that a listing gives, which may not leave the listing's folder.

    Raises:
        DataError: it is absolute or leads outside, also through a link.
    """
    plain = name.strip().replace("\\", "/")
    pure = PurePosixPath(plain)
    if pure.is_absolute() or ".." in pure.parts or (len(plain) > 1 and plain[1] == ":"):
        raise DataError("path leads outside the source")
    path = root / plain
    if path.is_symlink() or not path.resolve().is_relative_to(root.resolve()):
        raise DataError("path leads outside the source")
    return path


def files_of(source: Path, *endings: str) -> list[Path]:
    """Return ``source`` itself, or the files right in it, whose names end in one of ``endings``."""
    found = [source] if source.is_file() else sorted(p for p in source.iterdir() if p.is_file())
    return [path for path in found if path.name.lower().endswith(endings)]
