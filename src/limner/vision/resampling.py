"""Flat drawings at other sizes than they were drawn at."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from limner.arrays import Floats

_Filter = Image.Resampling

_REACH = 2
"""Rows and columns around a pixel in which the two colours of an edge are looked for."""
_GAIN = 0.3
"""Steepening of edges for each doubling of the size."""
_CONTRAST = 0.25
"""Edges of less than this difference, of 1, are steepened less, so that noise stays as it is."""
_CORRECTIONS = 2


def resized(image: Image.Image, side: int) -> Image.Image:
    """A square RGB picture at another side, in pixels; itself where it has that side."""
    if image.size == (side, side):
        return image
    values = resample(np.asarray(image, np.float32) / np.float32(255), side, side)
    return Image.fromarray((values * 255).round().astype(np.uint8))


def resample(values: Floats, width: int, height: int, *, steepen: bool = True) -> Floats:
    """A drawing ``(H, W, C)`` in [0, 1] at another size: ``(height, width, C)`` in [0, 1].

    Lanczos' filter, and, where the drawing is enlarged, edges made steep: values move away from
    the middle between the smallest and the largest around them, not beyond these. Twice the
    enlarged drawing is corrected so that its means over the pixels of the drawing are as they were
    (iterative back-projection, Irani and Peleg 1991).

    Args:
        values: the drawing.
        width: of the result, in pixels.
        height: as ``width``.
        steepen: whether an enlarged drawing gets steep edges; without it, only the filter is used.
    """
    size, own = (width, height), values.shape[1::-1]
    bands = np.ascontiguousarray(values.transpose(2, 0, 1))
    large = filtered(bands, size, _Filter.LANCZOS)
    scale = math.sqrt(width * height / (own[0] * own[1]))
    if scale > 1 and steepen:
        low, high = (
            filtered(_around(bands, extreme), size, _Filter.BILINEAR)
            for extreme in (np.minimum, np.maximum)
        )
        middle, contrast = (low + high) / np.float32(2), (high - low) / np.float32(_CONTRAST)
        gain = 1 + np.float32(_GAIN * math.log2(scale)) * contrast.clip(0, 1, out=contrast)
        _steepen(large, middle, gain, low, high)
        for _ in range(_CORRECTIONS):
            lost = bands - filtered(large, own, _Filter.BOX)
            large += filtered(lost, size, _Filter.BICUBIC)
            _steepen(large, middle, gain, low, high)
    return np.ascontiguousarray(large.clip(0, 1, out=large).transpose(1, 2, 0))


def _steepen(values: Floats, middle: Floats, gain: Floats, low: Floats, high: Floats) -> None:
    """Move values away from a middle, no farther than two limits, in place."""
    values -= middle
    values *= gain
    values += middle
    np.clip(values, low, high, out=values)


def filtered(bands: Floats, size: tuple[int, ...], kernel: _Filter) -> Floats:
    """Bands ``(C, H, W)`` at another width and height, by one of Pillow's filters."""
    width, height = size
    images = (Image.fromarray(band).resize((width, height), kernel) for band in bands)
    return np.stack([np.asarray(image) for image in images])


def _around(bands: Floats, extreme: np.ufunc) -> Floats:
    """The smallest or the largest value within ``_REACH`` rows and columns of each pixel."""
    for _ in range(2):  # along rows, then along columns
        found = bands.copy()
        for shift in range(1, _REACH + 1):
            extreme(found[..., shift:], bands[..., :-shift], out=found[..., shift:])
            extreme(found[..., :-shift], bands[..., shift:], out=found[..., :-shift])
        bands = found.swapaxes(1, 2)
    return bands


def fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """A square picture on a canvas of another shape: its edges go on to the sides.

    White stays white, sky and ground stay where they are.

    Args:
        image: ``min(width, height)`` pixels a side.
        width: of the canvas.
        height: of the canvas.
    """
    if image.size == (width, height):
        return image
    spare = (height - image.height, width - image.width)
    pad = [(each // 2, each - each // 2) for each in spare]
    return Image.fromarray(np.pad(np.asarray(image), (*pad, (0, 0)), mode="edge"))
