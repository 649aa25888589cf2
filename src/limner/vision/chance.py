"""Image features without a network: pseudo-random numbers from each picture's hash."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from limner.errors import UsageError
from limner.specs import fingerprint
from limner.vision.base import ImageFeatures
from limner.vision.pixels import to_uint8


class RandomImageEncoder:
    """Standard normal numbers drawn from a hash of the picture's own 8-bit pixels.

    The same picture has the same features in every process and on every device; any other picture,
    however similar, has others. They identify a picture and say nothing of it: the baseline for
    real features.

    Args:
        dim: D.
        tokens: L.
        seed: another seed gives every picture other features.

    Raises:
        UsageError: a number is out of range.
    """

    def __init__(self, dim: int, tokens: int = 16, seed: int = 0) -> None:
        if not (1 <= dim <= 65_536 and 1 <= tokens <= 4096 and 0 <= seed < 2**63):
            raise UsageError(
                f"random picture features of {tokens} tokens of {dim} numbers by seed {seed} "
                "cannot be; use 1 to 4096 tokens of 1 to 65536 numbers, and a seed from 0"
            )
        self.dim, self.tokens, self.seed = dim, tokens, seed
        facts = (("tokens", tokens, 16), ("seed", seed, 0))
        options = "&".join(f"{key}={value}" for key, value, usual in facts if value != usual)
        self.spec = f"random:{dim}" + (f"?{options}" if options else "")
        self.fingerprint = fingerprint("random/1", dim, tokens, seed)

    def encode(self, images: Tensor) -> ImageFeatures:
        """Features of ``(B, 3, H, W)`` pictures in [-1, 1]."""
        if not len(images):
            empty = torch.zeros(0, self.tokens, self.dim)
            return ImageFeatures(empty, empty[:, 0])
        pixels = to_uint8(images).cpu().permute(0, 3, 1, 2)  # (B, 3, H, W)
        rows = []
        for picture in pixels.contiguous():
            facts = f"{self.seed}/{tuple(picture.shape)}/".encode() + picture.numpy().tobytes()
            own = int.from_bytes(hashlib.sha256(facts).digest()[:8], "big") >> 1
            generator = torch.Generator().manual_seed(own)
            rows.append(torch.randn(1 + self.tokens, self.dim, generator=generator))
        features = torch.stack(rows)  # (B, 1+L, D)
        return ImageFeatures(features[:, 1:], features[:, 0])
