"""Colours of what is uppermost of a thing: *a girl with pink hair*, *a red roof*, *a blue hat*.

The rest of the thing keeps its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Mask
from limner.scenes.colour_words import colour_pattern, colour_said
from limner.scenes.colours import COLOURS, WHITE, to_hsv, to_rgb
from limner.vision.masks import largest, parts_of

_HAIR = {
    "blonde": "yellow", "blond": "yellow", "golden": "yellow", "ginger": "orange",
    "blonden": "yellow", "blondes": "yellow", "rubio": "yellow", "blonds": "yellow",
    "loiro": "yellow", "biondi": "yellow", "grauem": "grey", "gray": "grey", "roux": "orange",
    "bruns": "brown", "castaño": "brown", "castanho": "brown", "castani": "brown",
    "ruivo": "orange", "рыжими": "orange", "светлыми": "yellow", "седыми": "grey",
    "русыми": "brown",
}  # fmt: skip
"""Further words for colours of hair."""
_NAMED = "|".join((*COLOURS, *_HAIR, WHITE))
_C = "(?P<colour>)"
"""Stands for the words for colours of a language."""
_PATTERNS: Mapping[str, tuple[str, ...]] = {
    "en": (
        r"(?:,? (?:with|having|who has|that has|and)|,) "
        r"(?:a |an |the |his |her |its |very |bright |dark |"
        rf"light |long |short |curly |straight |wavy |pointed |steep )*(?P<colour>{_NAMED})"
        r"(?: (?:long|short|curly|straight|wavy|braided|spiky|pointed|tiled))* (?:hair|roof)(?!\w)",
        rf"(?P<colour>{_NAMED})[- ](?:haired|roofed) ",
    ),
    "es": (
        rf" (?:con|de|que tiene) (?:el |un )?(?:pelo|cabello|tejado|techo) (?:\w+ )?{_C}(?!\w)",
    ),
    "fr": (rf" (?:aux|au|avec (?:un|le|les|des)) (?:cheveux|toit) (?:\w+ )?{_C}(?!\w)",),
    "de": (rf" mit (?:einem |dem |\w+en )?{_C} (?:haaren?|dach)(?!\w)",),
    "it": (rf" (?:con|dai|dal|coi|col) (?:i |il |un )?(?:capelli|tetto) (?:\w+ )?{_C}(?!\w)",),
    "pt": (rf" (?:com|de) (?:o |um )?(?:cabelos?|telhado) (?:\w+ )?{_C}(?!\w)",),
    "ru": (rf" со? (?:\w+ )?{_C} (?:волосами|крышей)(?!\w)",),
    "zh": (r"(?:有着|留着|有)?(?P<colour>[红橙黄绿蓝紫粉棕褐黑灰白金]色?)的?(?:长|短|卷)?"
           r"(?:头发|屋顶)的?",),
    "ja": (r"(?P<colour>(?:ピンク|[赤青緑黄紫茶黒白金])(?:色|い)?)(?:の|い)?(?:髪|屋根)の",),
    "ko": (
        r"(?P<colour>빨간|파란|초록|노란|보라|분홍|갈색|검은|금)색? (?:머리|지붕)(?:의|를 한)? ",
    ),
    "ar": (rf" (?:بشعر|ذات شعر|ذو شعر|بسقف) {_C}(?!\w)",),
}  # fmt: skip
"""What is said of hair and roofs, by language, with what joins it to the thing."""
_AND = {"en": ("and", "with"), "es": ("y", "con"), "fr": ("et", "avec"), "de": ("und", "mit"),
        "it": ("e", "con"), "pt": ("e", "com"), "ru": ("и", "с")}  # fmt: skip
"""What goes on after hair, and what is said then: *with blue hair and a red dress*."""
_SIGNS = {
    "红": "red", "橙": "orange", "黄": "yellow", "绿": "green", "蓝": "blue", "紫": "purple",
    "粉": "pink", "棕": "brown", "褐": "brown", "黑": "black", "灰": "grey", "白": "white",
    "金": "yellow", "赤": "red", "青": "blue", "緑": "green", "茶": "brown",
    "黒": "black", "ピンク": "pink", "빨간": "red", "파란": "blue", "초록": "green",
    "노란": "yellow", "보라": "purple", "분홍": "pink", "갈색": "brown", "검은": "black",
    "금": "yellow",
}  # fmt: skip
"""Colours in scripts without inflections, by what their words begin with."""
_HIGHEST = 0.2
"""Share of a thing's height in which its top is looked for."""
_LINE, _INKED = 0.3, 0.6
"""Greatest channel of an outline, and least share of the rest; else it is a black hat."""
_ALIKE, _UNLIKE = 0.2, 0.34
"""Difference from the top's colour, of 1, up to which a pixel is of it; from which it is not."""
_TRESS = 0.06
"""Least size of what is apart from it, as pigtails are, of the top's."""
_SPARED = 0.25
"""Greatest share that may be taken of what does not belong to the top."""
_LEAST, _MOST, _MOST_SEEN = 0.03, 0.45, 0.65
"""Shares of a thing that its top may be; the last where its face is seen."""
_SHADE = (0.55, 1.35)
"""Least and most of the differences of value that stay."""
_WHITE_TOP = (0.0, 0.0, 0.96)
"""Hue, saturation and value of what is to be white."""


class TopColour(NamedTuple):
    """What a text says of the top of a thing.

    Attributes:
        rest: the text without it.
        colour: key of ``COLOURS``, or ``WHITE``.
        before: what of the text stands before it; empty where it comes before its thing.
    """

    rest: str
    colour: str
    before: str


def top_colour(text: str, languages: Sequence[str]) -> TopColour | None:
    """The colour that a text says of hair or a roof; None where it says none.

    Args:
        text: canonical text.
        languages: that it may be in (:func:`limner.text.lexicon.languages_of`).
    """
    for language in languages:
        for pattern in _compiled(language):
            match = pattern.search(text)
            colour = None if match is None else _colour(match["colour"], language)
            if match is not None and colour is not None:
                before, behind = text[: match.start()], text[match.end() :]
                more, joined = _AND.get(language, ("", ""))
                if before and more and behind.startswith(f" {more} "):
                    behind = f" {joined} {behind.removeprefix(f' {more} ')}"
                rest = f"{before}{behind}".strip(" ,.")
                if rest:
                    return TopColour(rest, colour, before)
    return None


def _colour(word: str, language: str) -> str | None:
    said = word.casefold()
    if said in COLOURS or said == WHITE:
        return said
    if said in _HAIR:
        return _HAIR[said]
    for sign, colour in _SIGNS.items():
        if said.startswith(sign):
            return colour
    found = colour_said(word, [language])
    return None if found is None else found[0]


@cache
def _compiled(language: str) -> tuple[re.Pattern[str], ...]:
    words = colour_pattern(language)
    some = "|".join(_HAIR)
    return tuple(
        re.compile(pattern.replace(_C, f"(?P<colour>{words}|{some})"), re.IGNORECASE)
        for pattern in _PATTERNS.get(language, ())
    )


def top_recoloured(
    pixels: NDArray[np.uint8],
    inside: Mask,
    colour: str,
    *,
    parted: bool = False,
    spared: Mask | None = None,
    plain: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8] | None:
    """A thing with what is uppermost of it in another colour: its hair, its hat, its roof.

    That is what is connected to the commonest colour of its upper fifth, but for outlines, and of
    nearly that colour. Its shades stay.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        inside: ``(S, S)``, where the thing is.
        colour: key of ``COLOURS``, or ``WHITE``.
        parted: whether large parts of that colour elsewhere belong to it, as pigtails do.
        spared: ``(S, S)``, what does not belong to it: the face.
        plain: ``(S, S, 3)``, the thing before its whole was recoloured, by which its top is found.

    Returns:
        ``(S, S, 3)`` uint8; None where hardly anything or nearly all of the thing is of one colour,
        and where what is spared is of it.
    """
    seen = spared is not None and bool(spared.any())
    plain = pixels if plain is None else plain
    top = _top(plain, inside, parted, _MOST_SEEN if seen else _MOST)
    if top is None or (spared is not None and (top[spared] > 0).sum() > _SPARED * spared.sum()):
        return None
    rgb = pixels[top > 0].astype(np.float64) / 255
    _, _, value = to_hsv(plain[top > 0].astype(np.float64) / 255)
    share = top[top > 0][:, None]
    shade = np.clip(value / np.median(value[share[:, 0] > 0.5]), *_SHADE)
    named = COLOURS.get(colour)
    hue, saturation, light = (
        _WHITE_TOP if named is None else (named.hue, named.saturation, named.value)
    )
    full = np.ones_like(shade)
    target = to_rgb(hue * full, saturation * full, np.clip(light * shade, 0, 1))
    found = pixels.copy()
    found[top > 0] = ((rgb + share * (target - rgb)) * 255).round()
    return found


def _top(
    pixels: NDArray[np.uint8], inside: Mask, parted: bool, most: float
) -> NDArray[np.float64] | None:
    """How much of each pixel is of the top of a thing, ``(S, S)`` in [0, 1]; None of none."""
    if not inside.any():
        return None
    body = parts_of(inside)
    upper = body == np.bincount(body[inside]).argmax()
    rows = np.flatnonzero(upper.any(1))
    upper[rows[0] + round(_HIGHEST * (rows[-1] + 1 - rows[0])) :] = False
    ink = pixels[upper].astype(np.float64) / 255
    coloured = ink[ink.max(-1) > _LINE]
    ink = coloured if len(coloured) > _INKED * len(ink) else ink
    _, which, counts = np.unique((ink * 7).round(), axis=0, return_inverse=True, return_counts=True)
    own = np.median(ink[which.ravel() == counts.argmax()], 0)
    apart = np.abs(pixels.astype(np.float64) / 255 - own).max(-1)
    near = inside & (apart < _UNLIKE)
    parts = parts_of(near & (apart < _ALIKE))
    sizes = np.bincount(parts[upper], minlength=2)
    sizes[0] = 0
    region = np.isin(parts, np.flatnonzero(sizes > sizes.max() / 8)) & (parts > 0)
    if parted:
        whole = np.bincount(parts.ravel())
        region |= np.isin(parts, np.flatnonzero(whole > _TRESS * region.sum())) & (parts > 0)
    if not _LEAST < region.sum() / inside.sum() < most:
        return None
    around = (largest(region.astype(np.uint8), 2) > 0) & near
    return np.where(around, np.clip((_UNLIKE - apart) / (_UNLIKE - _ALIKE), 0, 1), 0.0)
