"""Distances of two pictures: of their pixels, and of a network's feature maps.

The perceptual distance is that of Zhang et al., The Unreasonable Effectiveness of Deep Features
as a Perceptual Metric, CVPR 2018 (LPIPS), eq. 1, over the layers of any network that is handed in.
Without the weights its authors fitted to human judgements it is no LPIPS: figures compare only
inside one network, whose hash every report names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Layers = Callable[[Tensor], Sequence[Tensor]]
"""``(B, 3, H, W)`` pictures in [-1, 1] to L maps ``(B, C_l, H_l, W_l)``."""
_LEAST = 1e-8  # under the root of a length, as in LPIPS: a map of zeros has no direction


@runtime_checkable
class Layered(Protocol):
    """A feature network whose feature maps can be had."""

    def layers(self, images: Tensor) -> list[Tensor]:
        """Maps ``(B, C_l, H_l, W_l)`` of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        ...


def mse(drawn: Tensor, real: Tensor) -> Tensor:
    """Mean squared error of each picture, ``(B,)``, in squares of the range [-1, 1].

    Args:
        drawn: ``(B, 3, H, W)``.
        real: the same.
    """
    return (drawn - real).square().mean((1, 2, 3))


def perceptual_distance(
    drawn: Tensor, real: Tensor, layers: Layers, weights: Sequence[Tensor] | None = None
) -> Tensor:
    """``sum_l mean_hw |w_l * (a_l / |a_l| - b_l / |b_l|)|^2`` (eq. 1), ``(B,)``, 0 for equals.

    Args:
        drawn: ``(B, 3, H, W)`` in [-1, 1].
        real: the same.
        layers: the network; lengths are over its channels.
        weights: w_l squared, ``(C_l,)`` each, as LPIPS stores them; None for ones.

    Raises:
        ValueError: another number of weights than layers.
    """
    both = layers(torch.cat([drawn, real]))
    if weights is not None and len(weights) != len(both):
        raise ValueError(f"{len(weights)} weights for {len(both)} layers")
    total = torch.zeros(len(drawn), device=drawn.device)
    for number, maps in enumerate(both):
        unit = maps / (maps.square().sum(1, keepdim=True) + _LEAST).sqrt()
        apart = (unit[: len(drawn)] - unit[len(drawn) :]).square()  # B C h w
        if weights is not None:
            apart = apart * weights[number].to(apart)[:, None, None]
        total = total + apart.sum(1).mean((1, 2))
    return total
