"""Words for colours in languages whose adjectives are inflected, by rules.

The planner (:mod:`limner.models.planner`) reads tints in the languages that its captions were in
better than in others, and not every inflection. What a phrase says plainly stands above what it
predicts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial

from limner.scenes.colours import COLOURS, WHITE
from limner.text.spaceless import whole_words

_RU = r"(?:ый|ий|ой|ая|яя|ое|ее|ые|ие|ого|его|ую|юю|ом|ем|ых|их|ым|им|ыми|ими|ей)"
_DE = r"(?:e[rsnm]?)?"
_ZH = {
    "red": "红", "orange": "橙|橘", "yellow": "黄", "green": "绿", "turquoise": "青",
    "blue": "蓝", "purple": "紫", "pink": "粉红?", "brown": "棕|褐", "black": "黑", "grey": "灰",
}  # fmt: skip
_TABLE: Mapping[str, Mapping[str, str]] = {
    # The planner knows the others in these.
    "en": {WHITE: r"(?<!and )white(?! (?:and|flag|wine|chocolate|board|noise|bread))"},
    # and in this one overlooks some right before a noun at the end: 两只红色的猫
    "zh": {
        WHITE: "白色的?|白(?=[猫狗兔马鸟鸽羊熊花船车墙房鞋帽裙])",
        **{name: f"(?:{signs})色的(?=[^的眼发毛]{{1,5}}$)" for name, signs in _ZH.items()},
    },
    "ja": {WHITE: "白い|真っ白な"}, "ko": {
        WHITE: "하얀|흰", "red": "빨간색?|붉은", "blue": "파란색?|푸른", "yellow": "노란색?",
        "green": "초록색?|녹색", "black": "검은색?|까만", "pink": "분홍색?", "purple": "보라색",
        "orange": "주황색?", "brown": "갈색", "grey": "회색",
    },
    "hi": {
        WHITE: "सफ\u093c?ेद", "red": "लाल", "blue": "नील[ाेी]", "green": "हर[ाेी]",
        "yellow": "पील[ाेी]", "black": "काल[ाेी]", "pink": "गुलाबी", "purple": "बैंगनी",
        "orange": "नारंगी", "brown": "भूर[ाेी]",
    },
    "es": {
        "red": "roj[oa]s?", "blue": "azul(?:es)?", "green": "verdes?", "yellow": "amarill[oa]s?",
        "black": "negr[oa]s?", WHITE: "blanc[oa]s?", "grey": "gris(?:es)?", "pink": "rosad[oa]s?",
        "brown": "marr[oó]n(?:es)?", "purple": "morad[oa]s?", "orange": "anaranjad[oa]s?",
    },
    "fr": {
        "red": "rouges?", "blue": "bleue?s?", "green": "verte?s?", "yellow": "jaunes?",
        "black": "noire?s?", WHITE: "blanc(?:he)?s?", "grey": "grise?s?", "purple": "violets?",
    },
    "de": {
        "red": f"rot{_DE}", "blue": f"blau{_DE}", "green": f"grün{_DE}", "yellow": f"gelb{_DE}",
        "black": f"schwarz{_DE}", WHITE: f"wei(?:ß|ss){_DE}", "grey": f"grau{_DE}",
        "brown": f"braun{_DE}", "pink": "rosa(?:farbene[rsnm]?)?", "purple": f"lila|violett{_DE}",
        "orange": "orangene[rsnm]?",
    },
    "it": {
        "red": "ross[oaie]", "blue": "blu|azzurr[oaie]", "green": "verd[ei]",
        "yellow": "giall[oaie]", "black": "ner[oaie]", WHITE: "bianc(?:[oa]|h[ie])",
        "grey": "grigi[oae]?", "brown": "marron[ei]", "orange": "arancion[ei]",
    },
    "pt": {
        "red": "vermelh[oa]s?", "blue": "azu(?:l|is)", "green": "verdes?", "yellow": "amarel[oa]s?",
        "black": "(?:pret|negr)[oa]s?", WHITE: "branc[oa]s?", "grey": "cinzas?|cinzent[oa]s?",
        "purple": "rox[oa]s?", "brown": "marro(?:m|ns)", "pink": "cor-de-rosa",
    },
    "ru": {
        "red": f"красн{_RU}", "blue": f"син{_RU}", "green": f"зел[её]н{_RU}",
        "yellow": f"ж[её]лт{_RU}", "black": f"ч[её]рн{_RU}", WHITE: f"бел{_RU}",
        "grey": f"сер{_RU}", "purple": f"фиолетов{_RU}", "pink": f"розов{_RU}",
        "orange": f"оранжев{_RU}", "brown": f"коричнев{_RU}",
    },
    "ar": {
        "red": "(?:ال)?(?:أحمر|حمراء)", "blue": "(?:ال)?(?:أزرق|زرقاء)",
        "green": "(?:ال)?(?:أخضر|خضراء)", "yellow": "(?:ال)?(?:أصفر|صفراء)",
        "black": "(?:ال)?(?:أسود|سوداء)", WHITE: "(?:ال)?(?:أبيض|بيضاء)",
        "grey": "(?:ال)?رمادية?", "brown": "(?:ال)?بنية?", "pink": "(?:ال)?وردية?",
        "purple": "(?:ال)?بنفسجية?", "orange": "(?:ال)?برتقالية?",
    },
}  # fmt: skip

_AND = {"en": "and", "es": "y", "fr": "et", "de": "und", "it": "e", "pt": "e", "ru": "и"}
_JOINED = ("ko", "hi")
"""Languages in which a word for a colour is also found within a longer word."""


def colour_said(phrase: str, languages: Sequence[str]) -> tuple[str, str] | None:
    """The one colour that a phrase says, a key of ``COLOURS`` or ``WHITE``, and the word for it.

    None where it says none or several, and in languages that are not in the table.

    Args:
        phrase: for one thing.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
    """
    for language in languages:
        found = [
            (colour, match[0])
            for colour, pattern in _patterns(language).items()
            for match in pattern.finditer(phrase)
        ]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def without_colours(phrase: str, languages: Sequence[str]) -> str:
    """A phrase without the words for colours of its languages: *кит* of *синий кит*.

    Args:
        phrase: for one thing.
        languages: that it may be in.
    """
    for language in languages:
        for pattern in _patterns(language).values():
            phrase = " ".join(pattern.sub(" ", phrase).split())
    return phrase


def colours_said(phrase: str, languages: Sequence[str]) -> list[tuple[str, str]]:
    """All colours that a phrase says, as :func:`colour_said`, in their order.

    Args:
        phrase: for one thing, and its parts.
        languages: that it may be in.
    """
    found = [
        (match.start(), colour, match[0])
        for language in languages
        for colour, pattern in (_patterns(language) | _others(language)).items()
        for match in pattern.finditer(phrase)
    ]
    return [(colour, word) for _, colour, word in sorted(found)]


@cache
def _others(language: str) -> dict[str, re.Pattern[str]]:
    """Colours of English, which the table leaves to the planner."""
    names = COLOURS if language == "en" else ()
    return {name: whole_words(name) for name in names}


def with_one_colour(text: str, languages: Sequence[str]) -> str:
    """A text in which a thing of two colours has the first: *a blue bird* for *a blue and yellow*.

    A thing in black and white is left: it may come so.

    Args:
        text: canonical text.
        languages: that it may be in.
    """
    for language in languages:
        if language in _AND:
            text = _pairs(language).sub(partial(_first, language), text)
    return text


def _first(language: str, match: re.Match[str]) -> str:
    """The first of two colours, or both where they are black and white."""
    said = [colour_said(each, [language]) for each in match.groups()]
    names = {each[0] if each else word for each, word in zip(said, match.groups(), strict=True)}
    return match[0] if names == {"black", WHITE} else match[1]


@cache
def _pairs(language: str) -> re.Pattern[str]:
    words = colour_pattern(language)
    if language == "en":
        words = "|".join((*COLOURS, "gray", WHITE))
    last = r"(?= \w)" if language in ("en", "de", "ru") else r"(?!\w)"  # before its noun
    return re.compile(rf"(?<!\w)({words}) {_AND[language]} ({words}){last}", re.IGNORECASE)


def colour_pattern(language: str) -> str:
    """A regular expression of all words for colours of a language; empty where none are known."""
    return "|".join(_TABLE.get(language, {}).values())


@cache
def _patterns(language: str) -> dict[str, re.Pattern[str]]:
    joined = language in _JOINED
    return {
        colour: whole_words(words, joined=joined)
        for colour, words in _TABLE.get(language, {}).items()
    }
