"""Phrases as they are planned: what the planner tags in one, put right by what its words say.

The planner (:mod:`limner.models.planner`) takes every number for a count and every colour for that
of a thing. Rules over the words tell the number of *number 5*, the orange that is a fruit, and the
eyes that are green from the cat that is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from limner.generation.prompts import quoted, warn
from limner.models.planner import PlannedThing, ScenePlan
from limner.scenes.colour_words import colour_said, colours_said
from limner.scenes.colours import COLOURS, WHITE
from limner.scenes.quantities import is_label, quantities, several
from limner.scenes.sentence import colours_a_part, is_own_part
from limner.scenes.size_words import size_said
from limner.scenes.sizes import person_in
from limner.text.segment import pieces_of
from limner.text.spaceless import SPACELESS
from limner.text.vocabulary import best_name, in_english

_TOO_MANY = "{}: {} are drawn, the most of one kind that a picture can hold"
_FLOWERS = frozenset(
    {"rose", "roses", "rosa", "rosas", "orange", "oranges", "violet", "violets", "viola", "naranja",
     "naranjas", "laranja", "laranjas"}
)  # fmt: skip
"""Flowers and fruit that colours are named after, too."""


class PlannedPhrase(NamedTuple):
    """A phrase as it is planned.

    Attributes:
        plan: what it asks for.
        parts: the words that each thing is drawn from, without those for its tint.
        coloured: the same with the words for the tint.
    """

    plan: ScenePlan
    parts: tuple[str, ...]
    coloured: tuple[str, ...]

    @classmethod
    def of_one_thing(cls, words: str) -> PlannedPhrase:
        """A phrase that is drawn as it stands, once."""
        return cls(ScenePlan((PlannedThing(0),)), (words,), (words,))


def planned_phrase(
    plan: ScenePlan, text: str, cut: tuple[str, ...], most: int, languages: Sequence[str]
) -> PlannedPhrase:
    """A plan put right, and what each of its things is drawn from.

    Args:
        plan: of the planner.
        text: that was planned, as :func:`limner.text.validate.canonical` makes it.
        cut: the pieces that it was planned in.
        most: things of one kind that a picture can hold.
        languages: that the text may be in (:func:`limner.text.lexicon.languages_of`).

    Warns:
        PromptWarning: the text asks for more of a kind.
    """
    kinds = [piece.kind for piece in pieces_of(text, cut)]
    # Words for how things stand to each other cannot be things, nor can parts of one.
    things = tuple(thing for thing in plan.things if kinds[thing.piece] != "relation")
    things = _without_repeats(things, cut, kinds)
    things = _without_own_parts(_without_halves(things, cut, text), cut, text)
    drop, tint = ([cut[number] for number in some] for some in (plan.drop, plan.tint))
    tint = _without_flowers(tint, [cut[thing.piece] for thing in things])
    compound = any(map(_is_compound, tint)) or any(_is_of_name(each, text) for each in tint)
    if compound or in_english(text) is not None:  # a blackboard, green tea, 黑板
        things, tint = tuple(replace(thing, tint=None) for thing in things), []
    if any(colours_a_part(each, text) for _, each in colours_said(text, languages)):
        things, tint = _of_wholes(things, tint, cut, languages)
    else:
        things, tint = _as_said(things, tint, cut, languages)
    counted = [_counted(thing, cut[thing.piece], drop, most) for thing in things]
    plan = replace(plan, things=_sized([thing for thing, _ in counted], text, languages))
    coloured = tuple(without(cut[thing.piece], words) for thing, words in counted)
    parts = tuple(
        without(said, tint) if thing.tint else said
        for said, thing in zip(coloured, plan.things, strict=True)
    )
    return PlannedPhrase(plan, parts, coloured)


def _sized(
    things: Sequence[PlannedThing], text: str, languages: Sequence[str]
) -> tuple[PlannedThing, ...]:
    """Things with the size that their phrase says, which the planner sees beside others alone.

    What is said of persons is their age: *una niña pequeña*.
    """
    if len(things) != 1 or things[0].size is not None:
        return tuple(things)
    if any(person_in(in_english(each, languages) or each) for each in (text, *text.split())):
        return tuple(things)
    return (replace(things[0], size=size_said(text, languages)),)


def _without_repeats(
    things: Sequence[PlannedThing], cut: Sequence[str], kinds: Sequence[str]
) -> tuple[PlannedThing, ...]:
    """The things without words of phrases that are things themselves: *girl* of *a girl*."""
    said = [cut[thing.piece].split() for thing in things if kinds[thing.piece] == "phrase"]
    return tuple(
        thing for thing in things
        if kinds[thing.piece] != "word" or not any(cut[thing.piece] in words for words in said)
    )  # fmt: skip


def _without_halves(
    things: tuple[PlannedThing, ...], cut: Sequence[str], text: str
) -> tuple[PlannedThing, ...]:
    """Things without those that are half of a hyphenated word, as *man-biking* is."""
    half = [re.search(rf"(?<=\w-){re.escape(cut[each.piece])}(?!\w)", text) for each in things]
    kept = tuple(each for each, found in zip(things, half, strict=True) if found is None)
    return kept or things[:1]


def _without_own_parts(
    things: tuple[PlannedThing, ...], cut: Sequence[str], text: str
) -> tuple[PlannedThing, ...]:
    """Things without those that are parts of others; the first has the colour of its large ones.

    A butterfly with red wings is red; a girl with pink hair is not pink.
    """
    parts = [each for each in things if is_own_part(cut[each.piece], text)]
    kept = [each for each in things if each not in parts]
    if not kept:
        return things
    for part in parts:
        large = part.tint is not None and not colours_a_part(part.tint, cut[part.piece])
        if large and kept[0].tint is None:
            kept[0] = replace(kept[0], tint=part.tint)
    return tuple(kept)


def _without_flowers(tint: Sequence[str], phrases: Sequence[str]) -> list[str]:
    """Words for tints without those that name what has the tint: *a red rose*, *una rosa blu*."""
    plain = [word for word in tint if word.casefold() not in _FLOWERS]
    return [
        word for word in tint
        if word in plain or not any(word in phrase and other in phrase
                                    for phrase in phrases for other in plain)
    ]  # fmt: skip


def _is_of_name(colour: str, text: str) -> bool:
    """Whether the word for a colour is part of a name in a text: *a cup of green tea*."""
    behind = re.search(rf"(?<!\w){re.escape(colour)} \w+", text)
    return behind is not None and best_name(behind[0]) is not None


def _is_compound(word: str) -> bool:
    """Whether a word only begins with an English colour: *blackboard*, not *reddish*."""
    text = word.casefold()
    rest = next((text.removeprefix(colour) for colour in COLOURS if text.startswith(colour)), "")
    return len(rest) > 2 and rest.isalpha() and not rest.endswith(("ish", "coloured", "colored"))


def _of_wholes(
    things: Sequence[PlannedThing],
    tint: Sequence[str],
    cut: Sequence[str],
    languages: Sequence[str],
) -> tuple[tuple[PlannedThing, ...], list[str]]:
    """Things without the tints of their small parts, and the words for tints that remain.

    *An orange cat with green eyes* is orange.
    """
    found, words = [], [*tint]
    for thing in things:
        phrase = cut[thing.piece]
        said = colours_said(phrase, languages)
        parts = [word for _, word in said if colours_a_part(word, phrase)]
        if not parts:
            found.append(thing)
            continue
        own = next((each for each in said if each[1] not in parts), None)
        found.append(replace(thing, tint=None if own is None else own[0]))
        words = [each for each in words if each not in parts]
        words += [] if own is None else [own[1]]
    return tuple(found), words


def _as_said(
    things: Sequence[PlannedThing],
    tint: Sequence[str],
    cut: Sequence[str],
    languages: Sequence[str],
) -> tuple[tuple[PlannedThing, ...], list[str]]:
    """Things with the tints that their phrases say, and the words for tints.

    Where the planner reads another; in Arabic, which it was not taught, and in Chinese also where
    it reads none.
    """
    found, words = [], [*tint]
    taught = not {"ar", "zh"} & {*languages}
    for thing in things:
        said = colour_said(cut[thing.piece], languages)
        unsaid = taught and thing.tint is None and (said is None or said[0] != WHITE)
        if said is None or said[0] == thing.tint or unsaid:
            found.append(thing)
            continue
        found.append(replace(thing, tint=said[0]))
        words.append(said[1])
    return tuple(found), words


def _counted(
    thing: PlannedThing, phrase: str, drop: Sequence[str], most: int
) -> tuple[PlannedThing, Sequence[str]]:
    """A thing with its number put right, and the words that are not to be drawn.

    The planner takes every number for a count, and knows none beyond nine.
    """
    some = several(phrase)
    if some is not None:
        if some[0] > most:
            warn(_TOO_MANY.format(quoted(phrase), most))
        return replace(thing, count=min(some[0], most)), [*drop, some[1]]
    numbers = quantities(phrase)
    counts = [each for each in numbers if each.counts or (each.counts is None and thing.count > 1)]
    if numbers and not counts:  # "3d render of a donut": its words are drawn, and once
        named = {each.words for each in numbers}
        kept = [word for word in drop if word.lower() not in named and not is_label(word)]
        return replace(thing, count=1), kept
    begun = (each for each in counts
             if each.counts and each.value > 1 and _begins(phrase, each.words))  # fmt: skip
    first = next(begun, None)
    if thing.count == 1 and first is not None:  # "two foxes dancing", which the planner misread
        thing = replace(thing, count=min(first.value, most))
        drop = [*drop, first.words]
    if max((each.value for each in counts), default=0) <= most:
        return thing, drop
    warn(_TOO_MANY.format(quoted(phrase), most))
    return replace(thing, count=most), [*drop, *(each.words for each in counts)]


def _begins(phrase: str, words: str) -> bool:
    """Whether a phrase begins with some words, but for an article."""
    end = "" if SPACELESS.search(words) else r"(?!\w)"
    return re.match(rf"(?:the\s+)?{re.escape(words)}{end}", phrase, re.IGNORECASE) is not None


def without(phrase: str, words: Sequence[str]) -> str:
    """A phrase without some of its words, and without what they leave behind (的, の, de, spaces).

    The phrase as it was, where nothing would be left.
    """
    rest = phrase
    for word in words:
        whole = re.escape(word) + "[的の]?"
        if not SPACELESS.search(word):
            whole = rf"(?<!\w){re.escape(word)}(?!\w)"
        rest = re.sub(whole, "", rest, count=1)
    rest = re.sub(r"\s+", " ", rest).strip(" ,，、的の")
    if rest != phrase:
        rest = rest.removesuffix(" de")  # gato de color azul
        rest = re.sub(r"^an (?=[^aeiou])", "a ", rest)  # an orange cat
    return rest or phrase
