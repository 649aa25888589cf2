"""Animations: pictures of one seed that vary, and walks, as files with their records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageSequence

import limner
from limner.errors import DataError, MissingExtraError, UsageError
from limner.files import check_writable, whole_file
from limner.generation.picture import Picture
from limner.generation.records import AnimationRecord, WalkRecord, record_of, short_json
from limner.vision.images import on_white

if TYPE_CHECKING:
    from limner.generation.walks import Walk

WALK_ENDINGS = (".gif", ".webp", ".mp4")
_WEBP_QUALITY, _MP4_QUALITY = 90, "18"


def gif_bytes(frames: Sequence[Picture], milliseconds: int) -> bytes:
    """An endless GIF of two or more pictures of one size, on white, with their records.

    The records are a comment in the file (:class:`limner.generation.records.AnimationRecord`).

    Args:
        frames: in order; no two are the same, since readers of GIFs make one of equal ones.
        milliseconds: for which each is shown, a multiple of ten.
    """
    width, height = frames[0].image.size
    record = AnimationRecord(
        limner=limner.__version__, milliseconds=milliseconds, width=width, height=height,
        pictures=tuple(map(record_of, frames)),
    )  # fmt: skip
    return _gif([on_white(each.image) for each in frames], milliseconds, short_json(record))


def _gif(frames: Sequence[Image.Image], milliseconds: int, comment: str) -> bytes:
    first, *others = (each.quantize(256) for each in frames)
    buffer = BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0,
        comment=comment.encode(),
    )  # fmt: skip
    return buffer.getvalue()


def check_walk_name(path: Path) -> str:
    """The file ending for a walk; other endings are refused.

    Raises:
        UsageError: it is none of :data:`WALK_ENDINGS`.
        MissingExtraError: it is .mp4, and PyAV is not installed.
        DataError: it could not be written.
    """
    ending = path.suffix.lower()
    if ending not in WALK_ENDINGS:
        raise UsageError(
            f"a walk is written as .gif, .webp or .mp4: give {path.name!r} such an ending"
        )
    if ending == ".mp4":
        _av()
    check_writable(path, DataError)
    return ending


def write_walk(found: Walk, path: Path, fps: int) -> Path:
    """Write a walk as a GIF, WebP or MP4 (H.264) by the name's ending, with its record.

    Args:
        found: the walk.
        path: replaced if it exists.
        fps: frames a second, 1 to 50.

    Raises:
        UsageError: another ending.
        MissingExtraError: MP4 needs PyAV.
        DataError: the file cannot be written.
    """
    ending, milliseconds = check_walk_name(path), round(1000 / fps)
    record = WalkRecord(
        limner=limner.__version__, walk=len(found.frames), milliseconds=milliseconds,
        pictures=tuple(map(record_of, found.ends)),
    )  # fmt: skip
    text = short_json(record)
    if ending == ".gif":
        data = _gif(found.frames, max(20, round(milliseconds, -1)), text)
    elif ending == ".webp":
        data = _webp(found.frames, milliseconds, text)
    else:
        data = _mp4(found.frames, fps, text)
    with whole_file(path, DataError) as part:
        part.write_bytes(data)
    return path


def _webp(frames: Sequence[Image.Image], milliseconds: int, text: str) -> bytes:
    exif, buffer = Image.Exif(), BytesIO()
    exif[ExifTags.Base.ImageDescription] = json.dumps(json.loads(text))  # in ASCII
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0,
        quality=_WEBP_QUALITY, exif=exif,
    )  # fmt: skip
    return buffer.getvalue()


def _mp4(frames: Sequence[Image.Image], fps: int, text: str) -> bytes:
    """H.264 with colours at half the resolution, as all players show it; sides are made even."""
    av, buffer = _av(), BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["comment"] = text
        stream = container.add_stream("libx264", rate=fps, options={"crf": _MP4_QUALITY})
        stream.width, stream.height = ((side + 1) // 2 * 2 for side in frames[0].size)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            pixels = np.asarray(frame)
            odd = [(0, side % 2) for side in pixels.shape[:2]]
            whole = np.ascontiguousarray(np.pad(pixels, (*odd, (0, 0)), "edge"))
            for packet in stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()


def _av() -> ModuleType:
    try:
        return import_module("av")
    except ImportError as error:
        raise MissingExtraError("av", "video", "writing MP4") from error


def same_frames(one: bytes, other: bytes) -> bool:
    """Whether two GIFs have the same frames, pixel by pixel.

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
