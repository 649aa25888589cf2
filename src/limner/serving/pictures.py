"""Finished pictures as files, and the addresses under which they are fetched for a while."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from limner.generation.files import picture_bytes
from limner.generation.formats import PictureFormat
from limner.generation.generator import Picture

MEDIA_TYPES = {
    PictureFormat.PNG: "image/png", PictureFormat.WEBP: "image/webp",
    PictureFormat.JPEG: "image/jpeg", PictureFormat.SVG: "image/svg+xml",
}  # fmt: skip


def fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """A square picture on a canvas of another shape: its edges go on to the sides.

    White stays white, sky and ground stay where they are.

    Args:
        image: ``min(width, height)`` pixels a side.
        width: of the canvas.
        height: of the canvas.
    """
    if image.size == (width, height):
        return image
    spare = (height - image.height, width - image.width)
    pad = [(each // 2, each - each // 2) for each in spare]
    return Image.fromarray(np.pad(np.asarray(image), (*pad, (0, 0)), mode="edge"))


def encode(
    picture: Picture, width: int, height: int, kind: PictureFormat, quality: int | None
) -> bytes:
    """The file of a picture with its record, see :func:`limner.generation.files.picture_bytes`."""
    shown = replace(picture, image=fitted(picture.image, width, height))
    return picture_bytes(shown, kind, quality=quality)


def base64_of(data: bytes) -> str:
    """A file as the API's ``b64_json`` has it."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class _Kept:
    data: bytes
    media_type: str
    until: float


class PictureLinks:
    """Files that can be fetched by a name that nobody can guess, for a limited time.

    Args:
        seconds: for which a file is kept.
        most_bytes: of all; the oldest go first.
    """

    def __init__(self, seconds: float = 3600.0, most_bytes: int = 256_000_000) -> None:
        self._seconds, self._most = seconds, most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, data: bytes, kind: PictureFormat) -> str:
        """Keep a file; the name it is fetched by."""
        name = secrets.token_urlsafe(24) + kind.ending
        with self._lock:
            self._kept[name] = _Kept(data, MEDIA_TYPES[kind], time.monotonic() + self._seconds)
            self._bytes += len(data)
            while self._kept and (self._bytes > self._most or self._first_is_old()):
                self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return name

    def get(self, name: str) -> tuple[bytes, str] | None:
        """A file and its media type; None where there is none of that name any more."""
        with self._lock:
            found = self._kept.get(name)
        if found is None or time.monotonic() > found.until:
            return None
        return found.data, found.media_type

    def _first_is_old(self) -> bool:
        return time.monotonic() > next(iter(self._kept.values())).until
