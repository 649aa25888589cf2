"""Parts of a picture in which a thing may be seen: the whole, what stands alone, and windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.vision.convnet import fit_to

SIDE = 64
"""Pixels of a side of every part, and of the pictures in which they are looked for."""
_NEAR = 0.16
"""Greatest difference from the border's colour that is background, of the range [-1, 1]."""
_REACH = (1, 4)
"""Pixels that may lie between two pieces of one thing: touching, and close."""
_LEAST = 40
"""Fewest pixels of a thing."""
_MOST = 6
"""Largest things of a picture that are cut out, for each reach."""
_FILL = 0.9
"""Share of its picture's side that a cut-out thing takes, as icons do."""
_SCALES = ((0.75, 3), (0.5, 3))
"""Sides of the windows, and how many of them there are along a side."""
_EMPTY = 0.15
"""Least share of a window that is not background."""


@dataclass(frozen=True)
class Parts:
    """Parts of B pictures.

    Attributes:
        images: ``(V, 3, 64, 64)`` float32 in [-1, 1].
        owner: ``(V,)`` int64, which picture each was cut from; every picture has at least one.
        kind: ``(V,)`` int64: 0 the whole picture, 1 cut out of the background, 2 a window.
    """

    images: Tensor
    owner: Tensor
    kind: Tensor


def parts_of(images: Tensor) -> Parts:
    """The whole of each picture, the things on its background, and windows at two scales.

    The background is what is connected to the border and has the border's median colour; it is
    made white in cut-out things, so that they look like icons.

    Args:
        images: ``(B, 3, S, S)`` in [-1, 1].
    """
    small = fit_to(images, SIDE)
    ink = _ink(small)
    pieces = [_pieces(ink, reach) for reach in _REACH]
    found, owner, kinds = [], [], []
    for number, one in enumerate(small):
        for kind, part in _parts(one, ink[number], [each[number] for each in pieces]):
            found.append(part)
            owner.append(number)
            kinds.append(kind)
    if not found:
        return Parts(small, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    return Parts(torch.stack(found), torch.tensor(owner), torch.tensor(kinds))


def _parts(image: Tensor, ink: Tensor, pieces: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
    yield 0, image
    blank = torch.ones(())
    seen: set[tuple[int, ...]] = {(0, 0, 0, 0)}
    for mask in (ink, *(mask for numbers in pieces for mask in _largest(numbers))):
        box = _box(mask)
        if box not in seen:
            seen.add(box)
            yield 1, _fitted(torch.where(mask, image, blank), box)
    white = torch.where(ink, image, blank)
    for scale, count in _SCALES:
        side = round(scale * SIDE)
        places = [round(i * (SIDE - side) / (count - 1)) for i in range(count)]
        for top in places:
            for left in places:
                area = (..., slice(top, top + side), slice(left, left + side))
                if ink[area].float().mean() >= _EMPTY:
                    yield 2, fit_to(white[area][None], SIDE)[0]


def _ink(images: Tensor) -> Tensor:
    """What is not background, ``(B, S, S)`` bool."""
    border = torch.ones(images.shape[-2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    colour = images[:, :, border].median(2).values[:, :, None, None]
    near = (images - colour).abs().amax(1) < _NEAR
    found, before = near & border, torch.zeros_like(near)
    while not torch.equal(found, before):
        before = found
        found = _grown(found, 1) & near
    return ~found


def _grown(mask: Tensor, reach: int) -> Tensor:
    """A mask ``(B, H, W)`` with everything at most ``reach`` pixels away."""
    return F.max_pool2d(mask.float()[:, None], 2 * reach + 1, 1, reach)[:, 0] > 0


def _pieces(ink: Tensor, reach: int) -> Tensor:
    """Number of the piece of ink that each pixel belongs to, ``(B, S, S)`` int64, 0 for none."""
    numbers = torch.arange(1, ink[0].numel() + 1.0).view_as(ink[0]) * ink
    before = torch.zeros_like(numbers)
    while not torch.equal(numbers, before):
        before = numbers
        numbers = F.max_pool2d(numbers[:, None], 2 * reach + 1, 1, reach)[:, 0] * ink
    return numbers.long()


def _largest(numbers: Tensor) -> Iterator[Tensor]:
    """Masks of the largest pieces of one picture."""
    sizes = numbers.flatten().bincount()
    sizes[0] = 0
    for number in sizes.argsort(descending=True, stable=True)[:_MOST].tolist():
        if sizes[number] >= _LEAST:
            yield numbers == number


def _box(mask: Tensor) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a mask."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _fitted(image: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """A rectangle of a picture in the middle of a white one, as large as icons are drawn."""
    top, bottom, left, right = box
    high, wide = bottom - top, right - left
    side = max(round(max(high, wide) / _FILL), 1)
    above, before = (side - high) // 2, (side - wide) // 2
    room = (before, side - wide - before, above, side - high - above)
    return fit_to(F.pad(image[:, top:bottom, left:right], room, value=1.0)[None], SIDE)[0]
