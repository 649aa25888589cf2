"""The contract between image encoders and everything that is conditioned on pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from limner.specs import Identified
from limner.text.base import TensorRows


@dataclass(frozen=True)
class ImageFeatures(TensorRows):
    """Features of B pictures, as an image encoder gives them.

    Attributes:
        tokens: ``(B, L, D)`` float32, one vector per field of the picture, row by row.
        pooled: ``(B, D)`` float32, one vector per whole picture.
    """

    tokens: Tensor
    pooled: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.pooled.shape != self.tokens.shape[::2]:
            raise ValueError(
                f"picture features disagree: tokens {tuple(self.tokens.shape)}, "
                f"pooled {tuple(self.pooled.shape)}"
            )

    def at_most(self, count: int) -> ImageFeatures:
        """The same features averaged to at most ``count`` tokens a picture.

        A square grid of tokens becomes the largest square grid that fits; other tokens are averaged
        in neighbouring runs.
        """
        length = self.tokens.shape[1]
        if length <= count:
            return self
        side, small = math.isqrt(length), math.isqrt(count)
        rows = self.tokens.float().transpose(1, 2)  # (B, D, L)
        if side * side == length:
            grid = rows.reshape(*rows.shape[:2], side, side)
            rows = torch.nn.functional.adaptive_avg_pool2d(grid, small).flatten(2)
        else:
            rows = torch.nn.functional.adaptive_avg_pool1d(rows, count)
        return ImageFeatures(rows.transpose(1, 2).contiguous(), self.pooled)


@runtime_checkable
class ImageEncoder(Identified, Protocol):
    """Turns pictures into features; a picture's features never depend on its neighbours."""

    @property
    def dim(self) -> int:
        """D, the width of every vector."""

    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` float32 pictures in [-1, 1], of any size."""
