"""What a text says of latents: the VAE's reader of words and its mixture over the grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.autoencoder import normal_like
from limner.models.fusion import Fusion
from limner.models.layers import TextWhitening, fit_whitenings, whitened
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures

if TYPE_CHECKING:
    from limner.models.vae import VAEConfig

_LEAST_DEVIATION = 0.02
"""Where the posterior does not say how sure a latent can be."""


class TextReader(nn.Module):
    """Text features and a style to one vector: pooled, attention reads of the tokens, style."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        rank = config.text_rank
        self.pooled = TextWhitening(config.text_dim, rank)
        self.tokens = TextWhitening(config.text_dim, rank)
        self.style = nn.Embedding(len(config.styles) + 1, 64)  # the last row: style unknown
        self.queries = nn.Parameter(torch.randn(config.queries, rank) / math.sqrt(rank))
        self.key = nn.Linear(rank, rank, bias=False)
        self.width = rank * (1 + config.queries) + 64
        self.noise = config.text_noise
        self.max_tokens = config.max_tokens
        self.fusion = Fusion(rank, config.fusion)

    def fit(self, text: TextFeatures) -> None:
        """Fit both whitenings to the features of (a sample of) the training captions."""
        fit_whitenings(text, self.pooled, self.tokens)

    def forward(
        self,
        text: TextFeatures,
        styles: Tensor,
        generator: torch.Generator | None = None,
        picture: ImageFeatures | None = None,
    ) -> Tensor:
        """``(B, width)``; with a generator, text vectors are blurred as they are in training.

        The reads are softmax(q K^T / sqrt(R)) V over a text's own tokens (Vaswani et al. 2017,
        eq. 1) with learned queries and the whitened tokens themselves as values.
        """
        text = whitened(text.padded(self.max_tokens), self.pooled, self.tokens)
        text = self.fusion(text, picture, generator)
        pooled, tokens = text.pooled, text.tokens  # (B, R), (B, L, R)
        if generator is not None and self.noise:
            pooled = pooled + self.noise * normal_like(pooled, generator)
            tokens = tokens + self.noise * normal_like(tokens, generator)
        parts = [pooled]
        if len(self.queries):
            scores = self.key(tokens) @ self.queries.T / math.sqrt(tokens.shape[-1])  # (B, L, Q)
            scores = scores.masked_fill(~text.mask.unsqueeze(-1), -math.inf)
            reads = scores.softmax(1).transpose(1, 2) @ tokens  # (B, Q, R)
            parts.append(reads.flatten(1))
        index = torch.where(styles < 0, len(self.style.weight) - 1, styles)
        return torch.cat([*parts, self.style(index)], 1)


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
