"""What the silhouette of a thing says: its head, neck and eyes, where something can sit on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.vision.masks import grown, largest, parts_of

_DARK, _EYE = 0.35, (6e-4, 0.02)
"""Greatest channel of an eye; least and greatest share of the thing that it is."""
_NECK, _NARROW, _HEAD = (0.2, 0.65), 0.93, 0.4
"""Heights between which a neck may be; its greatest width, of the head's and the body's; least
width of one of these, of the other's."""
_ROUND, _AMID = 0.78, 0.4
"""Least width of a face alone, of its height; least height of its eyes."""
_LONG, _BREAST = 1.15, 0.62
"""Width of an animal seen from the side, of its height; breadth of its upper part, of its width,
from which on that is no head."""
_AMIDSHIPS = (0.25, 0.75)
"""Columns of the middle, in shares of the width."""
_FACE = 0.25
"""Half the width of the middle of a face, and its height from the eyes on, of the head's width."""
_UNDER_EYES = (0.1, 0.4)
"""How far a neck is below the eyes, of the height."""

_OF_WHITE, _HOLE, _HANDLE, _HOLE_EDGE = 0.5, 0.015, 0.6, 2
"""Least share of white of a white thing; least share of a thing that the white in its handle is;
how far down a handle may reach, of the height; pixels of the soft edge of such white."""
_UNLIKE, _FRONT, _LOW = 0.2, 0.1, 0.55
"""Share of a silhouette that differs from its mirror image where it is seen from the side; greatest
share of one that is seen from the front; how low a single eye may be."""
_BRIM, _STRAP, _WHITE, _WITHIN = 0.9, 0.12, 0.93, 0.12
"""Least width of a brim, of the hat's; least height of a strap below it, of the hat's; least
channel of the white that a strap encloses, and least share of it in a row of one."""


@dataclass(frozen=True)
class Shape:
    """What the silhouette of a thing says; all in shares of its width and height.

    Attributes:
        head: centre of the head.
        crown: upper edge of the head, between the ears.
        breadth: of the head.
        tall: height of the head.
        seat: upper edge of the middle, where something can sit.
        rim: where it is nearly as wide as anywhere: the edge of a bowl, below what it holds.
        keel: lower edge of the middle; an oar may be below.
        eyes: height of the eyes; None where none are seen.
        neck: where it is narrower than above and below, under the eyes; None where it is not.
    """

    head: float
    crown: float
    breadth: float
    tall: float
    seat: float
    rim: float
    keel: float = 1.0
    eyes: float | None = None
    neck: float | None = None


def shape_of(cut: Floats) -> Shape:
    """Where the head of a cut-out thing is, and where something can sit on it."""
    solid = cut[..., 3] > 0.5
    high, wide = solid.shape
    tops = np.where(solid.any(0), solid.argmax(0), high)  # of each column
    band = solid[round(0.1 * high) : max(round(0.34 * high), round(0.1 * high) + 1)]
    rows = [_widest(row) for row in band if row.any()]
    left, right = np.median(rows, 0).tolist() if rows else (0.0, float(wide))
    head, breadth = (left + right) / 2 / wide, (right - left) / wide
    sideways = wide > _LONG * high and _unlike(solid) > _FRONT
    if sideways and breadth > _BREAST:  # an animal seen from the side, looking to the left
        head, breadth = 0.26, 0.4
    eyes = _eyes(cut)
    amid = _AMIDSHIPS[0] + 0.1 < head < _AMIDSHIPS[1] - 0.1
    if eyes is None and amid and wide > _LONG * high and in_profile(cut):
        higher = _top_of(tops, 0.1, 0.3) < _top_of(tops, 0.7, 0.9)
        head, breadth = (0.22 if higher else 0.78), 0.36  # and not its back
    if eyes is not None and abs(eyes[0] - head) > 0.3 * breadth:
        head, breadth = eyes[0], min(breadth, 0.45)
    near = tops[max(0, round((head - 0.07) * wide)) : round((head + 0.07) * wide) + 1]
    face = wide > _ROUND * high if eyes is None else eyes[1] > _AMID
    tall = 1.0 if breadth > 0.6 and face else min(1.0, 1.05 * breadth * wide / high)
    widths = solid.sum(1)
    middle = tops[round(0.42 * wide) : max(round(0.7 * wide), round(0.42 * wide) + 1)]
    rim = float((widths > 0.7 * widths.max()).argmax()) / high
    ends = high - np.where(solid.any(0), solid[::-1].argmax(0), high)
    keel = (
        float(np.median(ends[round(_AMIDSHIPS[0] * wide) : round(_AMIDSHIPS[1] * wide) + 1])) / high
    )
    crown, seat = (float(np.median(part)) / high for part in (near, middle))
    if eyes is not None:
        crown = max(crown, eyes[1] - 0.5 * breadth * wide / high)  # a tail may be above
        if eyes[1] < _AMID:  # not a face alone
            tall = min(tall, max(0.12, 2.2 * (eyes[1] - crown)))
    sight = None if eyes is None else eyes[1]
    return Shape(head, crown, breadth, tall, seat, rim, keel, sight, _neck(solid, head, sight))


def _top_of(tops: NDArray[np.intp], first: float, last: float) -> float:
    """The median upper edge of the columns between two shares of the width."""
    return float(np.median(tops[round(first * len(tops)) : round(last * len(tops))]))


def in_profile(cut: Floats) -> bool:
    """Whether a cut-out thing is seen from the side: its left half is unlike its right one."""
    return _unlike(cut[..., 3] > 0.5) > _UNLIKE


def _unlike(solid: NDArray[np.bool_]) -> float:
    """Share of a silhouette that differs from its mirror image."""
    return float((solid != solid[:, ::-1]).sum() / max(1, solid.sum()))


def without_strap(cut: Floats) -> Floats:
    """A cut-out hat or helmet without the strap below its brim, which would hang over the face.

    Args:
        cut: ``(H, W, 4)``, premultiplied.

    Returns:
        Its upper rows; the same where nothing below them encloses white.
    """
    solid = cut[..., 3] > 0.5
    widths = solid.sum(1)
    pale = (solid & (cut[..., :3].min(-1) > _WHITE)).sum(1) / np.maximum(widths, 1)
    widest = int(np.flatnonzero(widths > _BRIM * widths.max())[0])
    within = np.flatnonzero((pale > _WITHIN) & (np.arange(len(pale)) > widest))
    if not len(within) or len(solid) - within[0] < _STRAP * len(solid):
        return cut
    brim = int(within[0])
    return cut if np.median(pale[:brim]) > _WITHIN else cut[: brim - 1]


def without_handle_hole(cut: Floats) -> Floats:
    """A cut-out vessel through whose handle one sees: without the white that it encloses above.

    Args:
        cut: ``(H, W, 4)``, premultiplied.

    Returns:
        The same where there is no handle, and where the vessel itself is white.
    """
    solid = cut[..., 3] > 0.5
    white = solid & (cut[..., :3].min(-1) > _WHITE)
    if white.sum() > _OF_WHITE * solid.sum():
        return cut
    parts = parts_of(white)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    hole = np.zeros_like(white)
    for number in np.flatnonzero(sizes > _HOLE * solid.sum()).tolist():
        own = parts == number
        if np.flatnonzero(own.any(1))[-1] < _HANDLE * len(solid):
            hole |= own
    if not hole.any():
        return cut
    for _ in range(_HOLE_EDGE):
        hole = grown(hole)
    seen: Floats = cut * (~hole)[..., None].astype(np.float32)
    return seen


def face_of(cut: Floats) -> tuple[slice, slice]:
    """Rows and columns in the middle of the face of a cut-out thing; empty where none is told.

    A face alone in which no eyes are seen has them in its middle.

    Args:
        cut: ``(H, W, 4)``, premultiplied.
    """
    shape, (high, wide) = shape_of(cut), cut.shape[:2]
    eyes = 0.5 if shape.eyes is None and shape.tall == 1 else shape.eyes
    if eyes is None:
        return slice(0, 0), slice(0, 0)
    aside = _FACE * shape.breadth
    return (
        slice(round(eyes * high), round((eyes + aside * wide / high) * high)),
        slice(round((shape.head - aside) * wide), round((shape.head + aside) * wide)),
    )


def _neck(solid: NDArray[np.bool_], head: float, eyes: float | None) -> float | None:
    """Height of the narrowest row between a head and a body, in shares; None where there is none.

    Args:
        solid: ``(H, W)``, where the thing is.
        head: middle of the head, a share of the width.
        eyes: their height, a share; None where none are seen.
    """
    high, middle = len(solid), min(int(head * solid.shape[1]), solid.shape[1] - 1)
    widths = np.zeros(high)
    for number, row in enumerate(solid):
        if row[middle]:
            left = row[middle::-1].argmin() or middle + 1
            right = row[middle:].argmin() or len(row) - middle
            widths[number] = left + right
    first, last = _NECK if eyes is None else (eyes + _UNDER_EYES[0], eyes + _UNDER_EYES[1])
    low, end = round(first * high), round(min(last, _NECK[1]) * high)
    if end - low < 3:
        return None
    at = low + int(widths[low:end].argmin())
    if at in (low, end - 1):
        return None
    sides = widths[:at].max(initial=0), widths[at:].max(initial=0)
    headed = min(sides) > _HEAD * max(sides)  # and no aerial
    return at / high if headed and 0 < widths[at] < _NARROW * min(sides) else None


def _eyes(cut: Floats) -> tuple[float, float] | None:
    """Middle of one or two dark round spots as eyes are, in shares; None where there are others."""
    solid = cut[..., 3] > 0.5
    high, wide = solid.shape
    parts = parts_of((cut[..., :3].max(-1) < _DARK) & solid)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    outside = largest(~solid, 3)
    spots: list[tuple[int, float, float]] = []
    least, most = (share * np.count_nonzero(solid) for share in _EYE)
    for number in np.flatnonzero((sizes > least) & (sizes < most)).tolist():
        rows, columns = np.nonzero(parts == number)
        sides = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        full = len(rows) > 0.6 * sides[0] * sides[1] and max(sides) < 2.2 * min(sides)
        if full and not outside[rows, columns].any():
            x, y = float(columns.mean()) / wide, float(rows.mean()) / high
            spots.append((len(rows), x, y))
    spots = [spot for spot in spots if spot[0] > 0.45 * max(spots)[0]]
    if len(spots) == 1:
        _, x, y = spots[0]
        aside = abs(x - 0.5) > 0.1 and y < _LOW
        return (x if in_profile(cut) else 0.5, y) if aside else None  # or one of two
    if len(spots) != 2:
        return None
    (_, x, y), (_, other, below) = spots
    level = abs(x - other) < 0.45 and abs(y - below) < 0.12
    return ((x + other) / 2, (y + below) / 2) if level else None


def _widest(row: NDArray[np.bool_]) -> tuple[int, int]:
    """Begin and end of what is solid in a row; of two ears both, but not of a raised tail."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    runs = steps.reshape(-1, 2)
    wide = runs[:, 1] - runs[:, 0]
    runs = runs[wide > 0.6 * wide.max()]
    return int(runs[0, 0]), int(runs[-1, 1])
