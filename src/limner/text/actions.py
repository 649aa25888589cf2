"""What somebody does with the body: *two people dancing*, *un caballo salta*, *走っている犬*.

A model may have drawings of persons who do something (*woman dancing*): such a person is asked for
by that name. Of others, as of a horse that jumps, who does it is drawn: the verb alone would be
taken for a thing of its own. ``actions.tsv`` holds the verbs as regular expressions by language,
with the name of a person who does it, and whether the verb is left out for all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from limner.text.lexicon import LATIN
from limner.text.names import bare
from limner.text.persons import OWN_HEADS, best_of, kind_of, who_pattern
from limner.text.tables import columns
from limner.text.vocabulary import singular_of

BEFORE_VERB = {
    "en": r"(?:(?:who|that|which) )?(?:(?:is|are|was|were) )?(?:happily |quietly )?",
    "es": r"(?:que )?(?:está[ns]? )?", "fr": r"(?:qui )?(?:(?:est|sont) )?(?:en train de )?",
    "de": r"(?:(?:der|die|das) )?", "it": r"(?:che )?(?:sta(?:nno)? )?",
    "pt": r"(?:que )?(?:est(?:á|ão) )?", "ru": r"(?:котор\w+ )?",
}  # fmt: skip
"""What may stand between somebody and a verb."""
_BEFORE = BEFORE_VERB | {"ar": "(?:(?:الذي|التي) )?"}
_PRONOUNS: Mapping[str, Mapping[str, str]] = {
    "en": {"he": "a man", "she": "a woman", "they": "people", "we": "people", "someone": "a person",
           "i(?= (?:was|went|ran|ride|rode|wear|wore|sit|sat|next)\\b)": "a person",
           "somebody": "a person"},
    "es": {"él": "un hombre", "ella": "una mujer", "ellos": "personas", "ellas": "mujeres",
           "alguien": "una persona"},
    "fr": {r"il(?! (?:pleut|neige|fait|y a|était)\b)": "un homme", "elle": "une femme",
           "elles": "femmes",
           "quelqu'un": "une personne"},
    "de": {"er": "ein Mann", "sie": "eine Frau", "jemand": "eine Person"},
    "it": {"lui": "un uomo", "lei": "una donna", "loro": "persone", "qualcuno": "una persona"},
    "pt": {"ele": "um homem", "ela": "uma mulher", "eles": "pessoas", "alguém": "uma pessoa"},
    "ru": {"он": "мужчина", "она": "женщина", "они": "люди", "кто-то": "человек"},
    "zh": {"他们": "人", "她们": "女人", "他": "男人", "她": "女人", "有人": "人"},
    "ja": {"彼女は": "女性が", "彼女が": "女性が", "彼は": "男性が", "彼が": "男性が"},
    "ko": {"그녀는": "여자가", "그녀가": "여자가", "그는": "남자가", "그가": "남자가"},
    "hi": {"वह": "आदमी"}, "ar": {"هو": "رجل", "هي": "امرأة"},
}  # fmt: skip
"""Who does something, at the beginning of a text, and somebody who is drawn."""
_FIGURES = frozenset({"person running", "person walking", "person standing", "person kneeling",
                      "person in lotus position", "person frowning"})  # fmt: skip
"""Whose bodies the heads of others are drawn on."""
_SOME = 3
"""How many are drawn of *children playing*."""
_NO_NUMBER = frozenset({"", "the", "some", "los", "las", "unos", "unas", "les", "des", "die", "i",
                        "gli", "le", "os", "as"})  # fmt: skip
"""What may be before a plural that says no number."""
_FEMALE_HI = re.compile(r"[ती]ी(?: |$)|रही")
_FOLLOWING = {
    code: "|".join({word for (word, *_) in table.places | table.joins}
                   - {word for (word, *_) in table.articles})
    for code, table in LATIN.items() if code in _BEFORE
} | {"ru": "в|во|на|у|под|по|с|со|за|возле|рядом|около|и|через|над|вокруг",
     "ar": "في|على|تحت|فوق|مع|بجانب|أمام|خلف|حول|عبر|قرب|بين"}  # fmt: skip
"""What may follow a verb without an object."""
_TO = {"en": "|to|for|together|up|down|away|home|fast|happily|outside|off|out", "de": "|durch|über",
       "fr": "|à|au|autour", "es": "|por|alrededor|junt[oa]s", "it": "|per|al|alla|insieme",
       "pt": "|por|pel[oa]|ao|junt[oa]s"}  # fmt: skip


def with_actions(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """A text in which a person who does something is named so, and other verbs are left out.

    Args:
        text: canonical text.
        language: that it is read in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    text = with_somebody(text, language)
    if language not in columns("actions.tsv")[1] or is_name(text):
        return text
    for pattern in _patterns(language):
        match = pattern.search(text)
        while match is not None:
            better = _named(text, match, language, is_name)
            if better is not None:
                return better
            match = pattern.search(text, match.start() + 1)
    return text


def with_somebody(text: str, language: str) -> str:
    """A text that begins with *he*, *she* or the like and goes on, with somebody who is drawn."""
    for pronoun, who in _PRONOUNS.get(language, {}).items():
        gap = "(?=.)" if language in ("zh", "ja") else r"(?= \w)"
        match = re.match(rf"{pronoun}{gap}", text, re.IGNORECASE)
        if match is not None:
            female = language == "hi" and _FEMALE_HI.search(text)
            return f"{'औरत' if female else who}{text[match.end() :]}"
    return text


def _named(
    text: str, match: re.Match[str], language: str, is_name: Callable[[str], bool]
) -> str | None:
    """The text with a match in other words; None where it stays."""
    name, others = next(
        meaning for row, meaning in enumerate(columns("actions.tsv")[0]) if match[f"v{row}"]
    )
    who = match["who"]
    kind = kind_of(who, language)
    groups = match.groupdict()
    count = groups.get("count") or ""
    way = "の" if groups.get("way") else ""  # 公園を走る
    if kind not in (None, "cat") and name:
        kinds = [kind, "person"] if kind == "child" else [kind, "person", "woman"]
        names = (name.replace("person ", f"{each} ") for each in kinds)
        named = next(filter(is_name, names), None)
        own = best_of(who, language)
        if named is not None and own in OWN_HEADS and name in _FIGURES:
            named = name.replace("person", own)
        if named is not None:
            count = count or _some(text[: match.start()], who, language)
            parted = language in ("zh", "ja") or text[match.end() : match.end() + 1] in " ,."
            gap = "" if parted else " "
            count += "人の" if count and language == "ja" else ""
            return (f"{text[: match.start()]}{way}{count}{named.replace(' ', '-')}"
                    f"{gap if match.end() < len(text) else ''}{text[match.end() :]}")  # fmt: skip
    known = kind is not None or is_name(who) or language in ("zh", "ja")
    if others == "keep" or not known or is_name(match[0]):
        return None
    gap = " " if match[0].endswith(" ") and match.end() < len(text) else ""
    alone = f"{text[: match.start()]}{text[match.end() :]}".strip().casefold() in _NO_NUMBER
    count = count or (_some(text[: match.start()], who, language) if alone else "")
    return f"{text[: match.start()]}{way}{count}{who}{gap}{text[match.end() :]}"


def _some(before: str, who: str, language: str) -> str:
    """A number for *children* who do something, where none and no other word is before."""
    if language in ("zh", "ja", "ko", "hi", "ar") or before.strip().casefold() not in _NO_NUMBER:
        return ""
    several = bare(who) != who if language == "en" else singular_of(who, language) is not None
    return f"{_SOME} " if several or best_of(who, language) == "people" else ""


@cache
def _patterns(language: str) -> tuple[re.Pattern[str], ...]:
    """Somebody who does something: groups ``who`` and ``v0``… for the rows of the table."""
    verbs = "|".join(
        f"(?P<v{row}>{cell})" for row, cell in enumerate(columns("actions.tsv")[1][language])
    )
    who = who_pattern(language)
    if language == "zh":
        found = [rf"(?:正?在)?(?:{verbs})的{who}", rf"{who}(?:正在|在)?(?:{verbs})(?!的)"]
    elif language == "ja":
        found = [
            rf"(?P<way>を)?(?:{verbs})(?P<count>[一二三四五六七八九十\d]+)?{who}",
            rf"{who}[がは](?:{verbs})",
        ]
    elif language == "ko":
        found = [
            rf"(?<!\S)(?:{verbs}) (?P<count>(?:한|두|세|네|다섯|여섯) )?{who}"
            r"(?![가-힣]*[이가은는] )",
            rf"{who}[이가은는] (?:{verbs})",
        ]
    elif language == "hi":
        found = [rf"(?<!\S)(?:{verbs}) {who}", rf"(?<!\S){who} (?:{verbs})(?!\S)"]
    else:
        follow = f"(?:{_FOLLOWING[language]}{_TO.get(language, '')})"
        found = [rf"(?<!\w){who},? {_BEFORE[language]}(?:{verbs})(?=$|[,.;!?]| {follow}(?!\w))"]
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in found)
