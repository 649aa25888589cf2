"""The network that looks at pictures, for the families that read them: a grid of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from limner.models.autoencoder import ChannelNorm, ResidualBlock
from limner.models.base import ModelConfig


class TowerConfig(ModelConfig):
    """Shape of a :class:`PictureTower`, and what no family with one can do."""

    widths: tuple[int, ...] = Field(
        (48, 96, 192), min_length=1, max_length=6, description="channels of the picture's grids"
    )
    blocks: int = Field(1, ge=1, le=16, description="residual blocks on each grid")

    @model_validator(mode="after")
    def _tower_fits(self) -> Self:
        if self.size % 2 ** len(self.widths):
            raise ValueError(
                f"size {self.size} cannot be halved {len(self.widths)} times, once for each of "
                f"the widths"
            )
        if self.fusion.kind != "text":
            raise ValueError("it reads no reference pictures: 'fusion' must be of kind 'text'")
        return self


class PictureTower(nn.Module):
    """Convolutions on coarser and coarser grids; no picture's vectors depend on another picture.

    Args:
        widths: channels of the grids, the first with a cell for every two pixels, each further one
            half as wide and high.
        blocks: residual blocks on each grid.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
        layers += [ResidualBlock(widths[0]) for _ in range(blocks)]
        for before, width in pairwise(widths):
            layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * before, width, 1)]
            layers += [ResidualBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, ChannelNorm(widths[-1]))

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to ``(B, G * G, W)``, row by row; G = S / stride."""
        grid: Tensor = self.layers(images)  # (B, W, G, G)
        return grid.flatten(2).transpose(1, 2)
