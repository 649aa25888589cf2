"""Persons that are drawn as busts or heads get a body in the clothes of their kind.

Sets of drawings show a cook, a witch or Santa Claus from the shoulders up. The body below is made
up of few shapes, in the colours of what is seen of their clothes; ``clothes.tsv`` says who wears a
robe, and what colours are not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.scenes.bodies import HEADS
from limner.scenes.cutout import cut_out_drawn, paste_box, to_pixels
from limner.scenes.outlines import alike, commonest, outline_of, plain_colours, without_shadow
from limner.scenes.paints import RGB, paint
from limner.scenes.pen import Inks, Pen, Stand
from limner.scenes.sizes import facts_of
from limner.tables import read_table

Arms = Literal["hanging", "bent"]

_OWN, _NONE = "own", "none"
_SEVERAL = re.compile(r"\b(?:family|couple|people|(?:wo)?men|twins|crowd|holding|kiss)\b")
"""Names of drawings of several persons."""
_GENDER = re.compile(r"^(?:wo)?man (?=\w)")
_WHERE, _BUST = (0.9, 0.96), 0.62
"""Heights at which the lower edge of a bust is looked at; its least width there, of the whole."""
_TALL = 1.6
"""Height over width from which on somebody is no bust."""
_HEM = 0.82
"""From here on, of a bust's height, it is of the clothes' colour."""
_FACE = (0.36, 0.62), (0.36, 0.64)
"""Rows and columns of a bust where the face is, in shares of its size."""
_HAND, _SIDE = 0.66, 0.3
"""Where a hand of a bust is, of its height and from its sides; how much of that is skin."""
_SHOWN = 0.07
_HEAD_UNIT, _CHIN = 0.78, 0.07
"""Width of the shoulders of who is drawn as a head, of the head's; how far this is before them."""
_OVERLAP = 0.07
"""How far a bust reaches over its body, of its width."""
_BELOW = {False: 0.98, True: 0.62}
"""Height of a body below the shoulders, of their width: of who stands, and who sits."""
_ASIDE = 0.6
"""Half its width."""
_MARGIN = 0.03
"""White around the whole, of the side."""
_COLOURED = 0.04
"""Least mean difference of the channels of a drawing in colours."""
_WHITE, _DARK, _PLAIN = 0.75, 0.35, 0.12
"""Least channel of a beard; greatest one of a mask; least difference of the channels of skin."""
_SHADE, _LINE = 0.88, 0.8
"""Lightness of what is in the shade, and of lines between parts, of the colour's."""


@dataclass(frozen=True)
class Clothes:
    """What somebody wears.

    Attributes:
        kind: ``suit`` or ``robe``.
        top: key of ``PAINTS``, of who is drawn as a head; a bust has its own.
        lower: the same of the trousers, or ``own`` as the top.
        shoes: their colour.
        trim: of cuffs and hems, or ``none``.
        always_head: whether no set of drawings shows shoulders.
    """

    kind: str
    top: str
    lower: str
    shoes: str
    trim: str
    always_head: bool = False


USUAL = Clothes("suit", "blue", "navy", "black", _NONE)
"""What they wear of whom nothing else is said, and who are drawn as busts."""


def clothes_of(name: str) -> Clothes | None:
    """What somebody wears who is drawn from an English name; None for who gets no such body.

    That is who is no person, and who has a figure of his own (:mod:`limner.scenes.bodies`).
    """
    key = _GENDER.sub("", name.casefold())
    found = _table().get(name.casefold()) or _table().get(key)
    if found is not None or name in HEADS or facts_of(name).role != "person":
        return found
    if _SEVERAL.search(key):
        return None
    return USUAL


def clothed(pixels: Pixels, clothes: Clothes, *, sitting: bool = False,
            arms: Arms = "hanging") -> Pixels:  # fmt: skip
    """Somebody from head to foot.

    Args:
        pixels: ``(S, S, 3)``, a bust or a head on white.
        clothes: of the body.
        sitting: whether the legs are crossed on the ground.
        arms: whether they hang at the sides, or the hands are before the belly.

    Returns:
        ``(S, S, 3)``, on white; as it is who is drawn whole, or in black ink.
    """
    bust = without_shadow(cut_out_drawn(pixels))
    high, wide = bust.shape[:2]
    solid = bust[..., 3] > 0.5
    if not solid.any() or high > _TALL * wide:
        return pixels
    colours = plain_colours(bust)
    if float(np.ptp(colours[solid], -1).mean()) < _COLOURED:
        return pixels
    round_below = clothes.always_head or _has_chin_below(bust, colours)
    edge = None if round_below else _lower_edge(solid)
    shoulders = edge is not None
    if not shoulders and clothes == USUAL:
        return pixels  # who has a tail or feet there
    left, right = edge if edge is not None else (0.0, float(wide))
    unit = (right - left) * (1 if shoulders else _HEAD_UNIT)
    middle = (left + right) / 2
    overlap = _OVERLAP * unit if shoulders else _CHIN * high
    below = _BELOW[sitting] * unit
    beside = _ASIDE * unit
    first, last = min(0.0, middle - beside), max(float(wide), middle + beside)
    side = len(pixels)
    scale = (1 - 2 * _MARGIN) * side / max(last - first, high - overlap + below)
    x = side / 2 + scale * (middle - (first + last) / 2)
    y = side * (1 - _MARGIN) - scale * below
    inks = _inks_of(bust, clothes, shoulders=shoulders, unit=unit)
    pen = Pen(side, Stand(x, y, scale * unit), inks)
    hands = _hands_of(bust, colours) if shoulders else frozenset()
    _body(pen, clothes, sitting=sitting, arms=arms, shoulders=shoulders, hands=hands)
    canvas = pen.canvas()
    box = (x - scale * middle, y - scale * (high - overlap), scale * wide, scale * high)
    paste_box(canvas, bust, [length / side for length in box])
    return to_pixels(canvas)


def _lower_edge(solid: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Left and right end of the lower edge of a bust; None of a head, which is round."""
    high, wide = solid.shape
    first = round(_WHERE[0] * high)
    rows = solid[first : max(round(_WHERE[1] * high), first + 1)]
    ends = [np.flatnonzero(row)[[0, -1]] for row in rows if row.any()]
    if len(ends) < len(rows):
        return None
    left, right = np.median(ends, 0)
    filled = float(np.median(rows.sum(1)))
    if filled < _BUST * wide and filled < 0.9 * (right - left):
        return None
    return (float(left), float(right) + 1) if right - left >= _BUST * wide else None


def _has_chin_below(bust: Floats, colours: Floats) -> bool:
    """Whether a face ends at the lower edge of a drawing, between long hair: no bust."""
    solid = bust[..., 3] > 0.5
    high, wide = solid.shape
    _, (left, right) = _FACE
    amid = slice(round(left * wide), round(right * wide))
    low = slice(round(_HEM * high), round(_WHERE[1] * high)), amid
    like = alike(colours[low][solid[low]], _skin_of(colours, solid))
    return bool(like.mean() > 0.5) if len(like) else True


def _skin_of(colours: Floats, solid: NDArray[np.bool_]) -> Floats:
    """The colour of a face."""
    high, wide = solid.shape
    (top, bottom), (left, right) = _FACE
    amid = (slice(round(top * high), round(bottom * high)),
            slice(round(left * wide), round(right * wide)))  # fmt: skip
    return commonest(colours[amid][solid[amid]])


def _inks_of(bust: Floats, clothes: Clothes, *, shoulders: bool, unit: float) -> Inks:
    """The colours of a body and its outline."""
    colours, solid = plain_colours(bust), bust[..., 3] > 0.95
    high = len(solid)
    line, width, _ = outline_of(bust)
    inner = solid & ~alike(colours, line) if line is not None else solid
    skin = _skin_of(colours, inner)
    own = np.array(paint(clothes.top), np.float32)
    if shoulders:
        hem = inner.copy()
        hem[: round(_HEM * high)] = False
        rest = hem & ~alike(colours, skin)
        seen = commonest(colours[rest if rest.sum() > 0.3 * hem.sum() else hem])
        beard = clothes.trim != _NONE and float(seen.min()) > _WHITE
        own = own if beard else seen
    if float(skin.max()) < _DARK or float(np.ptp(skin)) < _PLAIN:
        skin = own  # a mask, or gloves
    lower = own if clothes.lower == _OWN else np.array(paint(clothes.lower), np.float32)
    trim = own if clothes.trim == _NONE else np.array(paint(clothes.trim), np.float32)
    named = {
        "top": own, "shade": own * _SHADE, "line": own * _LINE, "lower": lower,
        "crease": lower * _LINE, "skin": skin, "shoes": np.array(paint(clothes.shoes), np.float32),
        "trim": trim, "belt": np.array(paint("black")), "buckle": np.array(paint("yellow")),
    }  # fmt: skip
    found: dict[str, RGB] = {}
    for name, colour in named.items():
        red, green, blue = colour.clip(0, 1).tolist()
        found[name] = (red, green, blue)
    border = None if line is None else (float(line[0]), float(line[1]), float(line[2]))
    return Inks(found, border, width / unit)


def _hands_of(bust: Floats, colours: Floats) -> frozenset[int]:
    """Sides at which a bust shows a hand, -1 for the left."""
    solid = bust[..., 3] > 0.5
    high, wide = solid.shape
    skin = _skin_of(colours, solid)
    like = solid & alike(colours, skin)
    found = set()
    aside = round(_SIDE * wide)
    for side, columns in ((-1, slice(0, aside)), (1, slice(wide - aside, wide))):
        part = slice(round(_HAND * high), high), columns
        if like[part].sum() > _SHOWN * solid[part].sum():
            found.add(side)
    return frozenset(found)


def _body(
    pen: Pen, clothes: Clothes, *, sitting: bool, arms: Arms, shoulders: bool, hands: frozenset[int]
) -> None:
    """Draw what is below the shoulders, whose middle is at the origin, in shares of their width."""
    if clothes.kind == "robe":
        _robe(pen, clothes, sitting=sitting)
    elif sitting:
        _crossed_legs(pen)
    else:
        _legs(pen)
    if clothes.kind != "robe":
        _torso(pen, clothes, short=sitting)
    if not shoulders:
        pen.ovals("top", (0, 0.12, 0.4, 0.2))
    for side in {-1, 1} - hands:
        _arm(pen, clothes, side, arms, shoulder=0.02 if shoulders else 0.1)


def _arm(pen: Pen, clothes: Clothes, side: int, arms: Arms, *, shoulder: float) -> None:
    """Draw an arm at a side, -1 for the left, from a height on."""
    start = (0.39 * side, shoulder)
    if arms == "bent":
        elbow, end = (0.45 * side, 0.27), (0.13 * side, 0.33)
        hand = (end[0] - 0.07 * side, end[1] + 0.02)
        pen.limb("line", start, elbow, 0.112, 0.102, bare=True)
        pen.limb("line", elbow, end, 0.1, 0.09, bare=True)
        pen.limb("top", start, elbow, 0.1, 0.09)
        pen.limb("top", elbow, end, 0.09, 0.08)
    else:
        end, inner = (0.47 * side, 0.37), 0.02 * side
        hand = (end[0], end[1] + 0.07)
        line = (start[0] - inner, start[1]), (end[0] - inner, end[1])
        pen.limb("line", *line, 0.1, 0.09, bare=True)
        pen.limb("top", start, end, 0.1, 0.085)
    if clothes.trim != _NONE:
        pen.ovals("trim", (end[0], end[1] + 0.01, 0.1, 0.07))
    pen.ovals("skin", (*hand, 0.085, 0.085))


def _torso(pen: Pen, clothes: Clothes, *, short: bool) -> None:
    low = 0.34 if short else 0.46
    wide = np.linspace(0.37, 0.33, 12)
    pen.ovals("top", *((s * (w - 0.12), y, 0.12, 0.1) for s in (-1, 1)
                       for w, y in zip(wide, np.linspace(0, low, 12), strict=True)))  # fmt: skip
    pen.area("top", np.array([(-0.3, -0.1), (0.3, -0.1), (0.28, low + 0.1), (-0.28, low + 0.1)]))
    if clothes.trim != _NONE:
        pen.area("belt", np.array([(-0.36, low - 0.08), (0.36, low - 0.08), (0.34, low + 0.01),
                                   (-0.34, low + 0.01)]))  # fmt: skip
        pen.area("buckle", np.array([(-0.07, low - 0.1), (0.07, low - 0.1), (0.07, low + 0.03),
                                     (-0.07, low + 0.03)]))  # fmt: skip
        pen.ovals("trim", *((x, low + 0.1, 0.07, 0.055) for x in np.linspace(-0.27, 0.27, 14)))


def _legs(pen: Pen) -> None:
    for s in (-1, 1):
        pen.ovals("shoes", (0.19 * s, 0.9, 0.165, 0.085))
    for s in (-1, 1):
        pen.limb("lower", (0.16 * s, 0.44), (0.17 * s, 0.8), 0.15, 0.13)
    pen.limb("crease", (0, 0.62), (0, 0.88), 0.012, 0.016, bare=True)


def _crossed_legs(pen: Pen) -> None:
    for s in (-1, 1):
        pen.limb("lower", (0.18 * s, 0.36), (0.44 * s, 0.46), 0.13, 0.12)
    for s in (-1, 1):
        pen.limb("crease", (0.44 * s, 0.47), (-0.06 * s, 0.54), 0.1, 0.08, bare=True)
        pen.limb("lower", (0.44 * s, 0.46), (-0.06 * s, 0.52), 0.095, 0.075)
    for s in (-1, 1):
        pen.ovals("shoes", (0.2 * s, 0.545, 0.11, 0.065))


def _robe(pen: Pen, clothes: Clothes, *, sitting: bool) -> None:
    low = 0.5 if sitting else 0.86
    if not sitting:
        for s in (-1, 1):
            pen.ovals("shoes", (0.17 * s, 0.91, 0.14, 0.065))
    ys = np.linspace(-0.02, low, 24)
    wide = 0.36 + 0.16 * np.linspace(0, 1, 24) ** 1.6
    pen.ovals("top", *((s * (w - 0.1), y, 0.1, 0.06) for s in (-1, 1)
                       for w, y in zip(wide, ys, strict=True)),
              *((x, low + 0.01, 0.1, 0.06) for x in np.linspace(-0.42, 0.42, 16)))  # fmt: skip
    outline = [(-w + 0.08, y) for w, y in zip(wide, ys, strict=True)]
    outline += [(w - 0.08, y) for w, y in zip(wide[::-1], ys[::-1], strict=True)]
    pen.area("top", np.array(outline))
    for x in (-0.2, 0.2):
        pen.limb("shade", (0.7 * x, 0.45), (x, low), 0.008, 0.014, bare=True)
    if clothes.trim != _NONE:
        pen.ovals("trim", *((x, low + 0.03, 0.07, 0.05) for x in np.linspace(-0.45, 0.45, 20)))


@cache
def _table() -> Mapping[str, Clothes]:
    """English name, in lower case -> what somebody wears."""
    _, *rows = read_table("limner.scenes", "clothes.tsv")
    return {
        name.casefold(): Clothes(kind, top, lower, shoes, trim, head == "yes")
        for kind, top, lower, shoes, trim, head, names in rows
        for name in names.split("|")
    }
