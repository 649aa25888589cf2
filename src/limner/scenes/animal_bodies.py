"""Animals that are drawn as heads get a body in the head's colours: a fox that sits in the snow.

Sets of drawings show many animals as heads, seen from the front. Which of them get what body says
``animal_bodies.tsv``; the body is made up of few shapes, as flat drawings of such animals are.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from limner.arrays import Floats, Pixels
from limner.scenes.animal_shapes import AnimalBody, drawn
from limner.scenes.cutout import paste_box, to_pixels
from limner.scenes.outlines import alike, commonest, outline_of, plain_colours, without_shadow
from limner.scenes.paints import RGB
from limner.scenes.pen import Inks, Stand
from limner.tables import read_table

_FRONT, _HORNED, _LOWER = 0.28, (0.5, 0.2), 0.4
"""Share of a silhouette that differs from its mirror image, up to which it is seen from the front;
the same of what may have antlers, and of its lower part; where that begins, of its height."""
_MARGIN = 0.03
"""White around the whole, of the side."""
_NECK = 0.85
"""Where the neck of a head in profile is, of its height."""
_LIGHTER, _PALE, _DIMMER, _DARK = 0.1, 0.55, 0.45, 0.3
"""By how much a light part is lighter than the fur; how light one is made, and how dark, where the
head has none; greatest channel of a dark one."""
_VIVID = 0.25
"""Least difference of the channels of a mane's colour."""
_FEW = 0.04
"""Least share of a head that is in a colour of it."""
_UPPER = 0.6
"""Height of what of a head has the colour of the body: a chin and cheeks have their own."""
_SHADE = 0.88
"""Lightness of what is in the shade of a body, of the fur's."""
_PINK: RGB = (0.95, 0.65, 0.66)


def body_of(name: str) -> AnimalBody | None:
    """The body of an animal that is drawn as a head, by its English name; None for others."""
    return _bodies().get(name.casefold())


def is_head(cut: Floats, body: AnimalBody) -> bool:
    """Whether a cut-out animal is a head alone, to which its body belongs.

    Heads are seen from the front and like their mirror images; whole animals are not, and those
    that are always drawn in profile are heads.
    """
    if body.frame == "profile":
        return True
    if body.frame == "standing":
        lower = cut[round(_LOWER * len(cut)) :]
        return asymmetry(cut) < _HORNED[0] and asymmetry(lower) < _HORNED[1]
    return asymmetry(cut) < _FRONT


def asymmetry(cut: Floats) -> float:
    """Share of a silhouette that differs from its mirror image; of one that leans along its middle.

    Args:
        cut: ``(H, W, 4)``.
    """
    solid = cut[..., 3] > 0.5
    rows, columns = np.nonzero(solid)
    if not len(rows):
        return 0.0
    high, wide = solid.shape
    slope, start = np.polyfit(rows, columns, 1) if high > 1 else (0.0, float(columns.mean()))
    middle = start + slope * np.arange(high)
    around = np.pad(solid, ((0, 0), (wide, wide)))
    places = np.rint(2 * middle[:, None] - np.arange(-wide, 2 * wide)[None]).astype(np.intp) + wide
    mirrored = np.take_along_axis(around, places.clip(0, 3 * wide - 1), 1)
    return float((around != mirrored).sum() / max(1, solid.sum()))


def with_body(head: Floats, body: AnimalBody, side: int) -> Pixels:
    """A whole animal of a drawn head.

    Args:
        head: ``(H, W, 4)``, cut out, seen from the front.
        body: that it gets.
        side: S, of the picture of it.

    Returns:
        ``(S, S, 3)``, on white.
    """
    face = without_shadow(head)
    inks = _inks_of(face, body)
    if body.frame == "profile":
        return _with_body_behind(face, body, inks, side)
    high, wide = face.shape[:2]
    size = (high * wide) ** 0.5
    frame = _FRAMES[body.frame]
    above = high - frame.chin * size
    left = max(wide / 2, frame.aside * size)
    right = max(wide / 2, (frame.tailed if body.tail != "none" else frame.aside) * size)
    scale = (1 - 2 * _MARGIN) * side / max(left + right, above + frame.below * size)
    x, y = side / 2 + scale * (left - right) / 2, side * (1 - _MARGIN) - scale * frame.below * size
    canvas = drawn(body, inks, side, Stand(x, y, scale * size))
    box = (x - scale * wide / 2, y - scale * above, scale * wide, scale * high)
    paste_box(canvas, face, [length / side for length in box])
    return to_pixels(canvas)


def _with_body_behind(face: Floats, body: AnimalBody, inks: Inks, side: int) -> Pixels:
    """An animal seen from the side: its head and neck on a body that stands behind them."""
    high, wide = face.shape[:2]
    solid = face[..., 3] > 0.5
    columns = np.flatnonzero(solid[round(_NECK * high) :].any(0))
    neck = float(columns[0] + columns[-1]) / 2
    to_left = neck > solid.nonzero()[1].mean()
    face = face if to_left else face[:, ::-1]
    neck = neck if to_left else wide - neck
    unit = float(high)
    left, right = max(neck, 0.3 * unit), max(wide - neck, 0.86 * unit)
    above, below = high - 0.12 * unit, 0.7 * unit
    scale = (1 - 2 * _MARGIN) * side / max(left + right, above + below)
    x, y = side / 2 + scale * (left - right) / 2, side / 2 + scale * (above - below) / 2
    canvas = drawn(body, inks, side, Stand(x, y, scale * unit))
    box = (x - scale * neck, y - scale * above, scale * wide, scale * high)
    paste_box(canvas, face, [length / side for length in box])
    return to_pixels(canvas if to_left else canvas[:, ::-1])


class _FrameSizes(NamedTuple):
    """Lengths of a frame, in shares of the head's size.

    Attributes:
        chin: how far the head reaches below the shoulders.
        below: the body below these.
        aside: half its width.
        tailed: how far it reaches to the right with a tail.
    """

    chin: float
    below: float
    aside: float
    tailed: float


_FRAMES: dict[str, _FrameSizes] = {
    "sitting": _FrameSizes(0.12, 0.66, 0.48, 0.74),
    "seated": _FrameSizes(0.16, 0.62, 0.5, 0.5),
    "crouching": _FrameSizes(0.2, 0.44, 0.66, 0.66),
    "standing": _FrameSizes(0.16, 0.8, 0.42, 0.42),
}


def _inks_of(face: Floats, body: AnimalBody) -> Inks:
    """The colours of a body and its outline, from a cut-out head."""
    high, wide = face.shape[:2]
    solid = face[..., 3] > 0.95
    colours = plain_colours(face)
    edge, width, around = outline_of(face)
    inner = solid & ~alike(colours, edge) if edge is not None else solid
    inner = inner if inner.any() else solid
    amid = np.zeros_like(solid)
    amid[round(0.3 * high) : round(0.6 * high), round(0.36 * wide) : round(0.64 * wide)] = True
    upper = inner.copy()
    upper[round(_UPPER * high) :] = False
    fur = commonest(colours[inner & amid if body.fur == "face" else upper])
    lower = inner.copy()
    lower[: high // 2] = False
    inside = colours[lower] if lower.any() else colours[inner]
    light = inside[inside.mean(1) > fur.mean() + _LIGHTER]
    pale = commonest(light) if len(light) > _FEW * inner.sum() else fur + (1 - fur) * _PALE
    dim = colours[solid][colours[solid].max(1) < _DARK]
    dark = commonest(dim) if len(dim) > _FEW * solid.sum() else fur * _DIMMER
    manes = solid & ~alike(colours, fur) & (np.ptp(colours, -1) > _VIVID)
    manes[: high // 3] = False  # where a horn is
    others = colours[manes]
    hair = commonest(others) if len(others) > _FEW * solid.sum() else dark
    named = {
        "hair": hair, "fur": fur, "light": pale, "dark": dark, "black": dark,
        "mane": commonest(around), "shade": fur * _SHADE, "line": fur * _SHADE,
    }  # fmt: skip
    found: dict[str, RGB] = {"pink": _PINK}
    for name, colour in named.items():
        red, green, blue = colour.clip(0, 1).tolist()
        found[name] = (red, green, blue)
    border = None if edge is None else (float(edge[0]), float(edge[1]), float(edge[2]))
    return Inks(found, border, width / (high * wide) ** 0.5)


@cache
def _bodies() -> dict[str, AnimalBody]:
    _, *rows = read_table("limner.scenes", "animal_bodies.tsv")
    return {
        name: AnimalBody(frame, fur, chest, paws, tail, tip, also == "yes")
        for name, frame, fur, chest, paws, tail, tip, also in rows
    }
