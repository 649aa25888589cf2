"""What the flow's transformer is built of: rotary positions, attention, adaptive normalisation.

Shape letters as in :mod:`limner.models.flow`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.layers import rms_norm
from limner.models.token_maps import projected

TIME_WIDTH = 256
_ROTARY_BASE = 100.0


def rotary_table(side: int, text: int, head: int) -> Tensor:
    """Cosines and sines that turn the pairs of a head by position: ``(side^2 + text, head/2, 2)``.

    Axial rotary positions (Su et al. 2021, eq. 15; on two axes with base 100 as in Heo et al.
    2024, "Rotary position embedding for vision transformer"): a quarter of a head turns by row, a
    quarter by column. Text tokens, which lie nowhere in the picture, are not turned.
    """
    rate = _ROTARY_BASE ** (-torch.arange(head // 4) / (head // 4))  # (E/4,)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle = torch.cat((row.reshape(-1, 1) * rate, column.reshape(-1, 1) * rate), 1)  # (N, E/2)
    angle = F.pad(angle, (0, 0, 0, text))  # (N+text, E/2)
    return torch.view_as_real(torch.polar(torch.ones_like(angle), angle))


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn the pairs of ``(B, T, H, E)`` by ``(T, 1 or H, E/2, 2)`` cosines and sines.

    As a product of complex numbers, which is one kernel and on the CPU five times as fast as four
    real ones; those are written out where torch.compile fuses them, as it does nothing with complex
    numbers.
    """
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)  # (B, T, H, E/2, 2)
    if torch.compiler.is_compiling():
        (one, other), (cos, sin) = pairs.unbind(-1), rotation.unbind(-1)
        return torch.stack((one * cos - other * sin, other * cos + one * sin), -1).flatten(-2)
    turned = torch.view_as_complex(pairs) * torch.view_as_complex(rotation)  # (B, T, H, E/2)
    return torch.view_as_real(turned).flatten(-2)  # (B, T, H, E)


def time_features(t: Tensor) -> Tensor:
    """Sines and cosines of times in [0, 1]: ``(B,)`` to ``(B, 256)`` (DiT, ``models.py``)."""
    half = TIME_WIDTH // 2
    rate = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000) / half))  # (128,)
    angle = 1000 * t[:, None] * rate  # (B, 128)
    return torch.cat((angle.cos(), angle.sin()), 1)


class JointAttention(nn.Module):
    """Self-attention over picture and text tokens, with normalised queries and keys.

    Queries and keys are RMS-normalised and a learned gain per head takes the part of the lost
    scale (Henry et al. 2020, "Query-key normalization"); the gain rides on the rotation.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.gain = nn.Parameter(torch.ones(heads, 1))

    def forward(self, x: Tensor, rotation: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, D)`` to the same; ``rotation (T, 1, E/2, 2)``, ``mask (B, 1, 1, T)`` of keys."""
        q, k, v = self._parts(x, rotation)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))  # (B, T, D)
        return out

    def _parts(self, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, ``(B, H, T, E)`` each."""
        split = (self.heads, -1)
        q = rotate(rms_norm(self.query(x).unflatten(-1, split)), rotation * self.gain[..., None])
        k = rotate(rms_norm(self.key(x).unflatten(-1, split)), rotation)  # (B, T, H, E)
        v = self.value(x).unflatten(-1, split)
        q, k, v = (part.transpose(1, 2).to(v.dtype) for part in (q, k, v))
        return q, k, v

    def contributions(self, x: Tensor, rotation: Tensor, mask: Tensor, picture: int) -> Tensor:
        """Norms of what each text token adds to each of the N picture tokens, ``(B, N, L)``.

        Args:
            x: as for :meth:`forward`, as the others; the picture's tokens first.
            rotation: of all tokens.
            mask: of keys.
            picture: N.
        """
        q, k, v = self._parts(x, rotation)
        scores = q[:, :, :picture] @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, H, N, T)
        weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
        return projected(weights[..., picture:], v[:, :, picture:], self.out)


class SwiGLU(nn.Module):
    """W3 (silu(W1 x) * W2 x) (Shazeer 2020, eq. 6), at 8/3 of the width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 32 * max(1, round(dim / 12))
        # two products rather than one split in halves: the halves' gradients need no copy
        self.gate, self.up = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to the same."""
        out: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return out


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive normalisation, (1 + scale) * rms(x) + shift (DiT, section 3.2)."""
    return torch.addcmul(shift, rms_norm(x), 1 + scale)


class ModulatedBlock(nn.Module):
    """One transformer block; its modulation is the shared one plus a bias of its own.

    adaLN-single of PixArt-alpha (Chen et al. 2023, section 2.3).
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = JointAttention(dim, heads)
        self.mlp = SwiGLU(dim)
        self.bias = nn.Parameter(torch.zeros(6, dim))

    def forward(self, x: Tensor, modulation: Tensor, rotation: Tensor, mask: Tensor) -> Tensor:
        """``x (B, T, D)``, ``modulation (B, 6, D)`` to ``(B, T, D)``."""
        parts = (modulation + self.bias).unsqueeze(2).unbind(1)  # 6 of (B, 1, D)
        branch = self.attention(modulate(x, parts[0], parts[1]), rotation, mask)
        x = torch.addcmul(x, parts[2], branch.to(x.dtype))
        branch = self.mlp(modulate(x, parts[3], parts[4]))
        return torch.addcmul(x, parts[5], branch.to(x.dtype))
