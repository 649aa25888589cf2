"""Features of whole tables of captions, each phrase and word encoded and stored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from limner.errors import UsageError
from limner.text.base import TextEncoder, TextFeatures
from limner.text.cache import CachedEncoder, uncached, vectors_of
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

    @cached_property
    def lengths(self) -> Tensor:
        """Tokens of each text, ``(N,)`` int64 on the CPU."""
        return (self.tokens != 0).sum(1).cpu()

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
        encoder: any; a :class:`~limner.text.cache.CachedEncoder` keeps each batch, so that an
            interrupted run resumes where it stopped.
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
    unique = list(dict.fromkeys(legal))
    inner, cut = uncached(encoder), {text: [text] for text in unique}
    get = encoder.vectors if isinstance(encoder, CachedEncoder) else partial(vectors_of, encoder)
    pooled_apart = 1  # row 0 of a text is its pooled vector, but of pieces the first token as well
    if isinstance(inner, PieceEncoder):
        cut, pooled_apart = {text: inner.pieces(text)[:max_tokens] for text in unique}, 0
    wanted = list(dict.fromkeys(part for parts in cut.values() for part in parts))
    blocks = [np.zeros((1, inner.dim), np.float32)]
    places: dict[str, range] = {}  # rows of the table
    used = 1
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        found = get(batch)
        for part in batch:
            blocks.append(found[part][: 1 + max_tokens])
            places[part] = range(used, used + len(blocks[-1]))
            used = places[part].stop
        if on_progress is not None:
            on_progress(start + len(batch), len(wanted))
    rows = {text: [row for part in parts for row in places[part]] for text, parts in cut.items()}
    length = max((len(row) for row in rows.values()), default=1 + pooled_apart) - pooled_apart
    tokens = np.zeros((len(legal), length), np.int32)
    for index, text in enumerate(legal):
        own = rows[text][pooled_apart:]
        tokens[index, : len(own)] = own
    pooled = np.fromiter((rows[text][0] for text in legal), np.int32, len(legal))
    table = np.concatenate(blocks)
    return FeatureTable(torch.from_numpy(table), torch.from_numpy(tokens), torch.from_numpy(pooled))
