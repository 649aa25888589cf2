"""Sentences of languages that are not read themselves, word for word in English.

*Masanın üstünde uyuyan iki kedi* is *two cats sleeping on a table*: words are looked up in the
language's glossary (:mod:`limner.text.glossaries`) and put in the order of English
(:mod:`limner.text.word_order`). All that reads English then reads them. Words that are not known
stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from limner.text.glossaries import LANGUAGES, SCRIPTS, Word, glossary_of
from limner.text.lexicon import LATIN, OTHER
from limner.text.spelling import is_in_lists
from limner.text.vocabulary import in_english
from limner.text.word_order import ordered, plural_of

_LONGEST = 300
"""Characters of a text that is looked at."""
_LEAST = 2
"""Words of a text that is; a name alone is known by its spelling in most languages."""
_ENOUGH = 1.8
"""Words that its glossary has to know; forms of words count a little less."""
_KNOWN = 0.7
"""Part of a text's words that its glossary has to know."""
_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff"
"""Marks that letters bear, and the letters of India's scripts with their vowels."""
_TOKEN = re.compile(rf"[^\W_][\w{_MARKS}]*(?:['’ʼ\u200c-][\w{_MARKS}]+)*")
_PART = re.compile(r"(\s*[,;:.!?،؛؟।۔]+(?:\s+|$)|\s+[-–—]\s+|\n+)")
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]*)[\"“”»]|(?<!\w)['‘]([^'’]*)['’](?!\w)")
_HELD = re.compile(r"quote(\d+)quote")
_OTHERS = ("en", "es", "fr", "de", "it", "pt")
"""Languages whose sentences are read, in the same script as those of most glossaries."""
_ALIKE = {"uk": "ru", "bg": "ru", "fa": "ar", "ur": "ar"}
"""Languages whose sentences are not read, and those that are in the same script."""
_SERBIAN = str.maketrans(
    dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True))
    | {"љ": "lj", "њ": "nj", "џ": "dž"}
)
"""Cyrillic letters of Serbian and the Latin ones that they stand for."""
_ALL = 0.9
"""Part of the words that has to be known where no letter tells the language, ``_SURE`` words at
least, and ``_MARGIN`` more than in any other."""
_SURE, _MARGIN = 4, 2
_FUNCTION_WORD = 3
"""Letters of the words that say least of the language of a text in another script."""
_ON_AFTER = re.compile(r"\b(riding|playing) (?:on|in|with) (?=(?:an?|\w+) [a-z ]*\b(?:"
                       r"bicycle|horse|motorcycle|guitar|piano|violin|drums?|trumpet|flute|"
                       r"elephant|camel|donkey|skateboard|scooter|bus|train|car)s?\b)")  # fmt: skip
"""Prepositions that other languages have where English has none."""
_IN = re.compile(r"\bon (?=snow\b|(?:an? )?(?:\w+ )?trees?\b)")
_FLYING_ON = re.compile(r"(?<=\bflying )on (?!an? (?:\w+ )?(?:carpet|broom|dragon|unicorn)\b)")
_TOYS = re.compile(r"(?<=\bplaying )(?:in |on )?(?=an? (?:\w+ )?(?:ball|football|doll|toy)\b)")
_BROOM = re.compile(r"(?<=\bflying )(?:with )?(?=an? (?:\w+ )?broom\b)")


class Gloss(NamedTuple):
    """A text word for word in English.

    Attributes:
        language: code of the language that it was in.
        english: the text.
    """

    language: str
    english: str


class GlossedWord(NamedTuple):
    """What ``text[start:end]`` is in English, in the form in which the text's gloss has it."""

    english: str
    start: int
    end: int


def gloss(
    text: str, meaning: Callable[[str], str | None], language: str | None = None
) -> Gloss | None:
    """A text word for word in English; None where it is in no language that has a glossary.

    Args:
        text: canonical text.
        meaning: the English name of what a name of any language is; None where it is none.
        language: one of :data:`LANGUAGES` that it is known to be in; None where its words tell.
    """
    if len(text) > _LONGEST or text.isspace():
        return None
    code = language or language_of(text)
    if code is None:
        return None
    quotes: list[str] = []
    held = _QUOTED.sub(lambda match: _held(match, quotes), text)
    glossary, said = glossary_of(code), []
    parts = _PART.split(held)
    for number, part in enumerate(parts):
        if number % 2:
            said.append(part)
            continue
        words = [_quoted(each.word) for each in glossary.read(_tokens(part, code), meaning)]
        if words and words[0].kind == "who" and said:
            said[-1] = " "  # a boy, who rides a bicycle
        said.append(ordered(words, glossary))
    english = " ".join("".join(said).split())
    english = _ON_AFTER.sub(r"\1 ", re.sub(r" (?=[,;:.!?])", "", english))
    english = _FLYING_ON.sub("over ", _IN.sub("in ", english))
    english = _TOYS.sub("with ", _BROOM.sub("on ", english))
    return Gloss(code, _HELD.sub(lambda match: quotes[int(match[1])], english))


def glossed_words(
    text: str, meaning: Callable[[str], str | None], found: Gloss
) -> list[GlossedWord]:
    """Which words of a text stand for which of its gloss, in the text's order.

    Args:
        text: canonical text.
        meaning: as for :func:`gloss`.
        found: its gloss.
    """
    glossary, said = glossary_of(found.language), frozenset(found.english.split())
    words: list[GlossedWord] = []
    quotes = [match.span() for match in _QUOTED.finditer(text)]
    spans = [match.span() for match in _TOKEN.finditer(text)]
    spans = [span for span in spans if not any(a <= span[0] < b for a, b in quotes)]
    at = 0
    tokens = [_tokens(text[a:b], found.language)[0] for a, b in spans]
    for word, _, count in glossary.read(tokens, meaning):
        english = word.english
        if word.kind == "noun" and english.split(" ")[-1] not in said:
            english = plural_of(english)
        if count:
            words.append(GlossedWord(english, spans[at][0], spans[at + count - 1][1]))
            at += count
        else:
            words[-1] = words[-1]._replace(english=f"{words[-1].english} {english}")
    return words


def languages_like(text: str) -> list[str]:
    """Languages with a glossary that knows words of a text, the one that knows most first."""
    counts = {code: _count(text, code) for code in LANGUAGES}
    return sorted((code for code in LANGUAGES if counts[code]), key=lambda code: -counts[code])


def quality_in(text: str, language: str) -> str | None:
    """What a text says of a thing, in English, and no more: a colour, a size; None for other texts.

    Args:
        text: *blauwe*, *in het blauw*.
        language: one of :data:`LANGUAGES`.
    """
    found = glossary_of(language).read(_tokens(text, language), lambda _: None)
    words = [each.word for each in found if each.word.kind not in ("preposition", "article")]
    alone = len(words) == 1 and words[0].kind in ("adjective", "noun")
    return words[0].english if alone else None


def is_known(text: str, meaning: Callable[[str], str | None], language: str) -> bool:
    """Whether every word of a text is known.

    Args:
        text: canonical text.
        meaning: as for :func:`gloss`.
        language: one of :data:`LANGUAGES`.
    """
    found = glossary_of(language).read(_tokens(text, language), meaning)
    return all(each.word.kind for each in found)


def is_indefinite(text: str, language: str) -> bool:
    """Whether a text begins with an indefinite article."""
    found = glossary_of(language).read(_tokens(text, language), lambda _: None)
    return next((each.word[:2] == ("article", "a") for each in found), False)


def _held(match: re.Match[str], quotes: list[str]) -> str:
    """A word that stands for what is quoted, which is not translated."""
    quotes.append(match[0])
    return f"quote{len(quotes) - 1}quote"


def _quoted(word: Word) -> Word:
    """A word, which is no noun where it stands for what is quoted."""
    return word._replace(kind="phrase") if _HELD.fullmatch(word.english) else word


@lru_cache(maxsize=4096)
def language_of(text: str) -> str | None:
    """The language with a glossary that a text is in; None where it may be in another.

    It knows more of its words than any other does, and than English and its neighbours.
    """
    plain = _QUOTED.sub(" ", text)
    tokens = _tokens(plain, "")
    if len(tokens) < _LEAST or _read_in(tokens, "en") == len(tokens):
        return None
    least, scripts = max(_ENOUGH, _KNOWN * len(tokens)), scripts_of(plain)
    written = (code for code in LANGUAGES
               if not scripts.isdisjoint(SCRIPTS.get(code, "LATIN").split(" ")))  # fmt: skip
    counts = {code: _count(plain, code, least) for code in written}
    code = max(counts, key=lambda each: counts[each], default="")
    most = counts.get(code, 0)
    if most < least:
        return None
    tokens = _tokens(plain, code)
    letters = glossary_of(code).letters
    others = {other: _read_in(tokens, other) for other in _OTHERS}
    if not letters:
        return code if most > max(others.values()) else None
    if not letters.isdisjoint(text.casefold()):
        return code
    if code in _ALIKE:
        return code if _is_not(_ALIKE[code], tokens, code) else None
    sure = len(tokens) >= _SURE and most >= _ALL * len(tokens)
    if len(tokens) == _SURE - 1 and most == len(tokens):
        sure = not any(others.values())
    return code if sure and most >= max(others.values()) + _MARGIN else None


def _is_not(other: str, tokens: Sequence[str], code: str) -> bool:
    """Whether all long words of a text are of a language, and fewer of one in the same script.

    Short ones are not, where they are function words of others: *и* is no Ukrainian.
    """
    long = [token for token in tokens if len(token) > _FUNCTION_WORD]
    known = _count(" ".join(long), code)
    short = (token for token in tokens if len(token) <= _FUNCTION_WORD)
    if any(token in OTHER.stops and not _count(token, code) for token in short):
        return False
    return known >= _ALL * len(long) and known > _read_in(long, other)


def scripts_of(text: str) -> frozenset[str]:
    """The scripts of the letters of a text, as Unicode calls them: ``LATIN``, ``GREEK``."""
    names = (unicodedata.name(letter, "") for letter in text if letter.isalpha())
    return frozenset(name.split(" ")[0] for name in names)


def _count(text: str, code: str, least: float = 0) -> float:
    """How many words of a text the glossary of a language has.

    Args:
        text: canonical text.
        code: of the language.
        least: how many are wanted; counting ends where they can no longer be reached.
    """
    tokens, known = _tokens(text, code), 0.0
    left = len(tokens)
    for each in glossary_of(code).read(tokens, lambda _: None):
        known, left = known + each.known, left - each.tokens
        if known + left < least:
            break
    return known


def _read_in(tokens: Sequence[str], language: str) -> int:
    """How many words of a text are of another language whose sentences are read."""
    if language in _ALIKE.values():
        return sum(in_english(token, (language,)) is not None for token in tokens)
    if language == "en":
        return sum(token in LATIN["en"].stops or is_in_lists(token) for token in tokens)
    return sum(
        token in LATIN[language].stops or in_english(token, (language,)) is not None
        for token in tokens
    )


def _tokens(text: str, code: str) -> list[str]:
    text = unicodedata.normalize("NFC", text.replace("İ", "i"))
    text = text.replace("I", "ı") if code == "tr" else text
    text = text.casefold().translate(_SERBIAN) if code == "hr" else text
    return [match[0].casefold().replace("’", "'") for match in _TOKEN.finditer(text)]
