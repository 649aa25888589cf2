"""What no one drawing shows, by things that show it: events (*a tea party*), kinds (*pets*).

``events.tsv`` holds, for each such picture in English words, what it is called in twelve languages
as regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from limner.text.lexicon import article_pattern
from limner.text.names import name_key
from limner.text.tables import table

_BEFORE = (
    r"(?:(?:empty|cozy|cosy|busy|crowded|quiet|old|small|big|large|modern|messy|tidy|sunny|dark"
    r"|typical|nice|fun|great|beautiful|traditional|colou?rful|festive) )?"
)
"""What English says of an event or a place, and its things do not show."""
_AT = re.compile(
    r"(?P<who>.{3,40}?) (?:at|during|celebrating|enjoying|attending) (?P<event>\w.{4,40})",
    re.IGNORECASE,
)
"""Who is at an event in English."""
_REST = r"(?P<rest>,? (?:in|on|at|by|with|under|near|beside|behind|through|and) .+)?"
"""What may follow it in English, the language in which the things are named."""


def shown_event(text: str, languages: Sequence[str]) -> str | None:
    """What shows an event or a kind of things, in English; None for other texts.

    The text says nothing else. A word alone (*mascotas*, *台所*) may be of any language, whatever
    it looks like.

    Args:
        text: canonical text.
        languages: that it may be in, which are tried first.
    """
    said = text.strip(" .!。！")
    longest = max(said.casefold().split(), key=len, default="")
    others = (code for code, cells in _cells().items() if longest in cells)
    for language in dict.fromkeys((*languages, *others)):
        for pattern, shows in _events(language):
            match = pattern.fullmatch(said)
            if match is not None:
                rest = match.groupdict().get("rest") or ""
                again = rest and name_key(rest.rpartition(" ")[2]) in shows
                return shows if again else f"{shows}{rest}"
    guest = _AT.fullmatch(said) if "en" in languages else None
    event = None if guest is None else shown_event(guest["event"], ("en",))
    return None if guest is None or event is None else f"{guest['who']}, {event}"


@cache
def _cells() -> Mapping[str, str]:
    """All names of events in each language in one text, with all that may be left out."""
    (_, *columns), *rows = table("events.tsv")
    cells = {code: " ".join(row[at] for row in rows) for at, code in enumerate(columns, 1)}
    return {code: re.sub(r"\(\?:|\)?\?|\)", "", cell) for code, cell in cells.items()}


@cache
def _events(language: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """The names of events in a language, and what shows each."""
    (_, *columns), *rows = table("events.tsv")
    if language not in columns:
        return ()
    column, before = columns.index(language), article_pattern(language)
    after = _REST if language == "en" else ""
    before += _BEFORE if language == "en" else ""
    return [
        (re.compile(f"{before}(?:{words[column]}){after}", re.IGNORECASE), shows)
        for shows, *words in rows
        if words[column]
    ]
