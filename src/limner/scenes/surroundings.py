"""Things that are drawn with a sky or water of their own, without it, for a scene that has them."""

from __future__ import annotations

import numpy as np

from limner.arrays import Floats, Mask
from limner.scenes.colours import to_hsv
from limner.scenes.cutout import cropped
from limner.text.names import bare, name_key
from limner.vision.masks import grown, largest, largest_part

_WITH_SKY = frozenset({"fireworks", "firework", "sparkler", "shooting star"})
"""Things that are drawn on a square of night."""
_SQUARE, _FULL = 0.8, 0.85
"""Least shorter side, of the longer one, and least share of its box, of a picture with a sky."""
_RIM = 0.05
"""Share of the side: the soft rim of such a picture."""
_EVEN, _SKY, _TURNS = 0.12, 0.4, 4
"""Largest median difference of a sky from what is fitted to it, of 1; share of the pixels that it
is fitted to; times that it is fitted."""
_FIRST, _LAST = 0.12, 0.3
"""Differences from the sky from which on something is seen, and is seen alone."""
_LEAST = 0.02
"""Least share of the picture that must be seen."""

_WATER_HUE, _WATER_SATURATION, _WATER_VALUE = (195.0, 228.0), 0.3, 0.8
"""Range of the hue of water in degrees, its least saturation and value."""
_WATER_ALIKE, _WATER_EDGE = 0.2, 2
"""Largest difference of its channels from its median, and width of its upper edge in pixels."""
_WATER_WIDE, _WATER_STRAIGHT, _WATER_HIGH, _WATER_BELOW = 0.8, 0.85, (0.08, 0.6), 0.94
"""Least width, of the thing's; least median width of its lower half, of its own; its least and
greatest height, and how far down it reaches, of the thing's height."""


def has_own_sky(name: str) -> bool:
    """Whether a thing, by its English name, is seen at night and is drawn with the sky."""
    return name_key(bare(name)) in _WITH_SKY


def without_sky(cut: Floats) -> Floats | None:
    """What is seen before the sky of a square picture.

    The sky is a quadratic polynomial of the place in each channel, fitted by least squares to the
    darker half of the pixels, then to the half that is nearest to it, and so on (least trimmed
    squares, Rousseeuw 1984). A pixel is taken for a mixture of the sky and of what is before it.

    Args:
        cut: ``(H, W, 4)`` float32 in [0, 1], premultiplied, as a thing is cut out of white.

    Returns:
        The same without the sky; None where the thing is no square picture, or has no even sky.
    """
    high, wide = cut.shape[:2]
    solid = cut[..., 3] > 0.5
    if min(high, wide) < _SQUARE * max(high, wide) or solid.mean() < _FULL:
        return None
    inner = _eroded(solid, round(_RIM * high))
    y, x = np.mgrid[0:high, 0:wide] / max(high, wide)
    places = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    colours = cut[..., :3].astype(np.float64)
    far = colours.max(-1)
    for _ in range(_TURNS):
        near = inner & (far <= np.quantile(far[inner], _SKY))
        sky = places @ np.linalg.lstsq(places[near], colours[near], rcond=None)[0]
        far = np.abs(colours - sky).max(-1)
    if np.median(far[near]) > _EVEN:
        return None
    alpha = np.clip((far - _FIRST) / (_LAST - _FIRST), 0, 1) * inner
    if alpha.mean() < _LEAST:
        return None
    alpha = alpha[..., None]
    seen = np.clip(colours - (1 - alpha) * sky, 0, alpha)
    return np.concatenate([seen, alpha], -1).astype(np.float32)


def water_in(cut: Floats) -> Mask | None:
    """The block of water that a boat is drawn in, ``(H, W)``; None where there is none.

    Water is what is of one light blue, connected, as wide as the boat and straight below.

    Args:
        cut: ``(H, W, 4)`` float32 in [0, 1], premultiplied, as a thing is cut out of white.
    """
    solid = cut[..., 3] > 0.5
    high, wide = solid.shape
    colours = cut[..., :3].astype(np.float64)
    hue, saturation, value = to_hsv(colours)
    blue = solid & (hue > _WATER_HUE[0]) & (hue < _WATER_HUE[1])
    blue &= (saturation > _WATER_SATURATION) & (value > _WATER_VALUE)
    lowest = slice(round(0.9 * high), high)
    if not blue[lowest].any():
        return None
    middle = np.median(colours[lowest][blue[lowest]], 0)
    water = largest_part(blue & (np.abs(colours - middle).max(-1) < _WATER_ALIKE))
    if not water.any():
        return None
    rows = np.flatnonzero(water.any(1))
    widths = water.sum(1)[rows]
    least, most = _WATER_HIGH
    below = rows[-1] > _WATER_BELOW * high and least < len(rows) / high < most
    straight = np.median(widths[len(rows) // 2 :]) > _WATER_STRAIGHT * widths.max()
    if not (below and straight and widths.max() > _WATER_WIDE * wide):
        return None
    for _ in range(_WATER_EDGE):
        water = grown(water)
    water[rows[-1] - len(rows) // 2 :] = True  # with its edges beside and below
    return water


def without_water(cut: Floats, plain: Floats | None = None) -> Floats | None:
    """A boat without the block of water that it is drawn in; see :func:`water_in`.

    Args:
        cut: ``(H, W, 4)`` float32 in [0, 1], premultiplied, as a thing is cut out of white.
        plain: the same before it was recoloured.

    Returns:
        The smallest rectangle of it without the water; None where there is none.
    """
    water = water_in(cut if plain is None or plain.shape != cut.shape else plain)
    if water is None:
        return None
    found = cut * ~water[..., None]
    rest = found[..., 3] > 0.5
    return cropped(found, rest) if rest.any() else None


def _eroded(mask: Mask, reach: int) -> Mask:
    """The pixels of a mask that are at least so far from its edge."""
    outside = np.pad(~mask, reach, constant_values=True)
    grown = largest(outside, reach)
    inside = slice(reach, -reach or None)
    return ~grown[inside, inside]
