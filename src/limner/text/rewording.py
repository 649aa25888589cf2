"""The same in plainer words, where a text says what is to be seen in a roundabout way.

*A plate of spaghetti* shows spaghetti, *an old man fishing* one who holds a fishing pole, and
*红裙子* is a skirt in red. Such words are replaced before a sentence is read; the names of things
that look like them (*红酒*, *glass of milk*) are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from limner.text.lexicon import LATIN
from limner.text.vocabulary import MEASURES, OF, in_english

_FULL = {
    "en": "full of", "es": "llena de", "fr": "plein de", "de": "voller", "it": "pieno di",
    "pt": "cheia de",
}  # fmt: skip
_HEAPED = frozenset({"basket", "box", "bucket", "chest", "sack"})
"""Vessels that are drawn with what is in them."""
_BEFORE = {
    "en": r"(?:(?:who|that|which) )?(?:(?:is|are|was|were) )?(?:happily |quietly )?",
    "es": r"(?:que )?(?:está[ns]? )?", "fr": r"(?:qui )?(?:(?:est|sont) )?(?:en train de )?",
    "de": r"(?:(?:der|die|das) )?", "it": r"(?:che )?(?:sta(?:nno)? )?",
    "pt": r"(?:que )?(?:est(?:á|ão) )?", "ru": r"(?:котор\w+ )?", "zh": "(?:正?在)?",
}  # fmt: skip
"""What may stand before a word for a doing."""
_FOLLOWING = {
    code: "|".join({word for (word, *_) in table.places | table.joins}
                   - {word for (word, *_) in table.articles})
    for code, table in LATIN.items() if code in _BEFORE
} | {"ru": "в|во|на|у|под|с|со|за|возле|рядом|около|и"}  # fmt: skip
"""What may follow it."""
_COLOURS_ZH = re.compile(
    r"(?<![红蓝黄绿黑白紫粉灰橙棕深浅淡大小])[红蓝黄绿黑白紫粉灰橙棕](?![色红])"
)
_LONGEST_NOUN = 4
_HEAPS_ZH = re.compile(
    r"[一二两三四五六七八九十\d]+(?P<vessel>[篮箱盒])子?(?P<what>[^的，。 ]{1,6})$"
)
_WORN_ZH = re.compile(
    r"(?:^|(?<=[个位名只]))(?=[红蓝黄绿黑白紫粉灰橙棕]色?的?"
    r"(?:(?P<head>帽子|围巾|眼镜)|裙子|连衣裙|衬衫|外套|衣服|毛衣|裤子|鞋子)的.)"
)


def reworded(text: str, languages: Sequence[str], is_name: Callable[[str], bool]) -> str:
    """A text in plainer words; the same where it has none of the others.

    Args:
        text: canonical text.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
        is_name: whether a phrase is a name of something that is drawn by itself.
    """
    for language in languages:
        better = _with_tools(_without_measures(text, language, is_name), language)
        if language == "zh":
            better = _WORN_ZH.sub(lambda match: "戴" if match["head"] else "穿", better)
            better = _with_colours(_HEAPS_ZH.sub(r"装满\g<what>的\g<vessel>子", better), is_name)
        if better != text:
            return better
    return text


def _without_measures(text: str, language: str, is_name: Callable[[str], bool]) -> str:
    """The text without plates, slices and the like, and with baskets full of things."""
    if language not in _FULL:
        return text
    of = OF[language]
    noun = "(?-i:[A-ZÄÖÜ])" if language == "de" else r"\w"
    pattern = rf"(?<![\w-])(?P<vessel>\w+) (?P<of>{of})(?=(?P<what>{noun}\w*(?: \w+){{0,2}}))"

    def plain(match: re.Match[str]) -> str:
        said, words = match["vessel"], match["what"].split()
        wholes = (f"{said} {match['of']}{' '.join(words[:end])}" for end in (3, 2, 1))
        if any(map(is_name, wholes)):
            return match[0]
        name = said.casefold() if language == "en" else in_english(said, (language,)) or ""
        names = {name, name.removesuffix("s"), name.removesuffix("es")}
        if not names.isdisjoint(MEASURES):
            return ""
        return match[0] if names.isdisjoint(_HEAPED) else f"{said} {_FULL[language]} "

    return re.sub(pattern, plain, text, count=3, flags=re.IGNORECASE)


def _with_tools(text: str, language: str) -> str:
    """The text with the tool in somebody's hands for what is done with it."""
    pattern, tools = _doings(language)
    match = pattern.search(text) if tools else None
    if match is None or len(match[0]) == len(text):
        return text
    before = text[: match.start()].casefold().split()
    if language in LATIN and before and before[-1] in LATIN[language].stops:
        return text  # a painting, a book about gardening, la pesca
    space = " " if language in _FOLLOWING else ""
    return f"{text[: match.start()]}{space}{tools[(match.lastindex or 1) - 1]}{text[match.end() :]}"


@cache
def _doings(language: str) -> tuple[re.Pattern[str], Sequence[str]]:
    """A pattern with a group for each thing that is done, and what is held instead."""
    lines = (files(__package__) / "doings.tsv").read_text("utf-8").splitlines()[1:]
    rows = [words for code, *words in (line.split("\t") for line in lines) if code == language]
    pattern = f"{_BEFORE.get(language, '')}(?:{'|'.join(f'({words})' for words, _ in rows)})"
    if language in _FOLLOWING:  # not *painting a house*, and a fishing boat is a boat
        follow = f"(?:{_FOLLOWING[language]})"
        pattern = rf"(?<=\w)(?:,? ){pattern}(?=$|[,.;!]| {follow}(?!\w))"
    return re.compile(pattern, re.IGNORECASE), [instead for _, instead in rows]


def _with_colours(text: str, is_name: Callable[[str], bool]) -> str:
    """A Chinese text with *红色的* for *红* before a noun, unless both are one name."""

    def spelled(match: re.Match[str]) -> str:
        at = match.end()
        nouns = [text[at : at + length] for length in range(1, _LONGEST_NOUN + 1)]
        if any(is_name(match[0] + noun) for noun in nouns):
            return match[0]
        known = any(in_english(noun, ("zh",)) or (len(noun) > 1 and is_name(noun))
                    for noun in nouns)  # fmt: skip
        inside = "的" in text  # another one would cut the sentence elsewhere
        return f"{match[0]}色{'' if inside else '的'}" if known else match[0]

    return _COLOURS_ZH.sub(spelled, text)
