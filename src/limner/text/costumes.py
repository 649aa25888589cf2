"""Who is dressed as somebody else has what that one is known by: a pirate's hat.

``costumes.tsv`` holds what professions are known by, and which animals are dressed up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from limner.text.names import name_key
from limner.text.persons import animals, kind_of
from limner.text.spelling import means_person
from limner.text.tables import table
from limner.text.vocabulary import in_english, in_language

_WITH = {"en": "with", "es": "con", "fr": "avec", "it": "con", "pt": "com"}
"""Languages in which a noun describes the one beside it, and their word for *with*."""
_DRESSED: Mapping[str, tuple[str, str]] = {
    "en": (r"(?P<who>[\w-]+),? (?:who is |that is |is )?"
           r"(?:dressed(?: up)? (?:as|like)|disguised as|in an? (?=\w+ (?:costume|outfit)))"
           r"(?: an?| the)? ?(?P<as>[\w-]+(?: claus)?)"
           r"(?: costume| outfit)?", "{who} with {what}"),
    "es": (r"(?P<who>\w+) (?:disfrazad|vestid)[oa] (?:de|como) (?:una? )?(?P<as>\w+)",
           "{who} con {what}"),
    "fr": (r"(?P<who>\w+) (?:déguisée?|habillée?) en (?P<as>\w+)", "{who} avec {what}"),
    "de": (r"(?P<who>\w+),? (?:als (?P<as>\w+) verkleidet|verkleidet als (?:eine? )?(?P<as2>\w+)|"
           r"im (?P<as3>\w+?)(?:en)?kostüm)", "{who} mit {what}"),
    "it": (r"(?P<who>\w+) (?:vestit[oa]|travestit[oa]|mascherat[oa]) da (?P<as>\w+)",
           "{who} con {what}"),
    "pt": (r"(?P<who>\w+) (?:fantasiad|vestid)[oa] de (?P<as>\w+)", "{who} com {what}"),
    "ru": (r"(?P<who>\w+) (?:в костюме|одет\w+ как|переодет\w+ в) (?P<as>\w+)", "{who} с {what}"),
    "zh": (r"(?:打扮成|装扮成|扮成|穿着)(?P<as>[^的，。]+?)(?:服装|衣服|的样子|样子)?的"
           r"(?P<who>[^的，。在]+)", "戴着{what}的{who}"),
    "ja": (r"(?P<as>[^のにがは]+)(?:の(?:格好|かっこう|コスプレ|衣装|仮装)を(?:した|している|着た)|"
           r"に(?:仮装|変装)した)(?P<who>[^のがは]+)", "{what}をかぶった{who}"),
    "ko": (r"(?P<as>\S+?)(?:으?로 (?:변장한|분장한)| (?:옷|의상|복장)을 (?:입은|한)) (?P<who>\S+)",
           "{what}를 쓴 {who}"),
}  # fmt: skip
"""Who is dressed as somebody else, and how it is said that he has what that one is known by."""


def in_costume(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text with what somebody has who is dressed up; the same where nobody is.

    Args:
        text: canonical text.
        language: that it is read in.
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    return _of_profession(_dressed(text, language, is_name), language)


def _dressed(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text with what somebody is dressed as: *a dog dressed as a pirate* has a pirate's hat.

    A person in the clothes of one who has no such thing is that one: *a kid dressed as a
    superhero*.
    """
    pattern, shown = _DRESSED.get(language, ("(?!)", ""))
    match = re.search(pattern, text, re.IGNORECASE)
    if match is None:
        return text
    groups = match.groupdict()
    other = next(groups[key] for key in ("as", "as2", "as3") if groups.get(key))
    name = name_key(other) if language == "en" else in_english(other, (language,)) or ""
    costume = _costumes().get(name) or _costumes().get(name.split(" ")[0])
    if costume is not None:
        what = in_language(costume, language).replace(" ", "-")
        article = "a " if language == "en" else ""
        said = shown.format(who=match["who"], what=f"{article}{what}")
    elif (
        (means_person(name) or name.endswith("hero"))
        and is_name(name)
        and kind_of(match["who"], language) not in (None, "cat")
    ):
        said = other
    else:
        return text
    return f"{text[: match.start()]}{said}{text[match.end() :]}"


def _of_profession(text: str, language: str) -> str:
    """The text with what an animal has for its profession: *a police dog*, *chat pirate*."""
    if language not in _WITH:
        return text
    costumes, words = _costumes(), text.split(" ")
    for at in range(len(words) - 1):
        pair = words[at : at + 2]
        names = [name_key(word) if language == "en" else in_english(word, (language,)) or ""
                 for word in pair]  # fmt: skip
        for animal, doing in ((0, 1), (1, 0)):
            costume = costumes.get(names[doing])
            if costume is not None and names[animal] in animals():
                what = in_language(costume, language)
                what = what.replace(" ", "-") if what == costume and language != "en" else what
                dressed = f"{pair[animal]} {_WITH[language]} {what}"
                return " ".join([*words[:at], dressed, *words[at + 2 :]])
    return text


@cache
def _costumes() -> Mapping[str, str]:
    """What each profession is known by."""
    _, *rows = table("costumes.tsv")
    return {who: costume for costume, those in rows for who in those.split("|")}
