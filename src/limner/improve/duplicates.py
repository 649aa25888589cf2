"""Near duplicates among many pictures, without comparing all pairs.

The perceptual hash of a picture is the signs of 128 fixed random projections of its 8 x 8 colour
mosaic, less the mean of the data set (Charikar 2002: two pictures differ in a share of bits that is
the angle between them over pi). Pictures are sorted by their bits in several random orders; only
those that come to stand close together are compared, by their thumbnails. The work grows as the
number of pictures times its logarithm, the memory by some dozens of bytes a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Indices

BITS = 128
_ORDERS, _WINDOW, _DIFFERENT_BITS = 16, 8, 32
_COARSE, _COARSE_DISTANCE = 8, 0.4
_KEPT = 4
FARTHEST = 0.5
"""Distance from which pictures have so little in common that a larger one says nothing more."""
_CHUNK = 2048
_PAIRS = 128
"""Compared at once: what is made of them fits a processor's cache."""
_FLAT = 1e-6
"""Of the squared length of directions, added where a picture hardly moves in some of them."""
_LEAST_CONTRAST = 4.0
"""Standard deviation (of 255) that the distance of flat pictures is relative to."""

_ONES = np.array([number.bit_count() for number in range(256)], np.uint8)

Thumbs = NDArray[np.uint8]


class Pairs(NamedTuple):
    """Pictures that look alike.

    Attributes:
        first: ``(P,)`` int64, the lower row of each pair.
        second: ``(P,)`` int64, the higher one.
        distance: ``(P,)`` float32, over the usual one; see :func:`near_pairs`.
        usual: distance of a picture to its nearest, as :func:`distances` measures it.
    """

    first: Indices
    second: Indices
    distance: Floats
    usual: float


def hashes(thumbs: Thumbs) -> NDArray[np.uint8]:
    """Perceptual hashes of ``(N, T, T, 3)`` thumbnails: ``(N, 16)`` uint8, 128 bits each."""
    side = _COARSE * _COARSE * 3
    projections = np.random.default_rng(0).standard_normal((side, BITS)).astype(np.float32)
    total = np.zeros(side, np.float64)
    for part in _parts(len(thumbs)):
        total += _mosaic(thumbs[part], _COARSE).sum(0)
    mean = (total / max(len(thumbs), 1)).astype(np.float32)
    packed = [
        np.packbits((_mosaic(thumbs[part], _COARSE) - mean) @ projections > 0, axis=1)
        for part in _parts(len(thumbs))
    ]
    return np.concatenate(packed) if packed else np.zeros((0, BITS // 8), np.uint8)


def distances(one: Thumbs, other: Thumbs) -> Floats:
    """How different P pairs of ``(P, 32, 32, 3)`` thumbnails look: ``(P,)``, from 0.

    The length of the difference of the smoothed thumbnails, each less its mean colour and of length
    1, so that brightness and contrast count little: 1.4 is the distance of pictures that have
    nothing in common. What small shifts, turns and scalings would change is left out of the
    difference (tangent distance, Simard, LeCun and Denker 1993, at the mean of the two).
    """
    still, moved = (_unit(_smoothed(each)) for each in (one, other))
    difference = moved - still
    side = one.shape[1]
    middle: Floats = ((still + moved) / 2).astype(np.float32)
    tangents = _tangents(middle.reshape(-1, side, side, 3))
    along = tangents @ difference[:, :, None]
    gram = tangents @ tangents.transpose(0, 2, 1)
    gram += _FLAT * (1 + np.trace(gram, axis1=1, axis2=2))[:, None, None] * np.eye(4)
    explained = (along * np.linalg.solve(gram, along)).sum((1, 2))
    left = np.square(difference).sum(1) - explained
    found: Floats = np.sqrt(np.maximum(left, 0)).astype(np.float32)
    return found


def _tangents(grids: Floats) -> Floats:
    """Directions ``(P, 4, 3 F^2)`` in which P ``(F, F, 3)`` grids move.

    What a shift down or to the right, a scaling and a turn change, to first order.
    """
    down, right = np.gradient(grids, axis=(1, 2))
    place = np.linspace(-1, 1, grids.shape[1], dtype=np.float32)
    y, x = place[None, :, None, None], place[None, None, :, None]
    rows = np.stack([down, right, x * right + y * down, x * down - y * right], 1)
    found: Floats = rows.reshape(len(grids), 4, -1)
    return found


def near_pairs(thumbs: Thumbs, share: float, rows: Indices | None = None) -> Pairs:
    """Pairs of pictures that lie much nearer to each other than is usual in the data set.

    Args:
        thumbs: ``(N, 32, 32, 3)`` uint8; may be a memory map.
        share: of the usual distance below which a pair counts. The usual one is the median
            distance of a picture to the nearest one found, at most :data:`FARTHEST`.
        rows: pictures that are compared, ascending; None for all.
    """
    rows = np.arange(len(thumbs)) if rows is None else np.asarray(rows, np.int64)
    known, apart = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    for found, coarse in _candidates(hashes(thumbs)[rows], _coarse(thumbs, rows)):
        joined, first = np.unique(np.concatenate([known, found]), axis=0, return_index=True)
        apart = np.concatenate([apart, coarse])[first]
        best = _nearest_few(joined, apart)
        known, apart = joined[best], apart[best]
    one, other = rows[known[:, 0]], rows[known[:, 1]]
    parts = [distances(thumbs[one[part]], thumbs[other[part]]) for part in _parts(len(one), _PAIRS)]
    distance = np.concatenate([*parts, np.zeros(0, np.float32)]).astype(np.float32)
    nearest = np.full(len(rows), FARTHEST, np.float32)
    for column in known.T:
        np.minimum.at(nearest, column, distance)
    usual = float(np.median(nearest)) if len(rows) else FARTHEST
    relative = distance / max(usual, 1e-6)
    near = relative < share
    return Pairs(one[near], other[near], relative[near], usual)


def _nearest_few(pairs: Indices, apart: Floats) -> NDArray[np.bool_]:
    """Which pairs are among the nearest few of one of their pictures."""
    kept = np.zeros(len(pairs), bool)
    for column in pairs.T:
        order = np.lexsort((apart, column))
        starts = np.flatnonzero(np.diff(column[order], prepend=-1))
        place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        kept[order[place < _KEPT]] = True
    return kept


def _coarse(thumbs: Thumbs, rows: Indices) -> NDArray[np.float16]:
    """8 x 8 mosaics of R pictures without their mean colours, of length 1: ``(R, 192)``.

    Made once, of half precision: 384 bytes a picture, where thumbnails in random order would be
    read from all over their file again and again.
    """
    found = np.empty((len(rows), _COARSE * _COARSE * 3), np.float16)
    for part in _parts(len(rows)):
        found[part] = _unit(_mosaic(thumbs[rows[part]], _COARSE))
    return found


def _candidates(
    codes: NDArray[np.uint8], mosaics: NDArray[np.float16]
) -> Iterator[tuple[Indices, Floats]]:
    """Pairs ``(P, 2)`` of pictures, the lower first, that come to stand close together.

    Their hashes differ in a quarter of the bits at most, and their 8 x 8 mosaics little; how much
    is the second of what is given.

    Args:
        codes: ``(R, 16)`` hashes.
        mosaics: ``(R, 192)``, of length 1.
    """
    bits = np.unpackbits(codes, axis=1)
    rng = np.random.default_rng(1)
    for _ in range(_ORDERS):
        order = rng.permutation(BITS)[:64]
        keys = np.ascontiguousarray(np.packbits(bits[:, order], axis=1)).view(">u8")[:, 0]
        rank = np.argsort(keys, kind="stable")
        found, apart = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
        for part in _parts(len(rank)):
            near = rank[part.start : part.stop + _WINDOW]
            coarse = mosaics[near].astype(np.float32)
            for step in range(1, min(_WINDOW, len(near) - 1) + 1):
                between = _apart(coarse[:-step], coarse[step:])
                close = between < _COARSE_DISTANCE
                one, other = near[:-step][close], near[step:][close]
                alike = _ONES[codes[one] ^ codes[other]].sum(1) <= _DIFFERENT_BITS
                found.append(np.sort(np.stack([one[alike], other[alike]], 1), axis=1))
                apart.append(between[close][alike])
        yield np.concatenate(found), np.concatenate(apart)


def kept_of(order: Sequence[int], pairs: Pairs) -> dict[int, tuple[int, float]]:
    """Which pictures are left out so that no two that are kept look alike.

    Args:
        order: the pictures, those first that are rather kept.
        pairs: of pictures.

    Returns:
        Picture left out -> the kept one that it looks like most, and their distance.
    """
    near: dict[int, list[tuple[float, int]]] = {}
    for one, other, far in zip(*(each.tolist() for each in pairs[:3]), strict=True):
        near.setdefault(one, []).append((far, other))
        near.setdefault(other, []).append((far, one))
    kept, left = set(order) - near.keys(), {}
    for row in order:
        if row in near:
            found = min((each for each in near[row] if each[1] in kept), default=None)
            if found is None:
                kept.add(row)
            else:
                left[row] = (found[1], found[0])
    return left


def _unit(mosaics: Floats) -> Floats:
    """Mosaics ``(B, 3 F^2)`` without their mean colours, of length 1."""
    colours = mosaics.reshape(len(mosaics), -1, 3)
    even = (colours - colours.mean(1, keepdims=True)).reshape(mosaics.shape)
    least = _LEAST_CONTRAST * np.sqrt(mosaics.shape[1])
    length = np.maximum(np.linalg.norm(even, axis=1, keepdims=True), least)
    found: Floats = (even / length).astype(np.float32)
    return found


def _apart(one: Floats, other: Floats) -> Floats:
    """Lengths of the differences of rows, ``(B,)``."""
    found: Floats = np.sqrt(np.square(one - other).sum(1))
    return found


def _smoothed(thumbs: Thumbs) -> Floats:
    """Thumbnails filtered twice by [1, 2, 1] / 4 along both sides, ``(B, 3 T^2)`` float32."""
    grid: Floats = thumbs.astype(np.float32)
    for axis in (1, 2, 1, 2):
        rows = np.moveaxis(grid, axis, 1)
        wide = np.empty_like(rows)
        wide[:, 1:-1] = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
        wide[:, 0], wide[:, -1] = 3 * rows[:, 0] + rows[:, 1], rows[:, -2] + 3 * rows[:, -1]
        grid = np.moveaxis(wide, 1, axis) * np.float32(0.25)
    return grid.reshape(len(thumbs), -1)


def _mosaic(thumbs: Thumbs, fields: int) -> Floats:
    """Mean colours of an F x F grid, ``(B, 3 F^2)`` float32."""
    count, side = thumbs.shape[:2]
    cell = side // fields
    cells = thumbs.reshape(count, fields, cell, fields, cell, 3)
    found: Floats = cells.mean((2, 4), dtype=np.float32).reshape(count, -1)
    return found


def _parts(count: int, size: int = _CHUNK) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
