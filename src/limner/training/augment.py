"""Modest changes of pictures, from numbers drawn elsewhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.training.recipe import DataSection

DRAWS = 7
"""Numbers in [0, 1) that one picture needs: flip, shift x and y, zoom, hue, saturation, light."""

# RGB to YIQ and back (NTSC, FCC 1953): turning the IQ plane turns the hue and keeps the luma.
_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]],
    dtype=torch.float64,
)


def augment(images: Tensor, chances: Tensor, section: DataSection) -> Tensor:
    """Flip, shift, zoom and recolour.

    Args:
        images: ``(B, 3, H, W)`` float32 in [-1, 1].
        chances: ``(B, DRAWS)`` float64 in [0, 1), the only randomness used; on the CPU.
        section: how much of what.

    Returns:
        ``(B, 3, H, W)`` float32 in [-1, 1]; ``images`` itself where nothing is asked for.
    """
    signed = chances * 2 - 1
    if section.flip:
        mirrored = (chances[:, 0] < 0.5).to(images.device)[:, None, None, None]
        images = torch.where(mirrored, images.flip(-1), images)
    wanted = section.augment
    if wanted.shift_px or wanted.scale:
        images = _move(images, signed, wanted.shift_px, wanted.scale)
    if wanted.hue or wanted.saturation:
        matrix = _colour_matrices(
            signed[:, 4] * math.radians(wanted.hue), 1 + signed[:, 5] * wanted.saturation
        ).to(images)
        images = (matrix @ images.flatten(2)).view(images.shape)
    if wanted.brightness:
        light = (1 + signed[:, 6] * wanted.brightness).to(images)
        images = (images + 1) * light[:, None, None, None] - 1
    return images.clamp(-1, 1) if wanted.active else images


def _move(images: Tensor, signed: Tensor, shift_px: int, scale: float) -> Tensor:
    """Whole-pixel shifts and zooms; the border's pixels go on beyond it."""
    side = images.shape[-1]
    zoom = 1 + signed[:, 3] * scale
    shift = (signed[:, 1:3] * (shift_px + 0.5)).round().clamp(-shift_px, shift_px) * 2 / side
    theta = torch.zeros(len(images), 2, 3, dtype=torch.float64)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = shift
    where = F.affine_grid(theta.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, where, padding_mode="border", align_corners=False)


def _colour_matrices(angle: Tensor, saturation: Tensor) -> Tensor:
    """``(B, 3, 3)``: to YIQ, turn by ``angle`` and stretch by ``saturation``, and back."""
    turn = torch.zeros(len(angle), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angle.cos()
    turn[:, 2, 1] = saturation * angle.sin()
    turn[:, 1, 2] = -turn[:, 2, 1]
    back: Tensor = torch.linalg.inv(_YIQ)
    return back @ turn @ _YIQ
