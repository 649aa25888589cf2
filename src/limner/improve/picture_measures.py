"""What is measured of every picture of a data set: light, contrast, information and sharpness."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.arrays import Floats, Pixels
from limner.metrics.memorisation import mosaic
from limner.metrics.sharpness import edge_sharpness, fine_detail
from limner.vision.pixels import to_tensor

THUMB = 32
"""Side of the thumbnails that duplicates are searched in."""
_COARSE = 8
_LEVELS = 16
_TAIL = 0.01
_SHAPE, _CONTOUR, _STEP, _SHAPE_BYTES = 0.08, 16, 4, 64
"""Of a shape: share of the thumbnail, points along its contour, and levels of the step there; and
bytes that it counts for."""
_SHARPNESS_SIDE = 64
_LEAST_FOR_DETAIL = 8
_DETAIL_WEIGHT = 1.4
"""Of fine detail beside edges. Chosen, with the threshold, on drawings, garments, and photographs
of other packages than those that ``benchmarks/doctor_peers.py`` measures."""


class Measured(NamedTuple):
    """Of B pictures.

    Attributes:
        scores: name of the check -> ``(B,)`` float32.
        thumbs: ``(B, 32, 32, 3)`` uint8, the mean colours of fields.
    """

    scores: dict[str, Floats]
    thumbs: Pixels


def measure(pixels: Pixels, sides: Sequence[int] | None = None) -> Measured:
    """Measure ``(B, S, S, 3)`` uint8 pictures.

    *Dark* is the 99th percentile of each pixel's brightest channel and *light* the first of its
    darkest channel, both in [0, 1]: a saturated colour is neither. *Blank* is the largest range of
    a channel of the 8 x 8 mosaic. *Low information* counts the bytes of the thumbnail at 16 levels
    between its least and greatest value, compressed by DEFLATE; and 64 more where there is a shape
    (:func:`_has_shape`): a flag of two bands is little to compress, but is not nothing. *Blurred*
    is the greater of :func:`limner.metrics.sharpness.edge_sharpness` and 1.4 times
    :func:`limner.metrics.sharpness.fine_detail` of the brightness at the picture's own size:
    steps between flat colours are sharp, however few, and so is a photograph whose edges are soft
    where it is out of focus but whose grain is not.

    Args:
        pixels: the pictures.
        sides: ``(B,)`` sides in pixels that they were brought to S from, where they are known.
            Those that were enlarged are judged at that side for sharpness, which tells how the
            picture was taken, not that it is small.
    """
    count, side = pixels.shape[:2]
    images = to_tensor(pixels)
    small = mosaic(images, THUMB).reshape(count, 3, THUMB, THUMB).permute(0, 2, 3, 1)
    thumbs = ((small.numpy() + 1) * 127.5).round().astype(np.uint8)
    coarse = mosaic(images, _COARSE).reshape(count, 3, -1).numpy()
    stride = max(1, side // _SHARPNESS_SIDE)
    grey = images.mean(1, keepdim=True)
    sharp = _sharpness(grey, stride)
    for row, before in enumerate(sides or ()):
        if _LEAST_FOR_DETAIL < before < side:
            reduced = F.interpolate(grey[row : row + 1], (before, before), mode="bicubic",
                                    antialias=True).clamp(-1, 1)  # fmt: skip
            sharp[row] = _sharpness(reduced, max(1, before // _SHARPNESS_SIDE))[0]
    packed = [_information(_stretched(thumb)) for thumb in thumbs]
    return Measured({
        "dark": _percentile(pixels.max(3), 1 - _TAIL),
        "light": _percentile(pixels.min(3), _TAIL),
        "blank": (np.ptp(coarse, axis=2).max(1) / 2).astype(np.float32),
        "low-information": np.array(packed, np.float32),
        "blurred": sharp.numpy(),
    }, thumbs)  # fmt: skip


def _sharpness(grey: Tensor, stride: int) -> Tensor:
    """``(B,)`` of ``(B, 1, S, S)`` in [-1, 1]: of edges or of fine detail, whichever is more."""
    sharp = edge_sharpness(grey, None, stride)
    if grey.shape[-1] > _LEAST_FOR_DETAIL:
        sharp = torch.maximum(sharp, _DETAIL_WEIGHT * fine_detail(grey))
    return sharp


def _stretched(thumb: Pixels) -> Pixels:
    """A thumbnail at 16 levels, from 0 at its least value to 15 at its greatest."""
    low, high = int(thumb.min()), int(thumb.max())
    scaled = (thumb.astype(np.float32) - low) * (_LEVELS / max(high - low, 1))
    found: Pixels = np.minimum(scaled, _LEVELS - 1).astype(np.uint8)
    return found


def _information(levels: Pixels) -> int:
    """Bytes of a thumbnail of 16 levels, compressed, and more where there is a shape."""
    found = len(zlib.compress(levels.tobytes(), 6))
    return found + _SHAPE_BYTES if found < _SHAPE_BYTES * 2 and _has_shape(levels) else found


def _has_shape(levels: Pixels) -> bool:
    """Whether something of another colour than most of the picture has a contour, and a size.

    A dot or a line is too small, and a slope has no step.

    Args:
        levels: ``(T, T, 3)`` uint8, below 16.
    """
    wide = levels.astype(np.int16)
    codes = (wide[..., 0] * _LEVELS + wide[..., 1]) * _LEVELS + wide[..., 2]
    values, counts = np.unique(codes, return_counts=True)
    most = wide[codes == values[counts.argmax()]][0]
    covered = (np.abs(wide - most).max(2) >= _STEP).mean()
    steps = sum((np.abs(np.diff(wide, axis=axis)).max(2) >= _STEP).sum() for axis in (0, 1))
    return bool(covered >= _SHAPE and steps >= _CONTOUR)


def _percentile(values: Pixels, share: float) -> Floats:
    """The value below which a share of the pixels of each picture lies, in [0, 1]."""
    rows = values.reshape(len(values), -1)
    place = min(int(share * rows.shape[1]), rows.shape[1] - 1)
    found: Floats = (np.partition(rows, place, axis=1)[:, place] / 255).astype(np.float32)
    return found
