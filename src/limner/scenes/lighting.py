"""The light of a setting: on things and props, and the shadows of what stands on its ground.

A shadow is an ellipse under what of a thing touches the ground (contact shadow), darkest in the
middle. What floats is covered by water up to its waterline instead. All shadows are painted before
the things, so that none falls on another thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.arrays import Floats
from limner.scenes.actors import Spot
from limner.scenes.cutout import paste_box
from limner.scenes.matte import smoothed
from limner.scenes.paints import RGB
from limner.scenes.places import BEYOND, INDOORS, Setting
from limner.vision.masks import grown

Box = tuple[float, float, float, float]

_DAY: RGB = (1.0, 1.0, 1.0)
_NIGHT: RGB = (0.74, 0.78, 0.93)
_SUNSET: RGB = (1.0, 0.92, 0.84)
_DULL: RGB = (0.93, 0.95, 0.97)
"""Light on things, by channel."""
_SHINING = frozenset({
    "moon", "star", "stars", "sun", "fire", "campfire", "bonfire", "fireplace", "candle", "candles",
    "lamp", "lantern", "torch", "flame", "firework", "fireworks", "sparkler", "lightning", "bulb",
    "lava", "comet", "meteor", "headlight", "flashlight", "jack-o-lantern", "traffic",
})  # fmt: skip
"""Words for what gives light itself."""

_DARKER = 0.34
"""How much darker the middle of a shadow is than the ground."""
_CORE = 0.35
"""Share of the radius of a shadow from which on it fades."""
_FEET = 0.09
"""Share of a thing's height, from below, that touches the ground."""
_WIDER, _FLAT, _THICK = 1.16, 0.2, (0.012, 0.045)
"""Width of a shadow, of what touches the ground; its height, of its width, and the least and the
greatest, of the picture's side."""
_COVERED, _APART = 0.34, 0.015
"""Share of its width by which a thing upon or in another overlaps it; how much lower that is."""
_DRAUGHT, _SEEN, _SMOOTH = 0.11, 0.22, 0.5
"""Share of a floating thing's height that is under water, how much of it is seen, and the share
of that over which it fades."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of Rec. 709."""
_CLOSE, _MOSTLY, _COARSE = 0.09, 0.55, 2
"""Difference of luminance from what is behind it that most of the edge of a thing with a rim has at
most; the least share of the edge; only every so many pixels are looked at."""
_RIM, _RIM_SHARE, _DARK_BEHIND = 0.008, 0.5, 0.5
_LIGHT_RIM, _DARK_RIM = (0.78, 0.84, 0.96), (0.36, 0.38, 0.44)
"""Width of a rim, of the picture's side, and its opacity; luminance of what is behind a light one;
the colours of a light and of a dark one."""


@dataclass(frozen=True)
class Lighting:
    """How things are shown in a setting.

    Attributes:
        light: on them, by channel.
        ground: from which height on things touch the ground; None where there is no ground.
        water: heights between which things float; None where there is no water.
        shown: whether there is a setting at all.
    """

    light: RGB = _DAY
    ground: float | None = None
    water: tuple[float, float] | None = None
    shown: bool = False


def light_of(setting: Setting | None) -> RGB:
    """The light on things in a setting, by channel."""
    if setting is None or setting.place in (*INDOORS, *BEYOND, "underwater"):
        return _DAY
    if setting.night:
        return _NIGHT
    if setting.sunset:
        return _SUNSET
    return _DULL if setting.weather in ("rain", "fog", "cloudy") else _DAY


def shines(name: str) -> bool:
    """Whether a thing, by its English name, gives light itself."""
    return not _SHINING.isdisjoint(name.casefold().replace("-", " ").split())


def lit(cut: Floats, light: RGB) -> Floats:
    """A cut-out ``(H, W, 4)`` in some light."""
    if light == _DAY:
        return cut
    return cut * np.array([*light, 1.0], np.float32)


def standing(spots: Sequence[Spot], ground: float) -> list[Spot]:
    """The things that stand on the ground themselves: not upon others, in them, or in hands.

    Args:
        spots: of all things.
        ground: height from which on it is.
    """
    return [
        spot for spot in spots
        if spot.bottom >= ground and not any(_bears(other, spot) for other in spots)
    ]  # fmt: skip


def _bears(other: Spot, spot: Spot) -> bool:
    """Whether a thing may be upon another or in it: it ends within the other's box."""
    if other is spot or not other.top < spot.bottom < other.bottom - _APART:
        return False
    shared = min(spot.right, other.right) - max(spot.left, other.left)
    return shared > _COVERED * spot.width


def cast(canvas: Floats, cut: Floats, box: Box) -> None:
    """Paint the shadow of what stands on the ground, in place.

    Args:
        canvas: ``(S, S, 3)`` in [0, 1].
        cut: the thing, ``(H, W, 4)``.
        box: where it will be: left, top, width and height, in shares of the canvas.
    """
    side, (left, top, wide, high) = len(canvas), box
    feet = np.flatnonzero((cut[-max(1, round(_FEET * len(cut))) :, :, 3] > 0.5).any(0))
    if not len(feet):
        return
    first, last = feet[0] / cut.shape[1], (feet[-1] + 1) / cut.shape[1]
    across = _WIDER * (last - first) * wide * side / 2
    least, most = _THICK
    down = float(np.clip(_FLAT * across, least * side / 2, most * side / 2))
    x, y = (left + (first + last) / 2 * wide) * side, (top + high) * side - 0.4 * down
    rows = slice(max(0, int(y - down)), max(0, min(side, int(y + down) + 2)))
    columns = slice(max(0, int(x - across)), max(0, min(side, int(x + across) + 2)))
    ys = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - y) / down
    xs = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - x) / across
    far = np.sqrt(ys * ys + xs * xs)
    share = ((1 - far) / (1 - _CORE)).clip(0, 1)
    share = share * share * (3 - 2 * share)
    canvas[rows, columns, :3] *= (1 - np.float32(_DARKER) * share)[..., None]


def outlined(canvas: Floats, cut: Floats, box: Box) -> None:
    """Paint a soft rim behind a thing that is hardly lighter or darker than what is behind it.

    Args:
        canvas: ``(S, S, 3)`` in [0, 1], in place.
        cut: the thing, ``(H, W, 4)``, as it will be painted.
        box: where: left, top, width and height, in shares of the canvas.
    """
    side, (left, top, wide, high) = len(canvas), box
    rows, columns = (
        slice(max(0, round(first * side)), max(0, round((first + length) * side)), _COARSE)
        for first, length in ((top, high), (left, wide))
    )
    solid = cut[..., 3] > 0.5
    outside = grown(np.pad(~solid, 1, constant_values=True))[1:-1, 1:-1]
    edge = (solid & outside)[::_COARSE, ::_COARSE]
    behind = canvas[rows, columns, :3]
    if not edge.any() or not behind.size:
        return
    level = float(np.median(behind @ _LUMINANCE))
    own = cut[::_COARSE, ::_COARSE, :3][edge] @ _LUMINANCE
    if (np.abs(own - level) < _CLOSE).mean() < _MOSTLY:
        return
    margin = max(2, round(_RIM * side))
    tall, across = max(1, round(high * side)), max(1, round(wide * side))
    nearest = (
        (np.arange(tall) * len(cut) // tall)[:, None],
        np.arange(across) * cut.shape[1] // across,
    )
    mask = np.pad(cut[..., 3][nearest], margin)
    for _ in range(margin**2):
        mask = smoothed(mask)
    share = np.float32(_RIM_SHARE) * (2 * mask).clip(0, 1)
    colour = _LIGHT_RIM if level < _DARK_BEHIND else _DARK_RIM
    rim = share[..., None] * np.array([*colour, 1.0], np.float32)
    reach = margin / side
    paste_box(canvas, rim,
              (left - reach, top - reach, mask.shape[1] / side, mask.shape[0] / side))  # fmt: skip


def afloat(cut: Floats) -> Floats:
    """A cut-out ``(H, W, 4)`` of which what is under water is hardly seen."""
    high = len(cut)
    depth = (np.arange(high, dtype=np.float32) + 0.5 - (1 - _DRAUGHT) * high) / (_DRAUGHT * high)
    share = 1 - (1 - _SEEN) * (depth / _SMOOTH).clip(0, 1)
    return cut * share[:, None, None].astype(np.float32)
