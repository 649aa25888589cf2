"""A decoder-only transformer with a static key-value cache: vectors in, vectors out.

The network of Llama (Touvron et al. 2023, arXiv:2302.13971, section 2.2) without a vocabulary:
RMSNorm, rotary positions, SwiGLU, and grouped-query attention where asked for. Parameters are named
as in transformers' ``LlamaModel``.

Shape letters: B sequences, T new positions, P past ones, D width, H query heads, K key heads,
E = D/H.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.models.layers import rms_norm
from limner.models.settings import FrozenConfig
from limner.models.token_maps import projected


class DecoderConfig(FrozenConfig):
    """Shape of a :class:`Decoder`."""

    dim: int = Field(192, ge=8, description="width")
    depth: int = Field(6, ge=1, description="blocks")
    heads: int = Field(3, ge=1, description="query heads")
    kv_heads: int | None = Field(None, ge=1, description="key and value heads; none: as queries")
    hidden: int | None = Field(None, ge=1, description="width of SwiGLU; none: 8/3 of dim")
    rotary_base: float = Field(10_000.0, gt=1, description="longest wavelength, over 2 pi")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dim % (2 * self.heads):
            raise ValueError(
                f"dim {self.dim} is not an even multiple of heads ({self.heads}), "
                "which rotary positions need"
            )
        if self.heads % self.key_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self

    @property
    def key_heads(self) -> int:
        """K, the heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def mlp_width(self) -> int:
        """The inner width of SwiGLU: 8/3 of ``dim`` in steps of 32 where it is not given."""
        return self.hidden or 32 * max(1, round(self.dim / 12))


class KeyValueCache:
    """Keys and values of every block, in memory that is allocated once for a whole sequence.

    ``store (B, *cache_shape)`` is written to; see :meth:`Decoder.open_cache`.
    """

    def __init__(self, config: DecoderConfig, store: Tensor, filled: int) -> None:
        self.store, self.filled = store, filled
        self.turns = rotary_table(config, self.length, store.device)

    @property
    def length(self) -> int:
        """Positions there is room for."""
        return self.store.shape[4]

    def append(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``(B, K, T, E)`` behind what is there; all of it, ``(B, K, P+T, E)`` each."""
        end = self.filled + keys.shape[2]
        self.store[:, block, 0, :, self.filled : end] = keys
        self.store[:, block, 1, :, self.filled : end] = values
        return self.store[:, block, 0, :, :end], self.store[:, block, 1, :, :end]


def rotary_table(
    config: DecoderConfig, length: int, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the first ``length`` positions: ``(length, E/2)`` each.

    Position p turns pair i by p * base^(-2i/E) (Su et al. 2021, arXiv:2104.09864, eq. 15).
    """
    half = config.dim // config.heads // 2
    power = torch.arange(half, device=device, dtype=torch.float32) / half
    rate = config.rotary_base**-power  # (E/2,)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rate
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Turn ``(B, H, T, E)`` by ``(T, E/2)``; numbers i and i + E/2 are a pair."""
    cos, sin = turns
    left, right = x.chunk(2, -1)  # (B, H, T, E/2)
    turned = torch.cat((left * cos - right * sin, right * cos + left * sin), -1)
    return turned.to(x.dtype)


class RMSNorm(nn.Module):
    """rms(x) times a learned gain (Zhang and Sennrich 2019, eq. 4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to the same."""
        return rms_norm(x) * self.weight


class CausalAttention(nn.Module):
    """Causal self-attention with rotary positions and grouped queries (Ainslie et al. 2023)."""

    def __init__(self, config: DecoderConfig, block: int) -> None:
        super().__init__()
        self.heads, self.groups, self.block = config.heads, config.key_heads, block
        head = config.dim // config.heads
        self.q_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.k_proj = nn.Linear(config.dim, self.groups * head, bias=False)
        self.v_proj = nn.Linear(config.dim, self.groups * head, bias=False)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)

    def forward(
        self, x: Tensor, turns: tuple[Tensor, Tensor], cache: KeyValueCache | None
    ) -> Tensor:
        """``(B, T, D)`` to the same; ``turns`` are those of the T positions."""
        new = x.shape[1]
        q, k, v = self._parts(x, turns)
        if cache is not None:
            k, v = cache.append(self.block, k, v)  # (B, K, P+T, E)
        if self.groups != self.heads:
            k, v = (part.repeat_interleave(self.heads // self.groups, 1) for part in (k, v))
        mask = None
        past = k.shape[2] - new
        if past and new > 1:
            mask = torch.ones(new, past + new, dtype=torch.bool, device=x.device).tril(past)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=not past and new > 1
        )
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))  # (B, T, D)
        return out

    def _parts(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries ``(B, H, T, E)``, keys and values ``(B, K, T, E)``."""
        q = self.q_proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.k_proj(x).unflatten(-1, (self.groups, -1)).transpose(1, 2)
        v = self.v_proj(x).unflatten(-1, (self.groups, -1)).transpose(1, 2)
        return rotate(q, turns), rotate(k, turns), v

    def contributions(self, x: Tensor, turns: tuple[Tensor, Tensor], prefix: int) -> Tensor:
        """Norms of what each of the P first positions adds to each later one, ``(B, T - P, P)``.

        Args:
            x: as for :meth:`forward`, without a cache.
            turns: of all positions.
            prefix: P.
        """
        q, k, v = self._parts(x, turns)
        repeats = self.heads // self.groups
        k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, H, T, T)
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(later, -math.inf).softmax(-1)
        return projected(weights[:, :, prefix:, :prefix], v[:, :, :prefix], self.o_proj)


class DecoderMLP(nn.Module):
    """W3 (silu(W1 x) * W2 x), without biases (Shazeer 2020, eq. 6)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.mlp_width, bias=False)
        self.up_proj = nn.Linear(config.dim, config.mlp_width, bias=False)
        self.down_proj = nn.Linear(config.mlp_width, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to the same."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class DecoderBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: DecoderConfig, block: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.dim)
        self.self_attn = CausalAttention(config, block)
        self.post_attention_layernorm = RMSNorm(config.dim)
        self.mlp = DecoderMLP(config)

    def forward(
        self, x: Tensor, turns: tuple[Tensor, Tensor], cache: KeyValueCache | None
    ) -> Tensor:
        """``(B, T, D)`` to the same."""
        x = x + self.self_attn(self.input_layernorm(x), turns, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Blocks and a last norm; see the module."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(DecoderBlock(config, i) for i in range(config.depth))
        self.norm = RMSNorm(config.dim)
        self._initialise()

    @property
    def dim(self) -> int:
        """D, the width of its states."""
        return self.config.dim

    def _initialise(self) -> None:
        """Unit variance through every product, branches shrunk by their number (GPT-2)."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                last = name.endswith(("o_proj", "down_proj"))
                shrink = math.sqrt(2 * self.config.depth) if last else 1.0
                nn.init.normal_(module.weight, std=module.in_features**-0.5 / shrink)

    def cache_shape(self, length: int) -> tuple[int, ...]:
        """Shape of the keys and values of one sequence: ``(depth, 2, K, length, E)``."""
        c = self.config
        return c.depth, 2, c.key_heads, length, c.dim // c.heads

    def open_cache(self, store: Tensor, filled: int = 0) -> KeyValueCache:
        """A cache over ``store (B, *cache_shape)``, whose first ``filled`` positions are there."""
        return KeyValueCache(self.config, store, filled)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Embeddings ``(B, T, D)`` of T new positions to normalised states of the same shape.

        Each attends to itself and to those before; a cache holds those and takes the new ones.

        Raises:
            UsageError: the cache has no room.
        """
        if cache is None:
            turns, start, end = rotary_table(self.config, x.shape[1], x.device), 0, x.shape[1]
        else:
            turns, start, end = cache.turns, cache.filled, cache.filled + x.shape[1]
            if end > cache.length:
                raise UsageError(f"the cache has room for {cache.length} positions, not for {end}")
        turns = (turns[0][start:end], turns[1][start:end])
        for block in self.layers:
            x = block(x, turns, cache)
        if cache is not None:
            cache.filled = end
        out: Tensor = self.norm(x)
        return out
