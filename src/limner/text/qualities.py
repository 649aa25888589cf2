"""Words for qualities that no drawing shows: *bel* in *un bel gatto*, *可爱的* in *可爱的猫*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from limner.tables import read_table
from limner.text.spaceless import whole_words


def without_qualities(phrase: str, languages: Sequence[str]) -> str:
    """A phrase without such words of its languages; itself where it has none.

    Args:
        phrase: of one thing, in another language than English.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
    """
    for language in languages:
        if language in _words():
            phrase = " ".join(whole_words(_words()[language]).sub(" ", phrase).split())
    return phrase


@cache
def _words() -> Mapping[str, str]:
    rows = read_table("limner.text", "qualities.tsv")[1:]
    return {row[0]: row[1] for row in rows}
