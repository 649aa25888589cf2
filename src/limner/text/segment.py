"""Cutting a prompt into the pieces that get a vector each: phrases, relations and words.

``"a red apple left of a green pear"`` becomes the whole prompt, ``"a red apple"``, ``"left of"``,
``"a green pear"``, and the words ``red, apple, green, pear``. Function words
(:mod:`limner.text.lexicon`) do the cutting for scripts with spaces, :mod:`limner.text.spaceless`
cuts the others: the same text gives the same pieces on every machine. Attached conjunctions (Arabic
*wa-*, Hebrew *ve-*) are not cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from limner.text.emoji import spell_out
from limner.text.lexicon import OTHER, Lexicon, guess
from limner.text.spaceless import SPACELESS, cut_spaceless, words_of_spaceless

VERSION = 1
"""Part of every fingerprint: raised whenever any text could be cut otherwise."""

DEFAULT_MAX_TOKENS = 12
_EVERY = 1000
"""More pieces than are cut of any text."""
_MAX_ENTRY = 4
_MAX_SCAN = 2_000
_MAX_PIECE = 120

LEXEME = re.compile(
    r"[^\W_]+(?:[\u0300-\u036f\u0900-\u0dff\u0e31-\u0e4e\u200c\u200d'’\-]*[^\W_]+)*[^\W\s]*"
)
ELISION = re.compile(r"(?<!\S)(l|d|j|qu|n|s|c|un|all|dell|nell|sull|dall)['’](?=\w)", re.IGNORECASE)
_BREAK = re.compile(
    r"[,;:.!?…()\[\]{}|/\\\"“”«»„+&*=<>~—–、。，；：！？「」『』（）【】《》・،؛؟।]"
)


class Piece(NamedTuple):
    """One piece of a prompt: ``kind`` is whole, phrase, relation or word."""

    kind: str
    text: str


@lru_cache(maxsize=4096)
def pieces(text: str, max_tokens: int = DEFAULT_MAX_TOKENS) -> tuple[Piece, ...]:
    """The pieces of a prompt, the whole prompt always first and no text twice.

    After the whole come phrases and relations in the order of the text, then words in the order
    of the text. When there are more than ``max_tokens``, phrases are kept before relations and
    relations before words, and among equals the longest first (then the earliest). Texts are
    cut by their first 2,000 characters, and pieces beyond 120 are left out; the whole piece
    always holds everything.

    Args:
        text: canonical text (:func:`limner.text.validate.canonical`).
        max_tokens: at least 1, the whole prompt included.
    """
    whole = spell_out(text)
    found: dict[str, str] = {}
    structure, words = _structure_and_words(whole[:_MAX_SCAN])
    for kind, piece in [*structure, *words]:
        if piece != whole and len(piece) <= _MAX_PIECE:
            found.setdefault(piece, kind)
    kept = _longest_first([Piece(kind, piece) for piece, kind in found.items()], max_tokens - 1)
    return (Piece("whole", whole), *kept)


def segment(text: str, max_tokens: int = DEFAULT_MAX_TOKENS) -> list[str]:
    """The texts of :func:`pieces`."""
    return [piece.text for piece in pieces(text, max_tokens)]


def pieces_of(text: str, parts: Sequence[str]) -> list[Piece]:
    """The pieces that an encoder cut a text into, each with its kind.

    Args:
        text: canonical text.
        parts: some of :func:`segment`'s, of any length.
    """
    kinds = {piece.text: piece.kind for piece in pieces(text, _EVERY)}
    return [Piece(kinds[part], part) for part in parts]


def _longest_first(found: list[Piece], room: int) -> list[Piece]:
    if len(found) <= room:
        return found
    rank = {"phrase": 0, "relation": 1, "word": 2}
    order = sorted(range(len(found)), key=lambda i: (rank[found[i].kind], -len(found[i].text), i))
    return [found[i] for i in sorted(order[: max(room, 0)])]


def _structure_and_words(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    structure: list[tuple[str, str]] = []
    words: list[tuple[str, str]] = []
    lexemes = [m[0].lower() for m in LEXEME.finditer(text)]
    lexicon = guess(lexemes)
    for clause in _BREAK.split(text):
        for kind, phrase in _cut_clause(clause, lexicon):
            if kind == "relation":
                structure.append((kind, phrase))
                continue
            content = _content_words(phrase, lexicon)
            if content:
                structure.append((kind, phrase))
                words.extend(("word", word) for word in content)
    return structure, words


def _cut_clause(clause: str, lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    """Phrases and relations of a clause without punctuation."""
    items = ELISION.sub(r"\1' ", clause).split()
    for kind, part in _cut_words(items, lexicon):
        if kind == "phrase" and SPACELESS.search(part):
            yield from cut_spaceless(part)
        else:
            yield kind, part


def _cut_words(items: Sequence[str], lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    phrase: list[str] = []
    position = 0
    lower = [item.lower() for item in items]
    while position < len(items):
        joined = _match(lower, position, (lexicon.joins, OTHER.joins))
        placed = _match(lower, position, (lexicon.places, OTHER.places))
        length = max(joined, placed)
        if length:
            yield from _flush(phrase)
            if placed >= joined:
                yield "relation", " ".join(lower[position : position + length])
            position += length
            continue
        # "the roof of the house" stays one phrase, "a man riding | a horse" becomes two.
        after_content = bool(phrase) and lower[position - 1] not in lexicon.stops
        if after_content and _match(lower, position, (lexicon.articles, OTHER.articles)):
            yield from _flush(phrase)
        stem = _without_korean_and(items[position]) if position + 1 < len(items) else None
        phrase.append(stem or items[position])
        if stem:
            yield from _flush(phrase)
        position += 1
    yield from _flush(phrase)


def _flush(phrase: list[str]) -> Iterator[tuple[str, str]]:
    if phrase:
        yield "phrase", " ".join(phrase).replace("' ", "'")
        phrase.clear()


def _match(
    lower: Sequence[str], position: int, tables: Iterable[frozenset[tuple[str, ...]]]
) -> int:
    for length in range(min(_MAX_ENTRY, len(lower) - position), 0, -1):
        entry = tuple(lower[position : position + length])
        if any(entry in table for table in tables):
            return length
    return 0


def _without_korean_and(word: str) -> str | None:
    """The noun before the particle *wa* (after a vowel) or *gwa* (after a consonant), if any."""
    if len(word) < 2 or word[-1] not in "와과" or not "가" <= word[-2] <= "힣":
        return None
    closed = (ord(word[-2]) - 0xAC00) % 28 != 0
    return word[:-1] if closed == (word[-1] == "과") else None


def _content_words(phrase: str, lexicon: Lexicon) -> list[str]:
    content: list[str] = []
    for match in LEXEME.finditer(ELISION.sub(r"\1' ", phrase)):
        word = match[0]
        if SPACELESS.search(word):
            content.extend(words_of_spaceless(word))
        elif word.lower() not in lexicon.stops and word.lower() not in OTHER.stops:
            content.append(word)
    return content


def words_of(text: str) -> list[str]:
    """Every word of a text in its order, function words and repetitions included."""
    words: list[str] = []
    for match in LEXEME.finditer(ELISION.sub(r"\1' ", spell_out(text))):
        word = match[0]
        words.extend(words_of_spaceless(word) if SPACELESS.search(word) else [word])
    return words
