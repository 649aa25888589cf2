"""Small convolutional networks: their building blocks, and a classifier used for features."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import ModelFileError, first_line
from limner.tensorfile import file_hash, read_metadata

T = TypeVar("T")
METADATA_KEY = "features"
_TILE = 64


class Stage(nn.Module):
    """Halve the picture, then one residual convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, ceil(H / 2), ceil(W / 2))``."""
        x = F.relu(self.norm1(self.down(x)))
        return F.relu(x + self.norm2(self.conv(x)))


def fit_to(images: Tensor, size: int) -> Tensor:
    """Pictures resized for a network: ``(B, 3, size, size)`` float32 in [-1, 1].

    Args:
        images: ``(B, 3, H, W)``; other sizes are resampled bilinearly with antialiasing.
        size: side in pixels.

    Raises:
        ValueError: another number of axes or channels.
    """
    if images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"pictures must be (B, 3, H, W), not {tuple(images.shape)}")
    images = images.float().clamp(-1, 1)
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )


def tiles(images: Tensor) -> Iterator[tuple[Tensor, int]]:
    """``(B, 3, S, S)`` 64 at a time, the last tile filled with grey, and how many of each are real.

    Kernels that always run on one shape always round alike, so that the features of a picture
    do not depend on its neighbours.
    """
    for part in torch.split(images, _TILE):
        yield F.pad(part, (0, 0, 0, 0, 0, 0, 0, _TILE - len(part))), len(part)


@dataclass(frozen=True)
class Extracted:
    """Features of B pictures, and their class probabilities where there are classes.

    Attributes:
        features: ``(B, D)`` float32.
        log_probs: ``(B, K)`` float32, log-probabilities of the K classes; None where the network
            knows no classes.
    """

    features: Tensor
    log_probs: Tensor | None = None


class StagedNet(nn.Module):
    """A stem with a kernel of this side, and stages of these widths, each half as large."""

    def __init__(self, widths: Sequence[int], kernel: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], kernel, stride=2, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.stages = nn.Sequential(*(Stage(a, b) for a, b in pairwise(widths)))

    def layers(self, images: Tensor) -> list[Tensor]:
        """Feature maps of the stem and every stage, ``(B, C, h, w)``, each half as large."""
        maps = [F.relu(self.norm(self.stem(images)))]  # B C S/2 S/2
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] -> ``(B, 5C)``: means of the last map's quarters, maximum."""
        x = self.layers(images)[-1]  # B C h w
        parts = (F.adaptive_avg_pool2d(x, 2), F.adaptive_max_pool2d(x, 1))
        return torch.cat([part.flatten(1) for part in parts], 1)


class ConvNet(StagedNet):
    """A small convolutional classifier whose last hidden layer is the features.

    Args:
        widths: channels of the stem and of each stage; each of them halves the picture.
        dim: D, width of the features.
        classes: K.
        changes: outputs of the second head, which regresses the degradations applied to a
            training picture (blur, noise, tint). It keeps in the features what a classifier
            alone would discard and a quality measure needs.
    """

    def __init__(self, widths: Sequence[int], dim: int, classes: int, changes: int) -> None:
        super().__init__(widths, 5)
        self.embed = nn.Linear(widths[-1] * 5, dim)
        self.classify = nn.Linear(dim, classes)
        self.changes = nn.Linear(dim, changes)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in [-1, 1] -> ``(B, dim)``."""
        return F.relu(self.embed(self.pooled(images)))


@dataclass(frozen=True)
class ConvFeatures:
    """A :class:`ConvNet` from a file.

    Attributes:
        net: in eval mode.
        size: side in pixels of its training pictures; others are resampled to it.
        classes: names.
        spec: what it was loaded by.
        fingerprint: first 16 hex digits of the SHA-256 of the file.
        about: metadata of its training.
    """

    net: ConvNet
    size: int
    classes: tuple[str, ...]
    spec: str
    fingerprint: str
    about: dict[str, object]

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Extracted:
        """Features ``(B, D)`` and log-probabilities ``(B, K)`` of B pictures."""
        if not len(images):
            empty = torch.zeros(0, self.net.embed.out_features)
            return Extracted(empty, torch.zeros(0, len(self.classes)))
        rows = []
        for tile, count in tiles(fit_to(images, self.size)):
            features = self.net(tile)
            rows.append((features[:count], self.net.classify(features).log_softmax(1)[:count]))
        features, log_probs = (torch.cat(part) for part in zip(*rows, strict=True))
        return Extracted(features, log_probs)

    @torch.inference_mode()
    def layers(self, images: Tensor) -> list[Tensor]:
        """Maps ``(B, C, H, W)`` of every layer, for perceptual distances."""
        return self.net.layers(fit_to(images, self.size))


def load_conv(path: Path, spec: str) -> ConvFeatures:
    """Read a feature network from its file.

    Raises:
        ModelFileError: the file is missing, damaged or no feature network.
    """

    def build(about: dict[str, Any], tensors: dict[str, Tensor], fingerprint: str) -> ConvFeatures:
        classes = tuple(str(name) for name in about["classes"])
        widths = [int(width) for width in about["widths"]]
        net = ConvNet(widths, int(about["dim"]), len(classes), int(about["changes"]))
        net.load_state_dict(tensors)
        return ConvFeatures(net.eval(), int(about["size"]), classes, spec, fingerprint, about)

    return load_network(path, METADATA_KEY, "feature network", build)


def load_network(
    path: Path, key: str, what: str, build: Callable[[dict[str, Any], dict[str, Tensor], str], T]
) -> T:
    """What ``build`` makes of a file: the JSON at a key of its metadata, float32 tensors, its hash.

    Raises:
        ModelFileError: the file is missing or damaged, or no ``what``, for ``build`` failed.
    """
    metadata = read_metadata(path)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        return build(json.loads(metadata[key]), tensors, file_hash(path))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(
            f"{path} is no {what} that this limner can use: {first_line(error)}"
        ) from error
