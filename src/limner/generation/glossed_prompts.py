"""Prompts of languages whose sentences are not read themselves, by their words in English."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from limner.models.concepts import ConceptIndex
from limner.text.glossing import Gloss, gloss, glossed_words, language_of
from limner.text.greetings import greeting_of
from limner.text.word_spans import WordSpan, word_spans

_LETTERS = 2
"""Words of so few are no names that are looked up."""


def meaning_by(concepts: ConceptIndex | None) -> Callable[[str], str | None]:
    """What finds the English name of a name of any language, for words of texts.

    Args:
        concepts: names of known things; None for none.
    """

    def meaning(word: str) -> str | None:
        if concepts is None or len(word) <= _LETTERS:
            return None
        known = concepts.named(word)
        return None if known is None or known.instance else known.caption

    return meaning


def glossed(text: str, concepts: ConceptIndex | None) -> str:
    """A sentence word for word in English; names, greetings and what is read itself stay.

    Args:
        text: canonical text in any language.
        concepts: names of known things, which say what words mean; None for none.
    """
    found = _gloss(text, concepts)
    return text if found is None else found.english


class WordsRead(NamedTuple):
    """The words of a text, and the text that is read for it.

    Attributes:
        text: in English, where its sentences are not read themselves.
        words: of the given text, with what they are there.
        language: that has a glossary; None where the text is read as it stands.
    """

    text: str
    words: list[WordSpan]
    language: str | None = None


def words_read(text: str, concepts: ConceptIndex | None) -> WordsRead:
    """The words of a text with what is read for them; several that mean one thing are one.

    Args:
        text: canonical text in any language.
        concepts: as for :func:`glossed`.
    """
    found, spans = _gloss(text, concepts), word_spans(text)
    if found is None:
        return WordsRead(text, spans)
    words: list[WordSpan] = []
    meant = glossed_words(text, meaning_by(concepts), found)
    for span in spans:
        within = next((each for each in meant if each.start <= span.start < each.end), None)
        if within is None:
            words.append(span)
        elif not words or words[-1].start != within.start:
            start, end = within.start, max(span.end, within.end)
            words.append(WordSpan(text[start:end], start, end, within.english))
    return WordsRead(found.english, words, found.language)


def still_read(text: str, language: str | None, concepts: ConceptIndex | None) -> str:
    """A text of which words were left out, in English if too few are left to tell its language.

    Args:
        text: what is left.
        language: that the whole text was in; None for one that is read itself.
        concepts: as for :func:`glossed`.
    """
    if language is None or not text or _gloss(text, concepts) is not None:
        return text
    found = gloss(text, meaning_by(concepts), language)
    return text if found is None else found.english or text


def _gloss(text: str, concepts: ConceptIndex | None) -> Gloss | None:
    if language_of(text) is None or (concepts is not None and concepts.named(text) is not None):
        return None

    def is_name(name: str) -> bool:
        return concepts is not None and concepts.named(name) is not None

    return gloss(text, meaning_by(concepts)) if greeting_of(text, (), is_name) is None else None
