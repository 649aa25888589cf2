"""Greetings are shown by a thing and written above it: *a thank you card with a bear*.

So is what a poster is for.

``greetings.tsv`` holds, for each thing, the greetings that it shows as regular expressions by
language; ``cards.tsv`` cards that are named after an occasion, the thing that shows it and the
greeting that such a card bears. A greeting is read only in a text that says nothing else but to
whom it is said, what it is written on, and what else that shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from limner.text.events import shown_event
from limner.text.first_names import is_first_name
from limner.text.glossaries import LANGUAGES, glossary_of
from limner.text.names import bare, without_article
from limner.text.persons import kind_of
from limner.text.spelling import means_person
from limner.text.tables import table
from limner.text.vocabulary import in_english

_BIRTHDAYS = {
    "en": (r"(.+?)['’]s? (?:\w+ )?birthday(?: party| celebration)?|"
           r"happy birthday,? (?:to )?(?!you\b|to\b)((?:my |our |the |dear )?\w+(?: \w+)?)\W*",
           "with a birthday cake"),
    "es": (r"(?:una? |la )?(?:fiesta del? )?(?:el )?cumpleaños de (.+)",
           "con una tarta de cumpleaños"),
    "fr": (r"(?:une |la )?(?:fête d['’])?(?:l['’])?anniversaire d(?:e |['’]|u )(.+)",
           "avec un gâteau d’anniversaire"),
    "de": (r"(?:der |die )?geburtstag(?:s(?:feier|party|fest))? (?:von )?(.+)",
           "mit Geburtstagskuchen"),
    "it": (r"(?:una |la )?(?:festa d(?:i|el) )?(?:il )?compleanno d(?:i |el |ell[ao] |ell['’])(.+)",
           "con una torta di compleanno"),
    "pt": (r"(?:uma |a )?(?:festa de )?(?:o )?aniversário d[eoa] (.+)",
           "com um bolo de aniversário"),
    "zh": (r"(.+?)(?:的生日|过生日)(?:派对|聚会|会)?", "和生日蛋糕"),
    "ja": (r"(.+?)の誕生日(?:パーティー|会)?", "とバースデーケーキ"),
}  # fmt: skip
"""How somebody's birthday is said, and how it is shown."""
_CARDS = {
    "en": "(?: greetings?)?(?: (?:e-)?cards?| postcard| poster| banner)?",
    "de": "(?:-| )?(?:karte)?",
    "es": "", "fr": "", "it": "", "pt": "", "ru": "", "zh": "(?:的?(?:贺卡|卡片|海报))?",
    "ja": "(?:の?カード)?", "ko": "(?: ?카드)?", "hi": "(?: कार्ड)?", "ar": "",
}  # fmt: skip
"""What a greeting is written on, behind it."""
_CARDS_BEFORE = {
    "en": "(?:(?:something|anything|ideas?|an? (?:idea|design|picture|image|drawing)) for )?"
          "(?:an? |the |my )?",
    "es": "(?:una )?(?:tarjeta de )?", "fr": "(?:une )?(?:carte (?:de )?)?",
    "de": "(?:eine )?(?:karte )?", "it": "(?:un )?(?:biglietto (?:di )?)?",
    "pt": "(?:um )?(?:cartão (?:de )?)?", "ru": "(?:открытка )?", "ar": "(?:بطاقة )?",
}  # fmt: skip
_TITLES = {
    "en": "to|of|on|for|and|the|an?|in|at|from|your|my",
    "de": "zu[mr]|und|für|dich|dir|an|von",
}
"""Words that have no capital in a headline, by the languages whose headlines have capitals."""
_ON_CARDS = {
    "en": "with", "es": "con", "fr": "avec", "de": "mit", "it": "con", "pt": "com", "ru": "с",
}  # fmt: skip
"""How it is said what else a card shows."""
_TO_WHOM = r"[\s,，、!！]*(?:(?:to|a|à|für|per|para|für) )?(?P<whom>[^\s,，!！][^,，!！]{0,28})?"
_FOR = {"en": "to|for|from", "de": "für|von|an", "fr": "pour|à|de"}
_FOR_OTHERS = "a|para|per|de"
"""Before whom a card is for, and from."""
_LOVED = re.compile(
    r"(?P<who>.+?),? (?:who|that) (?:really )?(?:loves?|likes?|enjoys?|adores?|"
    r"is (?:(?:crazy|mad) about|into)) (?:to )?(?P<what>.+)",
    re.IGNORECASE,
)
"""What English says somebody likes to whom a card is given."""
_DOING = re.compile(r"\w{3,}ing\b", re.IGNORECASE)
_ZODIAC = frozenset({"leo", "virgo", "libra", "aries", "taurus", "gemini", "aquarius"})
"""Persons born under a sign, who are rather called so."""
_YEAR = r"(?: ?\d{4}年?)?"
_LONGEST_GREETING = 80
_POSTERS = {
    "en": r"(?:an? |the )?(?:\w+ )?(?:poster|flyers?|leaflet|banner|announcement) "
          r"(?:for|about|announcing) (?:(?:our|my|your) )?",
    "de": r"(?:ein(?:en)? )?(?:plakat|poster|flyer|aushang) (?:für|zu[mr]?) (?:unsere?n? )?",
    "es": r"(?:un )?(?:cartel|p[oó]ster|afiche|folleto) (?:para|del?) (?:nuestr[oa] )?",
    "fr": r"(?:une? )?(?:affiche|flyer|prospectus) pour (?:notre )?",
    "it": r"(?:un[ao]? )?(?:manifesto|poster|locandina|volantino) (?:per|del(?:la)?) "
          r"(?:nostr[oa] )?",
    "pt": r"(?:um )?(?:cartaz|p[oô]ster|panfleto) (?:para|d[eoa]) (?:noss[oa] )?",
}  # fmt: skip
"""How it is said what a poster is for."""
_POSTER_BEHIND = re.compile(
    r"(?:an? |the |our |my )?(?:(?:cute|nice|funny|simple|cool|colou?rful) )?"
    r"(?P<what>(?:[\w'’-]+ ){0,3}(?:festival|concert|play|show|fair|market|tournament|exhibition|"
    r"contest|competition|marathon|race|workshop|conference|fundraiser|carnival|parade|party|"
    r"shower|dinner|brunch|ceremony|recital|gala)) "
    r"(?:posters?|flyers?|leaflets?|banners?|invitations?|invites?)"
    r"(?: for (?P<whom>\S.{0,28}))?",
    re.IGNORECASE,
)
"""The same behind what it is for, and the name of whom it is for: *music festival poster*."""


class Greeting(NamedTuple):
    """A greeting, or what else is written above a picture.

    Attributes:
        shown: what shows it, and to whom it is said, as a text to be drawn.
        heading: what a card with it bears; empty where that is not said.
    """

    shown: str
    heading: str = ""


def greeting_of(
    text: str, languages: Sequence[str], is_name: Callable[[str], bool]
) -> Greeting | None:
    """The greeting of a text that says nothing else; None for other texts.

    Args:
        text: canonical text.
        languages: that it may be in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    found = _card(text, languages, is_name) or _poster(text, languages)
    return found or _birthday(text) or _said(text, languages, is_name)


def _poster(text: str, languages: Sequence[str]) -> Greeting | None:
    """What a poster is for: *a poster for our bake sale*, *ein Plakat für das Sommerfest*."""
    if len(text) > _LONGEST_GREETING:
        return None
    for language in (each for each in languages if each in _POSTERS):
        match = re.fullmatch(f"{_POSTERS[language]}(?P<what>[^,;:]+)", text, re.IGNORECASE)
        if match is not None:
            what = without_article(match["what"])
            return Greeting(what, _headline(what, language))
    match = _POSTER_BEHIND.fullmatch(text) if "en" in languages else None
    whom = "" if match is None or not match["whom"] else match["whom"]
    if match is None or (whom and not _is_name_of_somebody(whom, "en")):
        return None
    what = match["what"]
    party = what.casefold().endswith("party") and shown_event(what, ("en",)) is None
    heading = _headline(what, "en")
    return Greeting(
        "party popper" if party else what,
        f"{heading} for {_headline(whom, 'en')}" if whom else heading,
    )


def _card(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> Greeting | None:
    """A card named after its occasion: *a birthday card for my grandma*, *Geburtstagskarte*."""
    if len(text) > _LONGEST_GREETING:
        return None
    for language in languages:
        for thing, heading, pattern in _cards(language):
            match = pattern.fullmatch(text)
            if match is None or not is_name(thing):
                continue
            named = thing.replace(" ", "-")
            who = match["whose"] or match["whom"]
            liked = _LOVED.fullmatch(who) if who and language == "en" else None
            who = who if liked is None else liked["who"]
            called = who is not None and _is_name_of_somebody(who, language)
            drawn = who if who and not called and _is_drawn(who, language, is_name) else ""
            does = "" if liked is None else liked["what"]
            # who loves fishing is drawn fishing
            whom = [f"{drawn} {does}"] if drawn and _DOING.match(does) else [drawn, does]
            parts = [*whom, match["also"], match["more"]]
            shown = ", ".join(filter(None, parts))
            said = _addressed(heading, _headline(who, language) if who and called else "")
            if not shown:
                return Greeting(thing, said)
            is_said = re.search(rf"\b{thing.split()[-1]}s?\b", shown, re.IGNORECASE)
            return Greeting(shown if is_said else f"{shown}, {named}", said)
    return None


def _addressed(heading: str, name: str) -> str:
    """A greeting of ``cards.tsv`` with a name: *Happy Birthday Emma*, *Thank You*.

    What is between brackets joins a name to it: *Wedding Invitation[ for]*.
    """
    said, _, joined = heading.partition("[")
    if not name:
        return said
    end = re.search(r"\s?[!.]?$", said)
    mark = end[0] if end is not None else ""
    return f"{said.removesuffix(mark)}{joined.removesuffix(']')} {name}{mark}"


def _birthday(text: str) -> Greeting | None:
    """Whose birthday it is, with a cake, of a text that says nothing else; else None."""
    for language, (pattern, cake) in _BIRTHDAYS.items():
        match = re.fullmatch(pattern, text, re.IGNORECASE)
        if match is not None:
            who, gap = match[match.lastindex or 1], "" if language in ("zh", "ja") else " "
            if re.match("happy birthday", text, re.IGNORECASE) is None:
                return Greeting(f"{who}{gap}{cake}")
            shown = "birthday cake" if _is_name_of_somebody(who, language) else f"{who} {cake}"
            return Greeting(shown, _headline(text, language))
    return None


def _said(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> Greeting | None:
    """A greeting as it is said: *feliz cumpleaños mamá*.

    With whom it is said to, where that is somebody who is drawn, or with what else a card shows
    (*a thank you card with a bear*). None for other texts.
    """
    if len(text) > _LONGEST_GREETING or is_name(text):
        return None
    for language in (*languages, *_languages()):  # of which short texts say little
        things, patterns = _greetings(language)
        found = (pattern.fullmatch(text) for pattern in patterns)
        for thing, match in zip(things, found, strict=True):
            if match is None or not is_name(thing):
                continue
            named, said = thing.replace(" ", "-"), _headline(match["said"], language)
            if match["also"]:
                return Greeting(f"{match['also']}, {named}", said)
            who = match["whom"] or match.groupdict().get("front")
            if not who:
                return Greeting(thing, said)
            meant = _by_glossary(who, language)
            if meant is None and _is_name_of_somebody(who, language):
                return Greeting(thing, f"{said} {who}")
            if meant is not None or _is_drawn(who, language, is_name):
                return Greeting(f"{meant or who}, {named}", said)
    return None


def _is_drawn(who: str, language: str, is_name: Callable[[str], bool]) -> bool:
    """Whether somebody to whom a greeting is said can be drawn."""
    meant = bare(who) if language == "en" else in_english(who, (language,)) or ""
    known = kind_of(who, language) or means_person(meant.split(" ")[-1]) or is_name(meant)
    return bool(known)


def _by_glossary(who: str, language: str) -> str | None:
    """Whom a word of a language that has a glossary means, in English; None where it has none."""
    if language not in LANGUAGES:
        return None
    (word, _, _), *more = glossary_of(language).read([who.casefold()], lambda _: None)
    return word.english if word.kind == "noun" and not more else None


def _is_name_of_somebody(who: str, language: str) -> bool:
    """Whether somebody is called by a name alone, which is written and not drawn: *Leo*, *Rose*."""
    if all(map(is_first_name, re.split(r" (?:and|&|und|y|et|e) ", who))):
        return True
    last = who.rpartition(" ")[2]
    return last[:1].isupper() and not any(_is_person(word, language) for word in who.split())


def _is_person(word: str, language: str) -> bool:
    meant = in_english(word, (language,)) or word
    if kind_of(word, language) is not None:
        return True
    return means_person(meant) and meant.casefold() not in _ZODIAC


def _headline(words: str, language: str) -> str:
    """A greeting as a card bears it: with capitals, where it was typed without any."""
    if words == words.lower() and language in _TITLES:
        return re.sub(rf"(?<![\w'’])(?!(?:{_TITLES[language]})\b)\w", _upper, words)
    return words[:1].upper() + words[1:]


def _upper(match: re.Match[str]) -> str:
    return match[0].upper()


def _languages() -> Sequence[str]:
    """The languages of the greetings."""
    return table("greetings.tsv")[0][1:]


@cache
def _greetings(language: str) -> tuple[Sequence[str], Sequence[re.Pattern[str]]]:
    """Things, and for each the pattern of a text that is a greeting which it shows."""
    (_, *codes), *rows = table("greetings.tsv")
    if language not in codes:
        return (), ()
    number, before = codes.index(language) + 1, _CARDS_BEFORE.get(language, "")
    if language in ("zh", "ja", "ko"):
        before = r"祝?(?P<front>[^\s,，]{1,6}?)??[\s,，、]*"
    also = (
        rf"(?: {_ON_CARDS[language]} (?P<also>.+))?" if language in _ON_CARDS else "(?P<also>(?!))?"
    )
    behind = rf"{_CARDS.get(language, '')}(?:{also}|{_TO_WHOM})[\s!！.。~]*"
    patterns = [
        re.compile(rf"{before}(?P<said>(?:{row[number]}){_YEAR}){behind}", re.IGNORECASE)
        for row in rows
    ]
    return [row[0] for row in rows], patterns


@cache
def _cards(language: str) -> Sequence[tuple[str, str, re.Pattern[str]]]:
    """Things, the greetings that cards bear, and the patterns of texts that are such a card."""
    joined, before = _ON_CARDS.get(language), _CARDS_BEFORE.get(language, "")
    also, more = (
        f"(?P<{group}>(?!))?" if joined is None else rf"(?: {joined} (?P<{group}>.+?))?"
        for group in ("also", "more")
    )
    whom = rf"(?: (?:{_FOR.get(language, _FOR_OTHERS)}) (?P<whom>\S.{{0,28}}?))?"
    whose = r"(?:(?P<whose>(?-i:[A-Z])\w+)['’]s? )?" if language == "en" else "(?P<whose>(?!))?"
    _, *rows = table("cards.tsv")
    return [
        (thing, heading,
         re.compile(rf"{before}{whose}(?:{card}){also}{whom}{more}[\s!.]*", re.IGNORECASE))
        for code, card, thing, heading in rows if code == language
    ]  # fmt: skip
