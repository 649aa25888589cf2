"""Edges of decoded pictures made as sharp as drawn ones: a shock filter with diffusion along edges.

A decoder that learns by pixel errors draws an edge whose place it does not know exactly as a ramp,
the mean of the places that it may have. A shock filter lets both sides of the ramp grow until they
meet: a pixel moves towards its brightest neighbour where the picture curves down across the edge,
and towards its darkest where it curves up (Osher and Rudin 1990, eq. 3.1). Diffusion along the
edge, and in all directions where there is none, takes away what is no edge, such as the grid of a
network's last upsampling (Alvarez and Mazorra 1994, eq. 8). The direction of an edge is that of the
structure tensor of all colours (Weickert 2003, "Coherence-enhancing shock filters", eq. 5).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_STEP = 0.4
"""Share of the way to a neighbour that a pixel goes at most in a step."""
_LEAST, _MOST = 1 / 80, 3 / 80
"""Curvature, in units of [-1, 1] a square pixel, from which on a pixel moves, and from which on it
goes all that way: so flat areas and gradients stay as they are, and do not become terraces."""
_DIFFUSED = 0.15
"""Of the second derivatives along edges and beside them that is added in a step; stable to 1/4."""
_NO_EDGE = 1e-6
"""Squared length of a structure tensor below which an area has no direction and is smoothed alike
in all of them: that of slopes of about 0.02 a pixel."""


@torch.no_grad()
def sharpened(images: Tensor, steps: int) -> Tensor:
    """The pictures with sharper and smoother edges, ``(B, C, H, W)``; no gradients pass.

    Pictures are filtered one by one, by operations that round alike wherever a number stands, so
    that batch and threads change no bits.

    Args:
        images: ``(B, C, H, W)`` in [-1, 1], floating point.
        steps: how often pixels move; an edge becomes steeper by about half a pixel each time.

    Returns:
        Of the same shape and range.
    """
    if not steps:
        return images
    return torch.stack([_sharpened(each, steps) for each in images])


# Tensors are changed in place below where they are no longer needed: the pages of new ones cost as
# much as the arithmetic.


def _sharpened(picture: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        smooth = _blurred(_blurred(picture))
        around = _padded(smooth)
        cosine, sine = _direction(around)
        bend, _ = _second_derivatives(smooth, around, cosine, sine)
        calm = bend.abs().div_(-_LEAST).add_(1).clamp_(min=0)
        bend.sub_(bend.clamp(-_LEAST, _LEAST)).div_(_MOST - _LEAST).clamp_(-1, 1)
        around = _padded(picture)
        across, along = _second_derivatives(picture, around, cosine, sine)
        left, right, above, below = _neighbours(around)
        high, low = torch.maximum(left, right), torch.minimum(left, right)
        for each in (above, below, picture):
            torch.maximum(high, each, out=high)
            torch.minimum(low, each, out=low)
        up = high.sub_(picture).mul_(bend.clamp(max=0))  # bend is negative there
        down = low.sub_(picture).mul_(bend.clamp_(min=0))
        diffused = along.add_(across.mul_(calm)).mul_(_DIFFUSED)
        picture = diffused.add_(down.sub_(up).mul_(_STEP)).add_(picture)
    return picture.clamp_(-1, 1)


def _direction(around: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``(1, H, W)`` of twice the angle across edges."""
    left, right, above, below = _neighbours(around)
    horizontal, vertical = right - left, below - above  # twice the first derivatives
    sine = _blurred((horizontal * vertical).sum(0, keepdim=True)).mul_(2)
    cosine = _blurred(horizontal.square_().sub_(vertical.square_()).sum(0, keepdim=True))
    length = (cosine * cosine).add_(sine * sine).add_(_NO_EDGE).sqrt_()
    return cosine.div_(length), sine.div_(length)


def _second_derivatives(
    picture: Tensor, around: Tensor, cosine: Tensor, sine: Tensor
) -> tuple[Tensor, Tensor]:
    """Across and along edges, ``(C, H, W)`` each."""
    left, right, above, below = _neighbours(around)
    horizontal, vertical = left + right, above + below  # less twice the pixel
    mean = (horizontal + vertical).div_(2).sub_(picture * 2)
    mixed = (around[:, 2:, 2:] + around[:, :-2, :-2]).sub_(around[:, 2:, :-2])
    mixed.sub_(around[:, :-2, 2:]).mul_(sine / 4)
    difference = horizontal.sub_(vertical).mul_(cosine / 2).add_(mixed)
    return mean + difference, mean.sub_(difference)


def _blurred(picture: Tensor) -> Tensor:
    """By the binomials 1 4 6 4 1 in both directions, whose variance is one square pixel."""
    for pad, dim in ((0, 0, 2, 2), -2), ((2, 2, 0, 0), -1):
        wide, size = F.pad(picture, pad, mode="replicate"), picture.shape[dim]
        near = wide.narrow(dim, 1, size) + wide.narrow(dim, 3, size)
        total = (wide.narrow(dim, 0, size) + wide.narrow(dim, 4, size)).add_(near.mul_(4))
        picture = total.add_(torch.mul(picture, 6, out=near)).mul_(1 / 16)
    return picture


def _neighbours(around: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Those left, right, above and below, of a picture that is a pixel wider on each side."""
    return around[:, 1:-1, :-2], around[:, 1:-1, 2:], around[:, :-2, 1:-1], around[:, 2:, 1:-1]


def _padded(picture: Tensor) -> Tensor:
    return F.pad(picture, (1, 1, 1, 1), mode="replicate")
