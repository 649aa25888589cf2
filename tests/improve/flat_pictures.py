"""Pictures of flat shapes and faulty copies of them, for tests of checks."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

SIDE = 64


def scene(number: int, side: int = SIDE) -> np.ndarray:
    """Flat shapes on white, each with colours and places of its own."""
    rng = np.random.default_rng([7, number])
    canvas = np.full((side, side, 3), 255, np.uint8)
    for _ in range(6):
        top, left = rng.integers(0, side - 16, 2)
        height, width = rng.integers(8, side // 2, 2)
        canvas[top : top + height, left : left + width] = rng.integers(0, 200, 3)
    return canvas


def softened(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(2)))


def enlarged(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((16, 16)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def brighter(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 0.9 + 20, 0, 255).astype(np.uint8)
