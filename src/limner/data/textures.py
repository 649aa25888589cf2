"""Synthetic pictures with the statistics of photographs, to learn restoration from.

Dead leaves: opaque shapes of all sizes that hide each other (Lee, Mumford and Huang 2001), with
shading and 1/f noise on them, as in Achddou, Gousseau and Ladjal 2021. A network that is trained on
drawings alone would take the grain of a photograph for a fault.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

_SMALLEST, _LARGEST = 2.5, 64.0
_SHAPES = 40


def dead_leaves(side: int, rng: np.random.Generator) -> Floats:
    """A picture of shapes that hide each other, ``(3, side, side)`` float32 in [0, 1].

    Radii r have the density r**-3 between 2.5 and 64 pixels, which makes the picture look alike at
    every distance.
    """
    noise = fractal_noise(side, float(rng.uniform(0.7, 1.6)), rng)
    # Colours differ in brightness more than in hue, as they do in photographs.
    middle = rng.uniform(0.15, 0.85) + rng.normal(0, 0.12, 3)
    axes = np.stack([rng.normal(0.25, 0.05, 3), rng.normal(0, 0.12, 3)])
    out = _colour(middle, axes, rng) + np.float32(0.1) * noise
    low, high = _SMALLEST**-2, _LARGEST**-2
    radii = (low - rng.random(_SHAPES) * (low - high)) ** -0.5
    for radius in radii.tolist():
        y, x = rng.uniform(-radius / 2, side + radius / 2, 2)
        top, left = (max(0, int(each - 1.5 * radius)) for each in (y, x))
        bottom, right = (min(side, int(each + 1.5 * radius) + 2) for each in (y, x))
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
        columns = np.arange(left, right, dtype=np.float32) - np.float32(x)
        cover, box = _cover(rows, columns, radius, rng), out[:, top:bottom, left:right]
        leaf = _colour(middle, axes, rng) + np.float32(rng.normal(0, 0.15) / radius) * rows
        leaf = leaf + np.float32(rng.uniform(0, 0.12)) * noise[:, : len(rows), : len(columns)]
        box += cover * (leaf - box)
    return np.clip(out, 0, 1)


def fractal_noise(side: int, power: float, rng: np.random.Generator) -> Floats:
    """Noise whose amplitude falls with frequency f as f**-power; ``(3, side, side)``, variance 1.

    The channels are alike but not the same.
    """
    across, down = np.fft.rfftfreq(side), np.fft.fftfreq(side)[:, None]
    frequency = np.hypot(across, down)
    frequency[0, 0] = np.inf
    white = rng.standard_normal((3, side, side), np.float32)
    white = white[:1] + 0.4 * white
    found = np.fft.irfft2(np.fft.rfft2(white) * frequency**-power, s=(side, side))
    return np.asarray(found / found.std((1, 2), keepdims=True), np.float32)


def _colour(
    middle: NDArray[np.float64], axes: NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """A colour of the picture's palette, ``(3, 1, 1)``."""
    found = middle + rng.normal(0, 1, 2) @ axes + rng.normal(0, 0.04, 3)
    return np.clip(found, 0, 1).astype(np.float32)[:, None, None]


def _cover(rows: Floats, columns: Floats, radius: float, rng: np.random.Generator) -> Floats:
    """How much of each pixel a shape around the origin covers: an ellipse or a turned rectangle."""
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = cos * columns + sin * rows, (cos * rows - sin * columns) / np.float32(ratio)
    if rng.random() < 0.5:
        far = np.sqrt(along**2 + across**2)
    else:
        far = np.maximum(abs(along), abs(across)) * np.float32(1.25)
    return np.clip((radius - far) * np.float32(ratio) + np.float32(0.5), 0, 1)
