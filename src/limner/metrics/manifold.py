"""How two crowds of features lie among each other: precision, recall, density, coverage.

Both crowds are taken as sets of balls, each reaching to its centre's k-th nearest neighbour in
the same crowd. Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative
Models, NeurIPS 2019 (precision, recall); Naeem et al., Reliable Fidelity and Diversity Metrics
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
class Crowd:
    """Features and how far each of them is from its neighbours.

    Attributes:
        features: ``(N, D)``.
        radii: k -> ``(N,)`` float64, distance to the k-th nearest other one.
    """

    features: Tensor
    radii: dict[int, Tensor]


def crowd(features: Tensor) -> Crowd:
    """Measure a crowd once, to be compared with many.

    Raises:
        DataError: it is too small to have neighbours.
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
    return Crowd(features, {k: torch.cat(radii) for k, radii in found.items()})


def neighbourhood(real: Crowd, drawn: Crowd) -> dict[str, float]:
    """``precision``, ``recall``, ``density`` and ``coverage``.

    Precision is the share of drawn pictures inside some real ball, recall the share of real ones
    inside some drawn ball; density counts by how many real balls (over k) a drawn picture is
    held, coverage the share of real balls that hold a drawn picture.
    """
    near, dense = real.radii[NEAREST], real.radii[NEAREST_DENSE]
    reach = drawn.radii[NEAREST]
    inside = torch.zeros(len(drawn.features), dtype=torch.bool)
    held, recalled, covered = 0, 0, 0
    start = 0
    for rows in torch.split(real.features, _ROWS):
        apart = distances(rows, drawn.features)  # real x drawn
        mine = slice(start, start + len(rows))
        start += len(rows)
        inside |= (apart < near[mine, None]).any(0)
        recalled += int((apart < reach[None]).any(1).sum())
        within = apart < dense[mine, None]
        held += int(within.sum())
        covered += int(within.any(1).sum())
    n, m = len(real.features), len(drawn.features)
    return {
        "precision": inside.double().mean().item(),
        "recall": recalled / n,
        "density": held / (NEAREST_DENSE * m),
        "coverage": covered / n,
    }
