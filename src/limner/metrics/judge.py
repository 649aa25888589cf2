"""The icon judge: features whose similarity says whether two drawings show the same thing.

A small convolutional network (``tools/train_judge.py``; ``docs/evaluation.md``), and two features
without any training, colour layout and histograms of oriented gradients [1]. Each part is
L2-normalised and scaled: the dot product of two features is a weighted mean of three cosines.

[1] Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.vision.convnet import Extracted, StagedNet, fit_to, load_network, tiles

SIZE = 64
WIDTHS = (24, 48, 96, 192)
EMBEDDING = 128
JUDGE_PATH = Path(__file__).with_name("judge.safetensors")


class JudgeNet(StagedNet):
    """``(B, 3, 64, 64)`` in [-1, 1] -> ``(B, 128)`` of unit length."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, 3)
        self.head = nn.Linear(WIDTHS[-1] * 5, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, 128)`` of ``(B, 3, 64, 64)`` pictures."""
        return F.normalize(self.head(self.pooled(images)), dim=1)


def colour_layout(images: Tensor, cells: int = 8) -> Tensor:
    """Mean colour of each of ``cells`` x ``cells`` fields minus white, ``(B, 3 * cells**2)``.

    White is the background of every icon; subtracting it makes an empty field zero.
    """
    return F.normalize((F.adaptive_avg_pool2d(images, cells) - 1).flatten(1), dim=1)


def oriented_gradients(images: Tensor, cell: int = 8, bins: int = 9) -> Tensor:
    """Histograms of unsigned gradient directions, ``(B, bins * (64 / cell)**2)`` of unit length.

    As in [1] with the strongest of the three colour channels at each pixel and without
    overlapping blocks; square roots tame strong outlines (RootSIFT's trick).
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    strength, channel = (dx.square() + dy.square()).max(1, keepdim=True)
    dx, dy = dx.gather(1, channel), dy.gather(1, channel)
    position = (torch.atan2(dy, dx) / torch.pi % 1.0) * bins  # B 1 64 64, in [0, bins]
    strength = strength.sqrt()
    histograms = []
    for centre in range(bins):  # one by one: nine maps at once leave the processor's cache
        distance = (position - centre).abs_()
        distance = torch.minimum(distance, bins - distance)
        votes = (1 - distance).clamp_min_(0).mul_(strength)  # B 1 64 64, linear between bins
        histograms.append(F.avg_pool2d(votes, cell))
    return F.normalize(torch.cat(histograms, 1).flatten(1).sqrt(), dim=1)


@dataclass(frozen=True)
class Judge:
    """A trained network with the weights of the three parts of its features.

    As a feature network (:class:`limner.metrics.features.FeatureNetwork`) it knows no classes.

    Attributes:
        net: in eval mode.
        weights: of network, colour layout and oriented gradients; they sum to one.
        fingerprint: first 16 hex digits of the SHA-256 of the judge file.
        licences: of the pictures the network was trained on.
    """

    net: JudgeNet
    weights: tuple[float, float, float]
    fingerprint: str
    licences: dict[str, str]
    spec: str = "judge"
    classes: tuple[str, ...] = ()

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """Features of B pictures, ``(B, D)`` float32 of unit length.

        Args:
            images: ``(B, 3, H, W)`` float32 in [-1, 1]; other sizes than 64 are resampled.

        A picture's features do not depend on its neighbours: kernels always run on 64 pictures.
        """
        rows = [self._tile(tile)[:count] for tile, count in tiles(fit_to(images, SIZE))]
        return torch.cat(rows) if rows else torch.zeros(0, 1)

    def extract(self, images: Tensor) -> Extracted:
        """:meth:`features`, as a feature network gives them."""
        return Extracted(self.features(images))

    @torch.inference_mode()
    def layers(self, images: Tensor) -> list[Tensor]:
        """Maps ``(B, C, H, W)`` of every layer of the network, for perceptual distances."""
        return self.net.layers(fit_to(images, SIZE))

    def _tile(self, images: Tensor) -> Tensor:
        parts = (self.net(images), colour_layout(images), oriented_gradients(images))
        scaled = [part * w**0.5 for part, w in zip(parts, self.weights, strict=True)]
        return torch.cat(scaled, 1)


@lru_cache(maxsize=2)
def load_judge(path: Path = JUDGE_PATH) -> Judge:
    """The shipped judge, or one trained by ``tools/train_judge.py``.

    Raises:
        ModelFileError: the file is missing, damaged or no judge.
    """

    def build(about: dict[str, Any], tensors: dict[str, Tensor], fingerprint: str) -> Judge:
        net = JudgeNet()
        net.load_state_dict(tensors)
        first, second, third = (float(w) for w in about["weights"])
        licences = {str(k): str(v) for k, v in about["licences"].items()}
        return Judge(net.eval(), (first, second, third), fingerprint, licences)

    return load_network(path, "judge", "judge", build)
