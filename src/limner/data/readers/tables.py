"""Listings: TSV, CSV, JSONL and Parquet, whose rows hold a picture, or its path, and captions."""

from __future__ import annotations

import csv
from abc import abstractmethod
from codecs import BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.pictures import is_picture
from limner.data.readers.base import (
    METADATA_COLUMNS,
    ReaderOptions,
    SourceEntry,
    SourceReader,
    facts_of,
    inside,
    parse_json,
    shards,
    split_of,
    value_at,
)
from limner.data.tree import FileTree, encoding_of, not_text
from limner.errors import DataError, MissingExtraError

TEXT_COLUMNS = (
    *("text", "caption", "captions", "prompt", "label", "title", "description"),
    *("txt", "alt_text", "alt", "sentence", "sentences", "cls"),
)
IMAGE_COLUMNS = (
    *("image", "path", "image_path", "file_name", "filename", "file", "img", "picture", "images"),
    *("jpg", "jpeg", "png", "webp", "image_file", "file_path", "filepath", "img_path", "bytes"),
)
_PROBE = 100
csv.field_size_limit(1 << 24)

Row = tuple[int, dict[str, Any] | str]
"""Number of a row (of its line, in text), and its values by column or why it is left out."""


class TableReader(SourceReader):
    """Common to all listings: rows by column name, and paths within the listing's folder.

    A folder is read by its one listing; by several if each is named after a split (``train.csv``)
    or ``metadata``; else by those called ``metadata`` in any folder below, or named after a split
    in the folder ``data``, as model hubs lay them out.
    """

    endings: tuple[str, ...]
    understands = frozenset(("--template", "--labels", "--text-column", "--image-column"))

    def __init__(self, tree: FileTree, options: ReaderOptions) -> None:
        super().__init__(tree, options)
        self.classes: dict[str, list[str]] = {}

    @classmethod
    def detects(cls, tree: FileTree) -> bool:
        """A listing, or a folder laid out as above."""
        found = cls.listings(tree)
        return bool(found) and all(path.name.lower().endswith(cls.endings) for path in found)

    @classmethod
    def listings(cls, tree: FileTree) -> list[Path]:
        """Return the files to read, none where it is not clear which."""
        if tree.is_file:
            return list(tree.files)
        ours = [path for path in tree.files if path.name.lower().endswith(cls.endings)]
        top = [path for path in ours if path.parent == tree.path]
        if len(top) == 1:
            return top
        if top:
            named = all(is_metadata(path) or split_of(tree, path) for path in top)
            return top if named else []
        data = tree.path / "data"
        return [
            path
            for path in ours
            if is_metadata(path) or (path.parent == data and split_of(tree, path))
        ]

    @abstractmethod
    def rows(self, listing: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield every row of a file.

        Args:
            listing: the file.
            columns: those that are needed, where leaving others out saves work.
        """

    def entries(self) -> Iterator[SourceEntry]:
        """Yield the pictures of every row."""
        listings = self.listings(self.tree)
        if not listings:
            top = [path for path in self.tree.top if path.name.lower().endswith(self.endings)]
            raise DataError(
                f"{self.tree.path} holds {len(top)} {self.name} listings; name one of them"
            )
        for listing in listings:
            self.used.add(listing)
            first = islice(self.rows(listing), _PROBE)
            probe = [row for _, row in first if isinstance(row, dict)]
            columns = self._columns(listing, probe) if probe else None
            wanted = None if columns is None else [*columns[0], columns[1]]
            for number, row in self.rows(listing, wanted):
                key = f"{self.tree.name(listing)}:{number}"
                if isinstance(row, str):
                    yield SourceEntry(key, problem=row)
                    continue
                columns = columns or self._columns(listing, [row])
                yield from self._items(listing, key, row, columns)

    def _items(
        self, listing: Path, key: str, row: dict[str, Any], columns: tuple[list[str], str]
    ) -> Iterator[SourceEntry]:
        """Yield the picture of a row, or each of a list of them.

        Every picture of a list has all the captions of the row, except where the captions are a
        list of the same length: then each has its own.
        """
        texts, image = columns
        found, values = value_at(row, image), [value_at(row, column) for column in texts]
        split = split_of(self.tree, listing)
        facts = {"split": split, **facts_of(row)} if split else facts_of(row)
        pictures = found if isinstance(found, list) else [found]
        count = len(pictures)
        paired = count > 1 and all(isinstance(v, list) and len(v) == count for v in values)
        if not pictures:
            yield SourceEntry(key, problem="no picture in the row")
        for number, picture in enumerate(pictures):
            own = key if count == 1 else f"{key}.{number}"
            mine = [v[number] for v in values] if paired else values
            try:
                source = self._picture(listing, picture)
            except DataError as error:
                yield SourceEntry(own, problem=str(error))
                continue
            try:
                captions = [
                    caption
                    for column, value in zip(texts, mine, strict=True)
                    for caption in self.captions_of(self._class_name(column, value))
                ]
            except ValueError:
                yield SourceEntry(own, problem=not_text("caption", self.tree.encoding))
                continue
            if captions:
                yield SourceEntry(own, source, tuple(dict.fromkeys(captions)), {"id": own, **facts})
            else:
                yield SourceEntry(own, problem="no caption")

    def _class_name(self, column: str, value: object) -> object:
        """Return the name of a class number where the file itself holds the names."""
        names = self.classes.get(column)
        if not names or self.options.labels or isinstance(value, bool):
            return value
        if isinstance(value, list):
            return [self._class_name(column, item) for item in value]
        if isinstance(value, int) and 0 <= value < len(names):
            self.applied.add("--template")
            return self.options.template.replace("{}", names[value])
        return value

    def _picture(self, listing: Path, value: object) -> Path | bytes:
        if isinstance(value, Mapping):  # the hub's own image column: {"bytes": …, "path": …}
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or not value.strip():
            raise DataError("no picture in the row")
        path = inside(listing.parent, value)
        if not path.is_file():
            path = self._elsewhere(value) or path
        self.used.add(path)
        return path

    def _elsewhere(self, name: str) -> Path | None:
        """The one picture of the source that a listing may mean by a path that is not there.

        Listings are moved apart from their pictures (``annotations/`` and ``train2017/`` of COCO),
        and name them without their endings.

        Raises:
            DataError: several pictures have this name.
        """
        wanted = PurePosixPath(name.strip().replace("\\", "/")).parts
        found = self._by_name.get(wanted[-1], []) if wanted else []
        found = [path for path in found if path.parts[-len(wanted) : -1] == wanted[:-1]]
        if len(found) > 1:
            raise DataError("file not found, and several pictures in other folders have its name")
        return found[0] if found else None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """The pictures of the source by their names, with and without endings."""
        named: dict[str, list[Path]] = {}
        for picture in self.tree.pictures:
            for name in (picture.name, picture.stem):
                named.setdefault(name, []).append(picture)
        return named

    def _columns(self, listing: Path, probe: list[dict[str, Any]]) -> tuple[list[str], str]:
        """Choose the columns of captions and of pictures: those asked for, else usual names."""
        names = list(dict.fromkeys(name for row in probe for name in _names(row)))
        texts, image = list(self.options.text_columns), self.options.image_column
        for column in [*texts, image]:
            if column and column not in names:
                raise DataError(f"{listing} has no column {column!r}; it has {', '.join(names)}")
        self.applied.update(f"--text-column {column}" for column in texts)
        image = image or next(iter(_usual(IMAGE_COLUMNS, names)), "")
        texts = texts or [name for name in _usual(TEXT_COLUMNS, names) if name != image][:1]
        if not image or not texts:
            missing, option = (
                ("picture", "--image-column") if not image else ("text", "--text-column")
            )
            raise DataError(
                f"cannot tell which column of {listing} holds the {missing}; pass {option} "
                f"(columns: {', '.join(names)})"
            )
        self.applied.add("--image-column")
        return texts, image


def is_metadata(path: Path) -> bool:
    """Whether a listing is called ``metadata``, as hubs call it."""
    return path.name.partition(".")[0].lower() == "metadata"


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the columns of a row, and the keys within those that hold an object."""
    for name, value in row.items():
        yield name
        inner = value
        if isinstance(value, str | bytes) and value[:1] in ("{", b"{"):
            try:
                inner = parse_json(value)
            except ValueError:
                continue
        if isinstance(inner, Mapping):
            yield from (f"{name}.{key}" for key in inner)


def _usual(wanted: tuple[str, ...], names: list[str]) -> Iterator[str]:
    """Yield the names that are usual, the most usual first, in any case; then keys of objects."""
    for usual in wanted:
        yield from (name for name in names if name.lower() == usual)
    for usual in wanted:
        yield from (name for name in names if name.lower().rpartition(".")[2] == usual)


class _TextTable(TableReader):
    """Lines of cells, with or without a header.

    The separator is the first, of the kind's own, the comma, the semicolon, the TAB, the bar and
    the space, at which the first line splits into names of a picture and a text column, or else
    into cells of which one ends like a picture; or else that which gives the most cells. Where it
    is the space, the caption takes all the words that no other column takes.
    """

    own: str

    def rows(self, listing: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield every row by the names of the header, or of two columns ``path`` and ``text``."""
        probe = [
            line
            for line in islice(_text_lines(listing, self.tree.encoding), _PROBE)
            if line.strip()
        ]
        if not probe:
            raise DataError(f"{listing} is empty")
        separator, header = self._layout(probe[0])
        names = [cell.strip() for cell in self._split(probe[0], separator)] if header else []
        if not header:
            split = [self._split(line, separator) for line in probe]
            first, last = (sum(is_picture(row[i]) for row in split if row) for i in (0, -1))
            names = ["text", "path"] if last > first else ["path", "text"]
        try:
            rows = self._cells(_text_lines(listing, self.tree.encoding), separator)
            for number, cells in islice(rows, int(header), None):
                spaced = separator == " "
                row = self._gather(cells, names) if spaced else cells
                if len(row) == len(names):
                    yield number, dict(zip(names, row, strict=True))
                else:
                    yield number, "wrong number of columns"
        except csv.Error as error:
            raise DataError(f"{listing} is not CSV: {error}") from error

    def _cells(self, lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of every line that is not empty, and its number."""
        if separator == "\t":
            for number, line in enumerate(lines, 1):
                if cells := line.rstrip("\r\n"):
                    yield number, cells.split("\t")
        else:
            rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            yield from ((rows.line_num, cells) for cells in rows if cells)

    def _split(self, line: str, separator: str) -> list[str]:
        _, cells = next(self._cells(iter([line]), separator), (0, []))
        return [cell for cell in cells if cell] if separator == " " else cells

    def _layout(self, line: str) -> tuple[str, bool]:
        """Return the separator of a listing by its first line, and whether that is a header."""
        separators = dict.fromkeys((self.own, ",", ";", "\t", "|", " "))
        split = {separator: self._split(line, separator) for separator in separators}
        options = self.options
        for separator, cells in split.items():
            names = [cell.strip() for cell in cells]
            image = options.image_column or next(_usual(IMAGE_COLUMNS, names), "")
            texts = options.text_columns or tuple(_usual(TEXT_COLUMNS, names))[:1]
            if image in names and texts and set(texts) <= {*names} and {*texts} != {image}:
                return separator, True
        if not (options.image_column or options.text_columns):
            for separator, cells in split.items():
                paths = [cell for cell in (cells[:1] + cells[1:][-1:]) if is_picture(cell)]
                if paths and (len(cells) == 2 or separator == " "):
                    return separator, False
        return max(split, key=lambda separator: (separator != " ") * len(split[separator])), True

    def _gather(self, cells: list[str], names: list[str]) -> list[str]:
        """Join the words of a line that are more than its columns into the caption."""
        cells = [cell for cell in cells if cell]
        texts = self.options.text_columns or tuple(_usual(TEXT_COLUMNS, names))
        text = names.index(texts[0]) if texts and texts[0] in names else len(names) - 1
        if len(cells) <= len(names):
            return cells
        stop = len(cells) - (len(names) - 1 - text)
        return [*cells[:text], " ".join(cells[text:stop]), *cells[stop:]]


class TsvReader(_TextTable):
    """``.tsv``; cells are taken as they stand, without quotes."""

    name = "tsv"
    endings = (".tsv",)
    own = "\t"


class CsvReader(_TextTable):
    """``.csv``; columns are named by ``--text-column`` and ``--image-column`` or guessed."""

    name = "csv"
    endings = (".csv",)
    own = ","


class JsonlReader(TableReader):
    """A text column may hold one string or a list of them."""

    name = "jsonl"
    endings = (".jsonl", ".ndjson")

    def rows(self, listing: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the object of every line that is not empty."""
        for number, line in enumerate(_text_lines(listing, self.tree.encoding), 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError:
                row = None
            yield number, row if isinstance(row, dict) else "not a JSON object"


class ParquetReader(TableReader):
    """One file or a folder of them; the hub's image and class columns are understood."""

    name = "parquet"
    endings = (".parquet",)

    @classmethod
    def listings(cls, tree: FileTree) -> list[Path]:
        """All files at the top, or all below where there are no pictures, else ``metadata``."""
        found = shards(tree, *cls.endings)
        below = (path for path in tree.files if path.name.lower().endswith(cls.endings))
        return found or [path for path in below if is_metadata(path)]

    def _open(self, path: Path) -> Any:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError("pyarrow", "train", "reading Parquet") from error
        try:
            return pyarrow.parquet.ParquetFile(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"{path} is not a readable Parquet file: {error}") from error

    def count(self) -> int:
        """Add up the rows that the footers state."""
        return sum(self._open(path).metadata.num_rows for path in self.listings(self.tree))

    def rows(self, listing: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield every row.

        Raises:
            DataError: a page is damaged.
        """
        import pyarrow

        file = self._open(listing)
        self.classes = _hub_classes(file.schema_arrow.metadata or {})
        names = list(file.schema_arrow.names)
        if columns is not None:
            wanted = {*columns, *(name.partition(".")[0] for name in columns), *METADATA_COLUMNS}
            names = [name for name in names if name in wanted]
        batches = file.iter_batches(batch_size=64, columns=names)
        try:
            yield from enumerate(row for batch in batches for row in batch.to_pylist())
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"{listing} is damaged: {error}") from error


def _hub_classes(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the class names that the hub's ``datasets`` writes into a Parquet schema."""
    try:
        features = parse_json(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(item) for item in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _text_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file.

    Raises:
        DataError: it cannot be read or is of another encoding.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(BOM_UTF16_LE))
        with path.open(encoding=encoding_of(start, encoding), newline="") as text:
            yield from text
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise DataError(not_text(str(path), encoding)) from error
