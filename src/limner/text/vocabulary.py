"""Everyday nouns of the ten taught languages besides English, and what they mean in English.

Many are spelled like an English word for something else: *chat* is French for a cat, *Hut* German
for a hat. So a word is looked up in the language of the text before it is taken for English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from limner.text.names import bare, name_key, without_article


def in_english(phrase: str, languages: Sequence[str] = ()) -> str | None:
    """The English name of a noun in another language; None where it is not in the table.

    Args:
        phrase: the noun, with or without an article or a measure word.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`); empty for any.
    """
    if "en" in languages:
        return None
    keys = [name_key(form) for form in (phrase, without_article(phrase), bare(phrase))]
    for language in languages or _nouns():
        for key in keys:
            if (name := _nouns().get(language, {}).get(key)) is not None:
                return name
    return None


@cache
def _nouns() -> Mapping[str, Mapping[str, str]]:
    """Language -> key of a noun -> its English name; the first of equal nouns counts."""
    lines = (files(__package__) / "vocabulary.tsv").read_text("utf-8").splitlines()
    codes = lines[0].split("\t")[1:]
    found: dict[str, dict[str, str]] = {code: {} for code in codes}
    for english, *columns in (line.split("\t") for line in lines[1:]):
        for code, words in zip(codes, columns, strict=True):
            for word in filter(None, words.split("|")):
                found[code].setdefault(name_key(word), english)
    return found
