"""PIL images that are shown or written; without torch, which takes seconds to import."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.errors import UsageError


class HasImage(Protocol):
    """What limner has drawn or restored: ``image`` is its picture."""

    @property
    def image(self) -> Image.Image:
        """Its pixels."""
        ...


PictureLike = str | Path | bytes | Image.Image | NDArray[np.uint8] | HasImage
"""A picture as functions of Python take it: a file, its bytes, a PIL image, a uint8 array
``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``, or what limner has drawn."""


def image_or_file(given: PictureLike) -> Image.Image | Path | bytes:
    """A picture that is given in any way: an image that is there already, else its file or bytes.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(given, Path | bytes | Image.Image):
        return given
    if isinstance(given, str):
        return Path(given)
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or not (given.ndim == 2 or given.shape[2:] in ((3,), (4,))):
            raise UsageError(
                f"an array of {given.dtype} of shape {given.shape} is no picture: give uint8 of "
                "shape (H, W), (H, W, 3) or (H, W, 4)"
            )
        if not given.size:
            raise UsageError(f"an array of shape {given.shape} is no picture: it has no pixels")
        return Image.fromarray(given)
    image = getattr(given, "image", None)
    if not isinstance(image, Image.Image):
        raise UsageError(
            f"a {type(given).__name__} is no picture: give a file, its bytes, a PIL image, a uint8 "
            "array, or what limner has drawn"
        )
    return image


def on_white(image: Image.Image) -> Image.Image:
    """An RGB picture: itself, or what an RGBA picture looks like on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def png_bytes(image: Image.Image, texts: Mapping[str, str] | None = None) -> bytes:
    """A drawing as a PNG file; each of the texts is in an iTXt chunk under its key.

    The compressor looks for runs alone (zlib's ``Z_RLE``): a drawing of flat colours then takes a
    third of the time that the default strategy does, and fewer bytes.
    """
    chunks, buffer = PngInfo(), BytesIO()
    for key, value in (texts or {}).items():
        chunks.add_itxt(key, value)
    image.save(buffer, "PNG", pnginfo=chunks, compress_type=zlib.Z_RLE)
    return buffer.getvalue()
