"""How sharp the edges of drawings are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.vision.convnet import fit_to

_SIDE = 64
_WINDOW = 5
_LEAST = 0.1
"""Least contrast, of the range [-1, 1], of an edge."""


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
        F.max_pool2d(F.pad(across, (2, 2, 2, 2)), (_WINDOW, _WINDOW - 1), stride),
        F.max_pool2d(F.pad(down, (2, 2, 2, 2)), (_WINDOW - 1, _WINDOW), stride),
    )
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    span = F.max_pool2d(padded, _WINDOW, stride) + F.max_pool2d(-padded, _WINDOW, stride)
    weight = torch.where(span > _LEAST, span, torch.zeros(()))
    share = torch.where(span > _LEAST, steepest / span.clamp_min(_LEAST), torch.zeros(()))
    return (share * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
