"""Reading an instruction that changes a picture: *make the cat blue*, *two dogs instead of one*.

An instruction may be read in several ways; which one is meant depends on what is in the picture,
so all are given, the likeliest first. The words are in ``instructions.tsv``: ``a`` names something
in the picture, ``b`` what comes, ``c`` is a colour. Of a language that has a glossary
(:mod:`limner.text.glossaries`) what an instruction names is given in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from limner.scenes.backgrounds import background_rgb
from limner.scenes.colour_words import colour_pattern, colour_said
from limner.scenes.colours import COLOURS, WHITE
from limner.scenes.phrasebook import BOOKS
from limner.scenes.places import Setting, read_place, take_times
from limner.scenes.plain import background_alone
from limner.tables import read_table
from limner.text.glossaries import LANGUAGES
from limner.text.glossing import (
    gloss,
    is_indefinite,
    is_known,
    language_of,
    languages_like,
    quality_in,
    scripts_of,
)
from limner.text.lexicon import languages_of

Change = Literal[
    "remove", "replace", "dye", "colour", "bigger", "smaller", "left", "right", "up", "down",
    "move", "more", "give", "add", "be",
]  # fmt: skip
"""What happens to a thing: ``dye`` gives it one colour everywhere, ``give`` puts the one thing on
the other, ``be`` says how one is now."""
CHANGES: tuple[Change, ...] = get_args(Change)
MOST_EDITS = 32
"""Instructions one after the other."""
LONGEST = 250
"""Characters of an instruction."""
_OTHER_WORDS = {"gray": "grey", "violet": "purple", "gris": "grey", "grigio": "grey"}
_PREPOSITIONS = re.compile(
    r"(?:on|in|at|under|by|to|into|onto|over|en|sobre|a|dans|sur|sous|à|au|auf|im|am|an|unter|bei|"
    r"vor|su|sul|sulla|nel|nella|em|no|na|ao|в|во|на|под|у|في|على|عند) ",
    re.IGNORECASE,
)
_INTO = re.compile(r"^(?:into|to|in|on|with) ")
"""What the case of a noun means that says what a thing becomes."""
_AN = re.compile(r"^an? ")
_ANY_WORDS = (r"\S+", r"\S+ \S+")
"""What may be a colour in a language whose glossary says whether it is, the shorter first."""
_IT = "it"
_BEHIND = re.compile(r"(?:に|で|へ)(?:して|する|変えて)?$|(?:에서|에|으로|로)$| (?:में|पर)$")


@dataclass(frozen=True)
class Reading:
    """One way to read an instruction about a thing.

    Attributes:
        change: what happens.
        thing: words for what is in the picture.
        other: words for what comes, or for both where they say how the two stand to each other.
        colour: key of ``COLOURS``.
    """

    change: Change
    thing: str = ""
    other: str = ""
    colour: str | None = None


@dataclass(frozen=True)
class Behind:
    """An instruction about what is behind the things.

    Attributes:
        setting: what it says of place, time and weather; None for a plain background.
        background: red, green and blue in [0, 1] of a plain one; None for white.
        day: whether it is to be day.
    """

    setting: Setting | None = None
    background: tuple[float, float, float] | None = None
    day: bool = False


def readings(
    text: str, meaning: Callable[[str], str | None] = lambda _: None
) -> Iterator[Reading | Behind]:
    """All ways to read an instruction, the likeliest first.

    Args:
        text: canonical text in one of the taught languages, or in one that has a glossary.
        meaning: the English name of what a name of any language is; None where it is none.
    """
    restated = []  # what names but a thing may be anything in another language
    for language in _languages(text):
        said = _plain(text, language)
        behind = _behind(said, language)
        if behind is not None:
            yield behind
        for change, pattern in _patterns(language):
            match = pattern.fullmatch(said)
            if match is None:
                continue
            found = {"a": "", "b": "", "c": ""} | match.groupdict(default="")
            colour = _colour_of(found["c"], language) if found["c"] else None
            if found["c"] and colour is None:
                continue
            named = Reading(change, found["a"].strip(), found["b"].strip(), colour)
            ways = [named]
            if language in LANGUAGES:
                ways = list(_in_english(named, language, meaning))
            if change == "be":
                restated += ways
            else:
                yield from ways
    yield from dict.fromkeys(restated)


def _in_english(
    said: Reading, language: str, meaning: Callable[[str], str | None]
) -> Iterator[Reading]:
    """What is said in a language with a glossary, by its words in English."""

    def english(words: str) -> str:
        if is_pronoun(words, language):
            return _IT
        found = gloss(words, meaning, language) if words else None
        said = "" if found is None else found.english
        return "one" if words and not said and is_indefinite(words, language) else said

    if said.change == "be" and not is_known(said.other, meaning, language):
        return
    other = _INTO.sub("", english(said.other)) if said.change == "replace" else english(said.other)
    found = Reading(said.change, english(said.thing), other, said.colour)
    if said.change == "move" and not is_indefinite(said.other, language):
        found = Reading(said.change, found.thing, _AN.sub("the ", found.other))
    yield found


def _languages(text: str) -> Iterator[str]:
    """Languages that an instruction may be in, the likeliest first."""
    by_words = language_of(text)
    likely = [*([by_words] if by_words else []), *languages_of(text), *languages_like(text)]
    scripts = scripts_of(text)
    alike = [each for each, rows in _table().items() if scripts & scripts_of(rows["pronoun"][0])]
    yield from dict.fromkeys(each for each in (*likely, *alike) if each in _table())


def is_pronoun(words: str, language: str | None = None) -> bool:
    """Whether words stand for whatever is in the picture: *it*, *todo*.

    Args:
        words: of an instruction.
        language: of it; None for any whose words are not put into English.
    """
    read = [each for each in _table() if each not in LANGUAGES]
    return any(
        re.fullmatch(pattern, words, re.IGNORECASE)
        for each in (read if language is None else [language])
        for pattern in _table()[each].get("pronoun", ())
    )


def _plain(text: str, language: str) -> str:
    """An instruction without words of politeness."""
    for pattern in _table()[language].get("polite", ()):
        text = re.sub(rf"^(?:{pattern})|(?:{pattern})$", "", text, flags=re.IGNORECASE).strip()
    return text


def _behind(text: str, language: str) -> Behind | None:
    """What an instruction says of the background; None where it says something else, too."""
    rows = _table()[language]
    ground = _ground_said(text, language)
    if ground is not None:
        return ground
    rest = text
    for frame in rows.get("frame", ()):
        rest = re.sub(f"^(?:{frame})", "", text, flags=re.IGNORECASE).strip() or text
    for words in dict.fromkeys((rest, text)):
        alone, colour = background_alone(re.sub(r"\b(?:to|a|в|in)\b", " ", words))
        if alone:
            return _plain_ground(colour)
        if any(re.fullmatch(day, words, re.IGNORECASE) for day in rows.get("day", ())):
            return Behind(Setting(), day=True)
    said = (rest, text)
    return (_behind_in_english if language in LANGUAGES else _place_said)(said, language)


def _place_said(said: tuple[str, str], language: str) -> Behind | None:
    """What an instruction says of place, time and weather, without the words before it or whole."""
    rest, rows = said[0], _table()[language]
    behind = _BEHIND.sub("", rest)
    ways = [rest, _PREPOSITIONS.sub("", rest, count=1), behind]
    for done in rows.get("done", ()):  # verbs stand last, and what is between needs its own ending
        stem = re.sub(f"(?:{done})$", "", rest).strip()
        ways += [stem, *(stem + ending.replace("_", " ") for ending in rows.get("within", ()))]
    ways += [f"in {rest}", f"{rest} day"] if language == "en" else []
    for words in dict.fromkeys(ways):
        left, times = take_times(words, language)
        place = read_place(left, language) if left else None
        if times is not None and not left:
            return Behind(times, day=times == Setting(sunny=True))
        if place is not None:
            return Behind(place.joined(times))
    return None


def _behind_in_english(said: tuple[str, str], language: str) -> Behind | None:
    """What words of a language with a glossary say of the background."""
    for words in dict.fromkeys(said):
        found = gloss(words, lambda _: None, language)
        behind = None if found is None or not found.english else _behind(found.english, "en")
        if behind is not None:
            return behind
    return None


def _ground_said(text: str, language: str) -> Behind | None:
    """A plain background, or none, as the table has it said."""
    rows = _table()[language]
    if any(re.fullmatch(words, text, re.IGNORECASE) for words in rows.get("bare", ())):
        return Behind()
    for words in rows.get("ground", ()):  # where no phrasebook knows the word for a background
        for colours in _ANY_WORDS if language in LANGUAGES else (colour_pattern(language),):
            plain = re.fullmatch(words.replace("COLOUR", colours), text, re.IGNORECASE)
            colour = _ground_colour(plain["c"], language) if plain else None
            if colour is not None:
                return _plain_ground(colour)
    return None


def _ground_colour(word: str, language: str) -> str | None:
    if language in LANGUAGES:
        return _colour_of(word, language)
    said = colour_said(word, [language])
    return None if said is None else said[0]


def _plain_ground(colour: str | None) -> Behind:
    """A background of one colour; None and white for the paper."""
    rgb = None if colour is None else background_rgb(colour)
    return Behind(background=None if rgb == (1, 1, 1) else rgb)


@cache
def _table() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Language -> kind of words -> regular expressions."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for language, kind, words in read_table("limner.scenes", "instructions.tsv")[1:]:
        rows = found.setdefault(language, {})
        rows[kind] = (*rows.get(kind, ()), words)
    return found


@cache
def _patterns(language: str) -> tuple[tuple[Change, re.Pattern[str]], ...]:
    """The ways of a language to ask for a change, in the order of the table."""
    words = sorted(map(re.escape, _colours(language)), key=len, reverse=True)
    inflected = colour_pattern(language)
    known = "(?:" + "|".join([*words, *([inflected] if inflected else [])]) + ")"
    rows = _table()[language]
    return tuple(
        (change, re.compile(pattern.replace("COLOUR", colour), re.IGNORECASE | re.DOTALL))
        for kind, patterns in rows.items()
        for change in CHANGES
        if change == kind
        for pattern in patterns
        for colour in _colours_in(pattern, language, known)
    )


def _colours_in(pattern: str, language: str, known: str) -> tuple[str, ...]:
    """What may stand for a colour in a pattern of a language, one after the other."""
    return _ANY_WORDS if language in LANGUAGES and "COLOUR" in pattern else (known,)


def _colour_of(word: str, language: str) -> str | None:
    """The colour that a word says; None for what nothing is dyed in."""
    if language in LANGUAGES:
        name = quality_in(word, language)
        return name if name in (*COLOURS, WHITE) else None
    found = _colours(language).get(word.casefold())
    said = colour_said(word, [language]) if found is None else None
    return said[0] if said is not None and said[0] in COLOURS else found


@cache
def _colours(language: str) -> Mapping[str, str]:
    """Words of colours in a language, in any form, and their keys in ``COLOURS``."""
    found = {name: name for name in (*COLOURS, WHITE)} if language == "en" else {}
    if language == "zh":
        for name, colour in COLOURS.items():
            word = colour.words["zh"][1].removesuffix("{}")
            found |= {word: name, word.removesuffix("色"): name}
        found |= {"白色": WHITE, "白": WHITE}
    if language in BOOKS:
        for name, forms in BOOKS[language].colour_words.items():
            for form in forms if name in (*COLOURS, WHITE) else ():
                found |= {each.casefold(): name for each in _forms(form, language)}
    known = {*found.values()}
    return found | {word: name for word, name in _OTHER_WORDS.items() if name in known}


def _forms(form: str, language: str) -> Iterator[str]:
    """A word for a colour as it also stands behind a verb."""
    yield form
    if language == "de":
        yield form.removesuffix("e")
    elif language == "ja":
        yield re.sub("(?:い|色の|色い|の)$", "", form)
    elif language == "ko":
        yield from (form.removesuffix("색"), form.removesuffix("간") + "갛", form[:-1] + "랗")
    elif language == "ru":
        stem = re.sub(r"(?:ый|ий|ой|ая|ое|ые|ых|их)$", "", form)
        yield from (stem + ending for ending in ("ым", "им", "ой", "ей", "ую", "юю", "ыми", "ими"))
