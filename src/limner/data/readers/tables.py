"""Listings: TSV, CSV, JSONL and Parquet, whose rows name a picture (or hold it) and its words."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from limner.data.pictures import is_picture
from limner.data.readers.base import (
    METADATA_COLUMNS,
    Item,
    Reader,
    ReaderOptions,
    files_of,
    inside,
    register,
)
from limner.data.store import Caption
from limner.errors import DataError, MissingExtraError

TEXT_COLUMNS = ("text", "caption", "captions", "prompt", "label", "title", "description")
IMAGE_COLUMNS = ("image", "path", "image_path", "file_name", "filename", "file", "img", "picture")
_PROBE = 100
csv.field_size_limit(1 << 24)


class TableReader(Reader):
    """What listings share: one file, rows by column name, paths that stay in its folder."""

    endings: tuple[str, ...]

    @classmethod
    def detects(cls, source: Path) -> bool:
        """A listing, or a folder with exactly one listing at its top."""
        return len(files_of(source, *cls.endings)) == 1 if source.exists() else False

    @property
    def listing(self) -> Path:
        """The listing itself."""
        found = files_of(self.source, *self.endings)
        if len(found) != 1:
            raise DataError(
                f"{self.source} holds {len(found)} {self.name} listings; name one of them"
            )
        return found[0]

    def _row(self, number: int, row: Mapping[str, Any], texts: list[str], image: str) -> Item:
        key = f"{self.listing.name}:{number}"
        captions = self._captions(row, texts)
        try:
            picture = self._picture(row.get(image))
        except DataError as error:
            return Item(key, problem=str(error))
        if not captions:
            return Item(key, problem="no caption")
        kept = {
            name: row[name]
            for name in METADATA_COLUMNS
            if isinstance(row.get(name), str | int | float) and row[name] != ""
        }
        return Item(key, picture, captions, {"id": key, **kept})

    def _captions(self, row: Mapping[str, Any], texts: list[str]) -> tuple[Caption, ...]:
        captions: list[Caption] = []
        for column in texts:
            value = row.get(column)
            if isinstance(value, int) and not isinstance(value, bool):
                captions += self.options.of_class(str(value))
            else:
                captions += self.options.texts(value if isinstance(value, list) else [value])
        return tuple(dict.fromkeys(captions))

    def _picture(self, value: object) -> Path | bytes:
        if isinstance(value, Mapping):  # the hub's own image column: {"bytes": …, "path": …}
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or not value.strip():
            raise DataError("no picture in the row")
        return inside(self.listing.parent, value)

    def _columns(self, names: Sequence[str]) -> tuple[list[str], str]:
        """Choose the columns: those asked for, else the first usual name."""
        wanted, image = list(self.options.text_columns), self.options.image_column
        for column in [*wanted, image]:
            if column and column not in names:
                raise DataError(
                    f"{self.listing} has no column {column!r}; it has {', '.join(names)}"
                )
        image = image or next((name for name in IMAGE_COLUMNS if name in names), "")
        usual = [name for name in TEXT_COLUMNS if name in names and name != image]
        wanted = wanted or usual[:1]
        if not image or not wanted:
            missing, option = (
                ("picture", "--image-column") if not image else ("text", "--text-column")
            )
            raise DataError(
                f"cannot tell which column of {self.listing} holds the {missing}; pass {option} "
                f"(columns: {', '.join(names)})"
            )
        return wanted, image


@register("tsv", "text<TAB>path or path<TAB>text, one a line", rank=4)
class TsvReader(TableReader):
    """Two columns without a header; which one holds the paths is seen from their endings."""

    endings = (".tsv",)

    def _lines(self) -> Iterator[list[str]]:
        for line in _text_lines(self.listing):
            yield line.rstrip("\r\n").split("\t")

    def __iter__(self) -> Iterator[Item]:
        options = self.options
        probe = [row for row in islice(self._lines(), _PROBE) if len(row) > 1]
        if not probe:
            raise DataError(f"{self.listing} has no line of two columns parted by a TAB")
        if options.text_columns or options.image_column or len(probe[0]) > 2:
            yield from self._named(probe[0])
            return
        votes = [sum(is_picture(row[column]) for row in probe) for column in (0, 1)]
        if not any(votes):
            raise DataError(f"neither column of {self.listing} looks like picture paths")
        path = int(votes[1] > votes[0])
        header = not any(is_picture(cell) for cell in probe[0])
        for number, row in enumerate(self._lines(), 1):
            if (header and number == 1) or row == [""]:
                continue
            if len(row) != 2:
                yield Item(f"{self.listing.name}:{number}", problem="not two columns")
                continue
            yield self._row(number, {"path": row[path], "text": row[1 - path]}, ["text"], "path")

    def _named(self, names: list[str]) -> Iterator[Item]:
        texts, image = self._columns(names)
        for number, row in enumerate(islice(self._lines(), 1, None), 2):
            if row != [""]:
                yield self._row(number, dict(zip(names, row, strict=False)), texts, image)


@register("csv", "a header line, then a row a picture", rank=5)
class CsvReader(TableReader):
    """Columns are named by ``--text-column`` and ``--image-column`` or guessed."""

    endings = (".csv",)

    def __iter__(self) -> Iterator[Item]:
        try:
            rows = csv.DictReader(_text_lines(self.listing))
            texts, image = self._columns(list(rows.fieldnames or ()))
            for number, row in enumerate(rows, 2):
                yield self._row(number, row, texts, image)
        except csv.Error as error:
            raise DataError(f"{self.listing} is not CSV: {error}") from error


@register("jsonl", "one JSON object a line", rank=6)
class JsonlReader(TableReader):
    """A text column may hold one string or a list of them."""

    endings = (".jsonl", ".ndjson")

    def __iter__(self) -> Iterator[Item]:
        columns: tuple[list[str], str] | None = None
        for number, line in enumerate(_text_lines(self.listing), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                yield Item(f"{self.listing.name}:{number}", problem="not a JSON object")
                continue
            columns = columns or self._columns(list(row))
            yield self._row(number, row, *columns)


@register("parquet", "Parquet files with a text column and paths or embedded pictures", rank=7)
class ParquetReader(TableReader):
    """One file or a folder of them; the hub's image and class columns are understood."""

    endings = (".parquet",)

    def __init__(self, source: Path, options: ReaderOptions) -> None:
        super().__init__(source, options)
        self._current: Path | None = None

    @classmethod
    def detects(cls, source: Path) -> bool:
        """A Parquet file or a folder with some."""
        return source.exists() and bool(files_of(source, *cls.endings))

    @property
    def listing(self) -> Path:
        """The file being read."""
        return self._current or files_of(self.source, *self.endings)[0]

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
        """Add up the rows that the footers tell."""
        paths = files_of(self.source, *self.endings)
        return sum(self._open(path).metadata.num_rows for path in paths)

    def __iter__(self) -> Iterator[Item]:
        for path in files_of(self.source, *self.endings):
            self._current = path
            file = self._open(path)
            names = list(file.schema_arrow.names)
            texts, image = self._columns(names)
            labels = _hub_labels(file.schema_arrow.metadata or {})
            wanted = [name for name in names if name in {*texts, image, *METADATA_COLUMNS}]
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=wanted):
                for row in cast("Iterable[dict[str, Any]]", batch.to_pylist()):
                    yield self._row(number, self._name_classes(row, texts, labels), texts, image)
                    number += 1

    def _name_classes(
        self, row: dict[str, Any], texts: list[str], labels: dict[str, list[str]]
    ) -> dict[str, Any]:
        for column in texts:
            names, value = labels.get(column), row.get(column)
            if names and isinstance(value, int) and 0 <= value < len(names):
                row[column] = self.options.template.replace("{}", names[value])
        return row


def _hub_labels(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the class names that the hub's ``datasets`` writes into a Parquet schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(item) for item in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file.

    Raises:
        DataError: it cannot be read or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable as UTF-8 text: {error}") from error
