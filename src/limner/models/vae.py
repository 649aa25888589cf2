"""One-shot text-conditional variational autoencoder: words -> latent -> picture in one pass.

An encoder reads a picture into a small grid of latents, a decoder draws it again, and a prior
learns which latents a text means (Kingma and Welling 2013, arXiv:1312.6114; conditional form with
a learned prior: Sohn, Lee and Yan 2015). Drawing is one pass of the prior and one of the decoder.

Learning has three stages, entered by the share of the run's budget that is spent:

1. *autoencode*: encoder and decoder learn to reproduce pictures from noisy latents;
2. *prior*: both rest, and the prior learns p(latent | text, style), at a small part of the price;
3. *joint*: prior and decoder learn together, words to pixels, which regresses what the prior
   missed and sharpens what the decoder blurred.

What a text leaves open, the seed decides: the prior is a mixture, so that *fruit* is one fruit or
another and not the average of all, and each of its components has a variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import (
    Batch,
    Capability,
    ImageModel,
    ModelConfig,
    SampleRequest,
    image_noise,
    register,
)
from limner.models.layers import TextWhitening, choose_styles, rms_norm
from limner.text.base import TextFeatures

Stage = Literal["autoencode", "prior", "joint"]
Width = Annotated[int, Field(ge=4, le=4096)]
_CACHE_LIMIT = 200_000
"""Pictures whose latents are remembered while the encoder rests (1,024 floats each: 0.8 GB)."""
_MODE_STREAM = 2


class VAEConfig(ModelConfig):
    """Shape and schedule of the one-shot family. The defaults make the shipped model."""

    decoder: tuple[Width, ...] = Field(
        (192, 96, 48),
        min_length=1,
        max_length=6,
        description="channels from the latent grid upwards; each level doubles the side",
    )
    encoder: tuple[Width, Width] = Field((96, 192), description="channels at twice the grid, at it")
    blocks: int = Field(2, ge=1, le=8, description="residual blocks in each level")
    latent_channels: int = Field(16, ge=1, le=256)
    latent_noise: float = Field(0.3, gt=0, le=1, description="posterior standard deviation")
    text_rank: int = Field(256, ge=1, description="whitened dimensions kept of each text vector")
    text_noise: float = Field(0.3, ge=0, description="noise on text vectors while learning")
    queries: int = Field(4, ge=0, le=64, description="attention reads of the tokens")
    max_tokens: int = Field(12, ge=1, le=256)
    prior_width: int = Field(768, ge=16)
    prior_depth: int = Field(3, ge=1, le=32)
    autoencode: float = Field(0.4, ge=0, le=1, description="share of the budget in stage 1")
    prior: float = Field(0.25, ge=0, le=1, description="share of the budget in stage 2")
    modes: int = Field(4, ge=1, le=64, description="components of the prior")
    mode_rank: int = Field(64, ge=1, description="numbers by which components differ")
    mode_share: float = Field(0.1, ge=0, lt=1, description="of a target for the modes not nearest")
    temperature: float = Field(0.3, ge=0, le=2, description="of a component when drawing")
    mode_temperature: float = Field(0.7, ge=0, le=2, description="of the choice of a component")

    @model_validator(mode="after")
    def _fits(self) -> VAEConfig:
        if self.size % self.stride:
            raise ValueError(
                f"size {self.size} is not a multiple of {self.stride}, which "
                f"{len(self.decoder)} decoder levels need"
            )
        if self.autoencode + self.prior > 1:
            raise ValueError("'autoencode' and 'prior' are shares of one budget: at most 1 in sum")
        if self.text_rank > self.text_dim:
            raise ValueError(f"'text_rank' is {self.text_rank}, more than text_dim {self.text_dim}")
        return self

    @property
    def stride(self) -> int:
        """Pixels along one side of a latent cell."""
        return int(2 ** len(self.decoder))

    @property
    def grid(self) -> int:
        """Latent cells along one side of a picture."""
        return self.size // self.stride

    @classmethod
    def tiny(cls, text_dim: int = 8, styles: tuple[str, ...] = ()) -> VAEConfig:
        """The smallest configuration that still has every part; for tests."""
        return cls(
            size=16, text_dim=text_dim, styles=styles, decoder=(8, 4), encoder=(4, 8), blocks=1,
            latent_channels=4, text_rank=min(4, text_dim), queries=2, max_tokens=4,
            prior_width=16, prior_depth=1, modes=2, mode_rank=4,
        )  # fmt: skip


class ChannelNorm(nn.Module):
    """Divide each pixel by the root mean square of its channels, then scale each channel.

    Independent of every other pixel and picture, so a picture's bits never depend on its batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same."""
        return x * (torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)) * self.gain


class ResidualBlock(nn.Module):
    """x + 1x1(silu(3x3(norm(x)))), the last convolution starting at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same."""
        return x + self.out(F.silu(self.mix(self.norm(x))))  # type: ignore[no-any-return]


def _level(channels: int, blocks: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(blocks)]


def build_encoder(config: VAEConfig) -> nn.Sequential:
    """Picture ``(B, 3, S, S)`` to latent means ``(B, C, G, G)``."""
    fine, coarse = config.encoder
    patch = config.stride // 2
    return nn.Sequential(
        nn.PixelUnshuffle(patch),  # (B, 3*patch^2, 2G, 2G)
        nn.Conv2d(3 * patch * patch, fine, 3, padding=1),
        *_level(fine, config.blocks),  # (B, fine, 2G, 2G)
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * fine, coarse, 1),
        *_level(coarse, 1),  # (B, coarse, G, G)
        ChannelNorm(coarse),
        nn.Conv2d(coarse, config.latent_channels, 1),
    )


def build_decoder(config: VAEConfig) -> nn.Sequential:
    """Latents ``(B, C, G, G)`` to a picture ``(B, 3, S, S)``, unbounded."""
    widths = config.decoder
    parts: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)]
    for level, width in enumerate(widths):
        if level:
            parts += [nn.Conv2d(widths[level - 1], 4 * width, 1), nn.PixelShuffle(2)]
        parts += _level(width, config.blocks)  # (B, width, G*2^level, ...)
    last = nn.Conv2d(widths[-1], 12, 3, padding=1)
    return nn.Sequential(*parts, ChannelNorm(widths[-1]), nn.SiLU(), last, nn.PixelShuffle(2))


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

    def forward(
        self, text: TextFeatures, styles: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """``(B, width)``; with a generator, text vectors are blurred as they are in training.

        The reads are softmax(q K^T / sqrt(R)) V over a text's own tokens (Vaswani et al. 2017,
        eq. 1) with learned queries and the whitened tokens themselves as values.
        """
        text = text.padded(self.max_tokens)
        # Unit length per number: a text far from all captions must not shout.
        pooled = rms_norm(self.pooled(text.pooled))  # (B, R)
        tokens = rms_norm(self.tokens(text.tokens)) * text.mask.unsqueeze(-1)  # (B, L, R)
        if generator is not None and self.noise:
            pooled = pooled + self.noise * _normal(pooled, generator)
            tokens = tokens + self.noise * _normal(tokens, generator)
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
        self.floor, rank = config.latent_noise, config.mode_rank
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


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)


def pyramid_loss(drawn: Tensor, real: Tensor, levels: int = 4) -> Tensor:
    """Mean absolute error, summed over the picture and its halvings.

    The coarse terms settle colour and layout while the fine one is still far off.
    """
    total = (drawn - real).abs().mean()
    for _ in range(levels - 1):
        if drawn.shape[-1] % 2:
            break
        drawn, real = F.avg_pool2d(drawn, 2), F.avg_pool2d(real, 2)
        total = total + (drawn - real).abs().mean()
    return total


def edge_loss(drawn: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error of the first differences (Mathieu et al. 2015, eq. 6, alpha = 1)."""
    error = drawn - real
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@register("vae", VAEConfig)
class VAE(ImageModel):
    """Words to picture in one pass; reconstructs pictures too."""

    capabilities = frozenset(
        {Capability.GENERATE, Capability.STYLE, Capability.RECONSTRUCT, Capability.VARY}
    )
    staged_losses = frozenset({"pixels", "edges", "kl", "prior", "gate", "spread"})
    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config)
        self.decoder = build_decoder(config)
        self.reader = TextReader(config)
        self.prior = Prior(config, self.reader.width)
        self._known: dict[int, Tensor] = {}

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitening of sentence and token vectors."""
        self.reader.pooled.fit(text.pooled)
        self.reader.tokens.fit(text.tokens[text.mask])

    def stage(self, progress: float) -> Stage:
        """Which stage a run is in when ``progress`` of its budget is spent."""
        if progress < self.config.autoencode:
            return "autoencode"
        return "prior" if progress < self.config.autoencode + self.config.prior else "joint"

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """The stage's losses, unweighted.

        * autoencode: ``pixels``, ``edges`` of the reconstruction, and ``kl`` of the posterior
          N(mean, latent_noise^2) from N(0, 1) per latent number, its constants left out;
        * prior: ``prior`` (squared error of the component nearest to the posterior mean, in
          posterior variances, with a small share of the others' so that none dies: relaxed
          winner-takes-all, Rupprecht et al. 2017, eq. 6), ``gate`` (cross-entropy of the
          components' chances with the nearest) and ``spread`` (negative log-likelihood of the
          deviation around that component as it is);
        * joint: these, and ``pixels`` and ``edges`` of what the nearest component draws.
        """
        stage = self.stage(batch.progress)
        if stage == "autoencode":
            self._known.clear()
            mean = self.encoder(batch.images)  # (B, C, G, G)
            noisy = mean + self.config.latent_noise * _normal(mean, batch.generator)
            losses = self._picture_losses(self.decoder(noisy), batch.images)
            return losses | {"kl": 0.5 * mean.square().mean()}
        mixture = self.prior(self.reader(batch.text, batch.styles, batch.generator))
        errors = (mixture.means - self._latents(batch)[:, None]).square()  # (B, M, C, G, G)
        distances = errors.mean((2, 3, 4))  # (B, M)
        nearest = distances.detach().argmin(1)  # (B,)
        rows = torch.arange(len(nearest), device=nearest.device)
        losses = {
            "prior": self._relaxed(distances, distances[rows, nearest]),
            "gate": F.cross_entropy(mixture.logits, nearest),
            "spread": self._spread(errors[rows, nearest].detach(), mixture.deviation),
        }
        if stage == "joint":
            mean = mixture.component(nearest)
            noisy = mean + self.config.latent_noise * _normal(mean, batch.generator)
            drawn = self.decoder(_like_images(noisy, batch))
            losses |= self._picture_losses(drawn, batch.images)
        return losses

    def _relaxed(self, distances: Tensor, nearest: Tensor) -> Tensor:
        share = self.config.mode_share if self.config.modes > 1 else 0.0
        mixed = (1 - share) * nearest.mean() + share * distances.mean()
        return mixed / (2 * self.config.latent_noise**2)

    def _spread(self, errors: Tensor, deviation: Tensor) -> Tensor:
        """E over the posterior of -log N(latent; component, deviation^2), its constant left out."""
        expected = errors + self.config.latent_noise**2  # (B, C, G, G)
        return (expected / (2 * deviation.square()) + deviation.log()).mean()

    def _picture_losses(self, drawn: Tensor, real: Tensor) -> dict[str, Tensor]:
        return {"pixels": pyramid_loss(drawn, real), "edges": edge_loss(drawn, real)}

    @torch.no_grad()
    def _latents(self, batch: Batch) -> Tensor:
        """Posterior means, ``(B, C, G, G)``, remembered by picture while the encoder rests."""
        if batch.indices is None:
            return self.encoder(batch.images).float()  # type: ignore[no-any-return]
        rows: list[int] = batch.indices.tolist()
        new = [i for i, row in enumerate(rows) if row not in self._known]
        if new:
            # One picture at a time: its latents must not depend on what else is new.
            fresh = {rows[i]: self.encoder(batch.images[i : i + 1]).float()[0] for i in new}
            if len(self._known) + len(fresh) <= _CACHE_LIMIT:
                self._known.update(fresh)
            return torch.stack([fresh[r] if r in fresh else self._known[r] for r in rows])
        return torch.stack([self._known[row] for row in rows])

    def draw(self, request: SampleRequest) -> Tensor:
        """The decoded latent mean + temperature * deviation * noise of each seed."""
        device = self.prior.mean.weight.device
        text = request.text.to(device)
        styles = choose_styles(request.styles, request.seeds, len(self.config.styles)).to(device)
        mixture = self.prior(self.reader(text, styles))
        mean = mixture.component(self._choose_modes(mixture.logits, request.seeds))
        noise = image_noise(request.seeds, tuple(mean.shape[1:]), device)
        return self.decoder(mean + self.config.temperature * mixture.deviation * noise)  # type: ignore[no-any-return]

    def _choose_modes(self, logits: Tensor, seeds: Sequence[int]) -> Tensor:
        """Each seed's component, ``(B,)`` int64, by the Gumbel-max trick (Maddison et al. 2014)."""
        uniform = torch.special.ndtr(image_noise(seeds, (logits.shape[1],), stream=_MODE_STREAM))
        gumbel = -(-uniform.clamp(1e-6, 1 - 1e-6).log()).log().to(logits.device)
        return torch.argmax(logits + self.config.mode_temperature * gumbel, 1)

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range."""
        return self.decoder(self.encoder(images)).clamp(-1, 1)  # type: ignore[no-any-return]


def _like_images(latents: Tensor, batch: Batch) -> Tensor:
    """The latents in the memory layout of the pictures, which the convolutions prefer."""
    if batch.images.is_contiguous(memory_format=torch.channels_last):
        return latents.contiguous(memory_format=torch.channels_last)
    return latents
