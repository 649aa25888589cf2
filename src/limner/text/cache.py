"""A bounded cache of text features, in memory and on disk.

Vectors are kept as raw float32 bytes under a 128-bit hash of encoder fingerprint and text, so
prompts themselves are not stored, and cached features are bit for bit the encoder's.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from limner.text.base import TextEncoder, TextFeatures, concatenate
from limner.text.disk import DiskCache, default_cache_dir
from limner.text.pieces import PieceEncoder, assemble
from limner.text.validate import canonical_all

_MEMORY_BYTES = 64 * 2**20
_PIECES_A_CALL = 256
_TEXTS_A_CALL = 32


class MemoryCache:
    """The most recently used arrays, up to a number of bytes."""

    def __init__(self, max_bytes: int = _MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._arrays: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: bytes) -> np.ndarray | None:
        """The array, which becomes the most recently used one; None if it is not here."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: bytes, array: np.ndarray) -> None:
        """Keep an array, and drop the least recently used ones beyond the bound."""
        with self._lock:
            old = self._arrays.pop(key, None)
            self._bytes += array.nbytes - (0 if old is None else old.nbytes)
            self._arrays[key] = array
            while self._bytes > self._max_bytes:
                _, dropped = self._arrays.popitem(last=False)
                self._bytes -= dropped.nbytes


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
        self.disk = DiskCache(directory or default_cache_dir(), disk_bytes)
        self.memory = MemoryCache(memory_bytes)

    @property
    def dim(self) -> int:
        """D of the wrapped encoder."""
        return self.encoder.dim

    @property
    def spec(self) -> str:
        """Spec of the wrapped encoder."""
        return self.encoder.spec

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the wrapped encoder."""
        return self.encoder.fingerprint

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts, from memory, else from disk, else from the encoder.

        Raises:
            PromptError: a text is refused.
        """
        legal = canonical_all(texts)
        if isinstance(self.encoder, PieceEncoder):
            cut = [self.encoder.pieces(text) for text in legal]
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
        scope = self._scope()
        keys = {text: _key(scope, text) for text in texts}
        found: dict[str, np.ndarray] = {}
        for text, key in keys.items():
            array = self.memory.get(key)
            if array is not None:
                found[text] = array
        missing = [text for text in keys if text not in found]
        stored = self.disk.get_many([keys[text] for text in missing]) if missing else {}
        for text in missing:
            array = self._rows(stored.get(keys[text]))
            if array is not None:
                found[text] = array
                self.memory.put(keys[text], array)
        missing = [text for text in missing if text not in found]
        step = _PIECES_A_CALL if isinstance(self.encoder, PieceEncoder) else _TEXTS_A_CALL
        for start in range(0, len(missing), step):
            fresh = vectors_of(self.encoder, missing[start : start + step])
            self.disk.put_many({keys[text]: array.tobytes() for text, array in fresh.items()})
            for text, array in fresh.items():
                found[text] = array
                self.memory.put(keys[text], array)
        return found

    def _scope(self) -> str:
        if isinstance(self.encoder, PieceEncoder):
            return self.encoder.piece_fingerprint
        return self.encoder.fingerprint

    def _rows(self, raw: bytes | None) -> np.ndarray | None:
        width = 4 * self.dim
        least = 1 if isinstance(self.encoder, PieceEncoder) else 2
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
        vectors = encoder.embed(texts)
        rows = [vectors[i : i + 1].copy() for i in range(len(texts))]
    else:
        features = encoder.encode(texts)
        rows = [
            torch.cat([features.pooled[i : i + 1], features.tokens[i][features.mask[i]]])
            .float()
            .cpu()
            .numpy()
            for i in range(len(texts))
        ]
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


def _key(scope: str, text: str) -> bytes:
    return hashlib.blake2b(f"{scope}\0{text}".encode(), digest_size=16).digest()
