"""Words that are known from signs, as a sign with them: *wet floor*, *an EXIT sign*, *50% off*.

``signs.tsv`` holds them as regular expressions by language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from limner.text.inscriptions import Inscription
from limner.text.tables import table

_SIGN = "a sign"
"""What bears them."""
_BEHIND = (
    r"(?: (?:(?:warning|traffic|street|road|door|window|shop|store|yard|safety) )?(?:sign|notice|"
    r"banner|poster|sticker|label|tag|badge)s?)?"
)


def sign_of(text: str, languages: Sequence[str]) -> Inscription | None:
    """The sign that is all a text names, with its words in capitals; None for other texts.

    Args:
        text: canonical text.
        languages: that it may be in; those that the table has are read.
    """
    for language in languages:
        pattern = _pattern(language)
        match = None if pattern is None else pattern.fullmatch(text.strip(" .!"))
        if match is not None:
            return Inscription(match["words"].upper(), _SIGN, _SIGN)
    return None


@cache
def _pattern(language: str) -> re.Pattern[str] | None:
    words = [said for code, said in table("signs.tsv")[1:] if code == language]
    if not words:
        return None
    return re.compile(rf"(?:an? |the )?(?P<words>{'|'.join(words)}){_BEHIND}", re.IGNORECASE)
