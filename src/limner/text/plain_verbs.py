"""English verbs in forms at which sentences are not cut, in those at which they are.

*The bear and the rabbit drink tea* has a verb without an ending after two nouns, *man walking dog*
a verb with an object without an article, and *a dinosaur hatching* one with none at all, which
would be taken for part of the name of who does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from limner.text.lexicon import LATIN
from limner.text.names import bare
from limner.text.persons import animals, best_of
from limner.text.spelling import means_person

_NOUNS_TOO = """
drink paint ride drive cook bake build draw hold hug kiss watch share pull push climb plant pick
clean wash throw catch kick visit row ski skate camp hike study fix repair feed help chase eat play
carry wear sell buy brush follow find stand rest float race fight dance walk wait sail wave look
work jump fly run make have get see hear smell count order pack print
"""
_VERBS = "write dig meet explore read sleep sit swim sing laugh cry talk hide argue live travel lie"
"""Verbs without an ending; the former are nouns, too, so that only who is alive does them: *a hot
dog stand*, *a soft drink*."""
_DOUBLED = frozenset({"hug", "dig", "sit", "run", "swim", "get"})
_NO_VERBS = """
    ring king wing string thing spring morning evening ceiling wedding pudding stocking earring
    lightning sibling duckling dumpling sling painting drawing building clothing bedding meeting
    landing opening parking swing gosling darling lemming herring starling sterling icing topping
    filling pricing wing nothing something anything everything viking wedding dressing bling
    outing shopping banking training marketing advertising engineering knitting jogging camping
"""
"""Words in *-ing* that are nouns."""
_ALIVE_TABLE = """
man woman boy girl child baby person people princess prince dragon unicorn fairy mage mermaid zombie
vampire ninja angel superhero elf gnome dwarf troll witch wizard giant hen rooster goose swan crab
fish shark whale dolphin snail bee ant butterfly spider snake lizard camel deer reindeer penguin
seal sloth otter beaver badger gorilla ape llama alpaca moose bat crow eagle rat mole ladybug
caterpillar worm pony donkey lamb calf cub peacock turkey flamingo pigeon dove seagull walrus
"""
"""Who does something, beside the animals that are dressed up and the nouns for persons alone."""
_OBJECT = r"(?!(?:{stops})\b)(?P<what>(?:[a-z-]+ (?!(?:{stops})\b))?[a-z-]*[^\Ws])"
_KEPT_BEFORE = "on|in|under|by|near|next|behind|over|between|inside|through|around|across|along|and"
"""What says where who does something is; *at* and *to* rather say what it is done to."""
_NO_OBJECTS = frozenset(
    {"water", "snow", "sand", "ice", "grass", "mud", "air", "home", "up", "down", "off", "out",
     "away", "back", "around", "alone", "together", "late", "early", "fast", "slow", "high", "low",
     "hard", "left", "right", "forward", "backward", "outdoor", "inside", "outside", "again"}
)  # fmt: skip
"""Places, and what says where or how, behind a verb."""
_ALONE = "(?:playing|going|being|looking|waiting|dressing|made|covering|crying|laughing|smiling)"
"""Verbs that say what follows them, with their prepositions."""


def with_endings(text: str, is_name: Callable[[str], bool]) -> str:
    """An English text in which what two do ends in *-ing*: *the bear and the rabbit drinking tea*.

    Args:
        text: canonical text.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    return _of_two().sub(lambda match: _ending(match, is_name), text)


def with_objects(text: str, is_name: Callable[[str], bool]) -> str:
    """An English text whose verbs have an article before their object, or are left out.

    Args:
        text: canonical text.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    text = _headline().sub(lambda match: _with_article(match, is_name), text)
    return _last().sub(lambda match: _without_verb(match, is_name), text)


def participle(verb: str) -> str:
    """The form of a verb in *-ing*."""
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return f"{verb[:-1]}ing"
    return f"{verb}{verb[-1] if verb in _DOUBLED else ''}ing"


def _ending(match: re.Match[str], is_name: Callable[[str], bool]) -> str:
    """Two nouns with what they do: *the bear and the rabbit drinking tea*."""
    noun, verb = bare(match["noun"]), match["verb"]
    if is_name(f"{noun} {verb}") or is_name(match[0]):
        return match[0]
    who = noun if is_name(noun) else noun.split()[-1]
    known = is_name(who) if verb.casefold() in _VERBS.split() else _is_alive(who)
    return f"{match['two']} {participle(verb.casefold())}" if known else match[0]


def _is_alive(who: str) -> bool:
    """Whether a noun names a person or an animal."""
    name = who.casefold()
    known = animals() | _alive()
    return name in known or means_person(name) or best_of(name, "en") in known


def _with_article(match: re.Match[str], is_name: Callable[[str], bool]) -> str:
    """*Man walking a dog* for *man walking dog*."""
    verb, what = match["verb"].casefold(), match["what"]
    doer = is_name(bare(match["who"])) and verb not in _nouns()
    named = is_name(bare(what)) and what.split()[0].casefold() not in _NO_OBJECTS
    one = is_name(f"{verb} {what}") or is_name(f"{match['who']} {verb}") or is_name(verb)
    if not doer or not named or one:
        return match[0]
    return f"{match['who']} {match['verb']} a{'n' if what[0] in 'aeiou' else ''} {what}"


def _without_verb(match: re.Match[str], is_name: Callable[[str], bool]) -> str:
    """*A dinosaur* for *a dinosaur hatching*."""
    who, verb = match["who"], match["verb"].casefold()
    word = who.casefold() not in LATIN["en"].stops
    known = word and is_name(bare(who)) and not is_name(f"{who} {verb}")
    return who if known and verb not in _nouns() and not is_name(verb) else match[0]


@cache
def _alive() -> frozenset[str]:
    return frozenset((*_ALIVE_TABLE.split(), "old man", "old woman"))


@cache
def _nouns() -> frozenset[str]:
    return frozenset(_NO_VERBS.split())


@cache
def _of_two() -> re.Pattern[str]:
    """Two nouns and a verb that may be a noun, too."""
    verbs = "|".join(f"{_NOUNS_TOO} {_VERBS}".split())
    whose = r"(?:(?:an?|the|my|our|his|her|their|two|three|some) )?"
    return re.compile(
        rf"(?P<two>\w+ and {whose}(?P<noun>(?:[\w-]+ )?[\w-]+)) "
        rf"(?P<verb>{verbs})(?=$|[,.;!?]| \w)(?! of\b| and\b)",
        re.IGNORECASE,
    )


@cache
def _headline() -> re.Pattern[str]:
    """Who, a verb, and its object, as headlines say it."""
    stops = "|".join(sorted(LATIN["en"].stops))
    return re.compile(
        rf"(?:(?<=^)|(?<=\ba )|(?<=\ban )|(?<=\bthe )|(?<=\band ))(?P<who>[a-z-]+) "
        rf"(?P<verb>[a-z]{{2,}}ing) {_OBJECT.format(stops=stops)}(?=$|[,.;!?]| (?:{stops})\b)",
        re.IGNORECASE,
    )


@cache
def _last() -> re.Pattern[str]:
    """Who, and a verb without an object."""
    return re.compile(
        rf"(?<![\w-])(?P<who>[a-z-]+) (?!{_ALONE}\b)(?P<verb>[a-z]{{2,}}ing)"
        rf"(?=$|[,.;!?]| (?:{_KEPT_BEFORE})\b)",
        re.IGNORECASE,
    )
