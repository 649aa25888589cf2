"""Distances between two sets of features: the Fréchet distance (FID) and kernel distance (KID)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from limner.errors import DataError
from limner.metrics.base import Stream
from limner.metrics.features import FeatureNetwork
from limner.metrics.intervals import bootstrap_weights

_ROWS = 1024
_COLUMNS = 256


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of N feature vectors.

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
        """Trace of the covariance: half the mean squared distance of two of the vectors."""
        return self.covariance.trace().item()

    @cached_property
    def root(self) -> Tensor:
        """Symmetric square root of the covariance, ``(D, D)`` float64; worked out once."""
        values, vectors = torch.linalg.eigh(self.covariance)
        found: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        return found

    def with_root(self, root: Tensor) -> Gaussian:
        """The same, its root being known already."""
        same = replace(self)
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
        """Mean and covariance of everything taken in so far.

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
        one: the one that is compared with many, as its root is kept.
        other: the one it is compared with.
    """
    middle = one.root @ other.covariance @ one.root
    middle = (middle + middle.T) / 2
    shared = torch.linalg.eigvalsh(middle).clamp_min(0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return max(0.0, float(apart + one.spread + other.spread - 2 * shared))


def frechet_replicates(real: Gaussian, features: Tensor, replicates: int = 50) -> list[float]:
    """Fréchet distances of bootstrap resamples of drawn features, for their standard error.

    Args:
        real: of the real pictures.
        features: ``(N, D)`` of the drawn pictures.
        replicates: resamples; each costs a covariance and a decomposition of ``(D, D)``.
    """
    x = features.double() - real.mean  # N D
    n, length = len(x), x.square().sum(1)
    turned = x @ real.root  # the same rows as in the middle of frechet_distance's product
    found = []
    for weight in bootstrap_weights(n, replicates):
        mean = weight @ x / n
        rows = (turned - weight @ turned / n) * weight.sqrt()[:, None]
        # The nonzero eigenvalues of both products are the same; the smaller one is quicker.
        middle = rows.T @ rows if n >= x.shape[1] else rows @ rows.T
        shared = torch.linalg.eigvalsh(middle / (n - 1)).clamp_min(0).sqrt().sum()
        apart = mean.square().sum()
        spread = (weight @ length - n * apart) / (n - 1)
        found.append((apart + real.spread + spread - 2 * shared).item())
    return found


@dataclass(frozen=True)
class KernelSums:
    """Sums of kernel values from which the kernel distance and its parts per vector follow.

    Attributes:
        own: ``(N,)`` mean kernel value of each vector with the others of its set.
        across: ``(N,)`` mean kernel value of each vector with the other set.
        other: mean kernel value of two vectors of the other set.
    """

    own: Tensor
    across: Tensor
    other: float

    @property
    def distance(self) -> float:
        """The unbiased squared distance."""
        return (self.own.mean() - 2 * self.across.mean()).item() + self.other

    @property
    def influence(self) -> Tensor:
        """``(N,)`` values whose mean is the distance and whose spread is its first-order spread.

        Twice the witness function (Gretton et al., A Kernel Two-Sample Test, JMLR 2012, section
        2.3) up to a constant: large where a vector lies in a region that the other set avoids.
        """
        witness = self.own - self.across
        return 2 * (witness - witness.mean()) + self.distance


def kernel_sums(one: Tensor, other: Tensor) -> KernelSums:
    """Kernel values ``k(x, y) = (x.y / D + 1)^3`` of ``(N, D)`` and ``(M, D)`` features.

    Raises:
        DataError: fewer than two in one of them.
    """
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise DataError("a kernel distance needs at least two pictures on either side")

    def sums(x: Tensor, y: Tensor) -> Tensor:
        columns = y.double().T
        parts = (part.double() @ columns for part in torch.split(x, _ROWS))
        return torch.cat([(part / x.shape[1] + 1).pow(3).sum(1) for part in parts])

    def itself(x: Tensor) -> Tensor:
        return (x.double().square().sum(1) / x.shape[1] + 1).pow(3)

    inner = (sums(one, one) - itself(one)) / (n - 1)
    outer = ((sums(other, other) - itself(other)).sum() / (m * (m - 1))).item()
    return KernelSums(inner, sums(one, other) / m, outer)


def kernel_distance(one: Tensor, other: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy with a polynomial kernel; called KID.

    Binkowski et al., Demystifying MMD GANs, ICLR 2018, eq. 4 with ``k(x, y) = (x.y / D + 1)^3``,
    over all pairs of ``(N, D)`` and ``(M, D)`` rather than over subsets; it may be a little below
    zero where the two sets are alike.

    Raises:
        DataError: fewer than two in one of them.
    """
    return kernel_sums(one, other).distance


class FrechetScore(Stream):
    """FID over a stream of pictures, in constant memory.

    Args:
        real: of the real pictures' features.
        network: the one they were extracted with.
    """

    def __init__(self, real: Gaussian, network: FeatureNetwork) -> None:
        self.real, self.network = real, network
        self._moments = Moments()

    def _take(self, images: Tensor, captions: Sequence[str]) -> None:
        self._moments.update(self.network.extract(images).features)

    def compute(self) -> dict[str, float]:
        """``fid`` and ``count``, of two pictures or more."""
        drawn = self._moments.gaussian()
        return {"fid": frechet_distance(self.real, drawn), "count": float(drawn.count)}


def _gram(x: Tensor) -> Tensor:
    """``x^T x`` of ``(N, D)``, each block of columns against itself and the later ones only."""
    found = x.new_empty(x.shape[1], x.shape[1])
    for first in range(0, x.shape[1], _COLUMNS):
        last = first + _COLUMNS
        block = x[:, first:last].T @ x[:, first:]
        found[first:last, first:] = block
        found[first:, first:last] = block.T
    return found
