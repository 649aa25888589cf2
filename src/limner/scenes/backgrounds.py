"""Backgrounds of scenes: colours, their shades, and white, with their names.

Backgrounds have names of their own because prompts ask for more shades of them than of things
(*navy*, *beige*, *light green*), and for white in many words although it is the default.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.scenes.colours import COLOURS, to_rgb

SIGNS = ("background", "backdrop", "背景")
"""Words that mark a phrase about the background."""


@dataclass(frozen=True)
class Background:
    """A colour of a background.

    Attributes:
        hue: degrees in [0, 360).
        saturation: in [0, 1].
        value: in [0, 1].
        zh: its name in Chinese; that in English is its key.
        of: the colour of ``COLOURS`` that it is, or is a shade of; None for white and for other
            colours.
    """

    hue: float
    saturation: float
    value: float
    zh: str
    of: str | None = None

    @property
    def white(self) -> bool:
        """Whether it is plain white, the default."""
        return self.saturation == 0 and self.value == 1


PLAIN = tuple(name for name in COLOURS if name != "turquoise")
"""The ten colours of scenes."""
_ZH = {name: colour.words["zh"][1].format("") for name, colour in COLOURS.items()}
_WHITE = {
    "white": "白色", "plain white": "纯白色", "plain": "素色", "transparent": "透明",
    "blank": "空白", "clean white": "干净的白色",
}  # fmt: skip
_NAMED = {
    "beige": ("f1e7cf", "米色", None), "cream": ("fdf3d6", "奶油色", None),
    "gold": ("dcae3c", "金色", "yellow"), "golden": ("dcae3c", "金黄色", "yellow"),
    "silver": ("c3c8ce", "银色", "grey"), "navy": ("1c2b57", "藏青色", "blue"),
    "navy blue": ("1c2b57", "海军蓝色", "blue"), "sky blue": ("88cdee", "天蓝色", "blue"),
    "turquoise": ("3dcabf", "青绿色", "green"), "teal": ("1e8c8c", "蓝绿色", "green"),
    "cyan": ("35c9dd", "青色", "blue"), "mint": ("b4ead0", "薄荷色", "green"),
    "mint green": ("b4ead0", "薄荷绿色", "green"), "lime": ("b4e02d", "青柠色", "green"),
    "olive": ("7d7c2e", "橄榄色", "green"), "lavender": ("d5cbf3", "薰衣草色", "purple"),
    "lilac": ("c9a9dd", "丁香色", "purple"), "violet": ("7d3fc4", "紫罗兰色", "purple"),
    "indigo": ("403aa6", "靛蓝色", "blue"), "magenta": ("d61f83", "洋红色", "pink"),
    "salmon": ("fa9480", "鲑鱼色", "pink"), "coral": ("ff7f63", "珊瑚色", "orange"),
    "peach": ("ffd2b1", "桃色", "orange"), "maroon": ("6e1623", "栗色", "red"),
    "crimson": ("b3142f", "深红色", "red"), "tan": ("d0b38c", "棕褐色", "brown"),
    "khaki": ("c7b98b", "卡其色", "brown"), "mustard": ("d8a62c", "芥末色", "yellow"),
    "ivory": ("fbf8ea", "象牙色", None), "charcoal": ("3a3f46", "炭黑色", "black"),
}  # fmt: skip
_TONES = {
    "light": (0.42, 0.55, "浅"), "pale": (0.28, 0.75, "淡"), "pastel": (0.35, 0.7, "柔和的"),
    "dark": (1.05, -0.45, "深"), "bright": (1.15, 0.25, "亮"),
}  # fmt: skip
"""Tone -> factor of the saturation, share of the way to full value (to zero where negative), and
its name in Chinese."""


def _named(name: str) -> Background:
    code, zh, of = _NAMED[name]
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    return Background(360 * hue, saturation, value, zh, of)


def _toned(tone: str, name: str) -> Background:
    times, way, zh = _TONES[tone]
    colour = COLOURS[name]
    value = colour.value + way * (1 - colour.value if way > 0 else colour.value)
    return Background(colour.hue, min(1.0, times * colour.saturation), value, zh + _ZH[name], name)


BACKGROUNDS: Mapping[str, Background] = (
    {name: Background(c.hue, c.saturation, c.value, _ZH[name], name)
     for name in PLAIN for c in [COLOURS[name]]}
    | {name: Background(0.0, 0.0, 1.0, zh) for name, zh in _WHITE.items()}
    | {f"{tone} {name}": _toned(tone, name)
       for tone in _TONES for name in PLAIN if name != "black"}
    | {name: _named(name) for name in _NAMED}
)  # fmt: skip
"""English name -> background; the ten colours of scenes first."""

WHITES = tuple(_WHITE)
SHADES = tuple(name for name in BACKGROUNDS if name not in PLAIN and name not in _WHITE)


def background_rgb(name: str) -> tuple[float, float, float]:
    """Red, green and blue in [0, 1] of a background, the middle of the shades it is drawn in."""
    colour = BACKGROUNDS[name]
    shade = to_rgb(np.array(colour.hue), np.array(colour.saturation), np.array(colour.value))
    red, green, blue = map(float, shade)
    return red, green, blue
