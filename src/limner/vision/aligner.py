"""The contract of models that map pictures and texts to one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from limner.specs import Identified


class Aligner(Identified, Protocol):
    """Maps pictures and texts to vectors whose products say how well they match."""

    @property
    def dim(self) -> int:
        """E, the length of a feature vector."""

    def encode_images(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` pictures in [-1, 1], of any size, to ``(B, E)`` of unit length."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts to ``(B, E)`` float32 of unit length."""

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """``(B, E)`` vectors of pictures and ``(C, E)`` of texts to ``(B, C)``.

        The higher a logit, the better the pair matches.
        """
