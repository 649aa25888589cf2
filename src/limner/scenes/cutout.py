"""Cut a thing out of its white background, and paste it on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats
from limner.scenes.matte import continued, matte_of
from limner.vision.masks import grown, largest, touching_border
from limner.vision.resampling import resample

_BACKGROUND = 0.025
"""Largest difference of the background from white, of 1."""
_REACH = 2
"""Distance, in pixels, within which the ink of an edge pixel is searched."""
_MARGIN = 3
"""Pixels by which colours are continued beyond an edge."""
_CHANGED, _RECOLOURED = 0.1, 0.5
_WHITE, _VIVID, _RIM = 0.75, 0.3, 0.2
"""Least channel of white; least saturation and share of what gives a thing its colour."""
_OPAQUE, _OUTSIDE = 0.95, 0.4
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
    background = touching_border(rgb.min(-1) > 1 - _BACKGROUND)
    if background.all() or not background.any():
        return None
    return cropped(_inked(rgb, background, ink), ~background)


def cut_out_drawn(pixels: NDArray[np.uint8]) -> Floats:
    """Cut out the thing on the nearly white background of a picture that a model drew.

    See :mod:`limner.scenes.matte`. Where there is no background it is the whole picture, opaque.
    """
    return matte_of(pixels).cut(pixels)


def without_background(pixels: NDArray[np.uint8]) -> Floats:
    """A picture that a model drew, without its white background: ``(S, S, 4)``, premultiplied.

    As :func:`cut_out_drawn`, but of the size of the picture.
    """
    matte = matte_of(pixels)
    whole = np.zeros((*pixels.shape[:2], 4), np.float32)
    whole[matte.box] = matte.cut(pixels)
    return whole


def is_recoloured(before: Floats, after: Floats) -> bool:
    """Whether enough of a cut-out thing changed that the new colour names it.

    Args:
        before: ``(H, W, 4)``, of :func:`cut_out`.
        after: the same, recoloured.
    """
    solid = before[..., 3] > 0.5
    changed = np.abs(before - after)[..., :3].max(-1) > _CHANGED
    return bool(changed[solid].mean() > _RECOLOURED) if solid.any() else False


def is_rim_recoloured(before: Floats, after: Floats) -> bool:
    """Whether most of what is not white of a thing changed, as of a clock with a white face.

    What is white must lie inside: a unicorn is not purple by its mane.

    Args:
        before: ``(H, W, 4)``, of :func:`cut_out`.
        after: the same, recoloured.
    """
    solid = before[..., 3] > _OPAQUE
    edge = solid & grown(np.pad(~solid, 1, constant_values=True))[1:-1, 1:-1]
    change = np.abs(before - after)[..., :3].max(-1) > _CHANGED
    high, spread = before[..., :3].max(-1), np.ptp(before[..., :3], -1)
    white = (high - spread > _WHITE) & (spread < 1 - _WHITE)
    ink = solid & ~white
    if not ink.any() or white[edge].mean() > _OUTSIDE:
        return False
    vivid = change & (spread > _VIVID * high)
    return bool(vivid[solid].mean() > _RIM and change[ink].mean() > _RECOLOURED)


def cropped(thing: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The smallest rectangle of a thing that holds a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return thing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _inked(rgb: Floats, background: NDArray[np.bool_], ink: NDArray[np.uint8] | None) -> Floats:
    """Premultiplied colours and alpha of everything but the background: ``(S, S, 4)``."""
    alpha = _alpha(rgb, background)
    source = rgb if ink is None else ink.astype(np.float32) / 255
    colours = np.clip(source - (1 - alpha[..., None]), 0, alpha[..., None])
    return np.concatenate([colours, alpha[..., None]], -1).astype(np.float32)


def _alpha(rgb: Floats, background: NDArray[np.bool_]) -> Floats:
    """How much of each pixel is ink, ``(S, S)``; 0 or 1 away from the edge."""
    around, within = (largest(each.astype(np.uint8), 1) > 0 for each in (background, ~background))
    edge = around & within
    depth = 1 - rgb.min(-1)  # of each pixel, away from white
    solid = np.where(background | edge, 0, depth)
    if not solid.any():  # a thing of edges alone, such as thin lines
        solid = np.where(background, 0, depth)
    best = largest(np.maximum(solid, np.where(edge, depth, 0)), _REACH)
    share = depth / np.maximum(best, 1e-6)
    return np.where(edge, np.clip(share, 0, 1), ~background).astype(np.float32)


def resize(thing: Floats, width: int, height: int, *, steepen: bool = True) -> Floats:
    """Resize a cut-out to ``(height, width, 4)``; see :func:`limner.vision.resampling.resample`.

    Where it is enlarged, colours and alpha are made steep apart from each other, so the colours are
    first continued beyond the edge.
    """
    if width * height <= thing.shape[0] * thing.shape[1]:
        found = resample(thing, width, height, steepen=False)
        np.minimum(found[..., :3], found[..., 3:], out=found[..., :3])
        return found
    found = resample(
        np.concatenate([colours_of(thing), thing[..., 3:]], -1), width, height, steepen=steepen
    )
    found[..., :3] *= found[..., 3:]
    return found


def colours_of(thing: Floats) -> Floats:
    """The colours of a cut-out, not premultiplied, ``(H, W, 3)``; continued beyond its edge.

    Those of an edge are the means of the colours around it, weighted by alpha; white is far away.
    """
    white = np.ones_like(thing[..., :3])
    return continued(thing[..., :3], thing[..., 3:], _MARGIN, white)


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
    left, top, wide, high = placement(thing, x, y, longest, len(canvas))
    paste(canvas, resize(thing, wide, high, steepen=steepen), left, top)
    return left, top, left + wide, top + high


def placement(
    thing: Floats, x: float, y: float, longest: float, side: int
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a cut-out in pixels, placed as :func:`place` does."""
    height, width = thing.shape[:2]
    scale = longest / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left = min(max(0, round(x - wide / 2)), side - wide)
    top = min(max(0, round(y - high / 2)), side - high)
    return left, top, wide, high


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
