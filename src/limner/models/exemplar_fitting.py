"""Latents of a picture that the decoder draws it of, better than the encoder's.

An encoder gives in one pass what is about right for every picture. A picture that is kept is worth
gradient descent on its own latents (Campbell et al. 2019, arXiv:1906.04240, section 3; Djelouah et
al. 2019, ICCV, "Content adaptive optimization for neural image compression"), and what is drawn of
is not those latents but what a code keeps of them, so that is what the error is measured of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_FIRST, _LAST = 0.05, 0.02
"""Step sizes, in units of latents, whose deviation is about one."""
_BETAS = (0.6, 0.99)
_ROUNDED = 0.5
"""Share of the rounding that the gradient is taken at: at all of it few numbers ever change."""
_AT_ONCE = 4
_TINY = 1e-5


def fitted_latents(
    images: Tensor,
    latents: Tensor,
    rounded: Callable[[Tensor], Tensor],
    *,
    decode: Callable[[Tensor], Tensor],
    steps: int,
) -> Tensor:
    """Latents ``(B, C, G, G)`` of which pictures are drawn better; each picture on its own.

    Adam (Kingma and Ba 2015, algorithm 1) on the logarithm of the squared error at full and at half
    the side: the sum of two PSNRs, so that every picture counts the same.

    Args:
        images: ``(B, 3, S, S)`` in [-1, 1], S even.
        latents: ``(B, C, G, G)`` from which to begin.
        rounded: what is kept of latents, of the same shape.
        decode: draws pictures in [-1, 1] of latents.
        steps: how often to go downhill.
    """
    parts = zip(torch.split(images, _AT_ONCE), torch.split(latents, _AT_ONCE), strict=True)
    return torch.cat([_fit(true, own, rounded, decode, steps) for true, own in parts])


def _fit(
    true: Tensor,
    latents: Tensor,
    rounded: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    steps: int,
) -> Tensor:
    found = latents.detach().clone()
    adam = torch.optim.Adam([found], betas=_BETAS)
    for step in range(steps):
        with torch.no_grad():
            drawn_of = torch.lerp(found, rounded(found), _ROUNDED)
        with torch.enable_grad():
            drawn_of.requires_grad_(True)
            (found.grad,) = torch.autograd.grad(_loss(decode(drawn_of).float(), true), drawn_of)
        adam.param_groups[0]["lr"] = _FIRST + (_LAST - _FIRST) * step / max(1, steps - 1)
        adam.step()
    return found.detach()


def _loss(drawn: Tensor, true: Tensor) -> Tensor:
    """The sum over pictures ``(B, 3, S, S)`` of the logarithms of their squared errors."""
    error = drawn - true
    whole = error.square().mean((1, 2, 3))
    half = F.avg_pool2d(error, 2).square().mean((1, 2, 3))
    return (whole + _TINY).log().sum() + (half + _TINY).log().sum()
