"""The light of a setting: on things and props, and the shadows of what stands on its ground.

A shadow is an ellipse under what of a thing touches the ground (contact shadow), darkest in the
middle. What floats is covered by water up to its waterline instead. All shadows are painted before
the things, so that none falls on another thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.scenes.cutout import Floats
from limner.scenes.places import INDOORS, Setting
from limner.scenes.staging import Spot

Box = tuple[float, float, float, float]
RGB = tuple[float, float, float]

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


@dataclass(frozen=True)
class Lighting:
    """How things are shown in a setting.

    Attributes:
        light: on them, by channel.
        ground: from which height on things touch the ground; None where there is no ground.
        water: heights between which things float; None where there is no water.
    """

    light: RGB = _DAY
    ground: float | None = None
    water: tuple[float, float] | None = None


def light_of(setting: Setting | None) -> RGB:
    """The light on things in a setting, by channel."""
    if setting is None or setting.place in (*INDOORS, "space", "underwater"):
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


def afloat(cut: Floats) -> Floats:
    """A cut-out ``(H, W, 4)`` of which what is under water is hardly seen."""
    high = len(cut)
    depth = (np.arange(high, dtype=np.float32) + 0.5 - (1 - _DRAUGHT) * high) / (_DRAUGHT * high)
    share = 1 - (1 - _SEEN) * (depth / _SMOOTH).clip(0, 1)
    return cut * share[:, None, None].astype(np.float32)
