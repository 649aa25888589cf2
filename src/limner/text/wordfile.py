"""Files of word vectors: Word2Vec text and binary, GloVe text and binary, read within bounds."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from limner.errors import DataError
from limner.files import whole_file

_MAX_DIM = 20_000
_MAX_WORD_BYTES = 1_000
_LINES_LOOKED_AT = 1_000
_HEADER = re.compile(rb"^(\d{1,12}) (\d{1,6})\s*$")


@dataclass(frozen=True)
class WordTable:
    """Words and their vectors.

    Attributes:
        rows: word -> row; of a word that occurs twice, the first.
        vectors: ``(V, D)`` float32, finite.
        digest: SHA-256 of what was read.
    """

    rows: dict[str, int]
    vectors: np.ndarray
    digest: str


def read_words(path: Path) -> WordTable:
    """Read a file of word vectors, its format told from its content.

    Word2Vec files begin with a line ``count dim``, in text or binary; GloVe text files begin with
    the first word; GloVe's binary (``vectors.bin``, doubles) needs its ``vocab.txt`` beside it and
    gives, as GloVe itself does, the sum of word and context vectors. Words are UTF-8; bytes that
    are not become U+FFFD.

    Raises:
        DataError: the file is missing, cut short, or none of these.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read the word vectors {path}: {error.strerror or error}"
        ) from error
    end = raw.find(b"\n", 0, 65_536 * 16)
    header = _HEADER.match(raw[: max(end, 0)])
    try:
        if header:
            count, dim = int(header[1]), int(header[2])
            words, vectors = _word2vec(raw, end + 1, count, dim)
        elif b"\0" in raw[:65_536]:
            words, vectors, vocabulary = _glove_binary(raw, path.with_name("vocab.txt"))
            raw += vocabulary
        else:
            words, vectors = _lines(raw, 0, None, None)
    except ValueError as error:
        raise DataError(f"{path} is not a file of word vectors: {error}") from error
    if not np.isfinite(vectors).all():
        raise DataError(f"{path} holds numbers that are not finite; write it again")
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(word, row)
    return WordTable(rows, vectors, hashlib.sha256(raw).hexdigest())


def write_binary(path: Path, words: Sequence[str], vectors: np.ndarray) -> None:
    """Write Word2Vec's binary format, so that ``path`` is the old file or the whole new one.

    Raises:
        DataError: the file cannot be written.
        ValueError: not one vector per word, or a word holds a space or nothing.
    """
    if len(words) != len(vectors) or any(not word or set(word) & set(" \n") for word in words):
        raise ValueError("one vector per word, and no empty or spaced words")
    with whole_file(path, DataError, sync=True) as part, part.open("wb") as handle:
        handle.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, vector in zip(words, vectors.astype("<f4"), strict=True):
            handle.write(word.encode() + b" " + vector.tobytes() + b"\n")


def _word2vec(raw: bytes, start: int, count: int, dim: int) -> tuple[list[str], np.ndarray]:
    # In either format a vector takes at least two bytes a number, so a lie is found out here.
    if not 1 <= dim <= _MAX_DIM or count < 1 or count * 2 * dim > len(raw):
        raise ValueError(
            f"its first line declares {count:,} words of {dim:,} numbers, "
            f"which {len(raw):,} bytes cannot hold"
        )
    if _is_text(raw, start, dim):
        return _lines(raw, start, count, dim)
    return _binary(raw, start, count, dim)


def _is_text(raw: bytes, start: int, dim: int) -> bool:
    end = raw.find(b"\n", start)
    line = raw[start : end if end >= 0 else len(raw)].rstrip()
    try:
        return len([float(item) for item in line.rsplit(b" ", dim)[1:]]) == dim
    except ValueError:
        return False


def _binary(raw: bytes, start: int, count: int, dim: int) -> tuple[list[str], np.ndarray]:
    vectors = np.empty((count, dim), np.float32)
    words: list[str] = []
    width = 4 * dim
    for row in range(count):
        while raw[start : start + 1] == b"\n":
            start += 1
        space = raw.find(b" ", start, start + _MAX_WORD_BYTES)
        if space < 0 or space + 1 + width > len(raw):
            raise ValueError(f"it is cut short or damaged at word {row + 1:,} of {count:,}")
        words.append(raw[start:space].decode("utf-8", "replace"))
        vectors[row] = np.frombuffer(raw, "<f4", dim, space + 1)
        start = space + 1 + width
    return words, vectors


def _lines(
    raw: bytes, start: int, count: int | None, dim: int | None
) -> tuple[list[str], np.ndarray]:
    lines = raw[start:].split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if count is not None and len(lines) != count:
        raise ValueError(f"its first line declares {count:,} words, but {len(lines):,} follow")
    if not lines:
        raise ValueError("it is empty")
    # GloVe's words may hold spaces, so the width is what most lines agree on, counted from the end.
    widths = Counter(len(line.split()) - 1 for line in lines[:_LINES_LOOKED_AT])
    width = dim if dim is not None else widths.most_common(1)[0][0]
    if not 1 <= width <= _MAX_DIM:
        raise ValueError("its first line has no numbers after the word")
    words: list[str] = []
    vectors = np.empty((len(lines), width), np.float32)
    for row, line in enumerate(lines):
        items = line.strip(b"\r ").rsplit(b" ", width)
        if len(items) != width + 1:
            raise ValueError(f"line {row + 1:,} of the words has no word and {width} numbers")
        words.append(items[0].decode("utf-8", "replace"))
        try:
            vectors[row] = [float(item) for item in items[1:]]
        except ValueError:
            raise ValueError(
                f"line {row + 1:,} of the words holds something that is no number"
            ) from None
    return words, vectors


def _glove_binary(raw: bytes, vocabulary: Path) -> tuple[list[str], np.ndarray, bytes]:
    try:
        listed = vocabulary.read_bytes()
    except OSError:
        raise ValueError(
            f"it has no header, and GloVe's binary files need {vocabulary.name} beside them"
        ) from None
    words = [
        line.rsplit(b" ", 1)[0].decode("utf-8", "replace") for line in listed.splitlines() if line
    ]
    numbers, rest = divmod(len(raw), 8)
    width, left = divmod(numbers, 2 * len(words)) if words else (0, 1)
    if rest or left or not 2 <= width <= _MAX_DIM + 1:
        raise ValueError(
            f"its {len(raw):,} bytes are not two vectors of doubles for each of the "
            f"{len(words):,} words in {vocabulary.name}"
        )
    both = np.frombuffer(raw, "<f8").reshape(2, len(words), width)
    return words, (both[0, :, :-1] + both[1, :, :-1]).astype(np.float32), listed
