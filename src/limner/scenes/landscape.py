"""Settings as pictures: flat bands of sky and ground, and small props along the horizon.

What a place shows besides its bands (:data:`Prop`) is drawn by the model that draws the things, in
the same style, and handed in as cut-outs. All lengths are shares of the picture's side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from limner.arrays import Floats
from limner.scenes.actors import Spot
from limner.scenes.cutout import paste_box
from limner.scenes.framing import Room
from limner.scenes.lighting import Lighting, cast, light_of, lit
from limner.scenes.markings import COUNTER, MARKINGS, Stroke, draw
from limner.scenes.places import BEYOND, INDOORS, Setting


class Prop(NamedTuple):
    """Something small that belongs to a place.

    Attributes:
        name: what the model is asked to draw.
        where: ``sky``, ``far`` (behind the horizon), ``ground`` (at it), ``horizon`` (a low sun),
            ``beach``, ``wall`` or ``counter``.
        copies: how many.
        height: share of the picture's side.
        at: where its middle is from the left; None where chance decides.
    """

    name: str
    where: str
    copies: int = 1
    height: float = 0.2
    at: float | None = None


_OUTDOORS = Room()


@dataclass(frozen=True)
class Land:
    """How a place looks by day: colours as hex codes.

    Attributes:
        sky: bands from the top down.
        ground: bands from the horizon down.
        horizon: its height from the top; 1 where there is no ground.
        curve: height of the hills of the horizon.
        props: of the place.
        room: for the things.
        water: between which heights there is water.
        marks: what is on the ground, a key of ``MARKINGS``; None for nothing.
    """

    sky: tuple[str, ...]
    ground: tuple[str, ...]
    horizon: float = 0.62
    curve: float = 0.02
    props: tuple[Prop, ...] = ()
    room: Room = _OUTDOORS
    water: tuple[float, float] | None = None
    marks: str | None = None


_BLUE = ("bfe3f5", "d8effa")
_CLOUD = Prop("cloud", "sky", 2, 0.13)
_LANDS: Mapping[str | None, Land] = {
    None: Land(_BLUE, ("cfe3a8", "c0d993"), 0.72, marks="tufts"),
    "grass": Land(_BLUE, ("b5dd84", "a3d06f"), 0.62, 0.025,
                  (Prop("deciduous tree", "ground", 2, 0.24), _CLOUD), marks="tufts"),
    "sea": Land(_BLUE, ("7cc4e6", "62b3dc", "4fa3d1"), 0.55, 0.0, (_CLOUD,), Room(0.12, 0.84),
                (0.6, 0.97)),
    "lake": Land(_BLUE, ("a9d57e", "8fd0ec", "74c1e4"), 0.52, 0.015,
                 (Prop("mountain", "far", 2, 0.38), Prop("evergreen tree", "ground", 3, 0.15)),
                 Room(0.12, 0.88), (0.74, 0.97)),
    "lakeside": Land(_BLUE, ("a9d57e", "8fd0ec", "a3d06f"), 0.5, 0.015,
                     (Prop("mountain", "far", 2, 0.34),
                      Prop("evergreen tree", "ground", 3, 0.15)), water=(0.7, 0.8)),
    "beach": Land(_BLUE, ("6cbfe3", "f6e3b4", "efd79d"), 0.5, 0.0,
                  (Prop("palm tree", "beach", 1, 0.5), Prop("cloud", "sky", 1, 0.13)),
                  water=(0.53, 0.64), marks="grains"),
    "autumn": Land(("f7e3c0", "fbeed8"), ("dba64c", "cc9340", "c08537"), 0.62, 0.03,
                   (Prop("evergreen tree", "ground", 2, 0.26),
                    Prop("maple leaf", "sky", 3, 0.1),
                    Prop("fallen leaf", "ground", 3, 0.12)), marks="tufts"),
    "forest": Land(("d3ecd8", "e2f3e3"), ("9ccb76", "8bbd66"), 0.66, 0.02,
                   (Prop("evergreen tree", "ground", 4, 0.42),
                    Prop("deciduous tree", "ground", 3, 0.36)), marks="tufts"),
    "mountains": Land(_BLUE, ("a8cf86", "97c273"), 0.66, 0.03,
                      (Prop("mountain", "far", 3, 0.5), Prop("cloud", "sky", 1, 0.12)),
                      marks="tufts"),
    "mud": Land(_BLUE, ("b5dd84", "8f6a47", "7d5a3a"), 0.58, 0.02,
                (Prop("deciduous tree", "ground", 2, 0.2), _CLOUD)),
    "desert": Land(("bfe3f5", "f7ead0"), ("f0d49a", "e8c783"), 0.6, 0.035,
                   (Prop("cactus", "ground", 2, 0.2),), marks="grains"),
    "snow": Land(("bcd9ee", "d5e8f5"), ("f4f9fd", "e6f0f8"), 0.62, 0.03,
                 (Prop("evergreen tree", "ground", 3, 0.24),), marks="drifts"),
    "city": Land(_BLUE, ("c9ccd1", "b7bbc2"), 0.74, 0.0,
                 (Prop("office building", "ground", 4, 0.27), Prop("cloud", "sky", 1, 0.12))),
    "street": Land(_BLUE, ("b9dc92", "a7abb3", "989da6"), 0.6, 0.0,
                   (Prop("house", "ground", 3, 0.28), Prop("deciduous tree", "ground", 2, 0.2)),
                   marks="road"),
    "room": Land(("f8e8d2",), ("d9ae7e", "cfa272"), 0.72, 0.0,
                 (Prop("window", "wall", 1, 0.26), Prop("framed picture", "wall", 1, 0.17)),
                 Room(0.2, 0.95, walls=True), marks="skirting"),
    "wall": Land(("e9c9b0",), ("b9b4ae", "aca69f"), 0.76, 0.0, (), Room(0.2, 0.95, walls=True)),
    "kitchen": Land(("e4f2ec",), ("d4d9dc", "c6ccd0"), 0.72, 0.0,
                    (Prop("window", "wall", 1, 0.26), Prop("pot of food", "counter", 1, 0.13)),
                    Room(0.2, 0.95, walls=True), marks="counter"),
    "sky": Land(("a9d8f3", "c3e4f7", "dcf0fb"), (), 1.0, 0.0, (Prop("cloud", "sky", 4, 0.16),),
                Room(0.1, None)),
    "space": Land(("1b1f45", "252a59"), (), 1.0, 0.0,
                  (Prop("ringed planet", "sky", 1, 0.2),), Room(0.08, None)),
    "moon": Land(("1b1f45", "252a59"), ("c3c5cc", "b2b5be", "a2a5b0"), 0.66, 0.035,
                 (Prop("globe showing Americas", "sky", 1, 0.17),), marks="grains"),
    "mars": Land(("f3cfa6", "f0bf90"), ("d68a58", "c97b4b", "ba6c40"), 0.64, 0.035,
                 (Prop("rock", "ground", 2, 0.12),), marks="grains"),
    "underwater": Land(("8fd3ee", "6cc0e4", "52aeda"), ("efd9a4", "e5cb90"), 0.86, 0.02,
                       (Prop("coral", "ground", 2, 0.18), Prop("bubbles", "sky", 2, 0.12)),
                       Room(0.08, None), marks="grains"),
}  # fmt: skip
_FEET = 0.03
"""How far below the horizon things stand at least."""
_NIGHT = ("1e2a52", "2b3a69")
_SUNSET = ("8e7cc3", "ef9a9a", "fbb98a", "fdd9a0")
_GREY = ("b3c0cb", "c6d1d9")
_PROPS_AT_NIGHT = (0.6, 0.6, 0.69)
"""Light on what stands at the horizon at night, by channel."""
_COLUMNS = (0.14, 0.86, 0.5, 0.32, 0.68)
"""Where the middle of a prop may be: rather at the sides."""
_HIDDEN = 0.42
"""Share of it that things may hide: a palm tree behind an elephant is a scrap."""
_ABOVE = 0.72
"""Share of the height of what is behind the horizon that is seen: drawings of mountains are cut off
straight below."""
_HIGH = 0.1
"""Lowest upper edge of a single moon, sun or cloud."""
_MOON, _SUN = Prop("crescent moon", "sky", 1, 0.15), Prop("sun", "sky", 1, 0.17)


def room_of(setting: Setting) -> Room:
    """Where things may be in a setting."""
    land = _LANDS[setting.place]
    return replace(land.room, far=land.horizon + land.curve + _FEET)


def lighting_of(setting: Setting | None) -> Lighting:
    """How things are shown in a setting; plainly where there is none."""
    if setting is None:
        return Lighting()
    land = _LANDS[setting.place]
    ground = None if land.room.ground is None else land.horizon
    water = land.water if has_water(setting) else None
    return Lighting(light_of(setting), ground, water, shown=True)


def has_water(setting: Setting) -> bool:
    """Whether things stand on water."""
    return setting.place in ("sea", "lake")


def props_of(setting: Setting, named: Sequence[str] = ()) -> tuple[Prop, ...]:
    """What the model has to draw for a setting.

    Args:
        setting: the place, time and weather.
        named: names of the things of the picture; none of them is drawn twice.
    """
    props = list(_LANDS[setting.place].props)
    if setting.place == "sky" and setting.sunny:  # a sky without clouds
        props = []
    outdoors = setting.place not in (*INDOORS, *BEYOND, "underwater")
    if outdoors and (setting.night or setting.sunset or setting.weather == "fog"):
        props = [prop for prop in props if prop.name != "cloud"]
    if outdoors and setting.night:
        props.append(_MOON)
    elif outdoors and setting.sunset:
        props.append(_SUN._replace(where="horizon", height=0.22))
    elif outdoors and setting.sunny:
        props.append(_SUN)
    if outdoors and setting.weather == "rain":
        props = [p for p in props if p.name != "cloud"] + [Prop("cloud", "sky", 3, 0.17)]
    if setting.place is None and not props:
        props = [_CLOUD]
    said = " ".join(named).casefold()
    return tuple(prop for prop in props if prop.name.split()[-1] not in said)


def paint(
    side: int, setting: Setting, props: Sequence[tuple[Prop, Floats]], rng: np.random.Generator,
    alone: bool = False, *, things: Sequence[Spot] = (),
) -> Floats:  # fmt: skip
    """The background of a setting.

    Args:
        side: of the picture, pixels.
        setting: what to show.
        props: of :func:`props_of`, cut out.
        rng: places hills and props.
        alone: whether nothing else is shown, so that props are larger.
        things: that will be painted before it. A prop of which they would hide much stands
            elsewhere, or is left out.

    Returns:
        ``(side, side, 3)`` float32 in [0, 1].
    """
    land = _LANDS[setting.place]
    sky = [_rgb(code) for code in _sky(setting, land)]
    canvas = np.full((side, side, 3), sky[0], np.float32)
    phase, horizon = float(rng.uniform(0, 1)), land.horizon
    _bands(canvas, sky, [Edge(horizon * i / len(sky) - (i == 0)) for i in range(len(sky))])
    if setting.night or setting.place in BEYOND:
        _stars(canvas, 0.9 * horizon, rng)
    dark = setting.night and setting.place not in INDOORS
    light, on_props = (0.6, _PROPS_AT_NIGHT) if dark else (1.0, light_of(setting))
    larger = 1.25 if alone else 1.0
    layers = ("sky", "horizon", "far"), ("ground", "beach", "wall", "counter")
    taken = list(things)
    for number, layer in enumerate(layers):
        if number and land.ground:
            colours = [_rgb(code) * np.float32(light) + np.float32(0.12 * (1 - light))
                       * _rgb("4a5fa0") for code in _ground(setting, land)]  # fmt: skip
            step = (1 - horizon) / len(colours)
            _bands(canvas, colours, [Edge(horizon + i * step, land.curve, phase + 0.37 * i)
                                     for i in range(len(colours))])  # fmt: skip
            marks = _marks(setting, land)
            if marks is not None:
                MARKINGS[marks](canvas, horizon, np.random.default_rng(int(phase * 2**32)))
        if number and land.water is not None:
            _waves(canvas, land.water, light, rng)
        for prop, cut in props:
            if prop.where in layer:
                shown = cut if prop.where in ("sky", "horizon") else lit(cut, on_props)
                larger_prop = prop._replace(height=prop.height * larger)
                taken += _place(canvas, larger_prop, shown, land, rng, things=taken)
    if setting.weather == "fog":
        canvas += np.float32(0.5) * (_rgb("e9eef1") - canvas)
    return canvas


def veil(canvas: Floats, setting: Setting, rng: np.random.Generator) -> None:
    """Rain, snow and fog before the things, in place."""
    if setting.weather == "rain":
        for x, y in rng.uniform(0, 1, (38, 2)).tolist():
            draw(canvas, Stroke(x, y, 0.006, -0.018, 0.07), _rgb("5f8fb8"), 0.75)
    elif setting.weather == "snowfall":
        for x, y in rng.uniform(0, 1, (44, 2)).tolist():
            draw(canvas, Stroke(x, y, float(rng.uniform(0.008, 0.015))), _rgb("ffffff"))
    elif setting.weather == "fog":
        side = len(canvas)
        y = (np.arange(side) + 0.5) / side
        for middle in (0.55, 0.8):
            share = 0.5 * np.clip(1 - np.abs(y - middle) / 0.07, 0, 1)
            canvas += share[:, None, None].astype(np.float32) * (_rgb("f3f6f8") - canvas)


def _ground(setting: Setting, land: Land) -> tuple[str, ...]:
    """Colours of the ground, from far to near; white where it snows on land."""
    if setting.weather == "snowfall" and land.water is None and setting.place not in INDOORS:
        return _LANDS["snow"].ground
    return land.ground


def _marks(setting: Setting, land: Land) -> str | None:
    """What is on the ground: none on a water, drifts where it snows."""
    if setting.weather == "snowfall" and land.water is None and setting.place not in INDOORS:
        return "drifts"
    return land.marks


def _sky(setting: Setting, land: Land) -> tuple[str, ...]:
    if setting.place in (*INDOORS, *BEYOND, "underwater"):
        return land.sky
    if setting.night:
        return _NIGHT
    if setting.sunset:
        return _SUNSET
    return _GREY if setting.weather in ("rain", "fog", "cloudy") else land.sky


def _rgb(code: str) -> Floats:
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def _bands(canvas: Floats, colours: Sequence[Floats], edges: Sequence[Edge]) -> None:
    """Flat bands, each over what is below its upper edge, with smooth edges."""
    side = len(canvas)
    x = (np.arange(side) + 0.5) / side
    y = (np.arange(side)[:, None] + 0.5) / side
    for colour, edge in zip(colours, edges, strict=True):
        wave = edge.curve * np.sin(2 * np.pi * (0.9 * x + edge.phase))
        share = np.clip((y - edge.height - wave) * side + 0.5, 0, 1)[..., None]
        canvas += share.astype(np.float32) * (colour - canvas)


class Edge(NamedTuple):
    """Upper edge of a band: a wave."""

    height: float
    curve: float = 0.0
    phase: float = 0.0


def _place(
    canvas: Floats, prop: Prop, cut: Floats, land: Land, rng: np.random.Generator, *,
    things: Sequence[Spot],
) -> list[Spot]:  # fmt: skip
    """Paste all copies of a prop where it belongs.

    Returns:
        Where it is, if it is single.
    """
    found: list[Spot] = []
    aspect, horizon = cut.shape[1] / cut.shape[0], land.horizon
    for drawn in _columns(prop, rng):
        high = min(prop.height * float(rng.uniform(0.8, 1.1)), 0.9, 0.45 / aspect)
        lowest = 0.8 if horizon == 1 else min(0.3, 0.55 * horizon)
        if prop.copies == 1 and horizon < 1:
            lowest = _HIGH  # above the trees
        tops = {
            "sky": float(rng.uniform(0.05, lowest)),
            "far": horizon + land.curve + 0.01 - _ABOVE * high,
            "horizon": horizon - 0.62 * high,
            "wall": 0.42 * horizon - high / 2,
            "counter": horizon - COUNTER + 0.01 - high,
            "beach": horizon + 0.26 - high,
            "ground": horizon + 0.035 + float(rng.uniform(0, 0.03)) - high,
        }
        wide, top = high * aspect, tops[prop.where]
        place: float | None = drawn if prop.at is None else prop.at
        if prop.at is None and prop.copies == 1:
            place = _seen_best(drawn, (top, wide, high), things)
        if place is None:
            continue
        box = (place - wide / 2, top, wide, high)
        if prop.where in ("ground", "beach"):
            cast(canvas, cut, box)
        paste_box(canvas, cut, box)
        if prop.copies == 1:
            found.append(Spot(-1, *box))
    return found


def _seen_best(drawn: float, sizes: tuple[float, float, float], things: Sequence[Spot]
               ) -> float | None:  # fmt: skip
    """The column in which things hide least of a prop; None where they hide too much everywhere.

    Args:
        drawn: where chance puts it, which is kept where nothing hides it.
        sizes: its top, width and height.
        things: that are painted before it.
    """
    top, wide, high = sizes

    def hidden(middle: float) -> float:
        left, right = max(0.0, middle - wide / 2), min(1.0, middle + wide / 2)
        covered = sum(
            max(0.0, min(right, each.right) - max(left, each.left))
            * max(0.0, min(top + high, each.bottom) - max(top, each.top))
            for each in things
        )
        return float(covered / ((right - left) * high))

    best = min((drawn, *_COLUMNS), key=hidden)
    return best if hidden(best) < _HIDDEN else None


def _columns(prop: Prop, rng: np.random.Generator) -> list[float]:
    """Where the middles of a prop's copies are: rather at the sides, where no thing stands."""
    if prop.where == "horizon":
        return [float(rng.choice((0.17, 0.83)))]
    if prop.where == "beach":
        return [float(rng.choice((0.14, 0.86)))]
    shift = float(rng.uniform(-0.04, 0.04))
    if prop.copies == 1:
        return [float(rng.choice((0.2, 0.8))) + shift]
    if prop.copies == 2:
        return [0.13 + shift, 0.86 - shift]
    step = 1.0 / prop.copies
    return [step * (i + 0.5) + float(rng.uniform(-0.3, 0.3)) * step for i in range(prop.copies)]


def _stars(canvas: Floats, bottom: float, rng: np.random.Generator) -> None:
    for x, y in rng.uniform(0, 1, (26, 2)).tolist():
        draw(canvas, Stroke(x, y * bottom, float(rng.uniform(0.004, 0.01))), _rgb("fff3c4"))


def _waves(canvas: Floats, water: tuple[float, float], light: float, rng: np.random.Generator
           ) -> None:  # fmt: skip
    """Short light strokes on water."""
    for x, y in rng.uniform(0, 1, (9, 2)).tolist():
        row = water[0] + y * (water[1] - water[0])
        stroke = Stroke(x, row, 0.005, right=float(rng.uniform(0.06, 0.14)))
        draw(canvas, stroke, _rgb("e8f6fc") * np.float32(light), 0.55)
