"""Prompts that ask for nothing but a background."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from limner.scenes import phrasebook
from limner.scenes.backgrounds import BACKGROUNDS, SIGNS
from limner.scenes.colours import COLOURS
from limner.scenes.labels import colour_names
from limner.text.lexicon import LATIN, OTHER
from limner.text.spaceless import SPACELESS

_FILLERS = [
    "plain",
    "solid",
    "simple",
    "clean",
    "empty",
    "blank",
    "flat",
    "uniform",
    "pure",
    "one",
    "color",
    "colour",
]
_FILLERS_SPACELESS = "的のな色一个個张張块塊片幅纯純"


def background_alone(text: str) -> tuple[bool, str | None]:
    """Whether a prompt names a background and no thing, and the colour it names.

    The planner finds most of these; this rule has the languages and colours in which it takes the
    background for a thing.

    Args:
        text: a prompt, such as *a pink background*.

    Returns:
        The colour is a key of ``BACKGROUNDS``, or None where none is named.
    """
    rest, found = text.casefold(), False
    for sign in _signs():
        found = found or sign in rest
        rest = rest.replace(sign, " ")
    if not found:
        return False, None
    colour: str | None = None
    for name, key in _colours():
        pattern = re.escape(name) if SPACELESS.search(name) else rf"(?<!\w){re.escape(name)}(?!\w)"
        rest, times = re.subn(pattern, " ", rest)
        if times and (colour is None or BACKGROUNDS[colour].white):
            colour = key
    left = (word.strip(_FILLERS_SPACELESS) for word in re.findall(r"\w+", rest))
    return all(word in _function_words() for word in left if word), colour


@cache
def _function_words() -> frozenset[str]:
    return OTHER.stops.union(_FILLERS, *(lexicon.stops for lexicon in LATIN.values()))


@cache
def _signs() -> tuple[str, ...]:
    """Words for a background, the longest first."""
    return tuple(sorted({sign.casefold() for sign in (*SIGNS, *phrasebook.SIGNS)}, key=len)[::-1])


@cache
def _colours() -> tuple[tuple[str, str], ...]:
    """Names of colours in all languages and their keys in ``BACKGROUNDS``, the longest first."""

    def names() -> Iterator[tuple[str, str]]:
        for colour in COLOURS:
            for name in colour_names(colour):
                yield name, colour
        for book in phrasebook.BOOKS.values():
            for colour, forms in book.background_words.items():
                yield from ((form, colour) for form in forms)
        for key, background in BACKGROUNDS.items():
            yield from ((key, key), (background.zh, key))

    found = {name.casefold(): key for name, key in names() if name not in _function_words()}
    return tuple(sorted(found.items(), key=lambda each: -len(each[0])))
