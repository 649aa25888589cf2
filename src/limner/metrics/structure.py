"""How much of the structure of a picture another one keeps: where edges are, and the layout.

Both are compared at a coarse scale, so that what moves a little is still there, and both are
cosines, which contrast and brightness do not change.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE, _REACH, _FIELDS = 64, 2, 8
_LEAST = 1e-6


def edge_agreement(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of the strengths of edges, ``(B,)`` in [0, 1]; 1 where neither has any.

    Strengths are lengths of the gradient of the mean of the channels, summed over a few pixels
    around.

    Args:
        first: ``(B, 3, H, W)`` in [-1, 1].
        second: the same.
    """
    return _cosine(*(_edges(each) for each in (first, second)))


def layout_agreement(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of the mean colours of 8 x 8 fields, ``(B,)`` in [0, 1], none below 0.

    Args:
        first: ``(B, 3, H, W)`` in [-1, 1].
        second: the same.
    """
    fields = (F.adaptive_avg_pool2d(each, _FIELDS).flatten(1) for each in (first, second))
    return _cosine(*(each - each.mean(1, keepdim=True) for each in fields)).clamp_min(0)


def structure_agreement(first: Tensor, second: Tensor) -> Tensor:
    """The mean of both agreements, ``(B,)`` in [0, 1]; 1 of equal pictures."""
    return (edge_agreement(first, second) + layout_agreement(first, second)) / 2


def _edges(images: Tensor) -> Tensor:
    """Mean gradient magnitudes around each of N pixels, ``(B, N)``."""
    side = min(_SIDE, *images.shape[2:])
    small = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
    grey = F.pad(small.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    along = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    strength = (across.square() + along.square()).sqrt()
    return F.avg_pool2d(strength, 2 * _REACH + 1, 1, _REACH).flatten(1)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    lengths = first.norm(dim=1), second.norm(dim=1)
    empty = [each < _LEAST for each in lengths]
    cosine = (first * second).sum(1) / (lengths[0] * lengths[1]).clamp_min(_LEAST**2)
    return torch.where(empty[0] & empty[1], 1.0, cosine.clamp(-1, 1))
