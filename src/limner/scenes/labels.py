"""Labels of the pieces of a scene's caption: things, their number and size, and relations.

A caption is cut into pieces by :mod:`limner.text.segment`; the scene's metadata lists its things.
The labels follow from the two, without labelling by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from limner.scenes import phrasebook
from limner.scenes.backgrounds import BACKGROUNDS, SIGNS
from limner.scenes.colours import COLOURS
from limner.scenes.layout import INVERSE, Relation
from limner.scenes.scene import Item, is_own, items_of
from limner.scenes.things import THINGS
from limner.scenes.wording import NUMBERS, NUMBERS_ZH
from limner.text.segment import Piece

SIZES = (None, "big", "small")
TINTS = (None, *COLOURS)

_DIGITS = tuple("123456789")
_BOOKS = tuple(phrasebook.BOOKS.values())
_NUMBERS = frozenset((*NUMBERS[1:], *_DIGITS)).union(*(book.number_words for book in _BOOKS))
_NUMBERS_ZH = (*NUMBERS_ZH[1:], "二", *_DIGITS)
_SIGNS = (*SIGNS, *phrasebook.SIGNS)
_SIZE_WORDS = ("big", "small", "很大", "很小", "大", "小")


class Kind(IntEnum):
    """Role of a piece of a caption."""

    OTHER = 0
    THING = 1
    """Names a thing to draw."""
    DROP = 2
    """A word that does not describe how a thing looks: its number, its size, the background."""
    TINT = 3
    """A word for a colour that things are tinted in; red apples are red by themselves."""
    BACKGROUND = 4
    """Part of a phrase about the background, not about a thing."""


@dataclass(frozen=True)
class Parse:
    """Labels of a caption.

    Attributes:
        kinds: of each piece, the whole caption first.
        counts: how many of each thing; 0 for other pieces.
        sizes: index into :data:`SIZES` of each piece.
        tints: index into :data:`TINTS` of each piece.
        relation: place of the thing named first, seen from the one named second.
        background: key of ``BACKGROUNDS``; None for white.
    """

    kinds: tuple[Kind, ...]
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    tints: tuple[int, ...]
    relation: Relation | None = None
    background: str | None = None


def parse(pieces: Sequence[Piece], facts: Mapping[str, Any]) -> Parse | None:
    """Label the pieces of a caption.

    Args:
        pieces: of :func:`limner.text.segment.pieces`, the whole caption first.
        facts: metadata of its picture; without ``items`` the whole caption names one thing,
            tinted if there is a ``colour`` (:mod:`limner.datasets.recolour`).

    Returns:
        The labels; None if no piece names one of the scene's things.
    """
    items = items_of(facts)
    if not items:
        return _whole(pieces, facts.get("colour"))
    called = facts.get("called", {})
    places = _places(pieces, items, called)
    if places is None:
        return None
    kinds = [Kind.OTHER] * len(pieces)
    counts, sizes, tints = ([0] * len(pieces) for _ in range(3))
    for item, place in zip(items, places, strict=True):
        kinds[place], counts[place] = Kind.THING, item.count
        sizes[place] = SIZES.index(item.size)
        if item.colour and not is_own(item.thing, item.colour):
            tints[place] = TINTS.index(item.colour)
            _mark(kinds, pieces, item.colour, pieces[place].text)
    texts = [pieces[place].text for place in places]
    for number, piece in enumerate(pieces):
        if piece.kind == "word" and number and _to_drop(piece.text, items, texts):
            kinds[number] = Kind.DROP
    _mark_background(kinds, pieces)
    relation: Relation | None = facts.get("relation")
    if relation is not None and places[0] > places[1]:
        relation = INVERSE[relation]
    background = facts.get("background", facts.get("ground"))  # "ground" in older stores
    if background is not None and BACKGROUNDS[background].white:
        background = None
    return Parse(tuple(kinds), tuple(counts), tuple(sizes), tuple(tints), relation, background)


def _whole(pieces: Sequence[Piece], colour: str | None) -> Parse:
    rest = (0,) * (len(pieces) - 1)
    kinds = [Kind.THING, *map(Kind, rest)]
    if colour is not None:
        _mark(kinds, pieces, colour, pieces[0].text)
    return Parse(tuple(kinds), (1, *rest), (0, *rest), (TINTS.index(colour), *rest))


def _mark(kinds: list[Kind], pieces: Sequence[Piece], colour: str, phrase: str) -> None:
    """Mark the words of a phrase that name a colour as tint."""
    names = colour_names(colour)
    for number, piece in enumerate(pieces):
        plain = piece.text.lower().removesuffix("的")
        if piece.kind == "word" and number and plain in names and _has(phrase, piece.text):
            kinds[number] = Kind.TINT


@cache
def colour_names(colour: str) -> frozenset[str]:
    """Words of a colour, in the languages of recoloured icons and of the phrasebooks."""
    templates = (each for texts in COLOURS[colour].words.values() for each in texts)
    words = (word for texts in templates for word in texts.replace("{}", " ").split())
    names = frozenset(word.removesuffix("的") for word in words)
    return names.union(*(book.colour_words.get(colour, ()) for book in _BOOKS))


def _mark_background(kinds: list[Kind], pieces: Sequence[Piece]) -> None:
    """Mark phrases about the background, and their words that are in no thing's phrase."""
    phrases = [number for number, piece in enumerate(pieces) if piece.kind == "phrase"]
    named = [pieces[number].text for number, kind in enumerate(kinds) if kind == Kind.THING]
    for number in phrases:
        texts = pieces[number].text
        if kinds[number] != Kind.OTHER or not _of_background(texts):
            continue
        kinds[number] = Kind.BACKGROUND
        for place, piece in enumerate(pieces):
            if piece.kind == "word" and kinds[place] == Kind.OTHER and _has(texts, piece.text):
                shared = any(_has(phrase, piece.text) for phrase in named)
                kinds[place] = Kind.OTHER if shared else Kind.BACKGROUND


def _places(
    pieces: Sequence[Piece], items: Sequence[Item], called: Mapping[str, Sequence[str]]
) -> list[int] | None:
    """The piece that names each item: the first phrase that does, else the whole caption."""
    named: dict[int, int] = {}
    for number, piece in enumerate(pieces):
        if piece.kind == "phrase":
            lengths = [_longest_name(item, piece.text, called) for item in items]
            if max(lengths):
                named.setdefault(lengths.index(max(lengths)), number)
    if not named and len(items) == 1 and _longest_name(items[0], pieces[0].text, called):
        named[0] = 0
    return [named[i] for i in range(len(items))] if len(named) == len(items) else None


def _longest_name(item: Item, text: str, called: Mapping[str, Sequence[str]]) -> int:
    """Characters of the item's longest name in a text, 0 for none: an owl (猫头鹰) is no cat."""
    thing = THINGS[item.thing]
    names = (thing.name, thing.plural, thing.zh, *called.get(item.thing, ()))
    return max((len(name) for name in names if _has(text, name)), default=0)


def _has(text: str, name: str) -> bool:
    if not name.isascii():
        return name in text
    return re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) is not None


def _to_drop(word: str, items: Sequence[Item], phrases: Sequence[str]) -> bool:
    """Whether a word of a thing's phrase is about number, size or background."""
    if not any(_has(phrase, word) for phrase in phrases):
        return False
    if word in _SIZE_WORDS or word.lower() in _NUMBERS:
        return True
    measures = [THINGS[item.thing].measure for item in items]
    if any(word == number + measure for number in _NUMBERS_ZH for measure in measures):
        return True
    return any(_before_background(word, phrase) for phrase in phrases if _of_background(phrase))


def _of_background(phrase: str) -> bool:
    return any(sign in phrase for sign in _SIGNS)


def _before_background(word: str, phrase: str) -> bool:
    """Whether the word belongs to ``绿色背景上`` at the beginning of a phrase."""
    end = max(phrase.find(sign) + len(sign) for sign in _SIGNS if sign in phrase)
    return 0 <= phrase.find(word) < end
