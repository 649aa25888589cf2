"""Prompts of languages whose sentences are not read themselves, by their words in English."""

from __future__ import annotations

from limner.models.concepts import ConceptIndex
from limner.text.glossing import gloss, language_of
from limner.text.greetings import greeting_of

_LETTERS = 2
"""Words of so few are no names that are looked up."""


def glossed(text: str, concepts: ConceptIndex | None) -> str:
    """A sentence word for word in English; names, greetings and what is read itself stay.

    Args:
        text: canonical text in any language.
        concepts: names of known things, which say what words mean; None for none.
    """
    if language_of(text) is None or (concepts is not None and concepts.named(text) is not None):
        return text

    def meaning(word: str) -> str | None:
        if concepts is None or len(word) <= _LETTERS:
            return None
        known = concepts.named(word)
        return None if known is None or known.instance else known.caption

    def is_name(name: str) -> bool:
        return concepts is not None and concepts.named(name) is not None

    found = gloss(text, meaning) if greeting_of(text, (), is_name) is None else None
    return text if found is None else found.english
