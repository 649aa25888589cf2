"""Cut a thing out of its white background, and paste it on another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.vision.resampling import resample

Floats = NDArray[np.float32]

_BACKGROUND = 0.025
"""Largest difference of the background from white, of 1."""
_DRAWN_BACKGROUND = 0.06
"""The same in pictures that a model drew, whose white varies."""
_SPECK = 0.0075
"""Separate parts smaller than this share of the ink are removed as noise."""
_REACH = 2
"""Distance, in pixels, within which the ink of an edge pixel is searched."""
_MARGIN, _OPAQUE = 3, 0.95
"""Pixels by which colours are continued beyond an edge; alpha of pixels whose colour is known."""
_CHANGED, _RECOLOURED = 0.1, 0.5
"""Difference of a channel that counts as changed; share of a thing's pixels that must be."""


def cut_out(pixels: NDArray[np.uint8], ink: NDArray[np.uint8] | None = None) -> Floats | None:
    """Cut out the thing on a white background: ``(H, W, 4)`` float32 in [0, 1], premultiplied.

    The background is the white that touches the border; white inside the thing belongs to it. A
    pixel on the edge is a mixture of ink and white, c = a ink + (1 - a). Its ink is assumed to be
    that of the neighbour farthest from white, which gives a and, exactly, a ink = c - (1 - a).

    Args:
        pixels: ``(S, S, 3)`` uint8.
        ink: the same thing recoloured; gives the colours, ``pixels`` the shape.

    Returns:
        The smallest rectangle that holds the thing; None where there is no thing or no white
        background.
    """
    rgb: Floats = pixels.astype(np.float32) / np.float32(255)
    background = _flood(rgb.min(-1) > 1 - _BACKGROUND)
    if background.all() or not background.any():
        return None
    return _crop(_inked(rgb, background, ink), ~background)


def cut_out_drawn(pixels: NDArray[np.uint8], ink: NDArray[np.uint8] | None = None) -> Floats:
    """Cut out the thing on the nearly white background of a picture that a model drew.

    As :func:`cut_out`, but small separate parts are removed as noise, and where there is no
    background it is the whole picture, opaque.
    """
    return _crop(*_drawn(pixels, ink))


def without_background(pixels: NDArray[np.uint8]) -> Floats:
    """A picture that a model drew, without its white background: ``(S, S, 4)``, premultiplied.

    As :func:`cut_out_drawn`, but of the size of the picture.
    """
    return _drawn(pixels, None)[0]


def _drawn(
    pixels: NDArray[np.uint8], ink: NDArray[np.uint8] | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """What a model drew without its background, and where it is."""
    rgb: Floats = pixels.astype(np.float32) / np.float32(255)
    background = _ground(rgb.min(-1) > 1 - _DRAWN_BACKGROUND)
    if background.all() or not background.any():
        colours = rgb if ink is None else ink.astype(np.float32) / np.float32(255)
        return np.concatenate([colours, np.ones_like(rgb[..., :1])], -1), np.ones_like(background)
    parts = _spread(np.arange(1, background.size + 1).reshape(background.shape), ~background)
    sizes = np.bincount(parts[~background], minlength=parts.max() + 1)
    large = ~background & (sizes[parts] >= _SPECK * (~background).sum())
    return _inked(rgb, ~large, ink), large


def is_recoloured(before: Floats, after: Floats) -> bool:
    """Whether enough of a cut-out thing changed that the new colour names it.

    Args:
        before: ``(H, W, 4)``, of :func:`cut_out`.
        after: the same, recoloured.
    """
    solid = before[..., 3] > 0.5
    changed = np.abs(before - after)[..., :3].max(-1) > _CHANGED
    return bool(changed[solid].mean() > _RECOLOURED) if solid.any() else False


def _spread(found: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Give all pixels of each connected part of a mask the largest value among them.

    Neighbours are those above, below, to the left and to the right.
    """
    rows, columns = _runs(mask), _runs(mask.T)
    before, found = np.zeros_like(found), found * mask
    while not np.array_equal(found, before):
        before = found
        found = _along_runs(found, rows) * mask
        found = _along_runs(found.T, columns).T * mask
    return found


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where runs of equal pixels begin in a mask laid out row after row, each ended by False."""
    flat = np.pad(mask, ((0, 0), (0, 1))).ravel()
    return np.flatnonzero(np.diff(flat, prepend=not flat[0]))


def _along_runs(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Values ``(H, W)``, each the largest of its run."""
    flat = np.pad(values, ((0, 0), (0, 1))).ravel()
    lengths = np.diff(starts, append=flat.size)
    spread = np.repeat(np.maximum.reduceat(flat, starts), lengths)
    return spread.reshape(len(values), -1)[:, :-1]


def _largest(values: NDArray[Any], reach: int) -> NDArray[Any]:
    """Maximum within ``reach`` rows and columns of each pixel."""
    for _ in range(2):  # rows, then columns
        found = values.copy()
        for shift in range(1, reach + 1):
            np.maximum(found[shift:], values[:-shift], out=found[shift:])
            np.maximum(found[:-shift], values[shift:], out=found[:-shift])
        values = found.T
    return values


def _crop(thing: Floats, mask: NDArray[np.bool_]) -> Floats:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return thing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _inked(rgb: Floats, background: NDArray[np.bool_], ink: NDArray[np.uint8] | None) -> Floats:
    """Premultiplied colours and alpha of everything but the background: ``(S, S, 4)``."""
    alpha = _alpha(rgb, background)
    source = rgb if ink is None else ink.astype(np.float32) / 255
    colours = np.clip(source - (1 - alpha[..., None]), 0, alpha[..., None])
    return np.concatenate([colours, alpha[..., None]], -1).astype(np.float32)


def _flood(white: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of the mask that is connected to the border."""
    border = np.ones_like(white)
    border[1:-1, 1:-1] = False
    return _spread(white & border, white)


def _ground(white: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of the mask that is connected to the border, but for what lies behind narrow gaps.

    An outline with gaps of two pixels still holds its white inside: white that is farther than a
    pixel from everything else is inside or outside as a whole, and both grow towards each other.
    """
    core = _largest((~white).astype(np.uint8), 1) == 0
    outside = _flood(core)
    inside, grown = core & ~outside, outside
    before = -1
    while before != (before := int(grown.sum() + inside.sum())):
        grown = _touching(grown) & white & ~inside
        inside = _touching(inside) & white & ~grown
    return grown


def _touching(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and the pixels above, below, to the left and to the right of it."""
    wide = np.pad(mask, 1)
    sides = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    found: NDArray[np.bool_] = sides | mask
    return found


def _alpha(rgb: Floats, background: NDArray[np.bool_]) -> Floats:
    """How much of each pixel is ink, ``(S, S)``; 0 or 1 away from the edge."""
    around, within = (_largest(each.astype(np.uint8), 1) > 0 for each in (background, ~background))
    edge = around & within
    depth = 1 - rgb.min(-1)  # of each pixel, away from white
    solid = np.where(background | edge, 0, depth)
    if not solid.any():  # a thing of edges alone, such as thin lines
        solid = np.where(background, 0, depth)
    best = _largest(np.maximum(solid, np.where(edge, depth, 0)), _REACH)
    share = depth / np.maximum(best, 1e-6)
    return np.where(edge, np.clip(share, 0, 1), ~background).astype(np.float32)


def resize(thing: Floats, width: int, height: int, steepen: bool = True) -> Floats:
    """Resize a cut-out to ``(height, width, 4)``; see :func:`limner.vision.resampling.resample`.

    Colours and alpha are made steep apart from each other, so the colours are first continued
    beyond the edge.
    """
    straight = np.concatenate([colours_of(thing), thing[..., 3:]], -1)
    found = resample(straight, width, height, steepen)
    found[..., :3] *= found[..., 3:]
    return found


def colours_of(thing: Floats) -> Floats:
    """The colours of a cut-out, not premultiplied, ``(H, W, 3)``; continued beyond its edge.

    Those of an edge are the means of the colours around it, weighted by alpha; white is far away.
    """
    known = thing
    for _ in range(_MARGIN):
        high, wide = thing.shape[:2]
        padded = np.pad(known, ((1, 1), (1, 1), (0, 0)))
        parts = [padded[y : y + high, x : x + wide] for y in range(3) for x in range(3)]
        around: Floats = np.sum(parts, 0)
        opaque = known[..., 3:] > _OPAQUE
        known = np.where(opaque, known, around / np.maximum(around[..., 3:], 1e-6))
    alpha = known[..., 3:]
    return np.where(alpha > 0, known[..., :3] / np.maximum(alpha, 1e-6), 1).clip(0, 1)


def paste(canvas: Floats, thing: Floats, left: int, top: int) -> None:
    """Paste a cut-out on a canvas in [0, 1], in place; it must lie inside.

    Args:
        canvas: ``(S, S, 3)``, or ``(S, S, 4)`` premultiplied.
        thing: ``(H, W, 4)``, premultiplied.
        left: of the cut-out, in pixels.
        top: of the cut-out, in pixels.
    """
    height, width = thing.shape[:2]
    part = canvas[top : top + height, left : left + width]
    part *= 1 - thing[..., 3:]
    part += thing[..., : canvas.shape[2]]


def place(
    canvas: Floats, thing: Floats, x: float, y: float, longest: float, *, steepen: bool = True
) -> tuple[int, int, int, int]:
    """Paste a cut-out, resized, on a canvas as :func:`paste`.

    Its middle is at (x, y), or as near as fits, and its longer side is ``longest`` pixels.

    Returns:
        Its left, top, right and bottom in pixels.
    """
    side, (height, width) = len(canvas), thing.shape[:2]
    scale = longest / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left = min(max(0, round(x - wide / 2)), side - wide)
    top = min(max(0, round(y - high / 2)), side - high)
    paste(canvas, resize(thing, wide, high, steepen), left, top)
    return left, top, left + wide, top + high


def paste_box(canvas: Floats, thing: Floats, box: Sequence[float]) -> None:
    """Paste a cut-out, resized to a box, on a square canvas, in place; what is outside is lost.

    Args:
        canvas: ``(S, S, 3)`` in [0, 1].
        thing: ``(H, W, 4)``, premultiplied.
        box: left, top, width and height, in shares of the canvas.
    """
    x, y = (round(edge * len(canvas)) for edge in box[:2])
    wide, high = (max(1, round(length * len(canvas))) for length in box[2:])
    rows = slice(max(0, -y), min(high, len(canvas) - y))
    columns = slice(max(0, -x), min(wide, canvas.shape[1] - x))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = resize(thing, wide, high)[rows, columns]
        paste(canvas, part, x + columns.start, y + rows.start)


def to_pixels(canvas: Floats) -> NDArray[np.uint8]:
    """Numbers in [0, 1] as uint8."""
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def to_image(canvas: Floats) -> Image.Image:
    """An RGB picture of ``(S, S, 3)``, an RGBA one of ``(S, S, 4)`` premultiplied, in [0, 1]."""
    if canvas.shape[2] == 4:
        alpha = canvas[..., 3:]
        colours = np.where(alpha > 0, canvas[..., :3] / np.maximum(alpha, 1e-6), colours_of(canvas))
        canvas = np.concatenate([colours, alpha], -1)
    return Image.fromarray(to_pixels(canvas))
