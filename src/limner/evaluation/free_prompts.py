"""Prompts as people type them, and lists of such prompts in files.

``free_prompts.tsv`` was written by hand, apart from all captions and templates that models are
trained on. Its rows are in random order, so that the first hundred are a fair sample.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.errors import DataError

PROMPTS_PATH = Path(__file__).with_name("free_prompts.tsv")


class _Tabs(csv.excel_tab):
    """Cells between tabs, in which quotes are letters."""

    quoting = csv.QUOTE_NONE


_TABLES: dict[str, type[csv.Dialect]] = {".tsv": _Tabs, ".csv": csv.excel}


@dataclass(frozen=True)
class FreePrompt:
    """A prompt and what a picture of it must show.

    Attributes:
        text: the prompt.
        things: what must all be seen, each by one of its English names; empty where nobody says.
        language: code; empty where nobody says.
        category: what kind of prompt it is; empty where nobody says.
    """

    text: str
    things: tuple[tuple[str, ...], ...] = ()
    language: str = ""
    category: str = ""


def read_prompts(path: Path | None = None) -> tuple[FreePrompt, ...]:
    """The prompts of a file; of limner's own list for None.

    A file that ends in ``.tsv`` or ``.csv`` begins with the names of its columns: ``prompt``, and
    if it has them ``things`` (``;`` between things that must all be seen, ``/`` between names of
    one), ``language`` and ``category``, in any case and order. Every other file holds one
    prompt a line.

    Raises:
        DataError: the file cannot be read, has no column ``prompt``, or no prompts.
    """
    path = path or PROMPTS_PATH
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"prompts cannot be read from {path}: {error}") from error
    dialect = _TABLES.get(path.suffix.lower())
    rows = _lines(text) if dialect is None else _table(text, dialect, path)
    found = tuple(dict.fromkeys(row for row in rows if row.text))
    if not found:
        raise DataError(f"there is no prompt in {path}: put one on each line")
    return found


def prompts_hash(prompts: Sequence[FreePrompt]) -> str:
    """The first 16 hex digits of the SHA-256 of what the prompts say."""
    return hashlib.sha256(repr(prompts).encode()).hexdigest()[:16]


def _lines(text: str) -> Iterator[FreePrompt]:
    return (FreePrompt(line.strip()) for line in text.splitlines())


def _table(text: str, dialect: type[csv.Dialect], path: Path) -> Iterator[FreePrompt]:
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if "prompt" not in names:
        raise DataError(
            f"{path} has no column 'prompt': name the columns in its first line "
            "(prompt, and if you like things, language, category)"
        )
    reader.fieldnames = names
    for row in reader:
        cells = {name: (row.get(name) or "").strip() for name in names}
        things = (
            tuple(name.strip().lower() for name in thing.split("/") if name.strip())
            for thing in cells.get("things", "").split(";")
        )
        yield FreePrompt(
            cells["prompt"],
            tuple(thing for thing in things if thing),
            cells.get("language", ""),
            cells.get("category", ""),
        )
