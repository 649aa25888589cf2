"""Colours of things: their names, and recolouring the pixels of a picture.

A picture whose ink is mostly of one hue can be recoloured: the pixels of that hue, and no others,
turn to another colour, so that a tomato keeps its green leaf. Some combinations of thing and colour
are held out of every store made for training, to be asked for as something new.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limner.arrays import Doubles
from limner.vision.masks import largest, touching_border


@dataclass(frozen=True)
class Colour:
    """A colour that things are recoloured to, in HSV, with its names.

    Attributes:
        hue: degrees in [0, 360).
        saturation: median over the recoloured pixels, in [0, 1].
        value: median over the same pixels, in [0, 1].
        words: language -> templates of captions; ``{}`` stands for the thing's name.
    """

    hue: float
    saturation: float
    value: float
    words: Mapping[str, tuple[str, ...]]

    @property
    def has_hue(self) -> bool:
        """Whether its hue says what it is; not of black and grey."""
        return self.saturation >= 0.2


def _words(en: str, zh: str, es: str) -> dict[str, tuple[str, ...]]:
    article = "an" if en[0] in "aeiou" else "a"
    return {
        "en": (f"{en} {{}}", f"{article} {en} {{}}"),
        "zh": (f"{zh}的{{}}", f"{zh}{{}}"),
        "es": (f"{{}} de color {es}",),
    }


COLOURS: Mapping[str, Colour] = {
    "red": Colour(2, 0.85, 0.88, _words("red", "红色", "rojo")),
    "orange": Colour(28, 0.85, 0.98, _words("orange", "橙色", "naranja")),
    "yellow": Colour(50, 0.8, 1.0, _words("yellow", "黄色", "amarillo")),
    "green": Colour(128, 0.7, 0.68, _words("green", "绿色", "verde")),
    "turquoise": Colour(176, 0.7, 0.8, _words("turquoise", "青绿色", "turquesa")),
    "blue": Colour(215, 0.8, 0.9, _words("blue", "蓝色", "azul")),
    "purple": Colour(278, 0.65, 0.72, _words("purple", "紫色", "morado")),
    "pink": Colour(334, 0.42, 1.0, _words("pink", "粉色", "rosa")),
    "brown": Colour(24, 0.62, 0.52, _words("brown", "棕色", "marrón")),
    "black": Colour(220, 0.12, 0.22, _words("black", "黑色", "negro")),
    "grey": Colour(220, 0.05, 0.6, _words("grey", "灰色", "gris")),
}

WHITE = "white"
"""A tint of things that is no key of ``COLOURS``: no store made for training holds it."""
_WHITE_VALUE, _WHITE_TONE = 0.91, (0.985, 0.99, 1.0)
"""Mean value of a thing in white, which stands out from white paper, and its tone."""
_SHADES = 0.6
"""Power of the differences of value that stay in it."""

_MATERIALS = {
    "brown": "wood|chocolate|cookie|gingerbread|leather|mud|dirt|madera|bois|holz|legno|madeira|"
             "дерев|шоколад|木|巧克力|チョコ|나무|초콜릿|लकड़ी",
    "yellow": "gold|cheese|straw|honey|oro|or|ouro|золот|金|黄金|금|सोने",
    "grey": "stone|rock|metal|steel|silver|iron|concrete|piedra|pierre|stein|pietra|pedra|кам|石|"
            "돌|पत्थर",
    "blue": "ice|water|hielo|glace|eis|ghiaccio|gelo|льд|氷|冰|얼음|बर्फ",
    "turquoise": "glass|crystal|diamond|cristal|verre|glas|vetro|vidro|стекл|玻璃|ガラス|유리",
    "pink": "candy|bubble ?gum|caramelo|bonbon|süßigkeiten|конфет|糖果",
    "green": "grass|leaves|moss|jade|hierba|herbe|gras|erba|трав|草",
    "orange": "fire|lava|flames|fuego|feu|feuer|fuoco|fogo|огн|火",
}  # fmt: skip


def material_colour(words: str) -> str | None:
    """The colour of what a thing is made of: *gold*, *madera*, *冰*; None where none is known."""
    for colour, names in _MATERIALS.items():
        if re.search(rf"(?:^|\b)(?:{names})", words, re.IGNORECASE):
            return colour
    return None


NOVEL_COLOURS = ("purple", "pink", "turquoise", "grey", "black", "blue")
NOVEL_THINGS = (
    "banana", "frog", "pizza", "pear", "fox", "tomato", "carrot", "cactus", "lemon", "strawberry",
    "pineapple", "cheese", "bread", "lion", "tiger", "giraffe", "crab", "pumpkin", "mango",
    "sunflower",
)  # fmt: skip
NOVEL = frozenset(product(NOVEL_THINGS, NOVEL_COLOURS))
"""Combinations that no known icon set shows and no training store holds."""

_HELD_OUT = 0.1
_BLACK, _SHINE, _NO_CHROMA = 0.45, 0.85, 0.3
"""Value below which a part of a thing is black, below which one may be the light on it, and chroma
below which it has no colour of its own."""
_PALE_VALUE, _PALE_SPREAD = 0.75, 0.15
"""Least channel, and largest difference of channels, of a pixel that is nearly white."""
_CALLED = 0.1
"""Share of a thing's ink that gives it the name of its colour."""
_DARK, _WHITE, _NEARLY_WHITE, _SAME, _HARDLY, _REST = 0.35, 0.97, 0.1, 0.06, 0.3, 0.3
"""Most value of what stays dark; least channel of white, and how much less takes the whole colour;
change of a channel that counts as none, and from which on a pixel is recoloured; share of other
colours that may stay in a thing of a named colour."""
ENOUGH = 0.2
"""Share of a thing's ink in a colour from which on nothing else of it need be dyed."""
_EVERY = 3
"""Rows and columns of which one is enough to see what colour a drawing has."""
_SAME_HUE = 8.0
_LINES, _ONE_HUE = 0.25, 0.95
"""Least share of black in the ink of a drawing of black lines and one colour, and least share of
that colour in what is not black."""
_LINE_SHADE = 0.5
"""Value of lines, of the colour's that they surround."""
_PAPER, _EDGE = 200, 3
"""Least channel, of 255, of paper; width in pixels of the edge between it and a line."""
_ENCLOSED, _AREAS = 0.2, 0.08
"""Least share of a drawing of lines that they enclose; least share that is of one colour."""
_BAND = 36.0  # degrees to either side of the dominant hue


def chosen(name: str) -> bool:
    """Whether a combination of that name is among the tenth that is held out."""
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**32 < _HELD_OUT


def held_out(thing: str, colour: str) -> bool:
    """Whether a combination is held out of training: those of ``NOVEL``, and a tenth of the others.

    Args:
        thing: English name.
        colour: key of ``COLOURS``.
    """
    return (thing, colour) in NOVEL or chosen(f"{thing}/{colour}")


def to_hsv(pixels: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """RGB ``(..., 3)`` in [0, 1] to hue in degrees, saturation and value in [0, 1]."""
    r, g, b = np.moveaxis(pixels, -1, 0)
    # Many times as fast as the same over an axis of three.
    high, low = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    spread = high - low
    safe = np.where(spread > 0, spread, 1.0)
    hue = np.where(
        high == r, (g - b) / safe % 6, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4)
    )
    return 60 * np.where(spread > 0, hue, 0.0), spread / np.where(high > 0, high, 1.0), high


def to_rgb(hue: Doubles, saturation: Doubles, value: Doubles) -> Doubles:
    """The inverse of :func:`to_hsv` (Smith 1978): ``(...)`` each to ``(..., 3)`` in [0, 1]."""
    # f(n) = v - v s max(0, min(k, 4 - k, 1)), k = (n + h / 60) mod 6, for n = 5, 3, 1
    k = (np.array([5.0, 3.0, 1.0]) + hue[..., None] / 60) % 6
    falls = np.clip(np.minimum(k, 4 - k), 0, 1)
    return np.asarray(value[..., None] * (1 - saturation[..., None] * falls))


def _apart(hue: Doubles, other: float) -> Doubles:
    """Signed difference of hues in degrees, in [-180, 180)."""
    return (hue - other + 180) % 360 - 180


def _black_alone(rgb: Doubles) -> bool:
    """Whether a picture is drawn in black ink, as glyphs are."""
    dark = rgb.max(-1) < 0.5
    coloured = rgb.max(-1) - rgb.min(-1) > 0.15
    ink = rgb.min(-1) < 0.5
    return bool(ink.any() and dark.sum() > 0.9 * ink.sum() and coloured.sum() < 0.03 * ink.sum())


def _without_colour(rgb: Doubles) -> bool:
    """Whether a picture is drawn in black and greys."""
    dark, coloured = rgb.max(-1) < 0.5, rgb.max(-1) - rgb.min(-1) > 0.15
    return bool(dark.mean() > 0.1 and coloured.mean() < 0.03)


def _recolourable(
    hue: Doubles, saturation: Doubles, value: Doubles
) -> tuple[Doubles, float] | None:
    """Share of the dominant colour in each pixel, and its hue; None if none dominates."""
    ink = (saturation > 0.12) | (value < 0.92)
    vivid = np.clip((saturation - 0.08) / 0.2, 0, 1) * np.clip((value - 0.15) / 0.2, 0, 1)
    if not ink.any():
        return None
    mass = vivid * saturation
    if vivid[ink].mean() < 0.25:  # a grey thing: recolour what is neither white nor black
        neutral = np.clip((0.97 - value) / 0.12, 0, 1) * np.clip((value - 0.3) / 0.2, 0, 1)
        neutral = neutral * np.clip((0.3 - saturation) / 0.1, 0, 1)
        return (neutral, 220.0) if neutral[ink].mean() > 0.45 else None
    counts, edges = np.histogram(hue, bins=72, range=(0, 360), weights=mass)
    window = sum(np.roll(counts, shift) for shift in range(-5, 6))
    best = float(edges[int(np.argmax(window))] + 2.5)
    band = np.clip((_BAND - np.abs(_apart(hue, best))) / 8, 0, 1)
    if (mass * band).sum() < 0.6 * mass.sum():
        return None
    return vivid * band, best


def in_ink(
    pixels: NDArray[np.uint8], rgb: ArrayLike, *, greys: bool = False
) -> NDArray[np.uint8] | None:
    """A picture drawn in black ink alone, as glyphs are, in ink of another colour.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        rgb: the colour, each part in [0, 1].
        greys: whether it may have areas of grey as well, which become lighter ones of the colour.

    Returns:
        ``(S, S, 3)`` uint8, or None where the picture has other colours or no ink.
    """
    there = (pixels < 255).any(-1)
    own = pixels[there].astype(np.float64) / 255
    if not (_black_alone(own) or (greys and _without_colour(own))):
        return None
    found = pixels.copy()
    ink = 1 - own.mean(-1, keepdims=True)
    found[there] = ((1 - ink * (1 - np.asarray(rgb))) * 255).round()
    return found


def in_two_tones(pixels: NDArray[np.uint8], rgb: ArrayLike) -> NDArray[np.uint8] | None:
    """A drawing of black lines, with areas of one colour or of none, in two tones of another.

    Each pixel is taken for a mixture of black, white and that colour. The areas get the colour
    asked for, and the lines a darker shade of it. What is white stays so, but in a drawing of lines
    alone, where what they enclose is an area.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        rgb: the colour, each part in [0, 1].

    Returns:
        ``(S, S, 3)`` uint8, or None where the picture has other colours, few lines or no areas.
    """
    there = (pixels < 255).any(-1)
    own = pixels[there].astype(np.float64) / 255
    hue, saturation, value = to_hsv(own)
    area, black = (saturation > _NO_CHROMA) & (value > _BLACK), value < _BLACK
    if black.sum() < _LINES * (black | area).sum() or not black.any():
        return None
    if area.any():
        accent = np.median(own[area], 0)
        (middle,) = to_hsv(accent[None])[0]
        if (np.abs(_apart(hue[area], float(middle))) < _BAND).mean() < _ONE_HUE:
            return None
        # own = share of the accent * accent + share of white * 1 + the rest * 0, by least squares
        shares = np.linalg.lstsq(np.stack([accent, np.ones(3)], 1), own.T, rcond=None)[0]
        coloured, white = np.clip(shares, 0, 1)
        white = np.minimum(white, 1 - coloured)
    else:
        coloured, white = np.zeros(len(own)), own.mean(-1)
    target = np.asarray(rgb, np.float64)
    light = np.ones((*pixels.shape[:2], 1))
    paper = pixels.min(-1) > _PAPER
    outside = touching_border(paper)
    enclosed = paper & ~outside
    found = pixels.astype(np.float64) / 255
    lines = enclosed.sum() > _ENCLOSED * (~outside).sum()
    if not (lines or area.any()):
        return None
    if lines and area.sum() < _AREAS * (~outside).sum():
        light = np.where(largest(enclosed, _EDGE)[..., None], target, 1.0)
        found[enclosed] = target
    line = _LINE_SHADE * target
    rest = (1 - coloured - white)[:, None]
    mixed = coloured[:, None] * target + white[:, None] * light[there] + rest * line
    found[there] = mixed
    return np.asarray((np.clip(found, 0, 1) * 255).round(), np.uint8)


def recolour(pixels: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8] | None:
    """Change the dominant colour of a picture.

    The pixels within 36 degrees of the dominant hue turn to the new one, keeping 0.4 of their
    differences in hue; saturation and value are scaled so that their medians meet the colour's.
    Pictures of a grey thing are tinted, and those in black alone take the colour for their ink.
    White, black and other hues stay as they are in others.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        colour: the new one.

    Returns:
        ``(S, S, 3)`` uint8, or None where no colour dominates.
    """
    there = (pixels < 255).any(-1)  # white stays white
    rgb = pixels[there].astype(np.float64) / 255
    found = pixels.copy()
    full = to_rgb(*(np.array([x]) for x in (colour.hue, colour.saturation, colour.value)))
    inked = in_ink(pixels, full[0])
    if inked is not None:
        return inked
    hue, saturation, value = to_hsv(rgb)
    dominant = _recolourable(hue, saturation, value)
    if dominant is None:
        return None
    share, own = dominant
    core = share > 0.8
    if core.sum() < 0.04 * there.size:
        return None
    middle = float(np.median(saturation[core])), float(np.median(value[core]))
    grey = middle[0] < 0.2
    changed = share > 0
    hue, saturation, value, share = (x[changed] for x in (hue, saturation, value, share))
    turned = np.full_like(hue, colour.hue) if grey else colour.hue + 0.4 * _apart(hue, own)
    richness = np.ones_like(saturation) if grey else saturation / middle[0]
    target = to_rgb(
        turned % 360,
        np.clip(colour.saturation * richness, 0, 1),
        np.clip(value * colour.value / middle[1], 0, 1),
    )
    rgb[changed] += share[:, None] * (target - rgb[changed])
    found[there] = (rgb.clip(0, 1) * 255).round()
    return found


def is_pale(pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> bool:
    """Whether most of a thing is white or nearly so, as a ghost is.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        inside: ``(S, S)``, where the thing is.
    """
    ink = pixels[inside]
    pale = (ink.min(-1) > _PALE_VALUE * 255) & (np.ptp(ink, -1) < _PALE_SPREAD * 255)
    return bool(pale.mean() > 0.5) if len(ink) else False


def dyed(
    pixels: NDArray[np.uint8], inside: NDArray[np.bool_], colour: Colour, *, whole: bool = False
) -> NDArray[np.uint8]:
    """A thing in a colour, whatever its own are: for what has no dominant one.

    Where at least half of its light pixels are pale, those take the colour, else all light ones;
    differences of value stay.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        inside: ``(S, S)``, where the thing is.
        colour: the new one.
        whole: whether all light pixels take it, in any case.
    """
    rgb = pixels[inside].astype(np.float64) / 255
    _, saturation, value = to_hsv(rgb)
    light = np.clip((value - 0.2) / 0.15, 0, 1)
    pale = light * np.clip((0.45 - saturation) / 0.15, 0, 1)
    share = pale if pale.sum() > 0.5 * light.sum() and not whole else light
    found = pixels.copy()
    if (share > 0.5).any():
        shade = value / np.median(value[share > 0.5])
        full = np.ones_like(shade)
        target = to_rgb(colour.hue * full, colour.saturation * full,
                        np.clip(colour.value * shade, 0, 1))  # fmt: skip
        found[inside] = ((rgb + share[:, None] * (target - rgb)) * 255).round()
    return found


def whitened(pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    """A thing in white, with its shades, what is dark in it, and small parts of other hues.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        inside: ``(S, S)``, where the thing is.

    Returns:
        ``(S, S, 3)`` uint8; None of what is drawn in black alone or has hardly any light part.
    """
    rgb = pixels[inside].astype(np.float64) / 255
    if not len(rgb) or _black_alone(rgb):
        return None
    hue, saturation, value = to_hsv(rgb)
    share = np.clip((value - 0.2) / 0.15, 0, 1)
    dominant = _recolourable(hue, saturation, value)
    if dominant is not None:
        other = np.abs(_apart(hue, dominant[1])) > 2 * _BAND
        share = np.where(other & (saturation > _NO_CHROMA), 0.0, share)
    if (share > 0.5).mean() < _CALLED:
        return None
    shade = np.clip((value / np.median(value[share > 0.5])) ** _SHADES * _WHITE_VALUE, 0, 1)
    target = shade[:, None] * np.array(_WHITE_TONE)
    found = pixels.copy()
    found[inside] = ((rgb + share[:, None] * (target - rgb)) * 255).round()
    return found


def dyed_black(
    pixels: NDArray[np.uint8], inside: NDArray[np.bool_], colour: Colour
) -> NDArray[np.uint8] | None:
    """A thing that is mostly black, a top hat or a tyre, in a colour, with its band as it is.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        inside: ``(S, S)``, where the thing is.
        colour: the new one.

    Returns:
        ``(S, S, 3)`` uint8, or None where less than half of the thing is black, or all of it.
    """
    rgb = pixels[inside].astype(np.float64) / 255
    if not len(rgb) or _black_alone(rgb):
        return None
    _, saturation, value = to_hsv(rgb)
    neutral = np.clip((_NO_CHROMA - saturation * value) / 0.1, 0, 1)
    if (neutral * (value < _BLACK)).sum() < len(value) / 2:
        return None
    share = neutral * np.clip((_SHINE - value) / 0.3, 0, 1)
    full = np.ones_like(value)
    lit = np.clip(colour.value * (0.75 + 0.6 * value), 0, 1)
    target = to_rgb(colour.hue * full, colour.saturation * full, lit)
    found = pixels.copy()
    found[inside] = ((rgb + share[:, None] * (target - rgb)) * 255).round()
    return found


def dyed_rest(
    before: NDArray[np.uint8], after: NDArray[np.uint8], inside: NDArray[np.bool_], colour: Colour
) -> NDArray[np.uint8]:
    """A recoloured thing, its other large light areas in another tone of the same colour.

    So that a pink airplane has no grey body. A lighter tone where they were lighter than what was
    recoloured, else a darker one, so that the parts stay apart. White stays, as in eyes, and small
    areas keep their colours, as a tomato its leaf.

    Args:
        before: ``(S, S, 3)`` uint8.
        after: the same, of :func:`recolour`.
        inside: ``(S, S)``, where the thing is.
        colour: what it was recoloured to.
    """
    least = before.min(-1) / 255
    light = inside & (before.max(-1) > _DARK * 255) & (least < _WHITE)
    change = np.abs(before.astype(np.int16) - after).max(-1) / 255
    same = change < _SAME
    rest = light & same
    if rest.sum() <= _REST * light.sum() or rest.sum() == light.sum():
        return after
    mean = before.mean(-1)
    lighter = np.median(mean[rest]) > np.median(mean[light & ~same])
    tone = (
        replace(colour, saturation=0.6 * colour.saturation, value=min(1.0, 1.2 * colour.value))
        if lighter
        else replace(colour, value=0.75 * colour.value)
    )
    share = np.clip((_WHITE - least) / _NEARLY_WHITE, 0, 1)  # cheeks fade into white
    share *= np.clip((_HARDLY - change) / (_HARDLY - _SAME), 0, 1)  # walls that changed in spots
    whole: Doubles = dyed(after, light & (change < _HARDLY), tone).astype(np.float64)
    return np.asarray((after + share[..., None] * (whole - after)).round(), np.uint8)


def in_named_colour(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """A drawing in the colour that its English name begins with, where it has little of that.

    So *a red apple* is red in a style of blue drawings, too.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        name: of what is drawn.

    Returns:
        ``(S, S, 3)`` uint8; the same where no colour is named, it is there, or none dominates.
    """
    words = re.sub(r"^(?:an?|the) ", "", name.casefold()).replace("gray ", "grey ").split()
    if len(words) < 2 or words[0] not in COLOURS or shows_colour(pixels, COLOURS[words[0]]):
        return pixels
    found = recolour(pixels, COLOURS[words[0]])
    return pixels if found is None else found


def _reach(colour: Colour) -> tuple[float, float]:
    """Degrees of hue below and above a colour that are called by its name, not by the next one's.

    Brown is a dark orange: the two have one hue.
    """
    others = [(each.hue - colour.hue + 180) % 360 - 180 for each in COLOURS.values()
              if each.has_hue]  # fmt: skip
    below = [-away / 2 for away in others if away < -_SAME_HUE]
    above = [away / 2 for away in others if away > _SAME_HUE]
    return min(*below, _BAND), min(*above, _BAND)


def shows_colour(pixels: NDArray[np.uint8], colour: Colour, least: float = _CALLED) -> bool:
    """Whether a drawing has enough of a colour to be called by it.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        colour: that it may have.
        least: share of its ink that must have it.
    """
    found, ink = _in_colour(pixels[::_EVERY, ::_EVERY], colour)
    return found >= least * ink


def colour_share(pixels: NDArray[np.uint8], colour: Colour) -> float:
    """Share of a drawing's ink that has a colour, in [0, 1]; 0 where there is no ink.

    Args:
        pixels: ``(H, W, 3)`` uint8, on white.
        colour: that it may have.
    """
    found, ink = _in_colour(pixels, colour)
    return found / max(ink, 1)


def _in_colour(pixels: NDArray[np.uint8], colour: Colour) -> tuple[int, int]:
    """How many pixels of a drawing have a colour, and how many are ink."""
    hue, saturation, value = to_hsv(pixels.astype(np.float64) / 255)
    ink = (saturation > 0.12) | (value < 0.92)
    if not colour.has_hue:
        found = (np.abs(value - colour.value) < 0.25) & (saturation < 0.5)
    else:
        below, above = _reach(colour)
        away = _apart(hue, colour.hue)
        found = (away > -below) & (away < above) & (saturation > 0.2)
    return int((found & ink).sum()), int(ink.sum())
