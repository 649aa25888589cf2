"""Sharpening of decoded pictures: a shock filter with diffusion along edges.

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
_REACH = 7
"""Pixels on each side that a step of a pixel depends on: two blurs of 2, the slopes of that, 1, and
the blur of their products, 2."""
_ONE_THREAD, _LEAST_ROWS = 32_768, 8
"""Numbers up to which torch does not divide an elementwise operation; rows at least at once."""
_NO_EDGE = 1e-6
"""Squared length of a structure tensor below which an area has no direction and is smoothed alike
in all of them: that of slopes of about 0.02 a pixel."""


@torch.no_grad()
def sharpened(images: Tensor, steps: int) -> Tensor:
    """Sharpen and smooth the edges of pictures, ``(B, C, H, W)``; not differentiable.

    Pictures are filtered one by one, and only by elementwise operations, so that the result does
    not depend on the batch or the number of threads.

    Args:
        images: ``(B, C, H, W)`` in [-1, 1], floating point.
        steps: how often pixels move; an edge becomes steeper by about half a pixel each time.

    Returns:
        Of the same shape and range.
    """
    if not steps:
        return images
    return torch.stack([_sharpened(each, steps) for each in images])


def _sharpened(picture: Tensor, steps: int) -> Tensor:
    high, wide = picture.shape[1:]
    rows = _rows(wide) if picture.device.type == "cpu" else high
    for _ in range(steps):
        around = F.pad(picture, (_REACH,) * 4, mode="replicate")
        strips = [around[:, top : top + rows + 2 * _REACH] for top in range(0, high, rows)]
        picture = torch.cat([_moved(each) for each in strips], 1)
    return picture.clamp_(-1, 1)


def _rows(wide: int) -> int:
    """Rows of a picture that are filtered at once on a CPU.

    So few that no operation is divided among threads, whose waking takes longer than the operation.
    """
    return max(_LEAST_ROWS, _ONE_THREAD // (3 * (wide + 2 * _REACH)) - 2 * _REACH)


# Tensors are changed in place below where they are no longer needed: the pages of new ones cost as
# much as the arithmetic.


def _moved(around: Tensor) -> Tensor:
    """A step of pixels ``(C, H, W)``, of those and 7 more on each side."""
    smooth = _blurred(_blurred(around))
    cosine, sine = _direction(smooth)
    bend, _ = _second_derivatives(smooth[:, 2:-2, 2:-2], cosine, sine)
    calm = bend.abs().div_(-_LEAST).add_(1).clamp_(min=0)
    bend.sub_(bend.clamp(-_LEAST, _LEAST)).div_(_MOST - _LEAST).clamp_(-1, 1)
    near = around[:, _REACH - 1 : 1 - _REACH, _REACH - 1 : 1 - _REACH]
    across, along = _second_derivatives(near, cosine, sine)
    left, right, above, below, picture = _neighbours(near)
    high, low = torch.maximum(left, right), torch.minimum(left, right)
    for each in (above, below, picture):
        torch.maximum(high, each, out=high)
        torch.minimum(low, each, out=low)
    up = high.sub_(picture).mul_(bend.clamp(max=0))  # bend is negative there
    down = low.sub_(picture).mul_(bend.clamp_(min=0))
    diffused = along.add_(across.mul_(calm)).mul_(_DIFFUSED)
    return diffused.add_(down.sub_(up).mul_(_STEP)).add_(picture)


def _direction(smooth: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``(1, H, W)`` of twice the angle across edges, of 3 pixels more each side."""
    left, right, above, below, _ = _neighbours(smooth)
    horizontal, vertical = right - left, below - above  # twice the first derivatives
    sine = _blurred((horizontal * vertical).sum(0, keepdim=True)).mul_(2)
    cosine = _blurred(horizontal.square_().sub_(vertical.square_()).sum(0, keepdim=True))
    length = (cosine * cosine).add_(sine * sine).add_(_NO_EDGE).sqrt_()
    return cosine.div_(length), sine.div_(length)


def _second_derivatives(around: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Across and along edges, ``(C, H, W)`` each, of one pixel more on each side."""
    left, right, above, below, picture = _neighbours(around)
    horizontal, vertical = left + right, above + below  # less twice the pixel
    mean = (horizontal + vertical).div_(2).sub_(picture * 2)
    mixed = (around[:, 2:, 2:] + around[:, :-2, :-2]).sub_(around[:, 2:, :-2])
    mixed.sub_(around[:, :-2, 2:]).mul_(sine / 4)
    difference = horizontal.sub_(vertical).mul_(cosine / 2).add_(mixed)
    return mean + difference, mean.sub_(difference)


def _blurred(picture: Tensor) -> Tensor:
    """By the binomials 1 4 6 4 1 in both directions, of variance 1; two pixels less each side."""
    for dim in (-2, -1):
        shifted = [picture.narrow(dim, start, picture.shape[dim] - 4) for start in range(5)]
        near = shifted[1] + shifted[3]
        total = (shifted[0] + shifted[4]).add_(near.mul_(4))
        picture = total.add_(torch.mul(shifted[2], 6, out=near)).mul_(1 / 16)
    return picture


def _neighbours(around: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Those left, right, above and below, and the pixels, of one pixel more on each side."""
    return (
        around[:, 1:-1, :-2], around[:, 1:-1, 2:], around[:, :-2, 1:-1], around[:, 2:, 1:-1],
        around[:, 1:-1, 1:-1],
    )  # fmt: skip
