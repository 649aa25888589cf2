"""Decoding and cleaning: any picture file becomes ``(S, S, 3)`` uint8, or says why it cannot.

Decoding processes import this module alone, so it stays light.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from limner.errors import DataError

# No EPS or PDF: Pillow hands those to Ghostscript.
_WANTED = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "AVIF", "MPO")
Image.init()
FORMATS = tuple(kind for kind in _WANTED if kind in Image.OPEN)
# Formats of Pillow's plug-ins: how their files begin, and the package that reads them.
_PLUG_INS = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_PLUG_IN_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl")
PICTURE_SUFFIXES = frozenset(
    (*_PLUG_IN_SUFFIXES, *(end for end, kind in Image.EXTENSION.items() if kind in _WANTED))
)
_MAX_BYTES = 512 * 1024 * 1024
_WHITE = (255, 255, 255)

Source = Path | bytes | NDArray[np.uint8]


def is_picture(name: str | Path) -> bool:
    """Say whether a file name ends like a picture's."""
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


class PictureError(DataError):
    """A picture that is left out; the message is the reason that the report counts."""


@dataclass(frozen=True)
class Cleaning:
    """How pictures become square.

    Attributes:
        size: side S of the result in pixels.
        fit: ``crop`` keeps the centred square, ``pad`` keeps everything on white.
        min_side: a picture with a smaller side is left out.
        max_pixels: one with more, by its header, is left out before it is decoded.
    """

    size: int = 64
    fit: Literal["crop", "pad"] = "crop"
    min_side: int = 8
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise DataError(f"pictures can be 1 to 4096 pixels wide in a store, not {self.size}")
        if self.fit not in ("crop", "pad"):
            raise DataError(f"the fit is 'crop' or 'pad', not {self.fit!r}")
        if self.min_side < 1 or self.max_pixels < 1:
            raise DataError("the smallest side and the largest picture are at least one pixel")


@dataclass(frozen=True)
class Cleaned:
    """A picture ready to be packed: ``(S, S, 3)`` uint8, and what had to be done to it."""

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def clean(source: Source, cleaning: Cleaning) -> Cleaned:
    """Decode a picture and make it square.

    Animations give their first frame, EXIF rotation is applied, transparency lies on white,
    16-bit and float samples are scaled to 8 bits (never clipped), CMYK becomes RGB.

    Args:
        source: a file, its bytes, or an ``(H, W)`` or ``(H, W, 3)`` uint8 array.
        cleaning: what to make of it.

    Raises:
        PictureError: it is missing, empty, broken, too small or too large; the message says which.
    """
    notes: list[str] = []
    if isinstance(source, np.ndarray):
        image = Image.fromarray(source)
        _check_size(image, cleaning)
        return Cleaned(_square(_to_rgb(image, notes), cleaning), tuple(notes))
    data = source if isinstance(source, bytes) else _read(source)
    if not data:
        raise PictureError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, cleaning)
                return Cleaned(_square(_decode(image, cleaning, notes), cleaning), tuple(notes))
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError("not a picture of a known format") from error
        except Image.DecompressionBombError as error:
            raise PictureError("too many pixels") from error
        except Exception as error:
            # Decoders answer hostile bytes with any exception: struct, zlib, index, memory...
            raise PictureError("broken picture") from error


def whole(source: Source, side: int) -> NDArray[np.uint8]:
    """A picture with nothing cut off, on white: ``(side, side, 3)`` uint8.

    Raises:
        PictureError: see :func:`clean`.
    """
    return clean(source, Cleaning(size=side, fit="pad", min_side=1)).pixels


Outcome = Cleaned | str | None


def clean_many(sources: Sequence[Source | None], cleaning: Cleaning) -> list[Outcome]:
    """Clean a chunk of pictures, in a process of its own or not.

    Returns:
        For each the picture, the reason why it is left out, or None where there was none.
    """
    outcomes: list[Outcome] = []
    for source in sources:
        try:
            outcomes.append(None if source is None else clean(source, cleaning))
        except PictureError as error:
            outcomes.append(str(error))
    return outcomes


def end_with_parent() -> None:
    """Make this process end when its parent does, however that is: no orphans after a kill -9."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise PictureError("file not found") from error
    except OSError as error:
        raise PictureError(f"unreadable file ({error.strerror})") from error
    if len(data) > _MAX_BYTES:
        raise PictureError("file too large")
    return data


def _check_size(image: Image.Image, cleaning: Cleaning) -> None:
    if image.width * image.height > cleaning.max_pixels:
        raise PictureError("too many pixels")
    if min(image.size) < cleaning.min_side:
        raise PictureError("too small")


def _decode(image: Image.Image, cleaning: Cleaning, notes: list[str]) -> Image.Image:
    if getattr(image, "is_animated", False):
        notes.append("animated: first frame")
        image.seek(0)
    if image.format == "JPEG":
        # The decoder then leaves out detail that the resize would throw away.
        image.draft(None, (2 * cleaning.size, 2 * cleaning.size))
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.size != image.size or image.getexif().get(0x0112, 1) != 1:
        notes.append("turned by EXIF")
    return _to_rgb(turned, notes)


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        notes.append("deeper than 8 bits: scaled")
        return _to_eight_bits(image).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        notes.append("transparent: on white")
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    if image.mode not in ("RGB", "L", "P", "1"):
        notes.append(f"{image.mode} to RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit or float grey to 8 bits."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        full = 65535.0
    elif image.mode == "I":
        top = values.max()
        full = 65535.0 if top <= 65535 else float(top)
    else:
        values = np.nan_to_num(values)
        low, top = values.min(), values.max()
        if low < 0 or top > 255:
            values, full = values - low, max(float(top - low), 1e-12)
        else:
            full = 1.0 if top <= 1 else 255.0
    return Image.fromarray(np.rint(np.clip(values / full, 0, 1) * 255).astype(np.uint8))


def _square(image: Image.Image, cleaning: Cleaning) -> NDArray[np.uint8]:
    size = cleaning.size
    if cleaning.fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box, target = (left, top, left + side, top + side), (size, size)
    else:
        scale = size / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        box, target = (0.0, 0.0, float(image.width), float(image.height)), (width, height)
    if image.size != target:
        shrinks = image.width > target[0]
        kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
        image = image.resize(target, kernel, box=box, reducing_gap=3.0)
    if target != (size, size):
        ground = Image.new("RGB", (size, size), _WHITE)
        ground.paste(image, ((size - target[0]) // 2, (size - target[1]) // 2))
        image = ground
    return np.array(image, dtype=np.uint8)
