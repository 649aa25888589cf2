"""Mode collapse: duplicates among drawn pictures, and real pictures that nothing drawn resembles.

A cheap fixed feature, the mean colours of an 8 x 8 grid, is enough to detect that a model draws the
same few pictures again and again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limner.metrics.base import check_finite
from limner.metrics.manifold import distances, manifold, manifold_scores
from limner.metrics.memorisation import mosaic

QUANTILE = 0.01
"""Share of real pictures that count as duplicates of each other by definition."""
MOSAIC = 8
"""Fields along a side of the grid."""
_ROWS = 1024


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
    """Share of drawn vectors with a duplicate: another drawn one, nearer than real ones come.

    Args:
        real: ``(N, D)``.
        drawn: ``(M, D)``; with M = N, drawn vectors as varied as the real ones have a rate of
            ``quantile``.
        quantile: share of the real vectors below the distance that counts as a duplicate.

    Returns:
        In [0, 1]. Vectors that are equal up to rounding count even where real ones are equal.
    """
    apart = nearest_other(real)
    # Rounding of the distances: equal pictures must count whatever the real ones are like.
    least = 1e-6 * (1 + drawn.double().square().sum(1).amax().sqrt().item())
    threshold = max(torch.quantile(apart, quantile).item(), least)
    return (nearest_other(drawn) < threshold).double().mean().item()


def collapse(real: Tensor, drawn: Tensor) -> dict[str, float]:
    """``coverage``, ``recall`` and ``duplicates`` of drawn pictures, each in [0, 1].

    Coverage and recall (:mod:`limner.metrics.manifold`) are near 0 for a collapsed model and near
    1 for a good one; the duplicate rate (:func:`duplicate_rate`) is the other way round.

    Args:
        real: ``(N, 3, H, W)`` in [-1, 1].
        drawn: ``(M, 3, H, W)`` in [-1, 1]; comparable only for the same N and M.

    Raises:
        DataError: there are fewer than six pictures of a kind, or a number is not finite.
    """
    check_finite(drawn)
    true, made = mosaic(real, MOSAIC).cpu(), mosaic(drawn, MOSAIC).cpu()
    found = manifold_scores(manifold(true), manifold(made)).means()
    return {
        "coverage": found["coverage"],
        "recall": found["recall"],
        "duplicates": duplicate_rate(true, made),
    }
