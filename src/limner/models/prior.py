"""The VAE's prior: a mixture over the latent grid, given a condition."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from limner.models.vae import VAEConfig

_LEAST_DEVIATION = 0.02
"""Least deviation where the posterior has no fixed one."""


class Mixture(NamedTuple):
    """p(latent | text, style) as M components.

    Attributes:
        means: ``(B, M, C, G, G)``.
        deviation: ``(B, C, 1, 1)``, shared by the components.
        logits: ``(B, M)`` of the components' chances.
    """

    means: Tensor
    deviation: Tensor
    logits: Tensor

    def component(self, which: Tensor) -> Tensor:
        """The means of one component each, ``(B,)`` int64 to ``(B, C, G, G)``."""
        return self.means[torch.arange(len(which), device=which.device), which]


class Prior(nn.Module):
    """A condition to the mixture that its text leaves open."""

    def __init__(self, config: VAEConfig, width_in: int) -> None:
        super().__init__()
        width, self.shape = config.prior_width, (config.latent_channels, config.grid, config.grid)
        rank = config.mode_rank
        known = config.bottleneck == "kl" and config.posterior == "fixed"
        self.floor = config.latent_noise if known else _LEAST_DEVIATION
        self.modes = config.modes
        self.inp = nn.Linear(width_in, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(),
                nn.Linear(2 * width, width),
            )
            for _ in range(config.prior_depth)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.differ = nn.Linear(width, config.modes * rank)
        self.directions = nn.Parameter(0.1 * torch.randn(config.modes, rank, width))
        self.mean = nn.Linear(width, math.prod(self.shape))
        self.spread = nn.Linear(width, config.latent_channels)
        self.gate = nn.Linear(width, config.modes)
        for block in self.blocks:
            nn.init.zeros_(block[-1].weight)  # type: ignore[index]

    def forward(self, condition: Tensor) -> Mixture:
        """``(B, width_in)`` to a :class:`Mixture`."""
        h = self.inp(condition)  # (B, width)
        for block in self.blocks:
            h = h + block(h)
        h = self.norm(h)
        apart = F.silu(self.differ(h)).view(len(h), self.modes, -1)  # (B, M, rank)
        each = h[:, None] + torch.einsum("bmr,mrw->bmw", apart, self.directions)  # (B, M, width)
        # The posterior's own noise is the least that any text leaves open.
        deviation = self.floor + F.softplus(self.spread(h.detach()))
        return Mixture(
            self.mean(each).view(len(h), self.modes, *self.shape),
            deviation[:, :, None, None],
            self.gate(h.detach()),
        )
