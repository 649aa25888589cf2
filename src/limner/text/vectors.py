"""Word vectors as a text encoder: Word2Vec and GloVe files, and Word2Vec trained on captions."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from limner.errors import DataError, MissingExtraError, UsageError
from limner.specs import fingerprint
from limner.text import segment
from limner.text.pieces import PieceEncoder
from limner.text.spaceless import SPACELESS
from limner.text.validate import canonical
from limner.text.wordfile import WordTable, read_words, write_binary

_VERSION = 1
_CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.capitalize, str.upper)


class VectorsEncoder(PieceEncoder):
    """Phrases and words of a prompt, each the mean of its words' vectors.

    Every word vector is brought to length one, a piece's vector is their mean brought to length
    one. A word is looked up as written, in lower case, capitalised, in capitals, then without its
    accents; text without spaces by its short runs, then by character. A word found in none of
    these ways gets a fixed pseudo-random unit vector made of the hashes of its letter trigrams:
    the same word always the same, similar spellings similar, different words apart.

    Args:
        path: a Word2Vec file (text or binary), a GloVe text file, or GloVe's ``vectors.bin`` with
            its ``vocab.txt`` beside it.
        max_tokens: L at most, the whole prompt included.

    Raises:
        DataError: the file cannot be read as word vectors.
        UsageError: ``max_tokens`` below 1.
    """

    def __init__(self, path: str | Path, max_tokens: int = segment.DEFAULT_MAX_TOKENS) -> None:
        self.table: WordTable = read_words(Path(path))
        words = fingerprint(self.table.digest, segment.VERSION, _VERSION)
        dim = int(self.table.vectors.shape[1])
        super().__init__(f"vectors:{quote(str(path))}", dim, words, max_tokens)
        self.fingerprint = fingerprint(words, f"tokens{max_tokens}")

    def embed(self, pieces: Sequence[str]) -> np.ndarray:
        """Unit vectors ``(N, D)`` float32 of N pieces."""
        rows = [self._piece(piece) for piece in pieces]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)

    def _row(self, word: str) -> int | None:
        bare = "".join(
            char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char)
        )
        for spelling in (word, bare):
            for case in _CASES:
                row = self.table.rows.get(case(spelling))
                if row is not None:
                    return row
        return None

    def _piece(self, piece: str) -> np.ndarray:
        vectors = [vector for word in segment.words_of(piece) for vector in self._word(word)]
        total = np.sum(vectors or [_hashed(piece, self.dim)], axis=0, dtype=np.float64)
        length = float(np.linalg.norm(total))
        if length < 1e-9:
            return _hashed(piece, self.dim)
        return np.asarray(total / length, np.float32)

    def _word(self, word: str) -> list[np.ndarray]:
        row = self._row(word)
        if row is not None:
            return [_unit(self.table.vectors[row], word)]
        if SPACELESS.search(word):
            rows = [self._row(char) for char in word]
            known = [(r, c) for r, c in zip(rows, word, strict=True) if r is not None]
            if known:
                return [_unit(self.table.vectors[r], c) for r, c in known]
        return [_hashed(word.lower(), self.dim)]


def train_word2vec(
    captions: Iterable[str],
    out: Path,
    dim: int = 128,
    *,
    epochs: int = 20,
    window: int = 5,
    min_count: int = 1,
    seed: int = 0,
) -> int:
    """Train Word2Vec (skip-gram, Mikolov et al., arXiv:1301.3781) on captions.

    One worker, so that the same captions and seed give the same file, bit for bit.

    Args:
        captions: texts in any languages; their words are learned in lower case.
        out: the file to write, in Word2Vec's binary format.
        dim: numbers per word.
        epochs: passes over the captions.
        window: how many words away a neighbour may be.
        min_count: rarer words are left out.
        seed: of the initial vectors and the sampling.

    Returns:
        The number of words in the file.

    Raises:
        DataError: the captions hold no word often enough, or the file cannot be written.
        MissingExtraError: gensim is not installed.
        PromptError: a caption is refused.
        UsageError: a number is out of range.
    """
    if min(dim, epochs, window, min_count) < 1 or seed < 0:
        raise UsageError("dim, epochs, window and min_count must be at least 1, seed at least 0")
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise MissingExtraError("gensim", "vectors", "training word vectors") from error
    sentences = [
        [word.lower() for word in segment.words_of(canonical(caption))] for caption in captions
    ]
    counts = Counter(word for sentence in sentences for word in sentence)
    if not any(count >= min_count for count in counts.values()):
        raise DataError(
            f"no word occurs {min_count} times or more in the captions; nothing to train on"
        )
    # sample=0: captions are few and short, and thinning out frequent words would leave nothing.
    model = Word2Vec(
        sentences, vector_size=dim, window=window, min_count=min_count, epochs=epochs,
        seed=seed, sg=1, workers=1, sample=0,
    )  # fmt: skip
    write_binary(out, list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32))
    return len(model.wv.index_to_key)


def _unit(vector: np.ndarray, word: str) -> np.ndarray:
    wide = vector.astype(np.float64)
    length = float(np.linalg.norm(wide))
    return wide / length if length > 0 else _hashed(word, len(vector)).astype(np.float64)


def _hashed(word: str, dim: int) -> np.ndarray:
    """A unit vector ``(D,)`` float32 of a word's letter trigrams, each a hashed Gaussian."""
    framed = f"^{re.sub(' ', '_', word[:200])}$"
    grams = [framed[i : i + 3] for i in range(max(len(framed) - 2, 1))]
    total = np.zeros(dim)
    for gram in grams:
        digest = hashlib.blake2b(gram.encode(), digest_size=8).digest()
        generator = np.random.Generator(np.random.Philox(int.from_bytes(digest, "little")))
        total += generator.standard_normal(dim)
    length = float(np.linalg.norm(total)) or 1.0
    return np.asarray(total / length, np.float32)
