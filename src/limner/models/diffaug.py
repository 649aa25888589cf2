"""Differentiable augmentation of the discriminator's input, so that it does not memorise pictures.

Real and drawn pictures are changed in the same ways (Zhao et al. 2020, arXiv:2006.10738), as often
as a schedule or overfitting asks for (Karras et al. 2020, arXiv:2006.06676, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SHIFT = 1 / 8
"""Largest shift, as a share of the side (the paper's translation)."""
_HOLE = 1 / 2
"""Side of what is cut out, as a share of the side (the paper's cutout)."""


@dataclass(frozen=True)
class Changes:
    """What happens to each of B pictures; a picture that keeps something has its neutral value.

    Attributes:
        shift: ``(B, 2)`` int64 pixels down and right; 0 keeps.
        hole: ``(B, 2)`` int64 centre (row, column) of the square that is cut out.
        cut: ``(B,)`` bool, whether it is.
        brightness: ``(B,)`` added to all channels; 0 keeps.
        saturation: ``(B,)`` factor of the distance from grey; 1 keeps.
        contrast: ``(B,)`` factor of the distance from the picture's mean; 1 keeps.
    """

    shift: Tensor
    hole: Tensor
    cut: Tensor
    brightness: Tensor
    saturation: Tensor
    contrast: Tensor

    def twice(self) -> Changes:
        """The same changes for another B pictures, below the first."""
        return Changes(*(torch.cat((value, value)) for value in vars(self).values()))


def draw_changes(
    count: int, size: int, chance: Tensor | float, generator: torch.Generator
) -> Changes:
    """Draw the changes of B pictures, each kind of change with the same chance.

    The ranges are the paper's: shifts up to an eighth of the side, a hole of half the side,
    brightness within 0.5, saturation from 0 to 2, contrast from 0.5 to 1.5.

    Args:
        count: B.
        size: side of the pictures in pixels.
        chance: of each change of each picture, in [0, 1].
        generator: the only source of chance; the changes lie on its device.
    """
    device = generator.device
    use = torch.rand(5, count, generator=generator, device=device) < chance  # (5, B)
    u = torch.rand(7, count, generator=generator, device=device)  # (7, B)
    most = round(_SHIFT * size)
    shift = (u[0:2] * (2 * most + 1)).long() - most  # (2, B) in [-most, most]
    hole = (u[2:4] * size).long()  # (2, B)
    return Changes(
        shift=(shift * use[0]).T,
        hole=hole.T,
        cut=use[1],
        brightness=torch.where(use[2], u[4] - 0.5, 0.0),
        saturation=torch.where(use[3], 2 * u[5], 1.0),
        contrast=torch.where(use[4], 0.5 + u[6], 1.0),
    )


def change(images: Tensor, changes: Changes) -> Tensor:
    """Apply changes; colour first, then place.

    Args:
        images: ``(B, 3, S, S)`` float32 in [-1, 1].
        changes: of B pictures.

    Returns:
        ``(B, 3, S, S)``, differentiable any number of times; equal to ``images`` where every
        change is neutral.
    """
    x = images + changes.brightness.view(-1, 1, 1, 1)
    x = _around(x, x.mean(1, keepdim=True), changes.saturation)
    x = _around(x, x.mean((1, 2, 3), keepdim=True), changes.contrast)
    return _cut(_shifted(x, changes.shift), changes)


def _around(x: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    """Return x + (factor - 1) (x - centre), which is x to the bit where the factor is 1."""
    return x + (factor - 1).view(-1, 1, 1, 1) * (x - centre)


def _shifted(x: Tensor, shift: Tensor) -> Tensor:
    """Shift pictures, their border repeated.

    A shift is a product with a matrix of zeros and ones, exact, and its gradients of any order are
    products too, which are much faster than scattering.
    """
    size = x.shape[-1]
    place = torch.arange(size, device=x.device)
    source = (place - shift.unsqueeze(-1)).clamp(0, size - 1)  # (B, 2, S)
    pick = (source.unsqueeze(-1) == place).to(x.dtype)  # (B, 2, S, S), rows of one 1
    moved: Tensor = pick[:, :1] @ x @ pick[:, 1:].transpose(-1, -2)
    return moved


def _cut(x: Tensor, changes: Changes) -> Tensor:
    """Grey squares around the holes' centres, cut off by the border."""
    size = x.shape[-1]
    half = math.ceil(_HOLE * size) / 2
    place = torch.arange(size, device=x.device)
    near = (place - changes.hole.unsqueeze(-1) + 0.5).abs() < half  # (B, 2, S)
    inside = near[:, 0, :, None] & near[:, 1, None, :] & changes.cut.view(-1, 1, 1)  # (B, S, S)
    return x * (~inside).unsqueeze(1)


def scheduled(start: float, end: float, progress: float) -> float:
    """From ``start`` to ``end`` of the budget along half a cosine, as R3GAN's schedules go."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def adapt(chance: Tensor, margin: Tensor, target: float, speed: float, limit: float) -> None:
    """Move the chance of augmentation towards what overfitting asks for, in place.

    The sign of overfitting is r = E[sign D(real)] (ADA, eq. 1); a relativistic discriminator has no
    zero of its own, so here r = E[sign(D(real) - D(drawn))] over pairs.

    Args:
        chance: scalar, changed in place.
        margin: ``(B,)`` D(real) - D(drawn).
        target: of r; above it the chance rises, below it falls.
        speed: pictures in which the chance could go from 0 to 1.
        limit: the largest chance.
    """
    r = margin.float().sign().mean()
    chance.add_(torch.sign(r - target) * len(margin) / speed).clamp_(0, limit)
