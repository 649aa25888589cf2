"""What pretrained backbones share: bringing pictures into their form, reading their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limner.vision.base import ImageFeatures


@dataclass(frozen=True)
class Preparation:
    """How a backbone wants its pictures.

    A picture is scaled whole: nothing is cut off its border, which upstream evaluation scripts
    often do and which would hide what an icon has there.

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


def resized(images: Tensor, side: int) -> Tensor:
    """``(B, 3, H, W)`` pictures scaled to ``side`` x ``side``, by averaging where they shrink."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(
        images, (side, side), mode="bicubic", align_corners=False, antialias=True
    ).clamp(-1, 1)


def from_states(states: Tensor, fields: int | None = None) -> ImageFeatures:
    """Features from a backbone's states.

    Args:
        states: maps ``(B, D, h, w)``, or rows ``(B, P + L, D)`` of which the first P stand for no
            field (class and register tokens).
        fields: L of the rows.

    Returns:
        A token per field; pooled is the class token where there is one, else their mean.
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
