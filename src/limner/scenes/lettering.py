"""Words written on a drawn thing: on the board of a sign, on a heart, on the front of a shirt.

They stand in the largest rectangle inside the thing, in as many lines as make the letters largest,
dark on light things and light on dark ones. What is drawn below them is covered by the colour
around it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from limner.arrays import Floats, Mask
from limner.scenes.cutout import resize

_MARKS = {
    "\u0301": "´", "\u0300": "`", "\u0302": "^", "\u0303": "~", "\u0308": "..", "\u030a": "°",
    "\u0327": ",", "\u030c": "v", "\u0328": ",",
}  # fmt: skip
"""Accents, and the signs of the font that they are written as, above a letter or below it."""
_HALF = frozenset("\u030c")
"""Accents that are signs of half the size."""
_GAP = 0.05
"""Between an accent and its letter, of the size."""
_BELOW = frozenset("\u0327\u0328")
_LETTERS = frozenset(map(chr, range(32, 127)))
_PLAIN = str.maketrans({
    "ß": "ss", "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "…": "...", "–": "-", "—": "-",
    "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ı": "i", "¡": "!", "¿": "?",
    "ł": "l", "Ł": "L",
})  # fmt: skip
_EM, _LINE, _BOLD = 100, 1.15, 0.035
"""Size at which text is measured; height of a line and width of a stroke's border, of the size."""
_FILLED = (0.9, 0.84)
"""Greatest share of the rectangle's width and height that the letters take."""
_MOST_LINES = 5
_LOOKED, _SOLID, _INNER = 48, 0.9, 1
"""Side at which the rectangle is looked for; least alpha; pixels by which it keeps off the edge."""
_LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)
_LIGHT = 0.6
"""Luminance from which on what is written on is light."""
_INK = ((0.16, 0.17, 0.22), (1.0, 1.0, 1.0))
"""Colours of letters on light and on dark."""
_ALIKE, _EVEN, _FADE = 0.12, 0.6, 0.08
"""Difference from the median colour, of 1, up to which pixels are what is written on; share of them
from which on all else is covered; border in which that fades, of the shorter side."""
HEADING = 0.2
"""Share of a picture's height that a heading has."""
_HEADING_SIZE, _HEADING_AT = 0.115, 0.55
"""Greatest size of its letters, of the side, and its middle, of its height."""
_DRAWN = 1024
"""Side at which letters are drawn, to be reduced to the picture's: those of a few pixels, too, are
as wide as they should be, and smooth."""
_PADDING, _SOFT = 0.22, 0.012
"""Border of the cover, of the size of the letters; blur of its edge, of the picture's side."""


def can_be_written(words: str) -> bool:
    """Whether there are letters for all of some words: Latin ones, with accents."""
    return bool(words.strip()) and all(
        base in _LETTERS and all(mark in _MARKS for mark in marks)
        for base, marks in _clusters(words)
    )


def write(canvas: Floats, cut: Floats, box: tuple[float, float, float, float], words: str) -> None:
    """Write words on a thing that was pasted on a canvas, in place.

    Args:
        canvas: ``(S, S, 3)``, or of 4 premultiplied, in [0, 1].
        cut: the thing, ``(H, W, 4)``, premultiplied.
        box: where it is: left, top, width and height in shares of the side.
        words: that can be written.
    """
    side = len(canvas)
    left, top, wide, high = _largest_rectangle(cut)
    area = (box[0] + left * box[2], box[1] + top * box[3], wide * box[2], high * box[3])
    x, y = area[0] * side, area[1] * side
    width, height = area[2] * side, area[3] * side
    lines, size = _set(words, width, height)
    letters, cover = _masks(lines, size, (x + width / 2, y + height / 2), side)
    rows, columns = slice(round(y), round(y + height)), slice(round(x), round(x + width))
    part = canvas[rows, columns]
    if part.size == 0:
        return
    ground, even = _ground(part[..., :3])
    shown = part[..., 3:] if canvas.shape[2] == 4 else np.float32(1.0)
    under = np.float32(1.0) if even else cover[rows, columns, None]
    part[..., :3] += under * _faded(part.shape[:2]) * (ground * shown - part[..., :3])
    luminance = float(ground.mean((0, 1)) @ _LUMINANCE)
    ink = np.array(_INK[0 if luminance > _LIGHT else 1], np.float32)
    part[..., :3] += letters[rows, columns, None] * (ink * shown - part[..., :3])


def write_heading(canvas: Floats, words: str) -> None:
    """Write words in the upper part of a picture, :data:`HEADING` of it high, in place.

    Args:
        canvas: as for :func:`write`.
        words: that can be written.
    """
    side = len(canvas)
    lines, size = _set(words, side, HEADING * side)
    size = min(size, round(_HEADING_SIZE * side))
    letters, _ = _masks(lines, size, (side / 2, _HEADING_AT * HEADING * side), side)
    part = canvas[: round(HEADING * side)]
    shown = part[..., 3] if canvas.shape[2] == 4 else np.ones(part.shape[:2], np.float32)
    # where nothing is painted, pictures are seen on white
    luminance = float((part[..., :3] @ _LUMINANCE + 1 - shown).mean())
    ink = np.array((*_INK[0 if luminance > _LIGHT else 1], 1.0), np.float32)
    canvas += letters[..., None] * (ink[: canvas.shape[2]] - canvas)


def _ground(part: Floats) -> tuple[Floats, bool]:
    """The colour of what is written on, and whether that is most of it.

    A plane is fitted to each channel of the pixels that are like the median, so that shades stay.

    Args:
        part: ``(H, W, 3)``.
    """
    high, wide = part.shape[:2]
    y, x = np.mgrid[0:high, 0:wide] / max(high, wide)
    places = np.stack([np.ones_like(x), x, y], -1)
    near = np.abs(part - np.median(part, (0, 1))).max(-1) < _ALIKE
    if near.sum() < len(places[0]):
        near |= True
    plane = places @ np.linalg.lstsq(places[near], part[near].astype(np.float64), rcond=None)[0]
    return plane.clip(0, 1).astype(np.float32), bool(near.mean() > _EVEN)


def _faded(shape: tuple[int, int]) -> Floats:
    """One within a rectangle, less at its border, ``(H, W, 1)``."""
    high, wide = (np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in shape)
    border = max(1.0, _FADE * min(shape))
    return np.minimum(1, np.minimum.outer(high, wide) / border)[..., None].astype(np.float32)


def _clusters(words: str) -> Iterator[tuple[str, str]]:
    """Letters with the accents that stand on each."""
    base, marks = "", ""
    for sign in unicodedata.normalize("NFD", words.translate(_PLAIN)):
        if base and unicodedata.combining(sign):
            marks += sign
        else:
            if base:
                yield base, marks
            base, marks = sign, ""
    if base:
        yield base, marks


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class _Line(NamedTuple):
    """A line of text and its width at the size at which text is measured."""

    text: str
    width: float


@cache
def _lowest(sign: str, size: int) -> int:
    """Where the ink of a sign ends, in pixels below the line; above it negative."""
    canvas = Image.new("L", (2 * size, 3 * size))
    ImageDraw.Draw(canvas).text((size, 2 * size), sign, fill=255, font=_font(size), anchor="ms")
    box = canvas.getbbox()
    assert box is not None
    return int(box[3]) - 2 * size


def _line(text: str) -> _Line:
    letters = [base for base, _ in _clusters(text)]
    width = sum(map(_font(_EM).getlength, letters))
    return _Line(text, width + (len(letters) + 1) * _BOLD * _EM)


def _set(words: str, width: float, height: float) -> tuple[list[_Line], int]:
    """The lines in which words are largest in a rectangle of some pixels, and the size then."""
    parts = words.split()
    best: tuple[float, list[_Line]] = (0.0, [_line(words)])
    for count in range(1, min(len(parts), _MOST_LINES) + 1):
        lines = _broken(parts, count)
        fit = _FILLED[0] * width / max(line.width for line in lines)
        size = min(fit, _FILLED[1] * height / (len(lines) * _LINE * _EM))
        if size > best[0]:
            best = size, lines
    return best[1], max(6, round(best[0] * _EM))


def _broken(parts: list[str], count: int) -> list[_Line]:
    """Words in a number of lines whose longest is as short as may be."""
    whole = _line(" ".join(parts)).width
    widest = max(_line(part).width for part in parts)
    for step in range(20):
        most = max(widest, whole / count) * (1 + 0.08 * step)
        lines: list[str] = []
        for part in parts:
            longer = f"{lines[-1]} {part}" if lines else part
            if lines and _line(longer).width <= most:
                lines[-1] = longer
            else:
                lines.append(part)
        if len(lines) <= count:
            break
    return [_line(line) for line in lines]


def _masks(
    lines: list[_Line], size: int, middle: tuple[float, float], side: int
) -> tuple[Floats, Floats]:
    """Where the letters are, and the cover below them, ``(S, S)`` in [0, 1]."""
    fine = max(1, round(_DRAWN / side))
    letters, cover = (Image.new("L", (fine * side, fine * side)) for _ in range(2))
    size, middle = fine * size, (fine * middle[0], fine * middle[1])
    ink, under = ImageDraw.Draw(letters), ImageDraw.Draw(cover)
    font, high = _font(size), size * _LINE
    top = middle[1] - high * len(lines) / 2
    border = round(_BOLD * size)
    for number, line in enumerate(lines):
        wide = line.width * size / _EM
        x, base = middle[0] - wide / 2, top + high * (number + 0.82)
        pad = _PADDING * size
        under.rounded_rectangle(
            (x - pad, top + high * number - 0.2 * pad, x + wide + pad, top + high * (number + 1)),
            radius=pad, fill=255,
        )  # fmt: skip
        for letter, marks in _clusters(line.text):
            ink.text((x, base), letter, fill=255, font=font, anchor="ls", stroke_width=border)
            box = font.getbbox(letter, anchor="ls") if marks else (0, 0, 0, 0)
            for mark in marks:
                sign, own = _MARKS[mark], size // 2 if mark in _HALF else size
                above = box[1] - _lowest(sign, own) - _GAP * size - 2 * border
                drop = 0.1 * size if mark in _BELOW else above
                at = (x + (box[0] + box[2]) / 2, base + drop)
                ink.text(at, sign, fill=255, font=_font(own), anchor="ms", stroke_width=border)
            x += font.getlength(letter) + border
    soft = cover.filter(ImageFilter.GaussianBlur(_SOFT * fine * side))
    full = np.float32(255)
    first, second = (np.asarray(each.reduce(fine), np.float32) / full for each in (letters, soft))
    return first, second


def _largest_rectangle(cut: Floats) -> tuple[float, float, float, float]:
    """The largest rectangle in a silhouette: left, top, width and height, in shares of its box."""
    high, wide = cut.shape[:2]
    small = resize(
        cut, *(max(4, round(n * min(1.0, _LOOKED / max(wide, high)))) for n in (wide, high))
    )
    solid: Mask = small[..., 3] > _SOLID
    rows, columns = solid.shape
    best, found = 0, (0, 0, columns, rows)
    heights = np.zeros(columns + 1, np.int64)
    for bottom in range(rows):
        heights[:columns] = np.where(solid[bottom], heights[:columns] + 1, 0)
        stack: list[int] = []
        for column in range(columns + 1):
            while stack and heights[stack[-1]] >= heights[column]:
                tall = int(heights[stack.pop()])
                left = stack[-1] + 1 if stack else 0
                if tall * (column - left) > best:
                    best = tall * (column - left)
                    found = (left, bottom - tall + 1, column - left, tall)
            stack.append(column)
    left, top, broad, tall = found
    inner = _INNER if min(broad, tall) > 4 * _INNER else 0
    return (
        (left + inner) / columns, (top + inner) / rows,
        (broad - 2 * inner) / columns, (tall - 2 * inner) / rows,
    )  # fmt: skip
