"""Pictures to a small grid of latents and back: the part of the VAE that other families draw in.

Two bottlenecks share one encoder and one decoder:

* ``kl``: latents are numbers near N(0, 1) with a little Gaussian noise (Kingma and Welling
  2013, arXiv:1312.6114), with a fixed or a learned deviation;
* ``fsq``: each number is rounded to one of a few levels, so that a cell of the grid is one of
  ``prod(levels)`` codes and nothing has to be learned for it (finite scalar quantisation, Mentzer
  et al. 2023, arXiv:2309.15505).

Shape letters: B pictures, S their side, C channels of a latent cell, G = S / stride cells a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import CapabilityError, UsageError
from limner.models.base import Batch
from limner.models.layers import sent
from limner.models.settings import FrozenConfig

Width = Annotated[int, Field(ge=4, le=4096)]
Level = Annotated[int, Field(ge=2, le=256)]
_FINEST, _WIDEST = 48, 384
_LEAST_GRID = 6
_ENCODED_AT_ONCE = 16
"""Pictures per call of the encoder while latents are computed for the first time."""
_CACHE_LIMIT = 200_000
"""Pictures whose latents are remembered (1,024 floats each: 0.8 GB)."""


def default_decoder(size: int) -> tuple[int, ...]:
    """Decoder widths for a picture side: as many halvings as leave a grid of six cells or more.

    28 gives (96, 48) and a grid of 7; 32 (96, 48) and 8; 64 (192, 96, 48) and 8.
    """
    levels = 1
    while size % 2 ** (levels + 1) == 0 and size >> (levels + 1) >= _LEAST_GRID and levels < 6:
        levels += 1
    return tuple(min(_WIDEST, _FINEST << level) for level in reversed(range(levels)))


class AutoencoderConfig(FrozenConfig):
    """Configuration of an :class:`Autoencoder`; it travels inside a model that draws in latents.

    The VAE's configuration has the same fields.
    """

    size: int = Field(64, ge=8, le=1024, description="picture side in pixels")
    decoder: tuple[Width, ...] = Field(
        default_factory=lambda known: default_decoder(known["size"]), min_length=1, max_length=6,
        description="channels from the latent grid upwards; each level doubles the side; "
        "left out, they follow from the size",
    )  # fmt: skip
    encoder: tuple[Width, ...] = Field(
        (96, 192), min_length=2, max_length=7,
        description="channels from the first level down to the latent grid; each level halves the "
        "side, and the first sees squares of pixels where there are fewer levels than halvings",
    )  # fmt: skip
    encoder_pool: int = Field(
        1, ge=1, le=32,
        description="side of the squares of pixels that the encoder averages first, "
        "a power of two: with 2 it reads half the size, and the decoder adds the detail",
    )  # fmt: skip
    blocks: int = Field(2, ge=1, le=8, description="residual blocks in each level")
    bottleneck: Literal["kl", "fsq"] = Field(
        "kl", description="latents that are numbers with noise, or one of a few levels each"
    )
    levels: tuple[Level, ...] = Field(
        (8, 5, 5, 5), min_length=1, max_length=16, description="values of each number (fsq)"
    )
    latent_channels: int = Field(
        default_factory=lambda known: len(known["levels"]) if known["bottleneck"] == "fsq" else 16,
        ge=1, le=256, description="numbers in a latent cell; for fsq as many as levels",
    )  # fmt: skip
    latent_noise: float = Field(
        0.3, gt=0, le=1, description="posterior standard deviation, or where a learned one begins"
    )
    latent_bound: float | None = Field(
        None, gt=0, description="kl: means are kept within +-this by bound * tanh(x / bound)"
    )
    posterior: Literal["fixed", "learned"] = Field(
        "fixed", description="whether the encoder also predicts the deviation of each number (kl)"
    )

    @model_validator(mode="after")
    def _shape_fits(self) -> Self:
        if self.size % self.stride:
            hint = list(default_decoder(self.size))
            raise ValueError(
                f"size {self.size} is not a multiple of {self.stride}, which "
                f"{len(self.decoder)} decoder levels need; leave 'decoder' out, or give "
                f"{len(hint)} such as {hint}"
                if self.size % 2 == 0
                else f"size {self.size} is odd; pack the pictures at an even size"
            )
        if self.stride % self.encoder_pool:
            raise ValueError(
                f"'encoder_pool' is {self.encoder_pool}; it must be a power of two and at most "
                f"{self.stride}"
            )
        if self.patch < 1:
            halvings = (self.stride // self.encoder_pool).bit_length() - 1
            raise ValueError(
                f"'encoder' has {len(self.encoder)} levels, but the side is halved only "
                f"{halvings} times: give {halvings + 1} at most"
            )
        if self.bottleneck == "fsq":
            if self.latent_bound is not None:
                raise ValueError("'latent_bound' is for kl; the levels of fsq are bounded already")
            if self.latent_channels != len(self.levels):
                raise ValueError(
                    f"'latent_channels' is {self.latent_channels}, but fsq has one channel for "
                    f"each of {len(self.levels)} levels; leave the key out"
                )
            if math.prod(self.levels) >= 2**31:
                raise ValueError("'levels' make more than 2^31 codes; give fewer or smaller ones")
            if self.posterior == "learned":
                raise ValueError("'posterior' cannot be learned with fsq, whose latents are exact")
        return self

    @property
    def stride(self) -> int:
        """Pixels along one side of a latent cell."""
        return int(2 ** len(self.decoder))

    @property
    def patch(self) -> int:
        """Side of the squares of averaged pixels that the encoder's first level sees."""
        return self.stride // self.encoder_pool >> (len(self.encoder) - 1)

    @property
    def grid(self) -> int:
        """Latent cells along one side of a picture."""
        return self.size // self.stride

    @property
    def codebook_size(self) -> int:
        """How many codes a cell may have (fsq).

        Raises:
            CapabilityError: the bottleneck is not fsq.
        """
        if self.bottleneck != "fsq":
            raise CapabilityError(
                "an autoencoder with a 'kl' bottleneck has no codes; train one with "
                "model.bottleneck=fsq"
            )
        return math.prod(self.levels)


class ChannelNorm(nn.Module):
    """Divide each pixel by the root mean square of its channels, then scale each channel.

    Independent of every other pixel and picture, so a picture's bits never depend on its batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same."""
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return x * _channel_scale(x) * self.gain
        return cast(Tensor, _ScaledNorm.apply(x, self.gain))  # type: ignore[no-untyped-call]


def _channel_scale(x: Tensor) -> Tensor:
    return torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)  # (B, 1, H, W)


class _ScaledNorm(torch.autograd.Function):
    """g x r with r = 1 / sqrt(mean_c(x^2) + eps), with a short backward pass.

    With y = x r: dL/dg = sum(d y), dL/dx = r (d g - y mean_c(d g y)). PyTorch's own is a chain of
    kernels over whole pictures, a third slower on the CPU. Only inputs are kept, and the rest is
    computed again, so that it can be differentiated twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor) -> Tensor:
        ctx.save_for_backward(x, gain)
        return x * _channel_scale(x) * gain

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, gain = ctx.saved_tensors
        scale = _channel_scale(x)
        y = x * scale
        product = grad * y
        along = (product * gain).mean(1, keepdim=True)  # (B, 1, H, W)
        inner = torch.addcmul(grad * gain, y, along, value=-1) * scale
        return inner, product.sum((0, 2, 3), keepdim=True)


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


def build_encoder(config: AutoencoderConfig) -> nn.Sequential:
    """Picture ``(B, 3, S, S)`` to ``(B, C or 2C, G, G)``: means, and log-deviations if learned."""
    widths = config.encoder
    patch = config.patch
    numbers = config.latent_channels * (2 if config.posterior == "learned" else 1)
    parts: list[nn.Module] = [
        nn.Sequential(  # (B, 3*patch^2, S/(pool*patch), S/(pool*patch))
            nn.AvgPool2d(config.encoder_pool), nn.PixelUnshuffle(patch)
        ),
        nn.Conv2d(3 * patch * patch, widths[0], 3, padding=1),
        *_level(widths[0], config.blocks),
    ]
    for level, (finer, width) in enumerate(pairwise(widths), start=2):
        blocks = 1 if level == len(widths) else config.blocks
        parts += [nn.PixelUnshuffle(2), nn.Conv2d(4 * finer, width, 1), *_level(width, blocks)]
    last = nn.Conv2d(widths[-1], numbers, 1)
    layers = nn.Sequential(*parts, ChannelNorm(widths[-1]), last)  # (B, numbers, G, G)
    if config.posterior == "learned":
        nn.init.zeros_(last.weight[config.latent_channels :])
        nn.init.constant_(last.bias[config.latent_channels :], math.log(config.latent_noise))  # type: ignore[index]
    return layers


def build_decoder(config: AutoencoderConfig) -> nn.Sequential:
    """Latents ``(B, C, G, G)`` to a picture ``(B, 3, S, S)``, unbounded."""
    widths = config.decoder
    parts: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)]
    for level, width in enumerate(widths):
        if level:
            parts += [nn.Conv2d(widths[level - 1], 4 * width, 1), nn.PixelShuffle(2)]
        parts += _level(width, config.blocks)  # (B, width, G*2^level, ...)
    last = nn.Conv2d(widths[-1], 12, 3, padding=1)
    return nn.Sequential(*parts, ChannelNorm(widths[-1]), nn.SiLU(), last, nn.PixelShuffle(2))


def layers_of(config: AutoencoderConfig, levels: int) -> int:
    """How many layers of :func:`build_decoder` make its first ``levels`` levels."""
    return levels * (2 + config.blocks) - 1 if levels else 0


class Posterior(NamedTuple):
    """q(latent | picture), a Gaussian for each number.

    Attributes:
        mean: ``(B, C, G, G)``.
        deviation: the same shape, or ``(1, 1, 1, 1)`` where it is fixed.
    """

    mean: Tensor
    deviation: Tensor


class FSQ(nn.Module):
    """Round each channel to its number of levels (Mentzer et al. 2023, section 3.1).

    Values are multiples of 1 / (L // 2) in [-1, 1]; an even number of levels reaches -1, not 1.
    """

    reach: Tensor
    basis: Tensor
    bound: Tensor
    offset: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(levels)
        self.count = math.prod(levels)
        basis = torch.cat((torch.ones(1, dtype=torch.int64), sizes.cumprod(0)[:-1]))
        offset = 0.5 * (1 - sizes % 2)
        for name, value in (
            ("reach", sizes // 2),
            ("basis", basis),
            # A little more than the last level, or two levels would need an infinite input.
            ("bound", (sizes - 1) * 1.001 / 2),
            ("offset", offset),
        ):
            self.register_buffer(name, value.view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Any ``(B, C, G, G)`` to level values; the gradient passes the rounding unchanged."""
        shift = torch.atanh(self.offset / self.bound)
        bounded = self.bound * torch.tanh(x + shift) - self.offset  # within the levels
        return (bounded + (bounded.round() - bounded).detach()) / self.reach

    @property
    def cells(self) -> tuple[Tensor, Tensor, Tensor]:
        """Half the distance between levels, the lowest and the highest, each ``(C, 1, 1)``."""
        top = self.reach - (self.offset > 0).long()
        return 0.5 / self.reach, -self.reach / self.reach, top / self.reach

    def snap(self, values: Tensor) -> Tensor:
        """The level values nearest to ``(B, C, G, G)``; the gradient passes unchanged."""
        _, low, high = self.cells
        nearest = torch.clamp((values * self.reach).round() / self.reach, low, high)
        return values + (nearest - values).detach()

    def codes(self, values: Tensor) -> Tensor:
        """Level values ``(B, C, G, G)`` to codes ``(B, G*G)`` int64, row by row."""
        digits = (values * self.reach).round().long() + self.reach  # (B, C, G, G), in [0, L)
        return (digits * self.basis).sum(1).flatten(1)

    def values(self, codes: Tensor, grid: int) -> Tensor:
        """Codes ``(B, G*G)`` in ``[0, count)`` to level values ``(B, C, G, G)`` float32.

        Raises:
            UsageError: a code is out of range, or there are not G*G of them.
        """
        if codes.ndim != 2 or codes.shape[1] != grid * grid:
            raise UsageError(
                f"a picture has {grid} x {grid} codes; those given are of shape "
                f"{tuple(codes.shape)}"
            )
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < self.count:
            raise UsageError(f"codes must be in 0..{self.count - 1}")
        sizes = 2 * self.reach + (self.offset == 0)  # (C, 1, 1)
        digits = codes.view(len(codes), 1, grid, grid) // self.basis % sizes
        return (digits - self.reach) / self.reach


class Autoencoder(nn.Module):
    """An encoder, a decoder and what stands between them.

    Args:
        config: its shape.
        encoder: one that exists already and is shared; built when None.
        decoder: as ``encoder``.
    """

    def __init__(
        self,
        config: AutoencoderConfig,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        fields = {name: getattr(config, name) for name in AutoencoderConfig.model_fields}
        self.config = AutoencoderConfig(**fields)
        self.encoder = build_encoder(config) if encoder is None else encoder
        self.decoder = build_decoder(config) if decoder is None else decoder
        self.quantiser = FSQ(config.levels) if config.bottleneck == "fsq" else None

    def posterior(self, images: Tensor) -> Posterior:
        """What the encoder takes ``(B, 3, S, S)`` pictures for; fsq has no deviation (zero)."""
        out = self.encoder(images)  # (B, C or 2C, G, G)
        if self.quantiser is not None:
            return Posterior(self.quantiser(out), out.new_zeros(1, 1, 1, 1))
        if self.config.posterior == "fixed":
            deviation = out.new_full((1, 1, 1, 1), self.config.latent_noise)
            return Posterior(self._bounded(out), deviation)
        mean, log = out.chunk(2, 1)
        return Posterior(self._bounded(mean), log.clamp(-7, 2).exp())

    def _bounded(self, mean: Tensor) -> Tensor:
        bound = self.config.latent_bound
        return mean if bound is None else bound * torch.tanh(mean / bound)

    def encode(self, images: Tensor) -> Tensor:
        """Latents ``(B, C, G, G)`` of ``(B, 3, S, S)`` pictures in [-1, 1].

        With ``kl`` the posterior means; with ``fsq`` level values in [-1, 1].
        """
        return self.posterior(images).mean

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)``, unbounded, of ``(B, C, G, G)`` latents."""
        return self.decoder(latents)  # type: ignore[no-any-return]

    def snap(self, latents: Tensor) -> Tensor:
        """The latents nearest to ``(B, C, G, G)`` that an encoder gives; only fsq has others."""
        return latents if self.quantiser is None else self.quantiser.snap(latents)

    def codes(self, images: Tensor) -> Tensor:
        """Codes ``(B, G*G)`` int64 in ``[0, codebook_size)``, row by row, of an fsq bottleneck."""
        return self._fsq().codes(self.encode(images))

    def from_codes(self, codes: Tensor) -> Tensor:
        """Latents ``(B, C, G, G)`` of codes ``(B, G*G)``; see :meth:`FSQ.values`."""
        return self._fsq().values(codes, self.config.grid)

    def _fsq(self) -> FSQ:
        """The quantiser; a ``CapabilityError`` where the bottleneck is not fsq."""
        if self.quantiser is None:
            _ = self.config.codebook_size  # raises the error that names it
        assert self.quantiser is not None
        return self.quantiser


def of(model: nn.Module) -> Autoencoder:
    """The autoencoder inside a model: the VAE's own, or the frozen one of a latent family.

    Raises:
        CapabilityError: the model has none.
    """
    found = getattr(model, "autoencoder", None)
    if not isinstance(found, Autoencoder):
        name = getattr(model, "family", type(model).__name__)
        raise CapabilityError(
            f"this {name} model has no autoencoder; name a trained vae model file"
        )
    return found


def frozen(config: AutoencoderConfig) -> Autoencoder:
    """A new autoencoder whose weights are frozen, for a family that draws in its latents."""
    return Autoencoder(config).eval().requires_grad_(False)


class LatentMemory:
    """Latents of the training pictures by a frozen encoder, by row, in one tensor.

    Those of the first ``_CACHE_LIMIT`` rows are kept.
    """

    def __init__(self) -> None:
        self._latents: Tensor | None = None  # (R, C, G, G)
        self._known = torch.zeros(0, dtype=torch.bool)  # (R,), on the CPU

    def __len__(self) -> int:
        """Pictures whose latents are known."""
        return int(self._known.sum())

    def clear(self) -> None:
        """Forget all cached latents."""
        self._latents, self._known = None, self._known[:0]

    @torch.no_grad()
    def recall(self, batch: Batch, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Latents of a batch, ``(B, C, G, G)`` float32, computed once for each ``batch.indices``.

        Where it has no indices, everything is computed anew.
        """
        if batch.indices is None:
            return encode(batch.images).float()
        rows, device = batch.indices, batch.images.device
        if self._latents is not None and self._latents.device != device:
            self.clear()
        kept = rows.clamp_max(len(self._known) - 1)
        known = (kept == rows) & self._known[kept] if len(self._known) else rows < 0
        if self._latents is not None and bool(known.all()):
            return self._latents.index_select(0, sent(rows, device))
        new = (~known).nonzero()[:, 0]
        chunks = []
        for start in range(0, len(new), _ENCODED_AT_ONCE):
            # Always as many, the last one repeated: a latent must not depend on what else is new.
            index = torch.arange(start, start + _ENCODED_AT_ONCE).clamp_max(len(new) - 1)
            chunks.append(encode(batch.images[sent(new[index], device)]).float())
        fresh = torch.cat(chunks)[: len(new)]
        whole = self._grown(int(rows.max()) + 1, fresh)
        keep = (rows[new] < len(whole)).nonzero()[:, 0]
        place = rows[new[keep]]
        whole.index_copy_(0, sent(place, device), fresh.index_select(0, sent(keep, device)))
        self._known[place] = True
        found = whole.index_select(0, sent(rows.clamp_max(len(whole) - 1), device))
        return found.index_copy_(0, sent(new, device), fresh)

    def _grown(self, count: int, like: Tensor) -> Tensor:
        """The memory with room for so many rows, or as many as are kept at most."""
        before, count = len(self._known), min(count, _CACHE_LIMIT)
        if self._latents is None or count > before:
            room = min(max(count, before + before // 4), _CACHE_LIMIT)
            whole = like.new_empty(room, *like.shape[1:])
            if self._latents is not None:
                whole[:before] = self._latents
            known = torch.zeros(room, dtype=torch.bool)
            known[:before] = self._known
            self._latents, self._known = whole, known
        return self._latents


def pyramid_loss(drawn: Tensor, real: Tensor, levels: int = 4) -> Tensor:
    """Mean absolute error, summed over ``(B, C, H, W)`` pictures and their halvings; a scalar.

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
    """Mean absolute error of the first differences (Mathieu et al. 2015, eq. 6, alpha = 1).

    Args:
        drawn: ``(B, C, H, W)``.
        real: the same.

    Returns:
        A scalar.
    """
    error = drawn - real
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
