"""Similarity of two pictures: closed-form scores used as losses and as metrics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_WINDOW = 11
_SIGMA = 1.5
_RANGE = 2.0  # of pictures in [-1, 1]
_C1, _C2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2


def psnr(drawn: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, 10 log10(2^2 / mean squared error), of each picture, in decibels.

    ``(B, 3, H, W)`` in [-1, 1] to ``(B,)``; infinite where the two are equal.
    """
    return 10 * torch.log10(_RANGE**2 / (drawn - real).square().mean((1, 2, 3)))


def ssim(drawn: Tensor, real: Tensor) -> Tensor:
    """Structural similarity of each picture (Wang et al. 2004, eq. 13), ``(B,)`` in [-1, 1].

    Means, variances and covariance are taken under a Gaussian of deviation 1.5 in windows of 11
    pixels that lie wholly inside, of brightness counted from black, as there; constants are the
    paper's K1 = 0.01 and K2 = 0.03.

    Args:
        drawn: ``(B, C, H, W)`` in [-1, 1], H and W at least 11.
        real: the same.
    """
    offsets = torch.arange(_WINDOW, device=drawn.device) - _WINDOW // 2
    window = torch.exp(-offsets.to(drawn.dtype).square() / (2 * _SIGMA**2))
    window = window / window.sum()
    channels = drawn.shape[1]
    drawn, real = drawn + 1, real + 1

    def blur(x: Tensor) -> Tensor:
        kernel = window.expand(channels, 1, 1, -1)
        x = F.conv2d(x, kernel, groups=channels)
        return F.conv2d(x, kernel.transpose(2, 3), groups=channels)  # (B, C, H-10, W-10)

    a, b = blur(drawn), blur(real)
    var_a = blur(drawn.square()) - a.square()
    var_b = blur(real.square()) - b.square()
    both = blur(drawn * real) - a * b
    likeness = (2 * a * b + _C1) * (2 * both + _C2)
    return (likeness / ((a.square() + b.square() + _C1) * (var_a + var_b + _C2))).mean((1, 2, 3))


def structure_loss(drawn: Tensor, real: Tensor, levels: int = 3) -> Tensor:
    """1 - SSIM, averaged over ``(B, C, H, W)`` and halvings down to the window's side; a scalar."""
    terms = []
    for _ in range(levels):
        if min(drawn.shape[-2:]) < _WINDOW:
            break
        terms.append(1 - ssim(drawn, real).mean())
        drawn, real = F.avg_pool2d(drawn, 2), F.avg_pool2d(real, 2)
    if not terms:  # smaller than the window: the whole picture is one
        pad = [_WINDOW // 2] * 4
        terms = [1 - ssim(F.pad(drawn, pad, value=-1), F.pad(real, pad, value=-1)).mean()]
    return torch.stack(terms).mean()


def code_use(codes: Tensor, size: int) -> tuple[float, float]:
    """How much of a codebook some codes use.

    Args:
        codes: int64 of any shape, in ``[0, size)``.
        size: of the codebook.

    Returns:
        The share of codes that occur at all, and the perplexity exp(entropy) of their
        frequencies as a share of the size: 1 where all occur equally often.
    """
    counts = torch.bincount(codes.flatten(), minlength=size).double()
    chances = counts / counts.sum()
    entropy = -torch.special.xlogy(chances, chances).sum()
    return (counts > 0).double().mean().item(), (entropy.exp() / size).item()
