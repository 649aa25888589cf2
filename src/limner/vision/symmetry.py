"""Filling a hole with what corresponds to it, where a picture is symmetric.

Most drawings of things seen from the front are their own mirror image about a vertical axis; others
are about a horizontal one or a diagonal, or look the same when turned by a half or a quarter. Where
what is known of a picture agrees with what corresponds to it, that is a better guess for a hole
than anything else in the picture. Symmetries are looked for at a small size, and then placed at the
picture's own.

Shape letters: S side of the picture, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from limner.arrays import Floats, Mask
from limner.vision.masks import largest, parts_of

_Number = TypeVar("_Number", bound=np.generic)

_INK = 0.15
"""Least difference of a channel, in [-1, 1], from the background of what is drawn."""
_DETAIL = 0.3
"""Least difference of neighbours where a detail is."""
_RIM = 1 / 16
"""Share of the side, from the background inwards, that is the outline."""
_SEAM = 6
"""Pixels beside the hole at which a symmetry must agree most."""
_FEW = 10
"""Pixels beside the hole that are too few to judge by."""
_EDGE = 2
"""Pixels around what is drawn that may be mixtures with it."""
_FAR, _TURNED = 0.2, 0.1
"""Distance of an axis from the middle of the picture, in sides, and that of a centre."""
_SMALL = 64
"""Side at most at which symmetries are looked for, if halving gives it."""
_COARSE = 0.1
"""By so much more symmetries may disagree at that side."""
_INSIDE, _INSIDE_SEEN = 0.1, 0.2
"""Greatest mean squared difference of details, and least share of them that must be seen on both
sides, for the details to be taken, too."""
_MOST = 8
"""Symmetries that are used, one after the other."""


class _Kind(NamedTuple):
    """A kind of symmetry, and how well it must agree; chosen on drawings that are not measured.

    Attributes:
        swaps: whether rows become columns.
        rows: the sign with which the row, or the column if it swaps, counts for the new one.
        columns: the same for the column.
        error: greatest error, see :class:`_Fit`.
        seen: share of what is drawn that must be known on both sides, to judge it by.
        details: whether details are taken without any that agree.
    """

    swaps: bool
    rows: int
    columns: int
    error: float
    seen: float
    details: bool = False


_KINDS = (
    _Kind(False, 1, -1, 0.5, 0.2, details=True),  # about a vertical axis
    _Kind(False, -1, 1, 0.25, 0.35),  # about a horizontal one
    _Kind(False, -1, -1, 0.25, 0.35),  # turned by a half
    _Kind(True, 1, 1, 0.1, 0.6),  # about a diagonal
    _Kind(True, -1, -1, 0.1, 0.6),  # about the other
    _Kind(True, -1, 1, 0.1, 0.6),  # turned by a quarter
    _Kind(True, 1, -1, 0.1, 0.6),  # turned by three
)


class Symmetry(NamedTuple):
    """Which pixel corresponds to each.

    That of (y, x) is (row + kind.rows * y, column + kind.columns * x); with x and y exchanged if
    the kind swaps.
    """

    kind: _Kind
    row: int
    column: int

    def applied(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """The values that correspond to each pixel, of ``(..., S, S)``; zero outside."""
        side = values.shape[-1]
        rows = self.row + self.kind.rows * np.arange(side)
        columns = self.column + self.kind.columns * np.arange(side)
        found = _taken(_taken(values, rows, -2), columns, -1)
        return found.swapaxes(-1, -2) if self.kind.swaps else found


@dataclass(frozen=True)
class _Fit:
    """How well a symmetry agrees with what is known.

    Attributes:
        symmetry: which.
        error: half the mean squared difference of what is drawn, and that beside the hole.
        inside: whether details agree.
    """

    symmetry: Symmetry
    error: float
    inside: bool


def mirrored(image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """A picture whose hole has what corresponds to it, and what of the hole is left.

    What is drawn in the hole must continue something beside it, so that a thing that was taken
    away whole does not come back. Where no details are seen to agree, only the outline is taken
    about other axes than a vertical one: what is above has the outline of what is below more often
    than its details, as faces do.

    Args:
        image: ``(3, S, S)`` float32 in [-1, 1]; right outside of the hole.
        hole: ``(S, S)`` bool.

    Returns:
        ``(3, S, S)`` and ``(S, S)``; the picture and the hole themselves where there is no
        symmetry.
    """
    pixels, gap = np.ascontiguousarray(image.numpy()), hole.numpy()
    beside = ~gap
    beside[1:-1, 1:-1] = False
    if not beside.any():
        return image, hole
    ground = np.median(pixels[:, beside], axis=1)[:, None, None].astype(np.float32)
    found = list(_looked_for(_Seen.of(pixels, gap, ground)))
    for _ in range(_MOST):
        seen = _Seen.of(pixels, gap, ground)
        fits = [fit for each in found if (fit := seen.fit(each)) is not None]
        new = np.zeros_like(gap)
        for fit in sorted(fits, key=lambda fit: fit.error):
            opposite = fit.symmetry.applied(pixels)
            new = _taken_from(seen, fit, opposite)
            if new.any():
                pixels, gap = np.where(new, opposite, pixels), gap & ~new
                break
        if not new.any():
            break
    return from_numpy(pixels), from_numpy(gap)


@dataclass(frozen=True)
class _Seen:
    """What is known of a picture.

    Attributes:
        pixels: ``(3, S, S)``.
        known: ``(S, S)``, outside of the hole.
        ground: ``(3, 1, 1)``, the background.
        ink: ``(S, S)``, known and drawn.
        details: ``(S, S)``, known edges inside of what is drawn.
    """

    pixels: Floats
    known: Mask
    ground: Floats
    ink: Mask
    details: Mask

    @classmethod
    def of(cls, pixels: Floats, gap: Mask, ground: Floats) -> _Seen:
        """What is known beside a gap."""
        ink = _drawn(pixels, ground) & ~gap
        spread = [largest(each, 1) + largest(-each, 1) for each in np.where(gap, ground, pixels)]
        edges = (np.maximum.reduce(spread) > _DETAIL) & ~largest(gap, 1)
        deep = ~largest(~ink & ~gap, round(_RIM * len(gap)))
        return cls(pixels, ~gap, ground, ink, edges & deep)

    def apart(self, symmetry: Symmetry) -> tuple[Floats, Mask, Mask]:
        """Squared differences ``(S, S)`` from what corresponds.

        Also where both are known, and where one of them is drawn besides.
        """
        opposite = symmetry.applied(self.pixels)
        both = self.known & symmetry.applied(self.known)
        drawn = both & (self.ink | symmetry.applied(self.ink))
        return np.square(np.abs(self.pixels - opposite).max(0)), both, drawn

    def error(self, symmetry: Symmetry) -> float:
        """Mean squared difference of what is drawn; infinite where too little is seen."""
        apart, _, drawn = self.apart(symmetry)
        enough = max(1.0, symmetry.kind.seen * int(self.ink.sum()))
        return float(apart[drawn].mean()) if drawn.sum() >= enough else np.inf

    def fit(self, symmetry: Symmetry) -> _Fit | None:
        """How well a symmetry agrees; None where it does not, or fills nothing."""
        kind, (apart, both, drawn) = symmetry.kind, self.apart(symmetry)
        new = ~self.known & symmetry.applied(self.known)
        enough = max(1.0, kind.seen * int(self.ink.sum()))
        if not new.any() or drawn.sum() < enough:
            return None
        error = seam = float(apart[drawn].mean())
        beside = largest(new, _SEAM) & drawn
        if beside.sum() > _FEW:
            seam = float(apart[beside].mean())
        error = error / 2 + (seam if beside.sum() > _FEW else seam / 2)
        if error > kind.error:
            return None
        inner = both & (self.details | symmetry.applied(self.details))
        agree = kind.details
        if not agree and inner.sum() >= max(1.0, _INSIDE_SEEN * int(self.details.sum())):
            agree = float(apart[inner].mean()) < _INSIDE
        return _Fit(symmetry, error, agree)


def _taken_from(seen: _Seen, fit: _Fit, opposite: Floats) -> Mask:
    """Which pixels of the hole, ``(S, S)``, become what corresponds to them."""
    gap = ~seen.known
    new = gap & fit.symmetry.applied(seen.known)
    drawn = _drawn(opposite, seen.ground)
    joined = seen.ink | (gap & ~new)  # what is not known yet may join them
    lone = new & drawn & ~_touching(new & drawn, joined, seen.ink)
    new &= ~largest(lone, _EDGE)
    if not fit.inside:
        new &= largest(~drawn, round(_RIM * len(gap)))
    return new


def _looked_for(seen: _Seen) -> Iterable[Symmetry]:
    """The symmetry of each kind that agrees best."""
    side = len(seen.known)
    by = 1
    while side // by > _SMALL and side % (2 * by) == 0:
        by *= 2
    small = seen if by == 1 else _smaller(seen, by)
    size = len(small.known)
    for kind in _KINDS:
        turns = kind.rows * kind.columns * (-1 if kind.swaps else 1) > 0
        reach = round((_TURNED if turns else _FAR) * size)
        best = min((small.error(each), each) for each in _around(kind, size, reach, turns))
        if best[0] > 2 * kind.error + _COARSE:
            continue
        _, row, column = best[1]
        placed = Symmetry(
            kind, by * row + (by - 1) * (kind.rows < 0),
            by * column + (by - 1) * (kind.columns < 0),
        )  # fmt: skip
        yield placed if by == 1 else _nearer(seen, placed, by, turns)


def _around(kind: _Kind, size: int, reach: int, turns: bool) -> Iterable[Symmetry]:
    """Symmetries of a kind whose axis or centre is near the middle of a picture."""
    row, column = ((size - 1) * (sign < 0) for sign in (kind.rows, kind.columns))
    for one in range(-reach, reach + 1):
        for other in range(-reach, reach + 1) if turns else (0,):
            yield _shifted(Symmetry(kind, row, column), one, other, turns)


def _shifted(symmetry: Symmetry, one: int, other: int, turns: bool) -> Symmetry:
    """A symmetry whose axis is moved; whose centre is, if it turns."""
    kind, row, column = symmetry
    if turns:
        return Symmetry(kind, row + one, column + other)
    if not kind.swaps:
        return Symmetry(kind, row + one * (kind.rows < 0), column + one * (kind.columns < 0))
    return Symmetry(kind, row + one, column - one * kind.rows)


def _nearer(seen: _Seen, symmetry: Symmetry, by: int, turns: bool) -> Symmetry:
    """The best of those within a pixel of the small picture; of a centre one side, then another."""
    for axis in (0, 1, 0) if turns else (0,):
        moves = ((step, 0) if axis == 0 else (0, step) for step in range(-by - 1, by + 2))
        tried = [_shifted(symmetry, one, other, turns) for one, other in moves]
        symmetry = min(tried, key=seen.error)
    return symmetry


def _smaller(seen: _Seen, by: int) -> _Seen:
    """What is known of a picture that is so many times smaller; of each cell its known mean."""
    known = _means(seen.known.astype(np.float32), by)
    total = _means(seen.pixels * seen.known, by)
    pixels = np.asarray(total / np.maximum(known, np.float32(1e-6)), np.float32)
    return _Seen.of(pixels, known < 1, seen.ground)


def _means(values: Floats, by: int) -> Floats:
    """Means of cells of ``(..., S, S)``."""
    *rest, height, width = values.shape
    cells = values.reshape(*rest, height // by, by, width // by, by)
    return np.asarray(cells.mean((-1, -3)), np.float32)


def _taken(values: NDArray[_Number], places: NDArray[np.int64], axis: int) -> NDArray[_Number]:
    """Values at places along an axis; zero where they are outside."""
    side = values.shape[axis]
    inside = (places >= 0) & (places < side)
    found = np.take(values, places.clip(0, side - 1), axis)
    shape = [1] * values.ndim
    shape[axis] = side
    taken: NDArray[_Number] = np.where(inside.reshape(shape), found, np.zeros((), values.dtype))
    return taken


def _drawn(pixels: Floats, ground: Floats) -> Mask:
    """What differs from the background."""
    found: Mask = np.abs(pixels - ground).max(0) > _INK
    return found


def _touching(drawn: Mask, joined: Mask, ink: Mask) -> Mask:
    """The parts of what is new that are connected with what was there, over what may join them."""
    parts = parts_of(drawn | joined)
    there = np.zeros(parts.max(initial=0) + 1, np.bool_)
    there[np.unique(parts[ink])] = True
    there[0] = False
    return drawn & there[parts]
