"""Encoders whose features are vectors of pieces of text, and how those become features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from limner.text.base import TextEncoder, TextFeatures


@runtime_checkable
class PieceEncoder(TextEncoder, Protocol):
    """An encoder that embeds each piece of a text on its own.

    What the cache gains from knowing: *red* is embedded once, whatever prompts it appears in.
    """

    @property
    def piece_fingerprint(self) -> str:
        """Changes whenever the same piece could get another vector."""
        ...

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text, the whole first; row 0 becomes ``pooled`` and token 0."""
        ...

    def embed(self, pieces: Sequence[str]) -> np.ndarray:
        """Vectors ``(N, D)`` float32; each depends on its own piece alone."""
        ...


def assemble(rows: Sequence[Sequence[np.ndarray]], dim: int) -> TextFeatures:
    """Features of B texts from the vectors of their pieces.

    Args:
        rows: for each text its vectors, ``(D,)`` float32 each, the whole first.
        dim: D.

    Returns:
        ``tokens`` padded to the longest row, ``pooled`` equal to token 0.
    """
    length = max((len(row) for row in rows), default=1)
    tokens = np.zeros((len(rows), length, dim), np.float32)
    mask = np.zeros((len(rows), length), bool)
    for index, row in enumerate(rows):
        for position, vector in enumerate(row):
            tokens[index, position] = vector
        mask[index, : len(row)] = True
    pooled = tokens[:, 0].copy()
    return TextFeatures(torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(pooled))
