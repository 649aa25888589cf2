"""A user whose taste is known, to measure what votes change: likes warm colours and no clutter."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.pictures import whole
from limner.generation.picture import Picture
from limner.generation.votes import Vote, voted
from limner.vision.images import on_white

_SIDE = 64
_LEVELS = 32
_GROUND, _COLOURED = 0.92, 0.25
_WARM_FROM, _WARM_TO = 330, 65
"""Hues from pink to yellow, degrees."""


def warmth(pixels: NDArray[np.uint8]) -> float:
    """Share of what is not white ground whose hue is warm and whose colour is not grey, in [0, 1].

    Args:
        pixels: ``(H, W, 3)``.
    """
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV"), np.float32) / 255
    drawn = pixels.min(2) < 255 * _GROUND
    hue = hsv[..., 0] * 360
    warm = ((hue >= _WARM_FROM) | (hue <= _WARM_TO)) & (hsv[..., 1] >= _COLOURED)
    return float((warm & drawn).sum() / max(drawn.sum(), 1))


def clutter(pixels: NDArray[np.uint8]) -> float:
    """Bytes of the losslessly compressed picture in 32 levels a channel, over its own, in [0, 1].

    Args:
        pixels: ``(H, W, 3)``.
    """
    coarse = (pixels // (256 // _LEVELS)).astype(np.uint8)
    return min(1.0, len(zlib.compress(coarse.tobytes(), 9)) / coarse.size)


@dataclass(frozen=True)
class SimulatedUser:
    """Likes a picture whose warmth less twice its clutter is above a threshold.

    Attributes:
        threshold: of :meth:`taste`.
        name: as a voter.
    """

    threshold: float = 0.0
    name: str = "simulated"

    def taste(self, image: Image.Image) -> float:
        """How much a picture is liked, in [-2, 1]."""
        pixels = whole(np.asarray(on_white(image)), _SIDE)
        return warmth(pixels) - 2 * clutter(pixels)

    def likes(self, image: Image.Image) -> bool:
        """Whether a picture is liked."""
        return self.taste(image) > self.threshold

    def votes(self, pictures: Sequence[Picture], files: Sequence[Path]) -> list[Vote]:
        """A thumb on each picture, and a choice between the extremes of each prompt.

        Args:
            pictures: those of a prompt stand together.
            files: that hold them.
        """
        found: list[Vote] = []
        numbered = list(zip(pictures, files, strict=True))
        for _, group in groupby(numbered, key=lambda each: each[0].index):
            own = [(self.taste(picture.image), voted(path)) for picture, path in group]
            for taste, picture in own:
                side = "better" if taste > self.threshold else "worse"
                found.append(Vote.model_validate({"user": self.name, side: picture}))
            best, worst = max(own, key=lambda x: x[0]), min(own, key=lambda x: x[0])
            if best[0] > worst[0]:
                found.append(Vote(user=self.name, better=best[1], worse=worst[1]))
        return found
