"""Mode collapse, measured: repeated pictures among the drawn, and real ones that none is like.

A cheap fixed feature, the colours of a small mosaic, is enough for what collapse is: the same few
pictures again and again. Coverage and recall are those of :mod:`limner.metrics.manifold`; the
duplicate rate asks whether drawn pictures lie nearer to each other than real ones do.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.errors import DataError
from limner.metrics.manifold import crowd, distances, neighbourhood

QUANTILE = 0.01
"""Share of real pictures that are allowed to have a twin."""
_MOSAIC = 8
_ROWS = 1024


def small_mosaic(images: Tensor) -> Tensor:
    """Mean colours of 8 x 8 fields: ``(B, 3, H, W)`` in [-1, 1] -> ``(B, 192)`` float32."""
    return F.adaptive_avg_pool2d(images.float(), _MOSAIC).flatten(1)


def nearest_other(features: Tensor) -> Tensor:
    """Distance of each of N >= 2 vectors ``(N, D)`` to the nearest other one, ``(N,)`` float64."""
    found = []
    for start in range(0, len(features), _ROWS):
        apart = distances(features[start : start + _ROWS], features)
        own = torch.arange(len(apart))
        apart[own, own + start] = torch.inf
        found.append(apart.amin(1))
    return torch.cat(found)


def duplicate_rate(real: Tensor, drawn: Tensor, quantile: float = QUANTILE) -> float:
    """Share of drawn vectors that have a twin: another drawn one, nearer than real ones ever are.

    Args:
        real: ``(N, D)``.
        drawn: ``(M, D)``; with M = N a crowd as varied as the real one has a rate of ``quantile``.
        quantile: how many of the real ones may have a twin by the same measure.

    Returns:
        In [0, 1]. Vectors that are equal to rounding count as twins even where real ones are too.
    """
    apart = nearest_other(real)
    # Rounding of the distances: equal pictures must count whatever the real ones are like.
    least = 1e-6 * (1 + drawn.double().square().sum(1).amax().sqrt().item())
    threshold = max(torch.quantile(apart, quantile).item(), least)
    return (nearest_other(drawn) < threshold).double().mean().item()


def collapse(real: Tensor, drawn: Tensor) -> dict[str, float]:
    """How far drawn pictures have collapsed: ``coverage``, ``recall``, ``duplicates`` in [0, 1].

    Coverage is the share of real pictures whose surroundings hold a drawn one, recall the share
    of real ones inside the surroundings of a drawn one; both are near 0 for a collapsed crowd and
    near 1 for a good one of the same size. Duplicates are the other way round.

    Args:
        real: ``(N, 3, H, W)`` in [-1, 1].
        drawn: ``(M, 3, H, W)`` in [-1, 1]; comparable only for the same N and M.

    Raises:
        DataError: there are fewer than six pictures of a kind, or a number is not finite.
    """
    if not bool(torch.isfinite(drawn).all()):
        raise DataError("a drawn picture holds numbers that are not finite")
    true, made = small_mosaic(real).cpu(), small_mosaic(drawn).cpu()
    found = neighbourhood(crowd(true), crowd(made))
    return {
        "coverage": found["coverage"],
        "recall": found["recall"],
        "duplicates": duplicate_rate(true, made),
    }
