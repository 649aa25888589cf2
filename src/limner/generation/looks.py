"""Styles in words: *a cat in pixel art style*, *line drawing of a cat*.

A look is a style of the model's own that is known by other words, or one that any drawing can be
redrawn in (:mod:`limner.generation.restyle`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from limner.generation.prompts import quoted, warn
from limner.generation.styles import Kind, StyleProfile

_BLACK, _ANY = np.zeros(3, np.float32), np.zeros((0, 3), np.float32)


@dataclass(frozen=True)
class Look:
    """A style that has a name in words.

    Attributes:
        words: a pattern of its names, in the taught languages that have one.
        styles: of models, that look so; the first that a model has is drawn.
        profile: to redraw drawings of other styles by, where it has none of them.
    """

    words: str
    styles: tuple[str, ...] = ()
    profile: StyleProfile | None = None


LOOKS = {
    "pixel art": Look(
        r"pixel[- ]?art|pixelated|8[- ]?bit|arte? (?:de )?p[ií]xel(?:es)?|pixelkunst"
        r"|像素(?:画|艺术|风格?)?|ドット絵|픽셀 ?아트|пиксель[- ]?арт|पिक्सेल आर्ट",
        profile=StyleProfile(Kind.PIXELS, _ANY, _BLACK, 1 / 40),
    ),
    "line drawing": Look(
        r"line[- ]?(?:drawing|art)|outlined?|colou?ring page|dibujo (?:de líneas|lineal)"
        r"|dessin au trait|strichzeichnung|umrisszeichnung|disegno al tratto"
        r"|desenho de linhas?|контурный рисунок|线(?:条画|稿|描)|線画|선화",
        ("ph-line", "tabler", "solar-line"),
        StyleProfile(Kind.LINES, _BLACK[None], _BLACK, 0.05),
    ),
    "silhouette": Look(
        r"silhouette|glyph|silueta|scherenschnitt|sagoma|silhueta|силуэт|剪影|シルエット|실루엣",
        ("mdi", "fa6-solid"),
        StyleProfile(Kind.GLYPH, _BLACK[None], _BLACK),
    ),
    "sticker": Look(
        r"sticker|pegatina|autocollant|aufkleber|adesivo|наклейка|стикер|贴纸|ステッカー|스티커",
        profile=StyleProfile(Kind.STICKER, _ANY, _BLACK, 0.035),
    ),
    "3d": Look(
        r"3[- ]?d(?: render(?:ing)?)?|三维|3d立体", ("fluent-emoji-3d",)
    ),
    "flat": Look(
        r"flat(?: design| art| icon)?|material design|diseño plano|design plat|flaches design"
        r"|扁平(?:化|风)?|フラット(?:デザイン)?|плоский дизайн",
        ("fluent-emoji-flat", "twemoji"),
    ),
}  # fmt: skip
"""Name -> look."""
_OTHERS = (
    r"watercolou?r|acuarela|aquarelle?|acquerello|aquarela|акварель|水彩画?|수채화"
    r"|oil painting|óleo|ölgemälde|peinture à l'huile|油画|油絵"
    r"|(?:pencil|charcoal) (?:sketch|drawing)|anime|manga|impressionist|cubist|photo-?realistic"
)
"""Styles in words that neither are known nor can be made."""
_OF = r"(?:(?:of|showing|de|del|du|von|di|do|da) |d['’] ?)"
_MAKERS = r"(?: (?:drawing|picture|image|icon|illustration|version|render(?:ing)?|style))?"
_IN = r"(?:in|as|en|em|im|als|com) (?:(?:an?|the|una?|une|einer?|de) )?(?:estilo |style |stile )?"
_AROUND = (
    rf"^\s*(?:an? |the |una? |une |eine? |um |uma )?WORDS{_MAKERS} {_OF}(?=\S)",
    r"^\s*(?:一?[只张幅个]|画)*WORDS(?:风格|スタイル| 스타일)?(?:的|の)(?=\S)",
    rf"(?:\s*[,，、]\s*| {_IN})WORDS(?: (?:style|stil|stile|drawing))?\s*\.?\s*$",
    r"(?<=\w) WORDS (?:style|stil)\s*\.?\s*$",
    r"^(?=[\w -]*(?:design|art|style|colou?r|anime|manga) )WORDS (?=\w)",
    r"\s*[,，、]?\s*WORDS(?:风格|スタイル)\s*$",
)
"""Where in a prompt words for a style stand."""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A pattern, compiled once: there are too many for the memory of :mod:`re`."""
    return re.compile(text, re.IGNORECASE)


def split_look(prompt: str) -> tuple[str, str | None]:
    """Take a style in words off a prompt.

    ``"a cat in pixel art style"`` and ``"pixel art of a cat"`` give ``("a cat", "pixel art")``;
    every other prompt comes back as it is.

    Warns:
        PromptWarning: the style is one that nothing is known of.
    """
    for name, look in LOOKS.items():
        if (rest := _without(prompt, look.words)) is not None:
            return rest[0], name
    if (rest := _without(prompt, _OTHERS)) is not None:
        warn(f"the style {quoted(rest[1])} is not known, and drawings cannot be redrawn in it; "
             "another is drawn")  # fmt: skip
        return rest[0], None
    return prompt, None


def _without(prompt: str, words: str) -> tuple[str, str] | None:
    """A prompt without the words for a style, and these; None where it has none."""
    if _pattern(words).search(prompt) is None:
        return None
    for around in _AROUND:
        found = _pattern(around.replace("WORDS", f"({words})")).search(prompt)
        if found and (rest := (prompt[: found.start()] + prompt[found.end() :]).strip(" ,，、")):
            return rest, found[1]
    return None


def find_look(name: str, styles: Sequence[str]) -> str | None:
    """The style of a model, or the name of a look, that words for a style mean.

    Args:
        name: as it was asked for.
        styles: of the model.

    Returns:
        One of ``styles`` or a key of :data:`LOOKS`; None where the words mean none of them.
    """
    folded = {style.casefold(): style for style in styles}
    if name.casefold() in folded:
        return folded[name.casefold()]
    for key, look in LOOKS.items():
        if _pattern(look.words).fullmatch(name.strip()):
            own = next((style for style in look.styles if style in styles), None)
            return own or (key if look.profile is not None else None)
    return None
