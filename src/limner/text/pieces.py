"""Encoders whose features are vectors of pieces of text, and how those become features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from limner.errors import UsageError
from limner.text import segment
from limner.text.base import TextFeatures
from limner.text.validate import canonical_all


class PieceEncoder(ABC):
    """An encoder that embeds each phrase and word of a text on its own.

    ``pooled`` and token 0 are the vector of the whole text; the other tokens are the vectors of
    the pieces of :func:`limner.text.segment.pieces`. A cache embeds *red* once for all the prompts
    that it appears in.

    Args:
        name: the spec without its options.
        dim: D.
        piece_fingerprint: changes whenever the same piece could get another vector.
        max_tokens: L at most, the whole text included.

    Raises:
        UsageError: ``max_tokens`` below 1.
    """

    fingerprint: str

    def __init__(self, name: str, dim: int, piece_fingerprint: str, max_tokens: int) -> None:
        if max_tokens < 1:
            raise UsageError(f"{name}?tokens={max_tokens} is refused: give at least one token")
        usual = max_tokens == segment.DEFAULT_MAX_TOKENS
        self.spec = name if usual else f"{name}?tokens={max_tokens}"
        self.dim, self.piece_fingerprint, self.max_tokens = dim, piece_fingerprint, max_tokens

    @abstractmethod
    def embed(self, pieces: Sequence[str]) -> np.ndarray:
        """Unit vectors ``(N, D)`` float32 of N pieces; each depends on its own piece alone."""

    def pieces(self, text: str) -> list[str]:
        """The pieces of a canonical text, the whole first."""
        return segment.segment(text, self.max_tokens)

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts, each distinct piece embedded once."""
        cut = [self.pieces(text) for text in canonical_all(texts)]
        unique = list(dict.fromkeys(piece for row in cut for piece in row))
        return assemble(cut, dict(zip(unique, self.embed(unique), strict=True)), self.dim)


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
    length = max(map(len, cut), default=1)
    tokens = np.zeros((len(cut), length, dim), np.float32)
    mask = np.zeros((len(cut), length), bool)
    for row, pieces in enumerate(cut):
        for position, piece in enumerate(pieces):
            tokens[row, position] = vectors[piece]
        mask[row, : len(pieces)] = True
    pooled = torch.from_numpy(tokens[:, 0].copy())
    return TextFeatures(
        torch.from_numpy(tokens), torch.from_numpy(mask), pooled, tuple(map(tuple, cut))
    )
