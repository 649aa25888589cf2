"""Features of whole tables of captions, each phrase and word encoded and stored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.errors import UsageError
from limner.text.base import TextEncoder, TextFeatures
from limner.text.cache import CachedEncoder
from limner.text.pieces import PieceEncoder
from limner.text.validate import canonical_all

_BATCH = 256

Progress = Callable[[int, int], None]
"""Called with (done, total) of what is to be encoded, after every batch."""


@dataclass(frozen=True)
class FeatureTable:
    """Features of N texts over one table of distinct vectors.

    60,000 captions of 12 tokens would be 1.1 GB of features; their distinct phrases and words are
    a tenth of that. Index it like :class:`~limner.text.base.TextFeatures` to get those of a batch.

    Attributes:
        vectors: ``(P + 1, D)`` float32; row 0 is zero and stands for padding.
        tokens: ``(N, L)`` int32 rows of ``vectors``, 0 beyond a text's own length.
        pooled: ``(N,)`` int32 rows of ``vectors``.
    """

    vectors: Tensor
    tokens: Tensor
    pooled: Tensor

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def __getitem__(self, index: Tensor | slice | list[int]) -> TextFeatures:
        """Features of some of the texts, ``(B, L, D)``."""
        rows = self.tokens[index]
        return TextFeatures(
            self.vectors[rows.long()], rows != 0, self.vectors[self.pooled[index].long()]
        )

    def to(self, device: torch.device | str) -> FeatureTable:
        """The same table on another device."""
        return FeatureTable(self.vectors.to(device), self.tokens.to(device), self.pooled.to(device))


def encode_table(
    encoder: TextEncoder,
    texts: Sequence[str],
    *,
    max_tokens: int,
    on_progress: Progress | None = None,
) -> FeatureTable:
    """Encode a table of captions, each distinct phrase, word or caption once.

    Args:
        encoder: any; through a :class:`~limner.text.cache.CachedEncoder` what was encoded is kept
            batch by batch, so an interrupted run goes on where it stopped.
        texts: N captions, repetitions allowed.
        max_tokens: L; a text's later tokens (its single words) are left out beyond it.
        on_progress: called with (done, total) of the vectors to be computed.

    Raises:
        PromptError: one of the texts is refused.
        UsageError: ``max_tokens`` below 1.
    """
    if max_tokens < 1:
        raise UsageError(f"max_tokens must be at least 1, not {max_tokens}")
    legal = canonical_all(texts)
    cached = encoder if isinstance(encoder, CachedEncoder) else None
    inner = encoder if cached is None else cached.encoder
    unique = list(dict.fromkeys(legal))
    if isinstance(inner, PieceEncoder):
        cut = {text: inner.pieces(text)[:max_tokens] for text in unique}
        wanted = list(dict.fromkeys(piece for row in cut.values() for piece in row))
        blocks = _piece_vectors(inner, cached, wanted, on_progress)
        table = np.concatenate([np.zeros((1, inner.dim), np.float32), blocks])
        number = {piece: row for row, piece in enumerate(wanted, 1)}
        spans = {text: [number[piece] for piece in row] for text, row in cut.items()}
        heads = {text: row[0] for text, row in spans.items()}
    else:
        table, heads, spans = _text_vectors(encoder, unique, max_tokens, on_progress)
    length = max((len(row) for row in spans.values()), default=1)
    tokens = np.zeros((len(legal), min(length, max_tokens)), np.int32)
    for index, text in enumerate(legal):
        tokens[index, : len(spans[text])] = spans[text]
    pooled = np.fromiter((heads[text] for text in legal), np.int32, len(legal))
    return FeatureTable(torch.from_numpy(table), torch.from_numpy(tokens), torch.from_numpy(pooled))


def encode_all(
    encoder: TextEncoder,
    texts: Sequence[str],
    *,
    max_tokens: int,
    on_progress: Progress | None = None,
) -> TextFeatures:
    """Features of N captions at once, ``(N, L, D)`` float32; L is at most ``max_tokens``.

    Takes ``4 N L D`` bytes: for large tables keep :func:`encode_table`'s instead.

    Raises:
        PromptError: one of the texts is refused.
        UsageError: ``max_tokens`` below 1.
    """
    return encode_table(encoder, texts, max_tokens=max_tokens, on_progress=on_progress)[:]


def _piece_vectors(
    encoder: PieceEncoder,
    cached: CachedEncoder | None,
    wanted: list[str],
    on_progress: Progress | None,
) -> np.ndarray:
    vectors = np.empty((len(wanted), encoder.dim), np.float32)
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        if cached is None:
            vectors[start : start + len(batch)] = encoder.embed(batch)
        else:
            found = cached.vectors(batch)
            for row, piece in enumerate(batch, start):
                vectors[row] = found[piece][0]
        if on_progress is not None:
            on_progress(start + len(batch), len(wanted))
    return vectors


def _text_vectors(
    encoder: TextEncoder, unique: list[str], max_tokens: int, on_progress: Progress | None
) -> tuple[np.ndarray, dict[str, int], dict[str, list[int]]]:
    blocks = [np.zeros((1, encoder.dim), np.float32)]
    heads: dict[str, int] = {}
    spans: dict[str, list[int]] = {}
    used = 1
    for start in range(0, len(unique), _BATCH):
        batch = unique[start : start + _BATCH]
        features = encoder.encode(batch)
        for row, text in enumerate(batch):
            tokens = features.tokens[row][features.mask[row]][:max_tokens]
            blocks.append(torch.cat([features.pooled[row : row + 1], tokens]).cpu().numpy())
            heads[text] = used
            spans[text] = list(range(used + 1, used + 1 + tokens.shape[0]))
            used += 1 + tokens.shape[0]
        if on_progress is not None:
            on_progress(start + len(batch), len(unique))
    return np.concatenate(blocks), heads, spans
