"""Things that are known as pictures with a sky of their own, as fireworks are, without that sky."""

from __future__ import annotations

import numpy as np

from limner.scenes.cutout import Floats
from limner.text.names import bare, name_key
from limner.vision.masks import Mask, largest

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


def _eroded(mask: Mask, reach: int) -> Mask:
    """The pixels of a mask that are at least so far from its edge."""
    outside = np.pad(~mask, reach, constant_values=True)
    grown = largest(outside, reach)
    inside = slice(reach, -reach or None)
    return ~grown[inside, inside]
