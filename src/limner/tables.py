"""Tab-separated tables that are part of the package, one row a line."""

from __future__ import annotations

from importlib.resources import files


def read_table(package: str, name: str) -> list[tuple[str, ...]]:
    """The rows of a table, its heading first where it has one.

    Args:
        package: that the file lies in, such as ``limner.scenes``.
        name: of the file. Lines that begin with ``#`` and a blank are comments.

    Raises:
        FileNotFoundError: the package has no such file.
    """
    lines = (files(package) / name).read_text("utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines if not line.startswith("# ")]
