"""The tables of this package: tab-separated columns, which the first line names."""

from __future__ import annotations

from functools import cache

from limner.tables import read_table


@cache
def table(name: str) -> tuple[tuple[str, ...], ...]:
    """The rows of a table of this package, its heading first.

    Args:
        name: of the file, such as ``doings.tsv``.
    """
    return tuple(read_table("limner.text", name))


@cache
def columns(name: str) -> tuple[tuple[tuple[str, str], ...], dict[str, tuple[str, ...]]]:
    """A table whose first two columns say what its words mean, and the rest are languages.

    Returns:
        The first two cells of each row, and for each language its words in them.
    """
    (_, _, *languages), *rows = table(name)
    words = {code: tuple(row[number] for row in rows) for number, code in enumerate(languages, 2)}
    return tuple((row[0], row[1]) for row in rows), words
