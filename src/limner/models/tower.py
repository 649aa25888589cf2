"""Networks that encode pictures, for the families that read them: to a grid, or to one vector.

Two optional steps before them make shapes comparable between drawing styles: what differs from the
background is cut out, and the input is the direction of edges instead of pixels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.autoencoder import ChannelNorm, ResidualBlock
from limner.models.base import ModelConfig

_CELL = 4
"""Pixels along one side of a cell of the edges' grid."""
_INK = 0.16
"""Smallest difference from the background, in [0, 2], of a pixel that belongs to the drawing."""
_FILL = 0.95
"""Share of the frame that the cut-out drawing fills."""
_LEAST = 8
"""Pixels along the smallest frame that is enlarged."""


class TowerConfig(ModelConfig):
    """Configuration of a :class:`PictureTower`; no family with one reads reference pictures."""

    widths: tuple[int, ...] = Field(
        (48, 96, 192), min_length=1, max_length=6, description="channels of the picture's grids"
    )
    blocks: int = Field(1, ge=1, le=16, description="residual blocks on each grid")
    frame: bool = Field(
        False, description="cut out what differs from the background, and scale it to the frame"
    )
    edges: int = Field(
        0, ge=0, le=32, description="directions of edges in the input, beside coarse colours; "
        "0: the input is pixels",
    )  # fmt: skip

    @property
    def stride(self) -> int:
        """Pixels along one side of a cell of the last grid."""
        return int(2 ** len(self.widths)) * (_CELL // 2 if self.edges else 1)

    @property
    def cells(self) -> int:
        """N, cells of the last grid."""
        return (self.size // self.stride) ** 2

    @model_validator(mode="after")
    def _tower_fits(self) -> Self:
        if self.size % self.stride:
            times = round(math.log2(self.stride))
            raise ValueError(
                f"size {self.size} cannot be halved {times} times, once for each of the widths"
                + (" and once more for the edges" if self.edges else "")
            )
        if self.fusion.kind != "text":
            raise ValueError("it reads no reference pictures: 'fusion' must be of kind 'text'")
        return self


class PictureEncoderConfig(TowerConfig):
    """Shape of a :class:`PictureEncoder`."""

    looks: int = Field(4, ge=0, le=64, description="attention-pooled vectors of the grid")
    flat: int = Field(
        0, ge=0, le=1024, description="channels of every cell that keep their place in the vector"
    )
    inner: int = Field(
        0, ge=0, le=8192, description="width of a hidden layer behind those; 0: none"
    )
    drop: float = Field(0.0, ge=0, lt=1, description="dropout")


class PictureTower(nn.Module):
    """Convolutions on coarser and coarser grids; no picture's vectors depend on another picture.

    Args:
        config: its ``widths`` are the channels of the grids, the first with a cell for every two
            pixels (four where ``edges`` is set), each further one half as wide and high.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.frame, self.edges = config.frame, config.edges
        widths, blocks = config.widths, config.blocks
        layers: list[nn.Module] = [] if self.edges else [nn.PixelUnshuffle(2)]
        first = self.edges + 3 if self.edges else 12
        layers += [nn.Conv2d(first, widths[0], 3, padding=1)]
        layers += [ResidualBlock(widths[0]) for _ in range(blocks)]
        for before, width in pairwise(widths):
            layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * before, width, 1)]
            layers += [ResidualBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, ChannelNorm(widths[-1]))

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to ``(B, G * G, W)``, row by row; G = S / stride."""
        if self.frame:
            images = framed(images)
        if self.edges:
            images = edge_grid(images, self.edges)
        grid: Tensor = self.layers(images)  # (B, W, G, G)
        return grid.flatten(2).transpose(1, 2)


class PictureEncoder(nn.Module):
    """A picture to one vector: the grid of a :class:`PictureTower`, pooled in three ways.

    The mean of the cells, attention-pooled vectors, and a few channels of every cell, which keep
    their place as a template of a shape needs it.

    Attributes:
        width: numbers in the vector.
    """

    def __init__(self, config: PictureEncoderConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.tower = PictureTower(config)
        self.place = nn.Parameter(0.02 * torch.randn(config.cells, width))
        self.drop = nn.Dropout(config.drop)
        self.reads = nn.Linear(width, config.looks) if config.looks else None
        self.flat = nn.Linear(width, config.flat) if config.flat else None
        found = width * (1 + config.looks) + config.cells * config.flat
        self.width, self.inner = config.inner or found, None
        if config.inner:
            self.inner = nn.Sequential(
                nn.Linear(found, config.inner), nn.LayerNorm(config.inner), nn.SiLU(),
                nn.Dropout(config.drop),
            )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to ``(B, width)``."""
        grid = self.tower(images) + self.place  # (B, N, W)
        parts = [grid.mean(1)]
        if self.reads is not None:
            chosen = self.reads(grid).softmax(1)  # (B, N, looks)
            parts.append((chosen.transpose(1, 2) @ grid).flatten(1))
        if self.flat is not None:
            parts.append(self.flat(grid).flatten(1))  # (B, N * flat)
        found: Tensor = self.drop(torch.cat(parts, 1))
        return found if self.inner is None else self.inner(found)


def framed(images: Tensor) -> Tensor:
    """Each picture's smallest square around what differs from its background, at the same size.

    The background is the median colour of the border. A picture that fills its border, such as a
    photograph, stays nearly as it is; an empty one exactly.

    Args:
        images: ``(B, 3, S, S)`` in [-1, 1].

    Returns:
        The same shape; beyond the edge of a picture is its background.
    """
    side = images.shape[-1]
    border = torch.cat(
        (images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]), -1
    )  # (B, 3, 4S)
    background = border.median(-1).values[..., None, None]  # (B, 3, 1, 1)
    ink = ((images - background).abs() > _INK).any(1)  # (B, S, S)
    place = torch.arange(side, device=images.device)
    centres, extents = [], []
    for lines in (ink.any(1), ink.any(2)):  # columns, rows: (B, S)
        first = torch.where(lines, place, side).amin(1)
        last = torch.where(lines, place, -1).amax(1) + 1
        centres.append(torch.where(first < last, first + last, side) / side - 1)
        extents.append(torch.where(first < last, last - first, side))
    square = torch.maximum(*extents).clamp_min(_LEAST)
    zoom = torch.where(ink.flatten(1).any(1), square / (_FILL * side), 1.0)
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, 0, 2], theta[:, 1, 2] = centres
    where = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images - background, where, align_corners=False) + background


def edge_grid(images: Tensor, directions: int) -> Tensor:
    """Strength of edges of each direction in each cell, and the cells' mean colours.

    A smooth histogram of oriented gradients (Dalal and Triggs 2005, section 6): the direction is
    that of the structure tensor summed over the colours, the weight in a bin is the fourth power
    of the positive part of the cosine of the doubled angle between the two, cells overlap by half,
    and each is divided by the mean strength of its three-by-three neighbours.

    Args:
        images: ``(B, 3, S, S)`` in [-1, 1]; S a multiple of four.
        directions: D, spread evenly over half a turn.

    Returns:
        ``(B, D + 3, S/4, S/4)``; the strengths non-negative, the colours in [-1, 1].
    """
    padded = F.pad(images.contiguous(), (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    cosine = (across.square() - down.square()).sum(1, keepdim=True)  # |g|^2 cos 2t: (B, 1, S, S)
    sine = 2 * (across * down).sum(1, keepdim=True)
    strength = (cosine.square() + sine.square() + 1e-12).sqrt()
    angles = torch.arange(directions, device=images.device) * (2 * math.pi / directions)
    turned = angles.view(1, -1, 1, 1)
    weight = strength.pow(-7 / 8)  # whose fourth power leaves strength^(1/2) of the vote
    aligned = (cosine * weight) * turned.cos() + (sine * weight) * turned.sin()
    votes = aligned.relu_().square().square()  # (B, D, S, S)
    bins = F.avg_pool2d(votes, 2 * _CELL, _CELL, padding=_CELL // 2)  # (B, D, S/4, S/4)
    near = F.avg_pool2d(bins.sum(1, keepdim=True), 3, 1, padding=1)
    bins = (bins / (near + 0.02)).sqrt()
    return torch.cat((bins, F.avg_pool2d(images, _CELL)), 1)
