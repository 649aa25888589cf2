"""Decoding and cleaning: a picture file becomes ``(S, S, 3)`` uint8, or is left out with a reason.

Decoding processes import this module alone, so it stays light.
"""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from limner.errors import DataError

# No EPS or PDF: Pillow hands those to Ghostscript.
_WANTED = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "AVIF", "MPO")
Image.init()
FORMATS = tuple(kind for kind in _WANTED if kind in Image.OPEN)
# Formats that Pillow reads with plug-ins, recognised by the first bytes of a file.
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_PLUG_IN_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl")
PICTURE_SUFFIXES = frozenset(
    (*_PLUG_IN_SUFFIXES, *(end for end, kind in Image.EXTENSION.items() if kind in _WANTED))
)
_UNREAD = {
    "SVG": re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:svg\b|\?xml\b[^>]*>.*<svg\b)", re.DOTALL),
    "PDF": re.compile(rb"%PDF-"), "PSD": re.compile(rb"8BPS"),
}  # fmt: skip
"""Formats of pictures that are not of pixels alone, by the first bytes of their files."""
MAX_SIDE = 4096
_MAX_BYTES = 512 * 1024 * 1024
_WHITE = (255, 255, 255)
_SRGB = ImageCms.createProfile("sRGB")
_SAME_COLOUR = 2  # a profile that moves no colour by more is that of sRGB
_SAME_GAMMA = 0.05

Source = Path | bytes | NDArray[np.uint8]


def is_picture(name: str | Path) -> bool:
    """Whether a file name has the ending of a picture."""
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


class PictureError(DataError):
    """A picture that is left out; the message is the reason that the report counts."""


def check_side(size: int) -> None:
    """Refuse a side that a store cannot have.

    Raises:
        DataError: it is not within 1 to 4096 pixels.
    """
    if not 1 <= size <= MAX_SIDE:
        raise DataError(f"pictures can be 1 to {MAX_SIDE} pixels wide in a store, not {size}")


@dataclass(frozen=True)
class Cleaning:
    """How pictures are made square, and which are too small or too large.

    Attributes:
        size: side S of the result in pixels.
        fit: ``crop`` keeps the centred square; ``pad`` keeps everything and pads with white.
        min_side: a picture with a smaller side is left out.
        max_pixels: a picture with more pixels by its header is left out without being decoded.
    """

    size: int = 256
    fit: Literal["crop", "pad"] = "crop"
    min_side: int = 8
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        check_side(self.size)
        if self.fit not in ("crop", "pad"):
            raise DataError(f"the fit is 'crop' or 'pad', not {self.fit!r}")
        if self.min_side < 1 or self.max_pixels < 1:
            raise DataError("the smallest side and the largest picture are at least one pixel")


@dataclass(frozen=True)
class Cleaned:
    """A picture ready to be packed.

    Attributes:
        pixels: ``(S, S, 3)`` uint8.
        notes: how it was changed.
        original: width and height before, in pixels, not turned by EXIF.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    original: tuple[int, int] = (0, 0)


def clean(source: Source, cleaning: Cleaning) -> Cleaned:
    """Decode a picture and make it square.

    Animations give their first frame, EXIF rotation is applied, transparent parts become white,
    16-bit and float samples are scaled to 8 bits (never clipped). Colours become sRGB: by the
    embedded ICC profile, else by the gamma of a PNG; without either they are taken for sRGB.

    Args:
        source: a file, its bytes, or an ``(H, W)`` or ``(H, W, 3)`` uint8 array.
        cleaning: what to make of it.

    Raises:
        PictureError: it is missing, empty, broken, too small or too large; the message says which.
    """
    notes: list[str] = []
    with _opened(source, cleaning.max_pixels) as image:
        if min(image.size) < cleaning.min_side:
            raise PictureError("too small")
        if getattr(image, "is_animated", False):
            notes.append("animated: first frame")
            image.seek(0)
        original = image.size
        if image.format == "JPEG":
            # Decodes at a reduced size, which the resize would come to anyway.
            image.draft(None, (2 * cleaning.size, 2 * cleaning.size))
        colours, alpha = _decode(image, notes)
        if alpha is not None:
            notes.append("transparent: on white")
            colours.putalpha(alpha)
            white = Image.new("RGBA", colours.size, (*_WHITE, 255))
            colours = Image.alpha_composite(white, colours).convert("RGB")
        return Cleaned(_square(colours, cleaning), tuple(notes), original)


def read_still(source: Source, max_pixels: int) -> tuple[Image.Image, Image.Image | None]:
    """A picture at its own size: its colours (RGB, sRGB, upright, 8 bits) and its alpha (L).

    What :func:`clean` does to colours and samples is done here as well. The second is None where
    there is no transparency.

    Raises:
        PictureError: see :func:`clean`; or the picture is animated.
    """
    with _opened(source, max_pixels) as image:
        if getattr(image, "is_animated", False):
            raise PictureError("animated, and a still picture is needed")
        return _decode(image, [])


@contextmanager
def _opened(source: Source, max_pixels: int) -> Iterator[Image.Image]:
    """Open a picture for decoding; any failure in the block becomes a reason to leave it out."""
    data = _read(source) if isinstance(source, Path) else source
    if not len(data):
        raise PictureError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _open(data) if isinstance(data, bytes) else Image.fromarray(data) as image:
                if image.width * image.height > max_pixels:
                    raise PictureError(f"too many pixels, at most {max_pixels:,} are read")
                yield image
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError(_unread(data)) from error
        except Image.DecompressionBombError as error:
            raise PictureError(f"too many pixels, at most {max_pixels:,} are read") from error
        except Exception as error:
            # Decoders answer hostile bytes with any exception: struct, zlib, index, memory...
            raise PictureError("broken picture") from error


def _unread(data: object) -> str:
    """Why Pillow knows no format for some bytes: what they are, where that is known."""
    head = data[:1024] if isinstance(data, bytes) else b""
    kind = next((name for name, signs in _UNREAD.items() if signs.match(head)), None)
    if kind is None:
        return "not a picture of a known format"
    return f"{kind} is not read: save it as PNG, JPEG or WebP"


def whole(source: Source, side: int) -> NDArray[np.uint8]:
    """Scale a picture down or up as a whole, padded with white: ``(side, side, 3)`` uint8.

    Raises:
        PictureError: see :func:`clean`.
    """
    return clean(source, Cleaning(size=side, fit="pad", min_side=1)).pixels


Outcome = Cleaned | str | None


def clean_many(sources: Sequence[Source | None], cleaning: Cleaning) -> list[Outcome]:
    """Clean several pictures.

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
    """Make this process end when its parent process ends, even by SIGKILL."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError("unreadable file (not a regular file)")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise PictureError("file not found") from error
    except OSError as error:
        raise PictureError(f"unreadable file ({error.strerror})") from error
    except ValueError as error:  # a NUL byte or half a surrogate pair
        raise PictureError("unreadable file (impossible name)") from error
    if len(data) > _MAX_BYTES:
        raise PictureError("file too large")
    return data


def _open(data: bytes) -> Image.Image:
    plug_in = None
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[8:64]:
        plug_in = "HEIF"
    elif data.startswith(_JXL_STARTS):
        plug_in = "JXL"
    if plug_in is not None and not _plugged_in(plug_in):
        raise PictureError(f"{plug_in} needs a decoder: pip install 'limner[formats]'")
    return Image.open(io.BytesIO(data), formats=(plug_in,) if plug_in else FORMATS)


@lru_cache(maxsize=2)
def _plugged_in(kind: str) -> bool:
    """Load the plug-in of Pillow that reads a format, where it is installed."""
    try:
        if kind == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        else:
            import pillow_jxl  # noqa: F401  (registers itself)
    except ImportError:
        return False
    return True


def _decode(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """The colours of an opened picture, and what is opaque; see :func:`read_still`."""
    _scale_transparency(image)
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.size != image.size or image.getexif().get(0x0112, 1) != 1:
        notes.append("turned by EXIF")
    return _to_rgb(turned, notes)


def _scale_transparency(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG (chunk tRNS) to 8 bits, as Pillow does the samples."""
    colour = image.info.get("transparency")
    tile = getattr(image, "tile", None)
    raw = tile[0].args if image.format == "PNG" and tile else None
    if isinstance(colour, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = colour * (85 if raw == "L;2" else 17)
    elif isinstance(colour, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _to_rgb(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    mode, info = image.mode, image.info
    alpha = None
    if mode.startswith("I") or mode == "F":
        notes.append("deeper than 8 bits: scaled")
        if isinstance(info.get("transparency"), int):
            opaque = np.asarray(image) != info["transparency"]
            alpha = Image.fromarray(opaque.astype(np.uint8) * 255)
        image = _to_eight_bits(image)
    elif mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in info:
        layer = image.convert("RGBA")
        alpha, image = layer.getchannel("A"), layer.convert("RGB")
    elif mode not in ("RGB", "L", "P", "1"):
        notes.append(f"{mode} to RGB")
    grey = mode[0] in "1LI" and mode != "LAB"
    return _to_srgb(image, info, grey, notes), alpha


def _to_srgb(
    image: Image.Image, info: dict[str | tuple[int, int], Any], grey: bool, notes: list[str]
) -> Image.Image:
    """Convert the colours of an opaque picture of 8 bits to sRGB, and note how."""
    profile, gamma = info.get("icc_profile"), info.get("gamma")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        changed = ImageCms.profileToProfile(image, lab, _SRGB, outputMode="RGB")
        return changed or image
    if isinstance(profile, bytes) and profile:
        try:
            mode, transform = _transform(profile)
        except (ImageCms.PyCMSError, OSError, ImportError):
            notes.append("colour profile unreadable: ignored")
            return image.convert("RGB")
        fits = {"CMYK": image.mode == "CMYK", "L": grey, "RGB": image.mode != "CMYK"}
        if transform is not None and fits.get(mode, False):
            notes.append("colours to sRGB by the profile")
            return ImageCms.applyTransform(image.convert(mode), transform) or image
    elif (
        isinstance(gamma, float) and gamma > 0 and "srgb" not in info
        and abs(gamma * 2.2 - 1) > _SAME_GAMMA
    ):  # fmt: skip
        notes.append("colours to sRGB by the gamma")
        return image.convert("RGB").point(_gamma_table(gamma) * 3)
    return image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return the mode that an ICC profile describes and the way from there to sRGB.

    The transform is None where the profile changes no colour or describes no mode of pictures.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(source.profile.xcolor_space.strip(), "")
    if not mode:
        return "", None
    transform = ImageCms.buildTransform(
        source,
        _SRGB,
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )
    if mode != "CMYK":
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(6, 36, 3)
        probe = Image.fromarray(cube).convert(mode)
        before = np.asarray(probe.convert("RGB")).astype(int)
        after = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int)
        if np.abs(after - before).max() <= _SAME_COLOUR:
            return mode, None
    return mode, transform


@lru_cache(maxsize=16)
def _gamma_table(gamma: float) -> list[int]:
    """Map samples that a PNG stores with the exponent ``gamma`` to sRGB (IEC 61966-2-1)."""
    linear = (np.arange(256) / 255) ** (1 / gamma)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table: list[int] = np.rint(curve * 255).astype(int).tolist()
    return table


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit or float grey to 8 bits."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        full = 65535.0
    else:
        finite = values[np.isfinite(values)]
        low, top = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        values = np.nan_to_num(values, nan=low, neginf=low, posinf=top)
        if image.mode == "I" and low >= 0:
            full = max(65535.0, float(top))
        elif low < 0 or top > 255:
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
        square = Image.new("RGB", (size, size), _WHITE)
        square.paste(image, ((size - target[0]) // 2, (size - target[1]) // 2))
        image = square
    return np.array(image, dtype=np.uint8)
