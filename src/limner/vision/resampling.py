"""Pictures at other sizes than they were drawn at."""

from __future__ import annotations

from PIL import Image


def resized(image: Image.Image, side: int) -> Image.Image:
    """A square picture at another side, in pixels; the picture itself where it has that side."""
    if image.size == (side, side):
        return image
    return image.resize((side, side), Image.Resampling.LANCZOS)
