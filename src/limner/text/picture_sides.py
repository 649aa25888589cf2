"""Where in the picture something is said to be, in plainer words.

*A dog on the left and a cat on the right* is a dog to the left of a cat, *a house with a tree on
the right* a tree to the right of a house. A side that is said of one thing alone is left out, since
there is nothing to put it beside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple


class _Words(NamedTuple):
    """How a language says where things are.

    Attributes:
        sides: patterns for left, right, top and bottom, as parts of a picture.
        beside: left, right, above and below, between two things.
        joined: what stands between what is said of two things.
        having: *with*, before what is beside the first thing.
        relates: what follows a side that is of a thing, not of the picture.
    """

    sides: tuple[str, str, str, str]
    beside: tuple[str, str, str, str]
    joined: str
    having: str
    relates: str


_OF_PICTURE = r"(?: of the (?:picture|image|frame|screen|page|photo|drawing))?"
_UPPER = "(?:upper |top |lower |bottom )?"
_EN = r"(?:(?:on|to|at|in) the (?:far |very )?{0}{1}(?:[- ]hand)?(?: side| corner| half| part)?%s)"
_ES = r"(?:(?:a|en) la (?:parte )?{}(?: de la (?:imagen|foto|pantalla))?)"
_LANGUAGES: Mapping[str, _Words] = {
    "en": _Words(
        tuple((_EN % _OF_PICTURE).format(*pair) for pair in (  # type: ignore[arg-type]
            (_UPPER, "left"), (_UPPER, "right"), ("", "top"), ("", "bottom"),
        )),
        ("to the left of", "to the right of", "above", "below"), r"(?:,? and |[,;] )", "with",
        r"(?: side)? of\b",
    ),
    "es": _Words(
        (_ES.format("izquierda"), _ES.format("derecha"), "(?:arriba|en la parte superior)",
         "(?:abajo|en la parte inferior)"),
        ("a la izquierda de", "a la derecha de", "encima de", "debajo de"),
        r"(?:,? y |[,;] )", "con", r" del?\b",
    ),
    "fr": _Words(
        ("(?:à|sur la) gauche", "(?:à|sur la) droite", "en haut", "en bas"),
        ("à gauche de", "à droite de", "au-dessus de", "sous"), r"(?:,? et |[,;] )", "avec",
        r" d(?:e|u|es|['’])",
    ),
    "de": _Words(
        ("(?:links|auf der linken seite)", "(?:rechts|auf der rechten seite)", "oben", "unten"),
        ("links von", "rechts von", "über", "unter"), r"(?:,? und |[,;] )", "mit",
        r" (?:von|neben)\b",
    ),
    "it": _Words(
        ("a sinistra", "a destra", "in alto", "in basso"),
        ("a sinistra di", "a destra di", "sopra", "sotto"), r"(?:,? e |[,;] )", "con",
        r" d(?:i|el|ella|ell['’])",
    ),
    "pt": _Words(
        ("à esquerda", "à direita", "em cima", "em baixo"),
        ("à esquerda de", "à direita de", "em cima de", "debaixo de"), r"(?:,? e |[,;] )", "com",
        r" d[eoa]s?\b",
    ),
}  # fmt: skip
_ZH = re.compile(
    r"(?:(?:画面|图片)?的?(?P<first>[左右上下])(?:边|面|侧|方)是?有?(?P<a>[^，,；;]{1,12}?)[，,；;和]?"
    r"(?P<second>[左右上下])(?:边|面|侧|方)是?有?(?P<b>[^，,；;]{1,12})"
    r"|(?P<c>[^，,；;在]{1,12})在(?P<third>[左右上下])(?:边|面|侧|方)[，,；;]?"
    r"(?P<d>[^，,；;在]{1,12})在(?P<fourth>[左右上下])(?:边|面|侧|方))"
)
_SIDE_OF = re.compile(
    r"\b(?:on|at|to) the (left|right)(?:[- ]hand)? side of"
    r"(?! the (?:picture|image|frame|screen|page|photo|drawing))",
    re.IGNORECASE,
)
_OPPOSITE = {"左": "右", "右": "左", "上": "下", "下": "上"}


def beside_each_other(text: str, language: str) -> str:
    """A text with things put beside each other for sides of the picture; the same without any.

    Args:
        text: canonical text.
        language: that it is read in.
    """
    if language == "zh":
        return _chinese(text)
    if language not in _LANGUAGES:
        return text
    said = _LANGUAGES[language]
    for pattern, words, first in _patterns(language):
        match = pattern.fullmatch(text)
        if match is not None:
            one, other = match["a"].strip(" ,"), match["b"].strip(" ,")
            return f"{one} {words} {other}" if first == "a" else f"{other} {words} {one}"
    text = _SIDE_OF.sub(r"to the \1 of", text)
    sides = "|".join(said.sides[:2])
    rest = re.sub(rf",? (?:{sides})(?!{said.relates})(?=$|[,.;]| \w)", "", text,
                  flags=re.IGNORECASE)  # fmt: skip
    return rest if rest.strip() else text


def _chinese(text: str) -> str:
    match = _ZH.fullmatch(text)
    if match is None:
        return text
    first = match["first"] or match["third"]
    second = match["second"] or match["fourth"]
    if second != _OPPOSITE[first]:
        return text
    one, other = (match["a"], match["b"]) if match["a"] else (match["c"], match["d"])
    return f"{one}在{other}的{first}边"


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str, str]]:
    """Patterns of two things, the words that then stand between them, and which comes first."""
    said = _LANGUAGES[language]
    found = []
    for side, opposite in ((0, 1), (1, 0), (2, 3), (3, 2)):
        one, other = said.sides[side], said.sides[opposite]
        end = f"(?!{said.relates})"
        shapes = [
            rf"(?P<a>.+?),? {one}{end}{said.joined}(?P<b>.+?),? {other}",
            rf"{one}{end},? (?P<a>.+?){said.joined}{other}{end},? (?P<b>.+)",
        ]
        found += [(shape, said.beside[side], "a") for shape in shapes]
        found.append((rf"(?P<a>.+?) {said.having} (?P<b>.+?) {one}", said.beside[side], "b"))
    return [(re.compile(shape, re.IGNORECASE), *rest) for shape, *rest in found]  # type: ignore[misc]
