"""Colours as numbers: of hex digits, and the paints of what is painted of few shapes by name."""

from __future__ import annotations

RGB = tuple[float, float, float]
"""Red, green and blue, each in [0, 1]."""
PAINTS = {
    "red": "#e5394d", "dark red": "#b3263e", "orange": "#f58a2e", "yellow": "#fbc83c",
    "straw": "#e2b858", "cream": "#f7e8cf", "white": "#f5f5f8", "light": "#d9dde6",
    "grey": "#a9b0bd", "stone": "#8f97a6", "dark": "#4a4f5f", "black": "#343846",
    "wood": "#a5683d", "brown": "#75452b", "tan": "#d6a268", "green": "#57b356",
    "leaf": "#37863f", "olive": "#6f8b45", "teal": "#2fa7a2", "sky": "#93cff3",
    "blue": "#3f86dc", "navy": "#2c4888", "glass": "#c3e8f7", "snow": "#f3fbff",
    "ice": "#dcf2fc", "ice blue": "#a6daf3", "deep ice": "#77bfe6", "pink": "#f3a1be",
    "purple": "#7d55c2", "lilac": "#b79ae6",
}  # fmt: skip
"""Colours by their names."""


def of_hex(written: str) -> RGB:
    """The colour that ``#rrggbb`` is."""
    red, green, blue = bytes.fromhex(written.removeprefix("#"))
    return red / 255, green / 255, blue / 255


def paint(name: str) -> RGB:
    """A colour by its name.

    Raises:
        KeyError: there is no such colour.
    """
    return of_hex(PAINTS[name])
