"""An aligner that needs no training, for tests of what aligners serve."""

from __future__ import annotations

from collections.abc import Sequence

import torch

COLOURS = {
    "red": (1.0, -1.0, -1.0), "green": (-1.0, 1.0, -1.0), "blue": (-1.0, -1.0, 1.0),
}  # fmt: skip


class ByColour:
    """An aligner that needs no training: pictures are their mean colour, texts the colour named."""

    spec, fingerprint, dim = "colour", "0", 3

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean((2, 3)), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.tensor([COLOURS[t] for t in texts]), dim=1)

    def logits(self, seen: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        return seen @ said.T
