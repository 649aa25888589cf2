"""Finished drawings as they were asked for: at their size, with or without a background."""

from __future__ import annotations

import numpy as np
from PIL import Image

from limner.generation.looks import LOOKS
from limner.generation.restyle import pixelated
from limner.generation.styles import Kind
from limner.models.settings import Settings
from limner.scenes.cutout import resize, to_image, without_background
from limner.vision.resampling import resized


def at_size(image: Image.Image, side: int, *, transparent: bool) -> Image.Image:
    """A drawing at a size, without its white background where asked for.

    Args:
        image: square; RGB, or RGBA where its background is transparent already.
        side: in pixels.
        transparent: whether an RGB picture becomes an RGBA one without its background.
    """
    if transparent and image.mode == "RGB":
        return to_image(resize(without_background(np.asarray(image)), side, side))
    return resized(image, side)


def as_asked(image: Image.Image, settings: Settings, side: int) -> Image.Image:
    """A drawing at its size, transparent or not, and in whole pixels where its style is of them.

    Args:
        image: square, RGB or RGBA.
        settings: of the picture.
        side: in pixels.
    """
    image = at_size(image, side, transparent=bool(settings.transparent))
    look = LOOKS.get(settings.style or "")
    if look is not None and look.profile is not None and look.profile.kind is Kind.PIXELS:
        return pixelated(image, look.profile.width)
    return image
