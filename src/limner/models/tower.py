"""The network that looks at pictures, for the families that read them: a grid of vectors.

Before it looks, it may do what carries a shape from one hand's drawing to another's: cut out what
stands on the ground, and see edges by their direction instead of pixels.
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
"""How far a pixel lies from the ground, in [0, 2], to count as drawn on it."""
_FILL = 0.95
"""Share of the frame that what was cut out fills."""
_LEAST = 8
"""Pixels along the smallest frame; less is not worth a closer look."""


class TowerConfig(ModelConfig):
    """Shape of a :class:`PictureTower`, and what no family with one can do."""

    widths: tuple[int, ...] = Field(
        (48, 96, 192), min_length=1, max_length=6, description="channels of the picture's grids"
    )
    blocks: int = Field(1, ge=1, le=16, description="residual blocks on each grid")
    frame: bool = Field(
        False, description="cut out what stands on the picture's ground before looking at it"
    )
    edges: int = Field(
        0, ge=0, le=32, description="directions in which edges are seen, beside coarse colours; "
        "0: pixels are seen instead",
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


class WholeConfig(TowerConfig):
    """Shape of a :class:`Whole`."""

    looks: int = Field(4, ge=0, le=64, description="attention reads of the grid")
    flat: int = Field(
        0, ge=0, le=1024, description="channels of every cell that are read place by place"
    )
    inner: int = Field(
        0, ge=0, le=8192, description="width of a layer behind what was read of the grid; 0: none"
    )
    drop: float = Field(0.0, ge=0, lt=1, description="chance of each number read to be left out")


class PictureTower(nn.Module):
    """Convolutions on coarser and coarser grids; no picture's vectors depend on another picture.

    Args:
        config: its ``widths`` are the channels of the grids, the first with a cell for every two
            pixels (four where edges are seen), each further one half as wide and high.
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


class Whole(nn.Module):
    """A picture to one vector: a grid, and three ways to read it.

    The mean of its cells, attention reads, and a few channels place by place; the last is what a
    template of a shape needs.

    Attributes:
        width: numbers in the vector.
    """

    def __init__(self, config: WholeConfig) -> None:
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
    """Each picture's smallest square around what stands on its ground, at the picture's size.

    The ground is the median colour of the border. A picture that fills its border, such as a
    photograph, stays nearly as it is; an empty one exactly.

    Args:
        images: ``(B, 3, S, S)`` in [-1, 1].

    Returns:
        The same shape; what lies beyond a picture is its ground.
    """
    side = images.shape[-1]
    border = torch.cat(
        (images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]), -1
    )  # (B, 3, 4S)
    ground = border.median(-1).values[..., None, None]  # (B, 3, 1, 1)
    ink = ((images - ground).abs() > _INK).any(1)  # (B, S, S)
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
    return F.grid_sample(images - ground, where, align_corners=False) + ground


def edge_grid(images: Tensor, directions: int) -> Tensor:
    """How strong edges of each direction are in each cell, and the cells' mean colours.

    A histogram of oriented gradients (Dalal and Triggs 2005, section 6) that is smooth: the
    direction is that of the structure tensor summed over the colours, each bin takes the fourth
    power of the positive part of the cosine of the doubled angle to it, cells overlap by half, and
    each is divided by the mean strength of its three-by-three neighbours.

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
