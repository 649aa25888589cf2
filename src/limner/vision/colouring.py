"""Colours carried from drawings of a thing to a grey picture of it.

A pixel takes the colours that pixels of about its brightness have at about its place in drawings of
the same thing (example-based colouring: Welsh, Ashikhmin and Mueller 2002, "Transferring color to
greyscale images"). Places are relative to what is drawn. The colours of all drawings are summed in
a coarse grid over place and brightness, blurred there and looked up (a bilateral grid: Chen, Paris
and Durand 2007), and every flat part of the picture takes their mean. The brightness stays.

Shape letters: H, W the picture, S a drawing, N cells along a side of the grid, L along brightness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats, Mask, Pixels
from limner.vision.masks import largest, parts_of

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SIDE = 512
"""Of a picture, at most, while its colours are looked for."""
_CELLS, _STEPS = 64, 16
_NEAR, _ALIKE = 0.05, 0.1
"""Deviations of place, in sides of what is drawn, and of brightness."""
_FAR, _UNLIKE, _FALLBACK = 0.15, 0.2, 1 / 30
"""The same where nothing nearer is known, and how much that counts."""
_PATTERN = 32
"""Side at which the brightness of two drawings is compared."""
_CHOOSY = 0.1
"""A drawing counts e times less when its likeness is so much less than the greatest."""
_PAPER, _INK = 0.93, 0.08
"""Darker than that is drawn in a grey picture; so different from white in one of colours."""
_COLOURED = 40 / 255
"""Least difference of a pixel's channels in a drawing that has colours."""
_FLAT, _LEAST_PART = 6 / 255, 12
"""Most difference of neighbours in a flat part, and its fewest pixels."""
_EDGE = 6
"""Pixels around a flat part that are its edge."""
_NEUTRAL = 0.05
"""Difference of the channels of a colour that is taken for grey; in full from twice as much."""
_WHITE = 0.9
_ROWS = 256


class Colours(NamedTuple):
    """The colours of a picture.

    Attributes:
        offsets: ``(h, w, 3)`` of small size, what each channel has more than the brightness.
        likeness: of the picture and the most similar drawing, a correlation in [-1, 1].
    """

    offsets: Floats
    likeness: float


def carried_colours(brightness: Pixels, drawings: Sequence[Pixels]) -> Colours | None:
    """The colours that drawings of the same thing give to a grey picture.

    Args:
        brightness: ``(H, W)``.
        drawings: ``(S, S, 3)`` each, on white.

    Returns:
        None where nothing is drawn in the picture, or no drawing has colours.
    """
    grey = _reduced(brightness)
    box, known = _box(grey < _PAPER), list[tuple[float, Floats, tuple[int, int, int, int]]]()
    if box is None:
        return None
    pattern = _pattern(grey, box)
    for each in drawings:
        colours = np.asarray(each / 255, np.float32)
        there = _box((1 - colours).max(2) > _INK)
        if there is not None and np.ptp(colours, 2).max() >= _COLOURED:
            likeness = float((pattern * _pattern(colours @ _LUMA, there)).sum())
            known.append((likeness, colours, there))
    if not known:
        return None
    best = max(likeness for likeness, _, _ in known)
    total = np.zeros((_CELLS * _CELLS * _STEPS, 4), np.float32)
    for likeness, colours, there in known:
        total += np.float32(np.exp((likeness - best) / _CHOOSY)) * _splat(colours, there)
    cells: Floats = total.reshape(_CELLS, _CELLS, _STEPS, 4)
    grid = _blurred(cells, _NEAR, _ALIKE)
    grid += np.float32(_FALLBACK) * _blurred(cells, _FAR, _UNLIKE)
    return Colours(_evened(grey, *_looked_up(grid, grey, box)), best)


def averaged(found: Sequence[Colours], weights: Sequence[float]) -> Colours:
    """The mean of several colours of one picture; what is then nearly grey is grey.

    Args:
        found: of the same size.
        weights: one each, positive.
    """
    total = sum(weight * each.offsets for each, weight in zip(found, weights, strict=True))
    offsets = np.asarray(total / sum(weights), np.float32)
    share = (np.ptp(offsets, 2)[..., None] / _NEUTRAL - 1).clip(0, 1)
    return Colours(offsets * share, max(each.likeness for each in found))


def with_colours(brightness: Pixels, offsets: Floats) -> Pixels:
    """A grey picture ``(H, W)`` in colours, ``(H, W, 3)``, as saturated as its brightness allows.

    Args:
        brightness: of the picture.
        offsets: ``(h, w, 3)``, see :class:`Colours`.
    """
    height, width = brightness.shape
    wide = _resized(offsets, width, len(offsets))
    found = np.empty((height, width, 3), np.uint8)
    for first in range(0, height, _ROWS):
        rows = np.arange(first, min(height, first + _ROWS))
        at = ((rows + 0.5) * len(wide) / height - 0.5).clip(0, len(wide) - 1)
        low = np.floor(at).astype(int)
        share = (at - low).astype(np.float32)[:, None, None]
        offset = (1 - share) * wide[low] + share * wide[np.minimum(low + 1, len(wide) - 1)]
        grey = (brightness[rows].astype(np.float32) / 255)[..., None]
        room = np.where(offset > 0, 1 - grey, grey)
        scale = (room / np.maximum(np.abs(offset), 1e-6)).min(2, keepdims=True).clip(0, 1)
        found[rows] = ((grey + scale * offset).clip(0, 1) * 255).round().astype(np.uint8)
    return found


def flat_share(brightness: Pixels) -> float:
    """The share of a grey picture ``(H, W)`` that lies in flat parts: more of a drawing."""
    return float(_flat(_reduced(brightness)).mean())


def _reduced(brightness: Pixels) -> Floats:
    """A grey picture in [0, 1] of no more than :data:`_SIDE` pixels along a side."""
    height, width = brightness.shape
    scale = min(1.0, _SIDE / max(height, width))
    image = Image.fromarray(brightness)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(np.asarray(image) / 255, np.float32)


def _resized(values: Floats, width: int, height: int) -> Floats:
    """An array ``(h, w, C)`` at another size, bilinear."""
    if values.shape[:2] == (height, width):
        return values
    bands = [
        Image.fromarray(np.ascontiguousarray(values[..., each])).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for each in range(values.shape[2])
    ]
    return np.stack([np.asarray(band) for band in bands], 2)


def _box(drawn: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is drawn."""
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pattern(grey: Floats, box: tuple[int, int, int, int]) -> Floats:
    """What is drawn at a small size, of mean 0 and length 1."""
    image = Image.fromarray(np.ascontiguousarray(grey, np.float32))
    small = image.resize((_PATTERN, _PATTERN), Image.Resampling.BOX, box=box)
    values = np.asarray(small) - np.asarray(small).mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


def _places(size: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[Floats, Floats]:
    """Row and column of each pixel of a size in the grid over a box; beyond it below 0 or above."""
    left, top, right, bottom = box
    rows = (np.arange(size[0]) + 0.5 - top) / (bottom - top) * _CELLS - 0.5
    columns = (np.arange(size[1]) + 0.5 - left) / (right - left) * _CELLS - 0.5
    down, across = np.meshgrid(rows, columns, indexing="ij")
    return down.astype(np.float32), across.astype(np.float32)


def _cells(down: Floats, across: Floats, grey: Floats) -> NDArray[np.int64]:
    """The number of the grid's cell that pixels fall into."""
    row, column = (each.round().clip(0, _CELLS - 1).astype(np.int64) for each in (down, across))
    step = (grey * (_STEPS - 1)).round().clip(0, _STEPS - 1).astype(np.int64)
    return (row * _CELLS + column) * _STEPS + step


def _splat(colours: Floats, box: tuple[int, int, int, int]) -> Floats:
    """Summed offsets and their number in each cell, ``(N * N * L, 4)``; 1 in all for a drawing."""
    grey = colours @ _LUMA
    drawn = (1 - colours).max(2) > _INK
    down, across = _places(grey.shape, box)
    cells = _cells(down[drawn], across[drawn], grey[drawn])
    offsets = (colours - grey[..., None])[drawn]
    count = len(cells)
    values = [*offsets.T, np.ones(count, np.float32)]
    sums = [np.bincount(cells, each, _CELLS * _CELLS * _STEPS) for each in values]
    return np.asarray(np.stack(sums, 1) / count, np.float32)


def _blurred(grid: Floats, place: float, step: float) -> Floats:
    """The grid ``(N, N, L, 4)``, blurred by Gaussians of these deviations, of 1."""

    def kernel(count: int, deviation: float) -> Floats:
        apart = np.subtract.outer(np.arange(count), np.arange(count)) / (count * deviation)
        found = np.exp(-(apart**2) / 2)
        return np.asarray(found / found.sum(1).max(), np.float32)

    over, along = kernel(_CELLS, place), kernel(_STEPS, step)
    found = np.einsum("ai,bj,cl,ijlk->abck", over, over, along, grid, optimize=True)
    return np.asarray(found, np.float32)


def _looked_up(grid: Floats, grey: Floats, box: tuple[int, int, int, int]) -> tuple[Floats, Floats]:
    """The offsets of each pixel ``(h, w, 3)`` and how much stands behind them ``(h, w)``."""
    down, across = _places(grey.shape, box)
    found = grid.reshape(-1, 4)[_cells(down, across, grey)]
    inside = (np.abs(down - _CELLS / 2) <= _CELLS / 2 + 1) & (
        np.abs(across - _CELLS / 2) <= _CELLS / 2 + 1
    )
    weight = found[..., 3] * inside
    return found[..., :3] / np.maximum(found[..., 3:], 1e-12) * inside[..., None], weight


def _flat(grey: Floats) -> Mask:
    """Where neighbours differ little."""
    return (largest(grey, 1) + largest(-grey, 1)) < _FLAT


def _evened(grey: Floats, offsets: Floats, weight: Floats) -> Floats:
    """Offsets of which each flat part has one; at its edge less by as much as there is less room.

    White parts at the border of the picture are paper, and stay so.
    """
    parts = parts_of(_flat(grey))
    count = int(parts.max()) + 1
    flat = parts.ravel()
    size = np.bincount(flat, minlength=count)

    def mean(values: Floats, by: Floats) -> NDArray[np.float64]:
        total = np.bincount(flat, (values * by).ravel(), count)
        return np.asarray(total / np.maximum(np.bincount(flat, by.ravel(), count), 1e-12))

    level = mean(grey, np.ones_like(grey))
    means = np.stack([mean(offsets[..., each], weight) for each in range(3)], 1)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    means[border[level[border] > _WHITE]] = 0
    nearest = _spread(np.where(size[parts] >= _LEAST_PART, parts, 0))
    own = level[nearest]
    room = np.where(
        grey < own, grey / np.maximum(own, 1e-3), (1 - grey) / np.maximum(1 - own, 1e-3)
    )
    evened = means[nearest] * room.clip(0, 1)[..., None]
    return np.where((nearest > 0)[..., None], evened, offsets).astype(np.float32)


def _spread(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbered parts with their edges, which belong to the nearest one."""
    found = parts.copy()
    for _ in range(_EDGE):
        before = found.copy()
        for mine, theirs in (
            (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]),
            (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :-1], np.s_[:, 1:]),
        ):  # fmt: skip
            free = found[mine] == 0
            found[mine][free] = before[theirs][free]
    return found
