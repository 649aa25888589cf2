"""A bounded cache of text features, in memory and on disk.

Vectors are kept as raw float32 bytes under a 128-bit hash of encoder fingerprint and text, so
prompts themselves are not stored, and cached features are bit for bit the encoder's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from limner.memory import RecentlyUsed
from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.disk import DiskCache, default_cache_dir
from limner.text.pieces import PieceEncoder, assemble
from limner.text.validate import canonical_all

_MEMORY_BYTES = 64 * 2**20
_PIECES_A_CALL = 256
_TEXTS_A_CALL = 32


class CachedEncoder:
    """Wraps any encoder: same features, bit for bit, but each text is encoded once.

    Of a :class:`~limner.text.pieces.PieceEncoder` the vectors of phrases and words are kept, so
    that *red* is encoded once for all prompts; of any other encoder, each text's features.

    Args:
        encoder: encodes what is not in the cache.
        directory: of the cache file; None for ``$LIMNER_CACHE`` or the platform's cache folder.
        memory_bytes: bound of the cache in memory.
        disk_bytes: bound of the cache file.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        directory: Path | None = None,
        *,
        memory_bytes: int = _MEMORY_BYTES,
        disk_bytes: int = 512 * 2**20,
    ) -> None:
        self.encoder = encoder
        self.dim, self.spec, self.fingerprint = encoder.dim, encoder.spec, encoder.fingerprint
        self.disk = DiskCache(directory or default_cache_dir(), disk_bytes)
        self.memory = RecentlyUsed[bytes, np.ndarray](memory_bytes, lambda array: array.nbytes)
        pieces = encoder if isinstance(encoder, PieceEncoder) else None
        self._pieces, self._scope = pieces, pieces.piece_fingerprint if pieces else self.fingerprint

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts, from memory, else from disk, else from the encoder."""
        legal = canonical_all(texts)
        if self._pieces is not None:
            cut = [self._pieces.pieces(text) for text in legal]
            vectors = self.vectors(piece for row in cut for piece in row)
            return assemble(cut, {piece: rows[0] for piece, rows in vectors.items()}, self.dim)
        if not legal:
            return self.encoder.encode(legal)
        rows = self.vectors(legal)
        return concatenate([_features(rows[text]) for text in legal])

    def vectors(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """What the cache keeps for each text, see :func:`vectors_of`; read-only.

        Args:
            texts: pieces, or canonical texts.
        """
        keys = {text: self._key(text) for text in texts}
        found = {text: array for text, key in keys.items()
                 if (array := self.memory.get(key)) is not None}  # fmt: skip
        stored = self.disk.get_many([key for text, key in keys.items() if text not in found])
        for text, key in keys.items():
            if (array := self._rows(stored.get(key))) is not None:
                found[text] = array
                self.memory.put(key, array)
        missing = [text for text in keys if text not in found]
        step = _TEXTS_A_CALL if self._pieces is None else _PIECES_A_CALL
        for start in range(0, len(missing), step):
            fresh = vectors_of(self.encoder, missing[start : start + step])
            self.disk.put_many({keys[text]: array.tobytes() for text, array in fresh.items()})
            found |= fresh
            for text, array in fresh.items():
                self.memory.put(keys[text], array)
        return found

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(f"{self._scope}\0{text}".encode(), digest_size=16).digest()

    def _rows(self, raw: bytes | None) -> np.ndarray | None:
        width = 4 * self.dim
        least = 1 if self._pieces is not None else 2
        if raw is None or len(raw) % width or len(raw) < least * width:
            return None
        return np.frombuffer(raw, np.float32).reshape(-1, self.dim)


def vectors_of(encoder: TextEncoder, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """The vectors of each text, ``(R, D)`` float32, read-only.

    Of a piece encoder R is 1: the vector of that piece. Of any other, row 0 is ``pooled`` and the
    rest are the tokens.

    Args:
        encoder: without a cache.
        texts: pieces, or canonical texts.
    """
    if isinstance(encoder, PieceEncoder):
        rows = [vector[None].copy() for vector in encoder.embed(texts)]
    else:
        found = encoder.encode(texts).to("cpu")
        each = zip(found.pooled, found.tokens, found.mask, strict=True)
        rows = [torch.cat([one[None], tokens[mask]]).float().numpy() for one, tokens, mask in each]
    for row in rows:
        row.setflags(write=False)
    return dict(zip(texts, rows, strict=True))


def uncached(encoder: TextEncoder) -> TextEncoder:
    """The encoder behind a cache, or the encoder itself."""
    return encoder.encoder if isinstance(encoder, CachedEncoder) else encoder


def _features(rows: np.ndarray) -> TextFeatures:
    copy = torch.from_numpy(rows.copy())
    tokens = copy[None, 1:]
    return TextFeatures(tokens, torch.ones(1, tokens.shape[1], dtype=torch.bool), copy[:1])
