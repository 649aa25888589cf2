"""Heat maps over pictures: the warmer a pixel, the more it depends on a word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.vision.images import on_white

_COLOURS = np.array([[1.0, 0.93, 0.55], [0.98, 0.62, 0.2], [0.82, 0.13, 0.12]], np.float32)
"""From 0 to 1, each darker than the one before, so that the map also reads in greyscale."""
_FADED, _COVER = 0.45, 0.65
"""How far the grey picture is faded to white; the highest opacity of a map."""


def heat_map(image: Image.Image, values: NDArray[np.float32]) -> Image.Image:
    """A map over the picture in grey: RGB, of the picture's size.

    Args:
        image: RGB or RGBA, ``W x H``.
        values: ``(H, W)`` in [0, 1].
    """
    grey = np.asarray(on_white(image).convert("L"), np.float32) / 255
    places = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(values, places, band) for band in _COLOURS.T], -1)
    faded = grey[..., None] * (1 - _FADED) + _FADED
    cover = _COVER * np.minimum(1, 2 * values[..., None])
    mixed = (1 - cover) * faded + cover * colours
    return Image.fromarray((mixed.clip(0, 1) * 255).round().astype(np.uint8))
