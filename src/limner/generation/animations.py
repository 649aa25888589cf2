"""Animations: pictures of one seed that vary, in a GIF with the records of all."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageSequence

import limner
from limner.generation.files import AnimationRecord, record_of, short_json
from limner.generation.generator import Picture
from limner.vision.images import on_white


def gif_bytes(frames: Sequence[Picture], milliseconds: int) -> bytes:
    """An endless GIF of two or more pictures of one size, on white, with their records.

    The records are a comment in the file (:class:`limner.generation.files.AnimationRecord`).

    Args:
        frames: in order; no two are the same, since readers of GIFs make one of equal ones.
        milliseconds: for which each is shown, a multiple of ten.
    """
    width, height = frames[0].image.size
    record = AnimationRecord(
        limner=limner.__version__, milliseconds=milliseconds, width=width, height=height,
        pictures=tuple(map(record_of, frames)),
    )  # fmt: skip
    first, *others = (on_white(each.image).quantize(256) for each in frames)
    buffer = BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0,
        comment=short_json(record).encode(),
    )  # fmt: skip
    return buffer.getvalue()


def same_frames(one: bytes, other: bytes) -> bool:
    """Whether two GIFs show the same.

    Raises:
        OSError: one of them cannot be read.
    """
    found = []
    for data in (one, other):
        with Image.open(BytesIO(data), formats=["GIF"]) as image:
            frames = ImageSequence.Iterator(image)
            found.append([
                (each.info.get("duration"), np.asarray(each.convert("RGB")).tobytes())
                for each in frames
            ])  # fmt: skip
    return found[0] == found[1]
