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


def edge_sharpness(images: Tensor) -> Tensor:
    """How much of the contrast around an edge lies between two neighbouring pixels, ``(B,)``.

    Of every 5 x 5 window, the greatest difference of two neighbouring pixels over the range of
    its values; the mean over all windows and channels, weighted by the range. 1 for steps between
    pixels, 0.25 for even slopes, about 0.7 for drawings with smoothed edges; 0 for a flat picture.

    Args:
        images: ``(B, 3, H, W)`` in [-1, 1]; looked at with 64 pixels a side.
    """
    x = fit_to(images, _SIDE)
    across, down = x.diff(dim=3).abs(), x.diff(dim=2).abs()
    steepest = torch.maximum(
        F.max_pool2d(F.pad(across, (2, 2, 2, 2)), (_WINDOW, _WINDOW - 1), 1),
        F.max_pool2d(F.pad(down, (2, 2, 2, 2)), (_WINDOW - 1, _WINDOW), 1),
    )
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    span = F.max_pool2d(padded, _WINDOW, 1) + F.max_pool2d(-padded, _WINDOW, 1)
    weight = torch.where(span > _LEAST, span, torch.zeros(()))
    share = torch.where(span > _LEAST, steepest / span.clamp_min(_LEAST), torch.zeros(()))
    return (share * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
