"""Reference pictures, prepared as they were in training."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.pictures import PictureError, whole
from limner.errors import DataError

Reference = str | Path | Image.Image
"""A reference picture: a file, or the picture itself."""


def read_reference(reference: Reference, side: int) -> NDArray[np.uint8]:
    """A reference picture as in training: padded to a square on white, ``(S, S, 3)`` uint8.

    Raises:
        DataError: it cannot be read as a picture.
    """
    name = "the reference picture"
    source: Path | bytes
    if isinstance(reference, Image.Image):
        buffer = io.BytesIO()
        reference.save(buffer, format="PNG")
        source = buffer.getvalue()
    else:
        source = Path(reference)
        name += f" {source}"
    try:
        return whole(source, side)
    except PictureError as error:
        raise DataError(f"{name} cannot be used: {error}") from error
