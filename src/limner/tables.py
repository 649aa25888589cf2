"""Tab-separated tables that are part of the package, one row a line."""

from __future__ import annotations

from importlib.resources import files


def read_table(package: str, name: str) -> list[tuple[str, ...]]:
    """The rows of a table, including its heading if it has one.

    Args:
        package: the package that holds the file, such as ``limner.scenes``.
        name: the file's name. Lines that begin with ``#`` and a space are comments.

    Raises:
        FileNotFoundError: the package has no such file.
    """
    lines = (files(package) / name).read_text("utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines if not line.startswith("# ")]
