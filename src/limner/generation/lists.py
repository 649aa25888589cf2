"""Lists of prompts: plain lines, JSON lines, and tables with a header."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.data.tree import LINE_END
from limner.errors import LimnerError, UsageError
from limner.models.settings import Settings, check_seed, make_settings

_OF_A_MANIFEST = frozenset(("path", "line", "number", "job", "model", "drawn_from"))
"""Other keys of a manifest, which may serve as a list."""
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class ListedPrompt:
    """One prompt of a list.

    Attributes:
        text: the prompt.
        line: line number, from 1.
        seed: of its first picture; None if the list gives none.
        settings: the options given in its line.
    """

    text: str
    line: int
    seed: int | None = None
    settings: Settings = field(default_factory=Settings)


def read_list(text: str, name: str) -> list[ListedPrompt]:
    """The prompts of a list.

    A ``.csv`` or ``.tsv`` file is a table whose first row names its columns; a ``.jsonl`` or
    ``.ndjson`` file, and any other whose first line is a JSON object with a prompt, is JSON lines;
    else each line is a prompt. Tables and JSON lines have ``prompt``, and may have ``seed`` and any
    drawing option. Empty lines and cells are skipped.

    Args:
        text: of the file.
        name: of the file.

    Raises:
        UsageError: a line is not as it should be, by its number.
    """
    rows = read_rows(text, name)
    found = []
    for number, row in rows:
        try:
            found.append(_prompt(row, number))
        except LimnerError as error:
            raise UsageError(f"line {number} of {name}: {error}") from error
    return found


def read_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a list and the number of each one's line; of plain lines ``{"prompt": LINE}``.

    Args:
        text: of the file.
        name: of the file.

    Raises:
        UsageError: a line is not as it should be, by its number.
    """
    # Byte order marks also stand where files were joined.
    text = text.replace("\ufeff", "")
    ending = Path(name).suffix.lower()
    if ending in (".csv", ".tsv"):
        yield from _table(text, name, "\t" if ending == ".tsv" else ",")
    elif ending in (".jsonl", ".ndjson") or _is_json(text):
        yield from _json_lines(text, name)
    else:
        lines = enumerate(map(str.strip, LINE_END.split(text)), start=1)
        yield from ((number, {"prompt": line}) for number, line in lines if line)


def source_name(source: str) -> str:
    """The name of a list in messages: its path, or stdin for ``-``."""
    return "stdin" if source == "-" else source


def read_source(source: str) -> str:
    """The text of a list: UTF-8, or UTF-16 with a byte order mark.

    Args:
        source: a path; ``-`` is stdin.

    Raises:
        UsageError: it cannot be read, is too large, or is not UTF-8.
    """
    name = source_name(source)
    try:
        if source == "-" and sys.stdin is None:
            raise UsageError("cannot read prompts from stdin: it is closed")
        if source == "-":
            raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or a closed stdin
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read prompts from {name}: {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise UsageError(
            f"{name} holds more than {_MOST_BYTES >> 20} MB of prompts; draw them in parts"
        )
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if utf16 else "utf-8")
    except UnicodeDecodeError as error:
        line = len(LINE_END.split(raw[: error.start].decode("latin-1")))
        raise UsageError(f"prompts in {name} must be UTF-8: line {line} is not") from error


def _is_json(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        value = json.loads(first) if first.startswith("{") else None
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "prompt" in value


def _json_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(LINE_END.split(text), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"line {number} of {name} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"line {number} of {name} is no JSON object, such as "
                             '{"prompt": "a cat", "seed": 7}')  # fmt: skip
        yield number, row


def _table(text: str, name: str, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
                if "prompt" not in header:
                    raise UsageError(f"line {reader.line_num} of {name} names the columns, and "
                                     "none is called prompt")  # fmt: skip
                continue
            if len(cells) > len(header):
                raise UsageError(
                    f"line {reader.line_num} of {name} has {len(cells)} cells, and there are "
                    f"{len(header)} columns: put a prompt with commas in quotes"
                )
            given = dict(zip(header, cells, strict=False))
            yield reader.line_num, {key: value for key, value in given.items() if value}
    except csv.Error as error:
        raise UsageError(
            f"line {reader.line_num} of {name} is no row of a table: {error}"
        ) from error


def _prompt(row: Mapping[str, Any], number: int) -> ListedPrompt:
    options = {key: value for key, value in row.items()
               if value is not None and key not in _OF_A_MANIFEST}  # fmt: skip
    text, seed = options.pop("prompt", None), options.pop("seed", None)
    if not isinstance(text, str):
        raise UsageError("there is no prompt")
    if isinstance(seed, str) and re.fullmatch(r"[0-9]{1,19}", seed):
        seed = int(seed)
    checked = None if seed is None else check_seed(seed)
    return ListedPrompt(text, number, checked, make_settings(**options))
