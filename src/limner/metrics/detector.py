"""The judge of composition: an object detector that also names colours.

A small convolutional detector after CenterNet (Zhou et al. 2019, arXiv:1904.07850) and FCOS (Tian
et al. 2019, arXiv:1904.01355), trained by ``tools/train_detector.py``: every cell of a 16 x 16 grid
predicts whether an object has its centre there, which of the 110 things it is, its box, and which
of the ten colours it has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.metrics.base import check_finite
from limner.metrics.composition import Detection
from limner.scenes.scene import SCENE_COLOURS
from limner.scenes.things import THINGS
from limner.vision.convnet import Stage, fit_to, load_network, tiles

SIZE = 64
GRID = 16
CELL = SIZE // GRID
DETECTOR_PATH = Path(__file__).parent / "weights" / "scene-detector.safetensors"
METADATA_KEY = "detector"
_WIDTHS = (32, 64, 128, 224)
_NECK, _HEAD = 128, 96
_THERE = 0.35
"""Least chance that something has its centre in a cell."""
_SURE = 0.5
"""Least chance that it is the thing named."""
_SAME = 0.5
"""Intersection over union from which two boxes are the same object."""


@dataclass(frozen=True)
class Maps:
    """The network's outputs for every cell, G being 16.

    Attributes:
        there: ``(B, G, G)`` logits: a thing has its centre here.
        things: ``(B, K + 1, G, G)`` logits of K things and of anything else.
        boxes: ``(B, 4, G, G)``: centre from the cell's in cells, x and y; logarithm of width and
            height as shares of the picture.
        colours: ``(B, C, G, G)`` logits of C colours.
    """

    there: Tensor
    things: Tensor
    boxes: Tensor
    colours: Tensor


class _Refine(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` -> the same."""
        return F.relu(x + self.norm(self.conv(x)))


class DetectorNet(nn.Module):
    """``(B, 3, 64, 64)`` in [-1, 1] -> :class:`Maps`.

    Args:
        things: K.
        colours: C.
    """

    def __init__(self, things: int = len(THINGS), colours: int = len(SCENE_COLOURS)) -> None:
        super().__init__()
        self.split = (1, things + 1, 4, colours)
        self.stem = nn.Conv2d(3, _WIDTHS[0], 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(_WIDTHS[0])
        self.stages = nn.ModuleList(Stage(a, b) for a, b in pairwise(_WIDTHS))
        self.whole = _Refine(_WIDTHS[3])
        self.down4 = nn.Conv2d(_WIDTHS[3], _NECK, 1)
        self.side8 = nn.Conv2d(_WIDTHS[2], _NECK, 1)
        self.mix8 = _Refine(_NECK)
        self.down8 = nn.Conv2d(_NECK, _HEAD, 1)
        self.side16 = nn.Conv2d(_WIDTHS[1], _HEAD, 1)
        self.mix16 = nn.Sequential(_Refine(_HEAD), _Refine(_HEAD))
        self.head = nn.Conv2d(_HEAD, sum(self.split), 1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Maps:
        """Maps of B pictures."""
        x = F.relu(self.norm(self.stem(images)))  # B 32 32 32
        x16 = self.stages[0](x)  # B 64 16 16
        x8 = self.stages[1](x16)  # B 128 8 8
        x4 = self.whole(self.stages[2](x8))  # B 224 4 4
        x = self.mix8(self.side8(x8) + _doubled(self.down4(x4)))
        x = self.mix16(self.side16(x16) + _doubled(self.down8(x)))
        there, things, boxes, colours = self.head(x).float().split(self.split, 1)
        return Maps(there[:, 0], things, boxes, colours)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@dataclass(frozen=True)
class Detector:
    """A trained network.

    Attributes:
        net: in eval mode.
        fingerprint: first 16 hex digits of the SHA-256 of its file.
        licences: of the pictures it was trained on.
    """

    net: DetectorNet
    fingerprint: str
    licences: dict[str, str]

    @torch.inference_mode()
    def detect(self, images: Tensor) -> list[list[Detection]]:
        """The objects in each of B pictures, the most certain first.

        Args:
            images: ``(B, 3, H, W)`` float32 in [-1, 1]; other sizes than 64 are resampled.

        Returns:
            For each picture its objects, boxes in pixels of a side of 64. They do not depend on
            the other pictures: kernels always run on 64 pictures.

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        check_finite(images)
        found: list[list[Detection]] = []
        for tile, count in tiles(fit_to(images, SIZE)):
            found += read(self.net(tile))[:count]
        return found


def read(maps: Maps) -> list[list[Detection]]:
    """Objects from the maps: local maxima above the thresholds, without overlapping boxes."""
    there = maps.there.sigmoid()  # B G G
    chances, kinds = maps.things.softmax(1).max(1)  # B G G each
    highest = F.max_pool2d(there[:, None], 3, 1, 1)[:, 0]
    known = kinds < maps.things.shape[1] - 1
    picked = (there == highest) & (there > _THERE) & (chances > _SURE) & known
    colours = maps.colours.argmax(1)
    names = tuple(THINGS)
    found: list[list[tuple[float, Detection]]] = [[] for _ in there]
    for picture, row, column in picked.nonzero().tolist():
        dx, dy, wide, high = maps.boxes[picture, :, row, column].tolist()
        x, y = (column + 0.5 + dx) * CELL, (row + 0.5 + dy) * CELL
        half = [SIZE / 2 * min(2.0, math.e**side) for side in (wide, high)]
        one = Detection(
            names[int(kinds[picture, row, column])],
            (x - half[0], y - half[1], x + half[0], y + half[1]),
            SCENE_COLOURS[int(colours[picture, row, column])],
        )
        found[picture].append((float(there[picture, row, column]), one))
    return [_once(sorted(each, key=lambda one: -one[0])) for each in found]


def _once(found: Sequence[tuple[float, Detection]]) -> list[Detection]:
    kept: list[Detection] = []
    for _, one in found:
        if all(overlap(one.box, other.box) < _SAME for other in kept):
            kept.append(one)
    return kept


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection of two boxes over their union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    areas = ((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return both / (sum(areas) - both) if both else 0.0


@lru_cache(maxsize=2)
def load_detector(path: Path = DETECTOR_PATH) -> Detector:
    """The shipped detector, or one trained by ``tools/train_detector.py``.

    Raises:
        ModelFileError: the file is missing, damaged, no detector, or one of other things.
    """

    def build(about: dict[str, Any], tensors: dict[str, Tensor], fingerprint: str) -> Detector:
        if about["things"] != list(THINGS) or about["colours"] != list(SCENE_COLOURS):
            raise ValueError("it learned other things or colours")
        net = DetectorNet()
        net.load_state_dict(tensors)
        licences = {str(k): str(v) for k, v in about["licences"].items()}
        return Detector(net.eval(), fingerprint, licences)

    return load_network(path, METADATA_KEY, "detector", build)
