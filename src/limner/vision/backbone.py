"""What pretrained backbones share: preparing pictures, and features from hidden states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.hub import hash_weights
from limner.specs import fingerprint
from limner.vision.base import ImageFeatures

_VERSION = 1
_PROBE = 8
"""Side of the picture that tells how wide the states are."""


@dataclass(frozen=True)
class Preparation:
    """The size and normalisation that a backbone expects.

    Pictures are resized whole, without the centre crop of many evaluation scripts, which would
    remove the border of an icon.

    Attributes:
        side: pixels.
        mean: of each channel, of values in [0, 1].
        std: of each channel.
    """

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to ``(B, 3, side, side)``, normalised."""
        shares = (resized(images.float(), self.side) + 1) / 2
        mean, std = (
            torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (self.mean, self.std)
        )
        return (shares - mean) / std


class Backbone(ABC):
    """A frozen pretrained network as an image encoder.

    Args:
        network: put on the device, frozen.
        spec: it was loaded by.
        prepare: its size and normalisation.
        device: where it runs.
        facts: whatever else its features depend on, for the fingerprint.
    """

    def __init__(
        self, network: Any, spec: str, prepare: Preparation, device: str, *facts: object
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.spec, self.prepare = spec, prepare
        weights = hash_weights(self.network).hexdigest()
        self.fingerprint = fingerprint(weights, prepare, *facts, _VERSION)

    @cached_property
    def dim(self) -> int:
        """E, the width of its states."""
        return self.encode(probe()).pooled.shape[1]

    @torch.inference_mode()
    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        if not len(images):
            return self.encode(probe())[:0]
        return self._features(self.prepare(images.to(self.device)))

    @abstractmethod
    def _features(self, pixels: Tensor) -> ImageFeatures:
        """Features of prepared pictures ``(B, 3, side, side)``, B at least 1."""


def probe() -> Tensor:
    """A grey picture, ``(1, 3, 8, 8)``."""
    return torch.zeros(1, 3, _PROBE, _PROBE)


def resized(images: Tensor, side: int) -> Tensor:
    """``(B, 3, H, W)`` pictures scaled to ``side`` x ``side``, by averaging where they shrink."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(
        images, (side, side), mode="bicubic", align_corners=False, antialias=True
    ).clamp(-1, 1)


def from_states(states: Tensor, fields: int | None = None) -> ImageFeatures:
    """Features from a backbone's states.

    They are maps ``(B, D, h, w)``, or rows ``(B, P + L, D)`` of which the first P are class and
    register tokens and L is ``fields``. A token per field; pooled is the class token where there is
    one, else their mean.
    """
    if states.ndim == 4:
        tokens = states.flatten(2).transpose(1, 2).float().cpu()  # (B, hw, D)
        return ImageFeatures(tokens.contiguous(), tokens.mean(1))
    states = states.float().cpu()
    length = min(states.shape[1], states.shape[1] if fields is None else fields)
    tokens = states[:, states.shape[1] - length :]  # (B, L, D)
    has_class = length < states.shape[1]
    return ImageFeatures(tokens.contiguous(), states[:, 0].clone() if has_class else tokens.mean(1))


def triple(values: Sequence[float]) -> tuple[float, ...]:
    """Three plain numbers.

    Raises:
        ValueError: there are not three.
    """
    numbers = tuple(float(v) for v in values)
    if len(numbers) != 3:
        raise ValueError(f"{len(numbers)} channels")
    return numbers
