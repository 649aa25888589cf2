"""At which quality a picture was compressed as JPEG, seen in its pixels.

A picture that is compressed again as it was compressed before hardly changes, and changes more at
every other quality: the ghost of the first (Farid 2009, "Exposing digital forgeries from JPEG
ghosts"). That shows as long as the pixels were not changed since, nor cut off the grid of blocks.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLOCK, _SIDE = 8, 384
"""Side of JPEG's blocks, and of the part in the middle that is looked at, in pixels."""
_FIRST, _LAST, _BESIDE = 5, 95, 3
"""Qualities that are tried, and how far away those are that each is compared with."""
_SEEN, _NOT_SEEN = 0.93, 0.99
"""The least change over that at qualities beside it: below and above which a picture was, or was
not, compressed."""


class JpegTrace(NamedTuple):
    """What the pixels say.

    Attributes:
        quality: 8 to 92, as libjpeg counts; None where none is seen.
        known: whether that is certain: False for pictures that show too little.
    """

    quality: int | None
    known: bool


def jpeg_trace(pixels: NDArray[np.uint8]) -> JpegTrace:
    """At which quality ``(H, W, 3)`` pixels were compressed last, if they were by libjpeg."""
    height, width = (min(_SIDE, side // _BLOCK * _BLOCK) for side in pixels.shape[:2])
    top, left = ((full - side) // 2 // _BLOCK * _BLOCK
                 for full, side in zip(pixels.shape, (height, width), strict=False))  # fmt: skip
    light = Image.fromarray(pixels[top : top + height, left : left + width]).convert("L")
    blocks = _blocks(np.asarray(light))
    drawn = np.ptp(blocks, axis=(1, 2)) > 2  # flat blocks say nothing
    if not drawn.any():
        return JpegTrace(None, known=False)
    changes = np.array([_change(light, blocks, drawn, q) for q in range(_FIRST, _LAST + 1)])
    tried = range(_BESIDE, len(changes) - _BESIDE)
    beside = [min(changes[i - 3], changes[i - 2], changes[i + 2], changes[i + 3]) for i in tried]
    ratios = changes[_BESIDE:-_BESIDE] / np.maximum(beside, 1e-9)
    best = int(ratios.argmin())
    if ratios[best] < _SEEN:
        return JpegTrace(_FIRST + _BESIDE + best, known=True)
    return JpegTrace(None, known=bool(ratios[best] > _NOT_SEEN))


def _blocks(light: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(H, W)`` as blocks ``(B, 8, 8)``."""
    height, width = light.shape
    tiles = light.astype(np.float32).reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return tiles.swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK)


def _change(
    light: Image.Image, blocks: NDArray[np.float32], drawn: NDArray[np.bool_], quality: int
) -> float:
    """Mean change of the drawn blocks, their means aside, by compression at a quality."""
    file = io.BytesIO()
    light.save(file, "JPEG", quality=quality)
    with Image.open(file) as again:
        off = (_blocks(np.asarray(again)) - blocks)[drawn]
    return float(np.abs(off - off.mean((1, 2), keepdims=True)).mean())
