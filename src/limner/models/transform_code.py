"""Latents of many pictures in a few hundred bytes each: a transform code.

The latents are centred and turned into uncorrelated numbers by their principal axes; the stronger
an axis, the more bits its number gets (Huang and Schultheiss 1963; Gersho and Gray 1992, chapter
8), and each is rounded to the nearest of the levels that are best for so many bits (Lloyd 1957,
Max 1960).

Shape letters: N vectors, D their numbers, K axes kept, Y bytes of a vector.
"""

from __future__ import annotations

import heapq
import math

import torch
from torch import Tensor, nn

from limner.models.layers import principal_axes

_MOST_BITS = 8
_DISTORTION = (1.0, 0.3634, 0.1175, 0.03454, 0.009497, 0.002499, 0.000642, 0.000163, 0.000041)
"""Mean squared error of a number of variance one after b bits (Max 1960, table I)."""
_BITS_AN_AXIS = 2
"""Fewest bits an axis gets on average: with fewer, more axes than that are of no use."""
_SAMPLE, _LLOYD_STEPS = 200_000, 40
_AT_ONCE = 2048
_KNOWN_NOISE = 0.09
"""Variance of the error of known numbers, as a share of the mean variance of a number."""
_LEAST = 1e-9
"""Least variance of an axis that is used, as a share of the greatest."""


class TransformCode(nn.Module):
    """N vectors of D numbers, stored in Y bytes each.

    Args:
        count: N.
        dim: D.
        size: Y.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    bits: Tensor
    levels: Tensor
    codes: Tensor
    digits: Tensor
    places: Tensor
    starts: Tensor

    def __init__(self, count: int, dim: int, size: int) -> None:
        super().__init__()
        kept = min(dim, 8 * size // _BITS_AN_AXIS)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("axes", torch.zeros(kept, dim))
        self.register_buffer("scale", torch.zeros(kept))
        self.register_buffer("bits", torch.zeros(kept, dtype=torch.uint8))
        # Of b bits the levels begin at 2^b - 2.
        self.register_buffer("levels", torch.zeros(2 ** (_MOST_BITS + 1) - 2))
        self.register_buffer("codes", torch.zeros(count, size, dtype=torch.uint8))
        # Where the digits of each axis are among the bits of a vector, what each counts, and where
        # the axis's levels begin: all follow from the bits.
        self.register_buffer("digits", torch.zeros(kept, _MOST_BITS).long(), persistent=False)
        self.register_buffer("places", torch.zeros(kept, _MOST_BITS).long(), persistent=False)
        self.register_buffer("starts", torch.zeros(kept).long(), persistent=False)
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda module, _: module._lay_out()
        )

    def _lay_out(self) -> None:
        """Find where the digits of each axis are."""
        first = 0
        self.places.zero_()
        for bits, axes in self._groups():
            steps = torch.arange(bits, device=axes.device)
            rows = torch.arange(len(axes), device=axes.device)[:, None] * bits
            self.digits[axes, :bits] = first + rows + steps
            self.places[axes, :bits] = 1 << steps
            self.starts[axes] = _codebook(bits).start
            first += bits * len(axes)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Choose axes, bits and levels for ``(N, D)`` vectors, and store them."""
        mean, variances, axes = principal_axes(vectors)
        kept = len(self.axes)
        variances = variances[:kept]
        # What rounding leaves on an axis that no vector uses would spoil the levels of the others.
        variances = torch.where(variances > _LEAST * variances[0], variances, 0.0)
        self.mean.copy_(mean)
        self.axes.copy_(axes[:, :kept].T)
        self.scale.copy_(variances.sqrt().clamp_min(1e-6))
        self.bits.copy_(_allocate(variances.tolist(), 8 * self.codes.shape[1]))
        self._lay_out()
        numbers = torch.cat([self.coordinates(chunk) for chunk in torch.split(vectors, _AT_ONCE)])
        for bits in range(1, _MOST_BITS + 1):
            found = numbers[:, self.bits == bits].flatten()
            if len(found):
                step = math.ceil(len(found) / _SAMPLE)
                self.levels[_codebook(bits)] = _lloyd(found[::step], 2**bits)
        self.put(0, vectors)

    @torch.no_grad()
    def put(self, first: int, vectors: Tensor) -> None:
        """Store ``(B, D)`` vectors in the rows from ``first`` on."""
        for chunk in torch.split(vectors, _AT_ONCE):
            self.codes[first : first + len(chunk)] = self._packed(self.coordinates(chunk))
            first += len(chunk)

    def coordinates(self, vectors: Tensor) -> Tensor:
        """``(B, D)`` to ``(B, K)`` on the principal axes, of variance one among those stored."""
        return (vectors - self.mean) @ self.axes.T / self.scale

    def vectors(self, coordinates: Tensor) -> Tensor:
        """``(B, K)`` back to ``(B, D)``, as good as the axes that are kept; differentiable."""
        return (coordinates * self.scale) @ self.axes + self.mean

    def rounded(self, vectors: Tensor) -> Tensor:
        """``(B, D)`` vectors as they would come back if they were stored."""
        numbers = self.coordinates(vectors)
        found = torch.zeros_like(numbers)
        for bits, axes in self._groups():
            places = self._nearest_levels(numbers[:, axes], bits)
            found[:, axes] = self.levels[_codebook(bits)][places]
        return self.vectors(found)

    def likeliest(self, vector: Tensor, known: Tensor) -> Tensor:
        """The likeliest coordinates ``(K,)`` of a vector of which some numbers are known.

        The stored vectors are taken for samples of a Gaussian, and what is known for noisy: the
        conditional mean of linear regression (Bishop 2006, "Pattern Recognition and Machine
        Learning", eq. 2.116), w = B' (B B' + s^2 I)^-1 (x - m), B the scaled axes of what is known.

        Args:
            vector: ``(D,)``.
            known: ``(D,)`` bool.
        """
        scaled = (self.axes * self.scale[:, None]).T[known]  # (N, K)
        noise = _KNOWN_NOISE * self.scale.square().sum() / len(self.mean)
        covariance = scaled @ scaled.T + noise * torch.eye(len(scaled), device=scaled.device)
        error = (vector - self.mean)[known]
        found: Tensor = scaled.T @ torch.linalg.solve(covariance, error)
        return found

    def _groups(self) -> list[tuple[int, Tensor]]:
        """Each number of bits, and the axes that have as many."""
        return [
            (bits, (self.bits == bits).nonzero()[:, 0])
            for bits in sorted(set(self.bits.tolist()) - {0}, reverse=True)
        ]

    def _nearest_levels(self, numbers: Tensor, bits: int) -> Tensor:
        """Of numbers on axes of so many bits the levels nearest to them, int64, same shape."""
        levels = self.levels[_codebook(bits)]
        return torch.bucketize(numbers.contiguous(), (levels[1:] + levels[:-1]) / 2)

    def _packed(self, numbers: Tensor) -> Tensor:
        """``(B, K)`` to ``(B, Y)`` uint8: the bits of the axes with most bits come first."""
        parts = []
        for bits, axes in self._groups():
            places = self._nearest_levels(numbers[:, axes], bits)
            shifts = torch.arange(bits, device=places.device)
            parts.append(((places[..., None] >> shifts) & 1).flatten(1))
        size = self.codes.shape[1]
        digits = torch.cat(parts, 1) if parts else numbers.new_zeros(len(numbers), 0).long()
        digits = nn.functional.pad(digits, (0, 8 * size - digits.shape[1])).view(-1, size, 8)
        return (digits << torch.arange(8, device=digits.device)).sum(2).to(torch.uint8)

    def forward(self, rows: Tensor) -> Tensor:
        """The stored vectors ``(B, D)`` float32 of ``(B,)`` int64 rows; each on its own."""
        codes = self.codes[rows].long()  # (B, Y)
        digits = ((codes[..., None] >> torch.arange(8, device=codes.device)) & 1).flatten(1)
        places = (digits[:, self.digits] * self.places).sum(2) + self.starts  # (B, K)
        numbers = torch.where(self.bits > 0, self.levels[places], 0.0)
        return torch.stack([(row * self.scale) @ self.axes for row in numbers]) + self.mean


def _codebook(bits: int) -> slice:
    return slice(2**bits - 2, 2 ** (bits + 1) - 2)


def _allocate(variances: list[float], budget: int) -> Tensor:
    """Bits of each axis: one after another goes to where it takes away the most error."""
    bits = [0] * len(variances)

    def gain(axis: int) -> float:
        return variances[axis] * (_DISTORTION[bits[axis]] - _DISTORTION[bits[axis] + 1])

    queue = [(-gain(axis), axis) for axis in range(len(variances))]
    heapq.heapify(queue)
    for _ in range(budget):
        if not queue or queue[0][0] == 0:
            break
        _, axis = heapq.heappop(queue)
        bits[axis] += 1
        if bits[axis] < _MOST_BITS:
            heapq.heappush(queue, (-gain(axis), axis))
    return torch.tensor(bits, dtype=torch.uint8)


def _lloyd(values: Tensor, count: int) -> Tensor:
    """The levels, ``(count,)`` ascending, of least squared error on ``(N,)`` values."""
    values = values.double().cpu().sort().values
    levels = torch.quantile(values[:: math.ceil(len(values) / 16_384)], _middles(count))
    for _ in range(_LLOYD_STEPS):
        places = torch.bucketize(values, (levels[1:] + levels[:-1]) / 2)
        totals = torch.zeros(count, dtype=torch.float64).index_add_(0, places, values)
        counts = torch.bincount(places, minlength=count)
        levels = torch.where(counts > 0, totals / counts.clamp_min(1), levels)
    return levels.sort().values.float()


def _middles(count: int) -> Tensor:
    """Quantiles from which the levels start."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
