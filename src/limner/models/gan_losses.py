"""Losses of the GAN family: the relativistic loss, gradient penalties, mismatched captions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.models.gan_bodies import input_gradients_only
from limner.models.layers import unequal

_SAME = 0.95
"""Cosine of whitened captions from which two rows count as the same text."""
_COARSE = 4
"""Pixels that are averaged before pictures are compared: noise is not variety."""
_MEMORY = 0.02
"""Weight of a batch in the running mean of how far real pictures are apart."""


def relativistic(better: Tensor, worse: Tensor) -> Tensor:
    """Mean of softplus(-(better - worse)) over ``(B,)`` scores (R3GAN, eq. 2)."""
    return F.softplus(worse - better).mean()


def gradient_penalty(images: Tensor, scores: Tensor) -> Tensor:
    """|grad_x D(x)|^2 of each picture, ``(B,)``, differentiable: R1 of real ones, R2 of drawn ones.

    Zero-centred (Mescheder et al. 2018, eq. 9; Roth et al. 2017). The pictures ask for gradients,
    and no score ``(B,)`` depends on another picture.
    """
    with input_gradients_only():
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def mismatches(
    pooled: Tensor, captions: Sequence[str], generator: torch.Generator, alike: float
) -> tuple[Tensor, Tensor]:
    """For each of B captions the row of one with another meaning.

    The batch is rolled by a random number of rows, and on from there until the caption is another
    and its vector points elsewhere, so that neither a repeated caption nor a synonym is wrong.

    Args:
        pooled: ``(B, R)`` whitened text vectors.
        captions: B texts, or none.
        generator: decides by how much is rolled.
        alike: cosine from which two captions count as synonyms.

    Returns:
        ``(B,)`` int64 rows, and ``(B,)`` bool, false where every row means the same.
    """
    count, device = len(pooled), pooled.device
    start = torch.randint(max(1, count - 1), (1,), generator=generator, device=device)
    if count == 1:
        return torch.zeros(1, dtype=torch.int64, device=device), torch.zeros(1, device=device) > 0
    unit = F.normalize(pooled.float(), dim=1)
    other = unit @ unit.T < alike  # (B, B)
    if captions:
        other &= unequal(captions, device)
    rows = torch.arange(count, device=device)
    step = 1 + (start + rows[:-1]) % (count - 1)  # (B-1,) in 1..B-1
    tried = (rows[:, None] + step) % count  # (B, B-1)
    allowed = other.gather(1, tried)
    first = allowed.int().argmax(1, keepdim=True)
    return tried.gather(1, first).squeeze(1), allowed.any(1)


def coarse_distance(one: Tensor, other: Tensor) -> Tensor:
    """Distance of pictures at low resolution: twice ``(B, 3, S, S)`` to ``(B, 2)``.

    The mean absolute difference of the pictures as they are, and of the same pictures with mean 0
    and deviation 1, so that a lighter copy is not another picture.
    """
    step = min(_COARSE, one.shape[-1])
    seen = [F.avg_pool2d(x, step).flatten(1) for x in (one, other)]  # (B, 3GG)
    shapes = [x - x.mean(1, keepdim=True) for x in seen]
    shapes = [x / (x.square().mean(1, keepdim=True) + 1e-4).sqrt() for x in shapes]
    pairs = ((seen[0], seen[1]), (shapes[0], shapes[1]))
    return torch.stack([(x - y).abs().mean(1) for x, y in pairs], 1)


@torch.no_grad()
def update_spread(spread: Tensor, images: Tensor, pooled: Tensor, styles: Tensor) -> None:
    """Update the mean distance of real pictures of the same words and style, in place.

    Args:
        spread: ``(2,)``, running means of :func:`coarse_distance`, 0 at first; unchanged where the
            batch has no two rows of the same words.
        images: ``(B, 3, S, S)``.
        pooled: ``(B, R)`` whitened text vectors.
        styles: ``(B,)`` int64.
    """
    unit = F.normalize(pooled.float(), dim=1)
    same = (unit @ unit.T > _SAME) & (styles[:, None] == styles)  # (B, B)
    same = same.fill_diagonal_(False)
    known = same.any(1)  # (B,)
    partner = same.int().argmax(1)
    found = coarse_distance(images, images[partner]) * known[:, None]  # (B, 2)
    mean = found.sum(0) / known.sum().clamp_min(1)
    moved = torch.where(spread > 0, torch.lerp(spread, mean, _MEMORY), mean)
    spread.copy_(torch.where(known.any(), moved, spread))


def diversity_loss(one: Tensor, other: Tensor, spread: Tensor) -> Tensor:
    """How much closer than ``spread`` two pictures of the same words are: relu(1 - d / spread).

    The hinge of diversity-sensitive conditional GANs (Yang et al. 2019, arXiv:1901.09024, eq. 3),
    with its bound measured on the real pictures.

    Args:
        one: ``(B, 3, S, S)`` drawn from some noise.
        other: the same from other noise.
        spread: ``(2,)``, of :func:`update_spread`; where it is 0 the loss is 0.

    Returns:
        A scalar in [0, 1].
    """
    short = 1 - coarse_distance(one, other).mean(0) / spread.clamp_min(1e-6)  # (2,)
    return (F.relu(short) * (spread > 0)).mean()
