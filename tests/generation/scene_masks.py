"""Where something is in the picture of a scene, for tests of it."""

import numpy as np
from PIL import Image


def ink(image: Image.Image) -> np.ndarray:
    """Where there is something on white, ``(S, S)`` bool."""
    return np.asarray(image).min(-1) < 200


def blobs(mask: np.ndarray) -> list[np.ndarray]:
    """Parts of a mask that hang together and are no specks, by flooding."""
    left, found = mask.copy(), []
    while left.any():
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            wide = np.pad(part, 1)
            wide = wide[2:, 1:-1] | wide[:-2, 1:-1] | wide[1:-1, 2:] | wide[1:-1, :-2] | part
            if (wide & left).sum() == part.sum():
                break
            part = wide & left
        left &= ~part
        if part.sum() > 30:
            found.append(part)
    return found


def middle(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def border(image: Image.Image) -> np.ndarray:
    """The outermost pixels, ``(N, 3)``."""
    pixels = np.asarray(image).astype(int)
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def hued(image: Image.Image, low: float, high: float) -> float:
    """Share of a picture's ink of hues between two, in degrees, that are no skin or hair."""
    hsv = np.asarray(image.convert("HSV")).astype(float)
    hue = hsv[..., 0] * 360 / 255
    vivid = (hsv[..., 1] > 60) & (hsv[..., 2] > 50)
    return float((vivid & (hue > low) & (hue < high)).sum() / ink(image).sum())
