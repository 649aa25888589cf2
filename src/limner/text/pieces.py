"""Encoders whose features are vectors of pieces of text, and how those become features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from limner.text.base import TextEncoder, TextFeatures
from limner.text.validate import canonical_all


@runtime_checkable
class PieceEncoder(TextEncoder, Protocol):
    """An encoder that embeds each piece of a text on its own.

    A cache then embeds *red* once for all the prompts that it appears in.
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


def encode_pieces(encoder: PieceEncoder, texts: Sequence[str]) -> TextFeatures:
    """Features of B texts, each distinct piece embedded once.

    Raises:
        PromptError: a text is refused.
    """
    cut = [encoder.pieces(text) for text in canonical_all(texts)]
    unique = list(dict.fromkeys(piece for row in cut for piece in row))
    return assemble(cut, dict(zip(unique, encoder.embed(unique), strict=True)), encoder.dim)


def assemble(
    cut: Sequence[Sequence[str]], vectors: Mapping[str, np.ndarray], dim: int
) -> TextFeatures:
    """Features of B texts from the vectors of their pieces.

    Args:
        cut: for each text its pieces, the whole first.
        vectors: of every piece, ``(D,)`` float32.
        dim: D.

    Returns:
        ``tokens`` padded to the longest row, ``pooled`` equal to token 0.
    """
    rows = [[vectors[piece] for piece in pieces] for pieces in cut]
    length = max((len(row) for row in rows), default=1)
    tokens = np.zeros((len(rows), length, dim), np.float32)
    mask = np.zeros((len(rows), length), bool)
    for index, row in enumerate(rows):
        for position, vector in enumerate(row):
            tokens[index, position] = vector
        mask[index, : len(row)] = True
    pooled = tokens[:, 0].copy()
    return TextFeatures(
        torch.from_numpy(tokens),
        torch.from_numpy(mask),
        torch.from_numpy(pooled),
        tuple(map(tuple, cut)),
    )
