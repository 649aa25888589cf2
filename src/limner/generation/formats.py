"""Kinds of picture files, and which is meant."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from limner.errors import UsageError


class PictureFormat(StrEnum):
    """What a picture can be written as."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"
    SVG = "svg"
    ICO = "ico"

    @property
    def ending(self) -> str:
        """Of names that limner chooses."""
        return ".jpg" if self is PictureFormat.JPEG else f".{self}"


ENDINGS = {each.ending: each for each in PictureFormat} | {".jpeg": PictureFormat.JPEG}


def format_of(path: Path) -> PictureFormat:
    """The format that the ending of a name says.

    Raises:
        UsageError: it says none that limner writes.
    """
    found = ENDINGS.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"limner writes PNG, WebP, JPEG, SVG and ICO pictures: give {path.name!r} the ending "
            f"{', '.join(each.ending for each in PictureFormat)}"
        )
    return found
