"""Overlap of two sets of features as manifolds: precision, recall, density, coverage.

The manifold of a set is estimated as the union of balls, one around each feature vector, with the
distance to its k-th nearest neighbour in the same set as the radius. Kynkäänniemi
et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS 2019
(precision, recall); Naeem et al., Reliable Fidelity and Diversity Metrics
for Generative Models, ICML 2020 (density, coverage).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limner.errors import DataError

NEAREST = 3
"""k of precision and recall, as published."""
NEAREST_DENSE = 5
"""k of density and coverage, as published."""
_ROWS = 512


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances ``(N, M)`` float64 of ``(N, D)`` and ``(M, D)``.

    In double precision through the matrix product, which in single precision cannot tell near
    neighbours apart.
    """
    x, y = one.double(), other.double()
    square = x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * (x @ y.T)
    return square.clamp_min_(0).sqrt_()


@dataclass(frozen=True)
class Manifold:
    """Feature vectors and the radii of the balls around them.

    Attributes:
        features: ``(N, D)``.
        radii: k -> ``(N,)`` float64, distance to the k-th nearest other vector.
    """

    features: Tensor
    radii: dict[int, Tensor]


def manifold(features: Tensor) -> Manifold:
    """The manifold of ``(N, D)`` features, computed once and compared with many.

    Raises:
        DataError: there are fewer than six vectors.
    """
    if len(features) <= NEAREST_DENSE:
        raise DataError(f"{len(features)} pictures are too few; measure at least 6")
    found: dict[int, list[Tensor]] = {NEAREST: [], NEAREST_DENSE: []}
    for number, rows in enumerate(torch.split(features, _ROWS)):
        apart = distances(rows, features)
        # A picture is no neighbour of itself, and rounding must not put it elsewhere than first.
        own = torch.arange(len(rows))
        apart[own, own + number * _ROWS] = -1.0
        nearest = apart.topk(NEAREST_DENSE + 1, largest=False, sorted=True).values
        for k, radii in found.items():
            radii.append(nearest[:, k])
    return Manifold(features, {k: torch.cat(radii) for k, radii in found.items()})


@dataclass(frozen=True)
class ManifoldScores:
    """What each vector contributes to the four figures, which are their means.

    Attributes:
        precision: ``(M,)`` 1 where a drawn vector lies inside some real ball, else 0.
        recall: ``(N,)`` 1 where a real vector lies inside some drawn ball, else 0.
        density: ``(M,)`` number of real balls that hold a drawn vector, over k.
        coverage: ``(N,)`` 1 where a real ball holds some drawn vector, else 0.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor

    def means(self) -> dict[str, float]:
        """``precision``, ``recall``, ``density`` and ``coverage``."""
        return {name: value.double().mean().item() for name, value in vars(self).items()}


def manifold_scores(real: Manifold, drawn: Manifold) -> ManifoldScores:
    """Precision and recall (k = 3), density and coverage (k = 5), vector by vector."""
    near, dense = real.radii[NEAREST], real.radii[NEAREST_DENSE]
    reach = drawn.radii[NEAREST]
    precise = torch.zeros(len(drawn.features), dtype=torch.bool)
    held = torch.zeros(len(drawn.features), dtype=torch.float64)
    recalled, covered = [], []
    start = 0
    for rows in torch.split(real.features, _ROWS):
        apart = distances(rows, drawn.features)  # real x drawn
        mine = slice(start, start + len(rows))
        start += len(rows)
        precise |= (apart < near[mine, None]).any(0)
        recalled.append((apart < reach[None]).any(1))
        within = apart < dense[mine, None]
        held += within.sum(0)
        covered.append(within.any(1))
    return ManifoldScores(precise, torch.cat(recalled), held / NEAREST_DENSE, torch.cat(covered))
