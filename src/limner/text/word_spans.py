"""Where the words of a text are, and which of them are in its pieces.

An encoder's pieces (:mod:`limner.text.segment`) are texts of their own. What is known of a piece is
known of the words that stand in it, and here these are found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from limner.text.emoji import EMOJI, FLAG, spell_out
from limner.text.segment import ELISION, LEXEME, words_of
from limner.text.spaceless import SPACELESS, cut_spaceless, words_of_spaceless

_TOKEN = re.compile(f"({FLAG.pattern}|{EMOJI.pattern})|{LEXEME.pattern}")
_PARTICLES = re.compile(f"[가-힣]|{SPACELESS.pattern}")
_ANY_WORD = re.compile(r"\w")


class WordSpan(NamedTuple):
    """A word of a text: ``text[start:end]``.

    Attributes:
        text: the word.
        start: where it begins, in characters.
        end: where it ends.
        meaning: other words that it is read as, in English; empty where it is read as it stands.
    """

    text: str
    start: int
    end: int
    meaning: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """By which it is compared: of an emoji the words of its name."""
        read = self.meaning or self.text
        return tuple(map(str.casefold, words_of(spell_out(read)))) or (read.casefold(),)


def word_spans(text: str) -> list[WordSpan]:
    """Every word of a text in its order, emoji and function words included; they do not overlap.

    Scripts without spaces are cut as for an encoder, and what lies between such words (*的*, *在*)
    are words, too.
    """
    found: list[WordSpan] = []
    for match in _TOKEN.finditer(text):
        start = match.start()
        if match[1] is not None:
            found.append(WordSpan(match[1], start, match.end()))
        elif SPACELESS.search(match[0]):
            found += _spaceless(match[0], start)
        else:
            elided = ELISION.match(text, start)
            if elided is not None and elided.end() < match.end():
                found.append(WordSpan(elided[0], start, elided.end()))
                start = elided.end()
            found.append(WordSpan(text[start : match.end()], start, match.end()))
    return found


def _spaceless(run: str, offset: int) -> Iterator[WordSpan]:
    """The words of a run without spaces, and what is between them."""
    for phrase, start in _parted(run, [part for _, part in cut_spaceless(run)]):
        for word, within in _parted(phrase, words_of_spaceless(phrase)):
            at = offset + start + within
            yield WordSpan(word, at, at + len(word))


def _parted(text: str, parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Parts of a text and all that is between them, each with where it begins."""
    last = 0
    for part in [*parts, ""]:
        start = text.find(part, last) if part else len(text)
        if start < 0:
            continue
        for found, at in ((text[last:start], last), (part, start)):
            if _ANY_WORD.search(found):
                yield found, at
        last = start + len(part)


def words_in(piece: str, words: Sequence[WordSpan]) -> list[list[int]]:
    """Where a piece stands among the words of a text: the numbers of its words, each time.

    Where it does not stand there as it is, the words that it has in common with the text are found,
    once; where it has none, nothing.
    """
    wanted = [key for word in word_spans(piece) for key in word.keys]
    flat = [(key, number) for number, word in enumerate(words) for key in word.keys]
    found = []
    for start in range(len(flat) - len(wanted) + 1):
        part = flat[start : start + len(wanted)]
        if wanted and all(_same(key, each) for (key, _), each in zip(part, wanted, strict=True)):
            found.append(_once(number for _, number in part))
    if found:
        return found
    some = _once(number for key, number in flat if any(_same(key, each) for each in wanted))
    return [some] if some else []


def _same(key: str, wanted: str) -> bool:
    """Whether a word is that of a piece, without a particle behind it (*盘子* of *盘子上*)."""
    return key == wanted or (key.startswith(wanted) and _PARTICLES.match(wanted) is not None)


def _once(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))
