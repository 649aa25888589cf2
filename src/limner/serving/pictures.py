"""Finished pictures as files, and the addresses under which they are fetched for a while."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from limner.generation.animations import gif_bytes
from limner.generation.files import picture_bytes
from limner.generation.formats import PictureFormat
from limner.generation.picture import Picture
from limner.generation.provenance import ContentSigner
from limner.serving.wire import Asked, OutputFormat
from limner.vision.resampling import fitted

MEDIA_TYPES = {
    OutputFormat.PNG: "image/png", OutputFormat.WEBP: "image/webp",
    OutputFormat.JPEG: "image/jpeg", OutputFormat.SVG: "image/svg+xml",
    OutputFormat.GIF: "image/gif",
}  # fmt: skip


def encode(frames: Sequence[Picture], asked: Asked, signer: ContentSigner | None = None) -> bytes:
    """The file that a picture is answered as, with its record, and signed by a signer.

    See :func:`limner.generation.files.picture_bytes` and
    :func:`limner.generation.animations.gif_bytes`.
    """
    shown = [replace(each, image=fitted(each.image, asked.width, asked.height)) for each in frames]
    if asked.format is not OutputFormat.GIF:
        return picture_bytes(
            shown[0], PictureFormat(asked.format), quality=asked.quality, signer=signer
        )
    data = gif_bytes(shown, asked.milliseconds)
    return data if signer is None else signer.sign(data, asked.format, frames[0].prompt)


def widest(frames: Sequence[Picture]) -> Picture:
    """The frame of an animation that varies most, which stands for it; the picture of a still."""
    return max(frames, key=lambda frame: frame.settings.variety or 0)


def origins(picture: Picture) -> dict[str, Any]:
    """What each phrase of a picture was drawn from, and which training drawings it copies.

    Of a rewritten prompt also who made it of what, as ``rewritten``, and what it is.
    """
    found: dict[str, Any] = {
        "drawn_from": [each.model_dump() for each in picture.drawn_from],
        "sources": [each.model_dump() for each in picture.sources],
    }
    if picture.rewritten is not None:
        found["rewritten"] = picture.rewritten.model_dump() | {"prompt": picture.prompt}
    return found


def revised_prompt(picture: Picture) -> str:
    """The prompt with what was drawn in place of phrases that say it otherwise.

    Those are the ones that the model does not know, and other names of what it knows. Where such a
    phrase does not stand in the prompt, the list of what was drawn.
    """
    prompt = picture.prompt
    for each in picture.drawn_from:
        said = each.known and each.drawn.casefold() in each.phrase.casefold()
        if each.replaced and not said:
            if each.phrase not in prompt:
                return ", ".join(other.drawn for other in picture.drawn_from)
            prompt = prompt.replace(each.phrase, each.drawn, 1)
    return prompt


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

    def add(self, data: bytes, kind: OutputFormat) -> str:
        """Keep a file; the name it is fetched by."""
        name = f"{secrets.token_urlsafe(24)}.{kind}"
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
