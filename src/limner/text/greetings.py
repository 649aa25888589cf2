"""Greetings are shown by a thing: *feliz cumpleaños mamá*, *a thank you card with a bear*.

``greetings.tsv`` holds, for each thing, the greetings that it shows as regular expressions by
language. A greeting is read only in a text that says nothing else but to whom it is said, what it
is written on, and what else that shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from limner.text.names import bare
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
    "en": "(?:an? |the )?", "es": "(?:una )?(?:tarjeta de )?", "fr": "(?:une )?(?:carte (?:de )?)?",
    "de": "(?:eine )?(?:karte )?", "it": "(?:un )?(?:biglietto (?:di )?)?",
    "pt": "(?:um )?(?:cartão (?:de )?)?", "ru": "(?:открытка )?", "ar": "(?:بطاقة )?",
}  # fmt: skip
_ON_CARDS = {
    "en": "with", "es": "con", "fr": "avec", "de": "mit", "it": "con", "pt": "com", "ru": "с",
}  # fmt: skip
"""How it is said what else a card shows."""
_TO_WHOM = r"[\s,，、!！]*(?:(?:to|a|à|für|per|para|für) )?(?P<whom>[^\s,，!！][^,，!！]{0,28})?"
_LONGEST_GREETING = 80


def greeted(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> str | None:
    """What shows a greeting, in a text that says nothing else; None for other texts.

    Args:
        text: canonical text.
        languages: that it may be in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    return _birthday(text) or _greeting(text, languages, is_name)


def _birthday(text: str) -> str | None:
    """Whose birthday it is, with a cake, of a text that says nothing else; else None."""
    for language, (pattern, cake) in _BIRTHDAYS.items():
        match = re.fullmatch(pattern, text, re.IGNORECASE)
        if match is not None:
            return f"{match[match.lastindex or 1]}{'' if language in ('zh', 'ja') else ' '}{cake}"
    return None


def _greeting(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> str | None:
    """What a greeting is shown by, of a text that says nothing else: *feliz cumpleaños mamá*.

    With whom it is said to, where that is somebody who is drawn, or with what else a card shows
    (*a thank you card with a bear*). None for other texts.
    """
    if len(text) > _LONGEST_GREETING or is_name(text):
        return None
    for language in (*languages, *_CARDS):  # of which short texts say little
        things, patterns = _greetings(language)
        found = (pattern.fullmatch(text) for pattern in patterns)
        for thing, match in zip(things, found, strict=True):
            if match is None or not is_name(thing):
                continue
            named = thing.replace(" ", "-")
            if match["also"]:
                return f"{match['also']}, {named}"
            who = match["whom"] or match.groupdict().get("front")
            if not who:
                return thing
            meant = bare(who) if language == "en" else in_english(who, (language,)) or ""
            if kind_of(who, language) or means_person(meant.split(" ")[-1]) or is_name(meant):
                return f"{who}, {named}"
    return None


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
    patterns = [
        re.compile(rf"{before}(?:{row[number]}){_CARDS[language]}(?:{also}|{_TO_WHOM})[\s!！.。~]*",
                   re.IGNORECASE)
        for row in rows
    ]  # fmt: skip
    return [row[0] for row in rows], patterns
