"""Distances between two crowds of features: Fréchet's (FID) and the kernel distance (KID)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limner.errors import DataError

_ROWS = 1024
_COLUMNS = 256


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a crowd of features.

    Attributes:
        mean: ``(D,)`` float64.
        covariance: ``(D, D)`` float64, divided by N - 1.
        count: N.
    """

    mean: Tensor
    covariance: Tensor
    count: int

    @property
    def spread(self) -> float:
        """Trace of the covariance: half the mean squared distance of two of the crowd."""
        return self.covariance.trace().item()

    @cached_property
    def root(self) -> Tensor:
        """Symmetric square root of the covariance, ``(D, D)`` float64; worked out once."""
        values, vectors = torch.linalg.eigh(self.covariance)
        found: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        return found

    def with_root(self, root: Tensor) -> Gaussian:
        """The same, its root being known already."""
        same = Gaussian(self.mean, self.covariance, self.count)
        same.__dict__["root"] = root
        return same


class Moments:
    """Mean and covariance of a stream, updated part by part.

    Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, 1979, eq. 2.1, for vectors: nothing cancels, however far the mean is from zero.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Take in ``(B, D)`` features.

        Raises:
            DataError: they hold numbers that are not finite.
        """
        x = features.double()
        if not bool(torch.isfinite(x).all()):
            raise DataError("a picture's features are not finite; the model that drew it is broken")
        if not len(x):
            return
        mean = x.mean(0)
        scatter = _gram(x - mean)
        if not self.count:
            self._mean, self._scatter, self.count = mean, scatter, len(x)
            return
        total, step = self.count + len(x), mean - self._mean
        self._scatter += scatter + torch.outer(step, step) * (self.count * len(x) / total)
        self._mean = self._mean + step * (len(x) / total)
        self.count = total

    def gaussian(self) -> Gaussian:
        """What has been seen so far.

        Raises:
            DataError: fewer than two pictures.
        """
        if self.count < 2:
            raise DataError(f"{self.count} pictures have no covariance; measure at least two")
        return Gaussian(self._mean, self._scatter / (self.count - 1), self.count)


def gaussian_of(features: Tensor) -> Gaussian:
    """Mean and covariance of ``(N, D)`` features."""
    moments = Moments()
    for part in torch.split(features, 4 * _ROWS):
        moments.update(part)
    return moments.gaussian()


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """The squared Fréchet distance of two Gaussians; of Inception features it is called FID.

    Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, eq. 6:
    ``|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))``. The last trace is that of the square
    root of the symmetric ``C1^(1/2) C2 C1^(1/2)``, which has the same eigenvalues and, unlike a
    general matrix square root, cannot leave the real numbers.

    Args:
        one: the crowd that is compared with many, as its root is kept.
        other: the crowd it is compared with.
    """
    middle = one.root @ other.covariance @ one.root
    middle = (middle + middle.T) / 2
    shared = torch.linalg.eigvalsh(middle).clamp_min(0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return max(0.0, float(apart + one.spread + other.spread - 2 * shared))


def kernel_distance(one: Tensor, other: Tensor, degree: int = 3) -> float:
    """The unbiased squared maximum mean discrepancy with a polynomial kernel; called KID.

    Binkowski et al., Demystifying MMD GANs, ICLR 2018, eq. 4 with ``k(x, y) = (x.y / D + 1)^3``,
    over all pairs rather than over subsets; it may be a little below zero where the two crowds
    are alike.

    Args:
        one: ``(N, D)``.
        other: ``(M, D)``.
        degree: of the polynomial.

    Raises:
        DataError: fewer than two in one of them.
    """
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise DataError("a kernel distance needs at least two pictures on either side")

    def total(x: Tensor, y: Tensor) -> float:
        return sum(
            (rows @ y.double().T / x.shape[1] + 1).pow(degree).sum().item() for rows in _parts(x)
        )

    def itself(x: Tensor) -> float:
        return (x.double().square().sum(1) / x.shape[1] + 1).pow(degree).sum().item()

    inner = (total(one, one) - itself(one)) / (n * (n - 1))
    outer = (total(other, other) - itself(other)) / (m * (m - 1))
    return inner + outer - 2 * total(one, other) / (n * m)


def _gram(x: Tensor) -> Tensor:
    """``x^T x`` of ``(N, D)``, each block of columns against itself and the later ones only."""
    found = x.new_empty(x.shape[1], x.shape[1])
    for first in range(0, x.shape[1], _COLUMNS):
        last = first + _COLUMNS
        block = x[:, first:last].T @ x[:, first:]
        found[first:last, first:] = block
        found[first:, first:last] = block.T
    return found


def _parts(x: Tensor) -> Iterator[Tensor]:
    """Rows in double precision, a few at a time."""
    return (rows.double() for rows in torch.split(x, _ROWS))
