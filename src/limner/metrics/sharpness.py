"""How sharp pictures are: the edges of drawings, and the fine detail of anything."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.vision.convnet import fit_to

_SIDE = 64
_WINDOW = 5
_LEAST = 0.1
"""Least contrast, of the range [-1, 1], of an edge."""
_ROUNDING = 0.3 / 127.5
"""What rounding to 256 levels adds to differences, of the range [-1, 1]."""


def edge_sharpness(images: Tensor, side: int | None = _SIDE, stride: int = 1) -> Tensor:
    """How much of the contrast around an edge lies between two neighbouring pixels, ``(B,)``.

    Of every 5 x 5 window, the greatest difference of two neighbouring pixels over the range of
    its values; the mean over all windows and channels, weighted by the range. 1 for steps between
    pixels, 0.25 for even slopes, about 0.7 for drawings with smoothed edges; 0 for a flat picture.

    Args:
        images: ``(B, C, H, W)`` in [-1, 1].
        side: pixels a side with which they are looked at; None for their own.
        stride: pixels from one window to the next.
    """
    x = images if side is None else fit_to(images, side)
    across, down = x.diff(dim=3).abs(), x.diff(dim=2).abs()
    steepest = torch.maximum(
        _greatest(F.pad(across, (2, 2, 2, 2)), _WINDOW, _WINDOW - 1, stride),
        _greatest(F.pad(down, (2, 2, 2, 2)), _WINDOW - 1, _WINDOW, stride),
    )
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    span = _greatest(padded, _WINDOW, _WINDOW, stride)
    span = span + _greatest(-padded, _WINDOW, _WINDOW, stride)
    weight = torch.where(span > _LEAST, span, torch.zeros(()))
    share = torch.where(span > _LEAST, steepest / span.clamp_min(_LEAST), torch.zeros(()))
    return (share * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)


def fine_detail(images: Tensor) -> Tensor:
    """How much of what changes within five pixels changes within three, ``(B,)``.

    The mean length of the mixed second difference x(i, j) - x(i+k, j) - x(i, j+k) + x(i+k, j+k)
    over k = 2 pixels, over that of k = 4: 1 for noise, 1/4 for what is smooth (the difference then
    grows as k^2), whatever the contrast. Gaussians of two pixels and enlarging by three leave about
    a third; a part of a photograph that is out of focus, whose grain is sharp, keeps more. Drawings
    whose outlines run along pixels have little of it however sharp they are.

    Args:
        images: ``(B, C, H, W)`` in [-1, 1], H and W above 4.
    """
    coarse = _mixed(images, 4) + _ROUNDING
    return _mixed(images, 2) / coarse


def _mixed(images: Tensor, step: int) -> Tensor:
    """Mean length of the mixed second difference over a number of pixels, ``(B,)``."""
    across = images[..., step:] - images[..., :-step]
    return (across[..., step:, :] - across[..., :-step, :]).abs().mean((1, 2, 3))


def _greatest(values: Tensor, height: int, width: int, stride: int) -> Tensor:
    """The greatest value of each window, by rows and then by columns."""
    rows = F.max_pool2d(values, (1, width), (1, stride))
    return F.max_pool2d(rows, (height, 1), (stride, 1))
