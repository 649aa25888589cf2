"""Somebody who is called by a name is drawn as a woman or a man: *Emma riding a horse*, *Mr Smith*.

``first_names.tsv`` holds common first names, without those that name a thing, too (*Rose*, *Jack*
in *union jack*).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from limner.text.lexicon import LATIN
from limner.text.names import bare
from limner.text.tables import table

_TITLES: Mapping[str, str] = {
    "mr": "a man", "mister": "a man", "sir": "a man", "mrs": "a woman", "ms": "a woman",
    "miss": "a woman", "madam": "a woman", "uncle": "a man", "aunt": "a woman",
    "auntie": "a woman", "grandpa": "grandpa", "grandma": "grandma", "granny": "granny",
    "king": "a king", "queen": "a queen", "prince": "a prince", "princess": "a princess",
}  # fmt: skip
"""What stands before somebody's name, and who is drawn."""
_OWN = re.compile(
    r"(?P<who>\b(?i:my|our|his|her|their) (?:\w+ )?(?:cat|dog|kitten|puppy|horse|pony|rabbit|"
    r"bunny|hamster|parrot|bird|turtle|guinea pig|son|daughter|brother|sister|friend|boyfriend|"
    r"girlfriend|husband|wife|teacher|boss|baby|cousin|neighbou?r|mom|mum|dad)),? [A-Z][a-z]+"
    r"(?=$|[,.!?]| [a-z])"
)
"""What an own animal or relative is called."""
_CHILDREN = {"man": "boy", "woman": "girl"}
"""Who is drawn of somebody who is little."""
_JOINS = (
    r"and|with|without|in|on|at|by|near|under|behind|beside|next|is|are|was|who|has|holds?|wears?|"
    r"from|as|for|or|vs|versus|against|to|into|inside|over|walks?|runs?|eats?|plays?|"
    r"rides?|reads?|loves?|likes?|sits?|sleeps?|drinks?|wants?|cooks?|paints?|draws?|sings?|"
    r"dances|flies|makes?|goes|feeds?|meets?|helps?|kisses|hugs|climbs?|drives?|\w{3,}ing|"
    r"\w{2,}ed|went|ran|had|saw|found|lost|got|made|took|bought|sat|ate|swam|flew|rode|gave|wore|"
    r"held|built|caught|won"
)
"""What goes on about somebody, behind the name."""
_BEFORE = (
    r"(?:^|(?<=, )|(?<=\band )|(?<=\bwith )|(?<=\bfor )|(?<=\bto )|(?<=\bby )|"
    r"(?<=\bbeside )|(?<=\bmeets )|(?<=\blittle )|(?<=\bmy friend )|(?<=\bmy friends ))"
)


def with_persons(text: str, is_name: Callable[[str], bool]) -> str:
    """An English text with somebody who is drawn for each who is called by a name.

    Args:
        text: canonical text.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    if is_name(text) or is_name(bare(text)):
        return text
    return _named().sub(_person, _titled().sub(_title, _OWN.sub(r"\g<who>", text)))


def is_first_name(word: str) -> bool:
    """Whether a word is a common first name: *Emma*, *tom*."""
    return word.casefold() in _names()


def _title(match: re.Match[str]) -> str:
    title = match["title"].casefold()
    article = "" if match["article"] is None else match["article"]
    who = _TITLES[title]
    return f"{article}{who.removeprefix('a ')}" if article else who


def _person(match: re.Match[str]) -> str:
    who = _names()[match["name"].casefold()]
    return f"a {_CHILDREN.get(who, who) if match['young'] else who}"


@cache
def _names() -> Mapping[str, str]:
    return {name: who for who, names in table("first_names.tsv")[1:] for name in names.split("|")}


@cache
def _titled() -> re.Pattern[str]:
    """A title and a name in capitals, which no drawing shows."""
    titles = "|".join(sorted(_TITLES, key=len, reverse=True))
    stops = "|".join(sorted(LATIN["en"].stops))
    return re.compile(
        rf"\b(?P<article>(?:the|my|our|your|his|her) )?(?P<title>{titles})\.? "
        rf"(?!(?:{stops})\b)(?-i:[A-Z][\w-]+)"
        r"(?: (?-i:[A-Z][\w'’-]+|[IVX]+))?(?!['’]s)",
        re.IGNORECASE,
    )


@cache
def _named() -> re.Pattern[str]:
    """A first name, with a surname in capitals, where somebody can be meant."""
    names = "|".join(sorted(_names(), key=len, reverse=True))
    return re.compile(
        rf"{_BEFORE}(?P<young>(?:little|young) )?(?P<name>{names})"
        r"(?: (?-i:(?<=[a-z] )[A-Z][\w-]+))?"
        rf"(?=$|[,.!?]| (?:{_JOINS})\b)",
        re.IGNORECASE,
    )
