"""Augmentation of pictures, from random numbers that the caller draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.models.layers import sent
from limner.training.recipe import AugmentSection, DataSection

_KNOTS = 5
"""Knots of a warp along each side of a picture; between them it is interpolated."""
_SINGLE = 12
DRAWS = _SINGLE + 2 * _KNOTS**2
"""Numbers in [0, 1) that one picture needs: flip, shift x and y, zoom, hue, saturation, light,
turn, stretch, whether it is outlined and how darkly, whether it is grey; then, of every knot of
its warp, how far along x, and of every one, how far along y."""


def needed(wanted: AugmentSection) -> int:
    """How many of the :data:`DRAWS` numbers a picture needs: those of a warp only for a warp."""
    return DRAWS if wanted.warp else _SINGLE


_CONTRAST = (0.25, 0.85)
"""Differences of neighbouring pixels, in [0, 2], at which an edge begins and where it is whole."""

# RGB to YIQ and back (NTSC, FCC 1953): turning the IQ plane turns the hue and keeps the luma.
_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]],
    dtype=torch.float64,
)


def augment(images: Tensor, chances: Tensor, section: DataSection) -> Tensor:
    """Outline, flip, transform (shift, zoom, turn, stretch, warp) and recolour, in this order.

    Args:
        images: ``(B, 3, H, W)`` float32 in [-1, 1].
        chances: ``(B, needed(section.augment))`` float64 in [0, 1), or more, the only randomness
            used; on the CPU.
        section: the recipe's ``data``.

    Returns:
        ``(B, 3, H, W)`` float32 in [-1, 1]; ``images`` itself where nothing is asked for.
    """
    signed, wanted, device = chances * 2 - 1, section.augment, images.device

    def there(values: Tensor) -> Tensor:
        return sent(values, device)

    if wanted.outline:
        chosen = (chances[:, 9] < wanted.outline).nonzero()[:, 0]
        dark = outlined(images[there(chosen)], there((0.5 + 0.5 * chances[chosen, 10]).float()))
        images = images.index_copy(0, there(chosen), dark)
    if section.flip:
        mirrored = there(chances[:, 0] < 0.5)[:, None, None, None]
        images = torch.where(mirrored, images.flip(-1), images)
    if wanted.shift_px or wanted.scale or wanted.turn or wanted.stretch or wanted.warp:
        images = _move(images, signed, wanted)
    if wanted.hue or wanted.saturation or wanted.grey:
        saturation = 1 + signed[:, 5] * wanted.saturation
        saturation = saturation * (chances[:, 11] >= wanted.grey)
        matrix = _colour_matrices(signed[:, 4] * math.radians(wanted.hue), saturation)
        images = (there(matrix.float()) @ images.flatten(2)).view(images.shape)
    if wanted.brightness:
        light = there((1 + signed[:, 6] * wanted.brightness).float())
        images = (images + 1) * light[:, None, None, None] - 1
    return images.clamp(-1, 1) if wanted.active else images


def outlined(images: Tensor, darkness: Tensor) -> Tensor:
    """Pictures with dark edges, as drawn by a pen.

    An edge is where the pixels of a three-by-three neighbourhood differ in some colour.

    Args:
        images: ``(B, 3, H, W)`` in [-1, 1].
        darkness: ``(B,)`` in [0, 1], how far the sharpest edges go towards black.

    Returns:
        The same shape and range.
    """
    around = F.pad(images.contiguous(), (1, 1, 1, 1), mode="replicate")
    differ = _of_three(around, torch.maximum) - _of_three(around, torch.minimum)  # (B, 3, H, W)
    least, whole = _CONTRAST
    edge = ((differ.amax(1, keepdim=True) - least) / (whole - least)).clamp(0, 1)
    dark = darkness.to(images)[:, None, None, None] * edge
    return images - dark * (images + 1)


def _of_three(padded: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What ``pick`` leaves of every three-by-three neighbourhood, line by line."""
    rows = pick(pick(padded[..., :-2, :], padded[..., 1:-1, :]), padded[..., 2:, :])
    return pick(pick(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def _move(images: Tensor, signed: Tensor, wanted: AugmentSection) -> Tensor:
    """Whole-pixel shifts, zooms, turns, stretches, warps; the border is repeated outwards.

    A picture is read at M (p, 1) + w(p) for each pixel p: a turn, after a zoom whose two axes
    differ by the stretch and have the zoom as their geometric mean; w is the warp.
    """
    side, shift_px = images.shape[-1], wanted.shift_px
    zoom = 1 + signed[:, 3] * wanted.scale
    shift = (signed[:, 1:3] * (shift_px + 0.5)).round().clamp(-shift_px, shift_px) * 2 / side
    angle = signed[:, 7] * math.radians(wanted.turn)
    apart = (1 + signed[:, 8] * wanted.stretch).sqrt()
    theta = torch.zeros(len(images), 2, 3, dtype=torch.float64)
    theta[:, 0, 0], theta[:, 1, 1] = zoom / apart * angle.cos(), zoom * apart * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -zoom * apart * angle.sin(), zoom / apart * angle.sin()
    theta[:, :, 2] = shift
    turns = sent(theta.float(), images.device)
    where = F.affine_grid(turns, list(images.shape), align_corners=False)
    if wanted.warp:
        knots = sent(signed[:, _SINGLE:] * wanted.warp, images.device)
        where = where + _warp(knots, side).to(images)
    return F.grid_sample(images, where, padding_mode="border", align_corners=False)


def _warp(knots: Tensor, side: int) -> Tensor:
    """A smooth field of displacements (elastic distortion, Simard et al. 2003).

    Args:
        knots: ``(B, 2 * _KNOTS**2)`` displacements at a regular grid from corner to corner, those
            along x and then those along y, shares of the side.
        side: pixels.

    Returns:
        ``(B, side, side, 2)``, x and y in units of half a side; cubic between the knots.
    """
    ways = 2 * knots.view(-1, 2, _KNOTS, _KNOTS)
    smooth = F.interpolate(ways, (side, side), mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _colour_matrices(angle: Tensor, saturation: Tensor) -> Tensor:
    """``(B, 3, 3)``: to YIQ, turn by ``angle`` and stretch by ``saturation``, and back."""
    turn = torch.zeros(len(angle), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angle.cos()
    turn[:, 2, 1] = saturation * angle.sin()
    turn[:, 1, 2] = -turn[:, 2, 1]
    back: Tensor = torch.linalg.inv(_YIQ)
    return back @ turn @ _YIQ
