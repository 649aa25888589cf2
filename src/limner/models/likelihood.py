"""Closed forms behind the VAE's likelihood bound, with no networks in them.

For a picture x, a latent z and a text t, the evidence lower bound is
``log p(x | t) >= E_q[log p(x | z)] - KL(q(z | x) || p(z | t))`` (Kingma and Welling 2013, eq. 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BINS = 255  # steps between the 256 values of a pixel
_SCALES = 16


def gaussian_kl(
    mean: Tensor, deviation: Tensor, other_mean: Tensor | float, other_deviation: Tensor | float
) -> Tensor:
    """KL(N(mean, deviation^2) || N(other_mean, other_deviation^2)) of each number, in nats.

    ``ln(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2``; all four broadcast.
    """
    if not isinstance(other_deviation, Tensor):
        other_deviation = torch.full((), other_deviation, dtype=mean.dtype, device=mean.device)
    other = other_deviation.to(mean.dtype)
    ratio = (deviation.square() + (mean - other_mean).square()) / (2 * other.square())
    return other.log() - deviation.log() + ratio - 0.5


def mixture_kl_bound(divergences: Tensor, log_weights: Tensor) -> Tensor:
    """An upper bound of KL(q || sum_m w_m p_m) from the KL(q || p_m).

    ``-log sum_m w_m exp(-KL(q || p_m))`` (Hershey and Olsen 2007, eq. 20, for a q of one
    component); equal for M = 1.

    Args:
        divergences: ``(..., M)`` nats.
        log_weights: ``(..., M)``, whose exponentials sum to one.
    """
    return -torch.logsumexp(log_weights - divergences, -1)


def pixel_log_likelihood(drawn: Tensor, real: Tensor) -> Tensor:
    """Log p(picture | drawn), in nats, for pictures of 256 values a number.

    Each number of the picture has a Laplace distribution around the drawn one, discretised to the
    256 values (its tails belong to the outermost, as in PixelCNN++, Salimans et al. 2017, eq. 2);
    all share one scale, which is uniformly one of 16 between 1/255 and 1 and summed over. So there
    is nothing to fit, and the price of not knowing the scale is at most ln 16 nats a picture.

    Args:
        drawn: ``(B, ...)``, unbounded.
        real: ``(B, ...)`` in [-1, 1], rounded to the nearest of the 256 values.

    Returns:
        ``(B,)`` float64.
    """
    value = ((real.double() + 1) * (_BINS / 2)).round() * (2 / _BINS) - 1
    centre = drawn.double()
    half = 1 / _BINS
    away = (value - centre).abs()  # (B, ...)
    rest = (half - away).clamp_min(0)
    scales = torch.logspace(math.log10(1 / _BINS), 0, _SCALES, dtype=torch.float64)
    totals = []
    for scale in scales.tolist():
        # beside its centre a bin has the mass of one exponential less another
        beside = -math.log(2) - (away - half) / scale + math.log(-math.expm1(-2 * half / scale))
        over = torch.log1p(
            -0.5 * torch.exp(-rest / scale) - 0.5 * torch.exp(-(half + away) / scale)
        )
        inner = torch.where(away >= half, beside, over)
        top = _upper_tail((value - half - centre) / scale)
        bottom = _upper_tail((centre - value - half) / scale)
        mass = torch.where(value > 1 - half, top, torch.where(value < half - 1, bottom, inner))
        totals.append(mass.flatten(1).sum(1))
    return torch.logsumexp(torch.stack(totals), 0) - math.log(_SCALES)


def _upper_tail(t: Tensor) -> Tensor:
    """Log P(X > t) of the standard Laplace distribution."""
    below = torch.log1p(-0.5 * torch.exp(t.clamp_max(0)))
    return torch.where(t >= 0, -math.log(2) - t, below)


def cell_log_mass(
    values: Tensor, mean: Tensor, deviation: Tensor, cells: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Log of the mass that N(mean, deviation^2) has in the cells around level values.

    The outermost cells reach to infinity, so that the masses of all levels sum to one.

    Args:
        values: on the levels.
        mean: broadcasts with ``values``.
        deviation: likewise.
        cells: half the distance between levels, the lowest and the highest level.
    """
    half, low, high = cells
    offset = (values - mean).double()
    half, deviation = half.double(), deviation.double()
    right = torch.where(values >= high, torch.inf, (offset + half) / deviation)
    left = torch.where(values <= low, -torch.inf, (offset - half) / deviation)
    # on the far side both are near one: take the mirrored pair, which loses no digits
    mirror = left > 0
    upper = torch.where(mirror, -left, right)
    lower = torch.where(mirror, -right, left)
    log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    mass: Tensor = log_upper + torch.log1p(-torch.exp(log_lower - log_upper))
    return mass
