"""A place that is all that a text says, without what stands before or behind it.

*In the old factory* shows a factory, *nel bosco* and *森で* a forest. ``places_alone.tsv`` holds
the prepositions, and the particles behind a noun, of twelve languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from limner.text.lexicon import article_pattern
from limner.text.tables import table
from limner.text.vocabulary import in_english

_FEW = r"(?: (?!an?\b|the\b)[\w-]+){1,3}"


def place_alone(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The place of a text that says nothing else; the same text where it is none.

    In English any noun with an article or a possessive before it; in other languages a noun whose
    English name is known, by that name, because *森* alone would be read as another language.

    Args:
        text: canonical text.
        language: that it is read in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    pattern = _pattern(language)
    match = None if pattern is None else pattern.fullmatch(text)
    if match is None or is_name(text):
        return text
    if language == "en":
        return match["place"]
    return in_english(match["place"], (language,)) or text


@cache
def _pattern(language: str) -> re.Pattern[str] | None:
    """A text that is a place; None for languages that the table does not have."""
    row = next((row for row in table("places_alone.tsv")[1:] if row[0] == language), None)
    if row is None:
        return None
    _, before, behind = row
    if language == "en":
        own = article_pattern(language).removesuffix("?")
        return re.compile(rf"(?:{before}) (?P<place>{own[:-2]}){_FEW})", re.IGNORECASE)
    gap = "" if language == "zh" else r"(?: |(?<=['’]))"
    first = f"(?:{before}){gap}{article_pattern(language)}" if before else ""
    last = f"(?:{behind})" + ("?" if before else "") if behind else ""
    return re.compile(f"{first}(?P<place>.{{1,40}}?){last}", re.IGNORECASE)
