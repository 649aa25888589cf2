"""Contact sheets: many pictures on one, with captions where wanted."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limner.errors import UsageError
from limner.generation.prompts import quoted, warn
from limner.vision.images import on_white

Picturelike: TypeAlias = Image.Image | NDArray[np.uint8]

_PAD = 4
_BACKGROUND = (238, 238, 238)
_INK = (32, 32, 32)
_FONT_SIZE = 11
"""Of captions below small pictures; a twentieth of the width of large ones."""
_LINES = 2
# The font inside Pillow holds English letters only; a caption beyond it asks the system by name.
_WIDE_FONTS = (
    "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc",
    "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "AppleSDGothicNeo.ttc",
    "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "NotoSansArabic-Regular.ttf",
    "Nirmala.ttf", "tahoma.ttf", "FreeSans.ttf", "Arial Unicode.ttf", "unifont.ttf",
)  # fmt: skip
_NO_SIGN = "\U0010ffff"
"""What no font has a sign for."""
_MAX_SIDE = 65_000

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def grid(
    images: Sequence[Picturelike],
    columns: int | None = None,
    captions: Sequence[str] | None = None,
) -> Image.Image:
    """One contact sheet, filled row by row.

    Args:
        images: PIL pictures or ``(H, W, 3)`` uint8 arrays; cells take the size of the largest.
        columns: pictures per row; None for a sheet about as wide as high.
        captions: one short text below each picture, cut to two lines.

    Returns:
        An RGB picture on a light background.

    Raises:
        UsageError: no pictures, no columns, another number of captions than pictures, or a
            sheet too large for any viewer.

    Warns:
        PromptWarning: no font of this machine has the signs of a caption.
    """
    opened = (one if isinstance(one, Image.Image) else Image.fromarray(one) for one in images)
    pictures = [on_white(one) for one in opened]
    if not pictures:
        raise UsageError("a contact sheet needs at least one picture")
    if captions is not None and len(captions) != len(pictures):
        raise UsageError(f"{len(captions)} captions for {len(pictures)} pictures")
    columns = math.ceil(math.sqrt(len(pictures))) if columns is None else columns
    if columns < 1:
        raise UsageError(f"a contact sheet needs at least one column, not {columns}")
    columns = min(columns, len(pictures))
    cell_w, cell_h = max(p.width for p in pictures), max(p.height for p in pictures)
    font_size = max(_FONT_SIZE, cell_w // 20)
    line_height = font_size + 3
    band = _LINES * line_height if captions is not None else 0
    step_w, step_h = cell_w + _PAD, cell_h + band + _PAD
    size = check_sheet(len(pictures), (cell_w, cell_h + band), columns)
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        x, y = _PAD + i % columns * step_w, _PAD + i // columns * step_h
        sheet.paste(picture, (x, y))
        if captions is not None:
            font = _font(captions[i], font_size)
            for k, line in enumerate(_wrap(captions[i], font, cell_w)):
                pen.text((x, y + cell_h + 1 + k * line_height), line, fill=_INK, font=font)
    return sheet


def check_sheet(count: int, cell: tuple[int, int], columns: int | None = None) -> tuple[int, int]:
    """Width and height in pixels of a contact sheet of ``count`` cells, captions included.

    Raises:
        UsageError: it would be too large for any viewer.
    """
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    width = columns * (cell[0] + _PAD) + _PAD
    height = math.ceil(count / columns) * (cell[1] + _PAD) + _PAD
    if max(width, height) > _MAX_SIDE:
        raise UsageError(
            f"a contact sheet of {count} pictures would be {width} x {height} pixels; "
            f"ask for fewer pictures"
        )
    return width, height


def _font(text: str, size: int) -> _Font:
    """A font of this machine that has all signs of a caption."""
    opened = (_opened(name, size) for name in ("", *_WIDE_FONTS))
    fonts = [font for font in opened if font is not None]
    for font in fonts:
        if all(_draws(font, sign) for sign in {*text} if sign.isalnum()):
            return font
    warn(f"no font of this machine has all signs of {quoted(text)}; boxes stand for them below the "
         "picture: install a font such as Noto Sans CJK")  # fmt: skip
    return fonts[min(1, len(fonts) - 1)]


@cache
def _opened(name: str, size: int) -> _Font | None:
    """A font of the system by its file's name, that inside Pillow for none; None if not there."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


@cache
def _draws(font: _Font, sign: str) -> bool:
    """Whether a font has a sign: else it draws the box that it draws for every other."""
    return bytes(font.getmask(sign)) != bytes(font.getmask(_NO_SIGN))


def _wrap(text: str, font: _Font, width: int) -> list[str]:
    """Break a caption into at most two lines that fit, at spaces where there are any."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < _LINES:
        fit = _fitting(rest, font, width)
        if fit < len(rest) and len(lines) == _LINES - 1:
            fit = _fitting(rest, font, width - int(font.getlength("…")))
            return [*lines, rest[:fit].rstrip() + "…"]
        space = rest.rfind(" ", 1, fit + 1)
        cut = space if fit < len(rest) and space > 0 else fit
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return lines


def _fitting(text: str, font: _Font, width: int) -> int:
    """How many leading characters of ``text`` fit in ``width`` pixels; at least one."""
    lengths = range(1, len(text) + 1)
    fit = bisect_right(lengths, float(width), key=lambda end: font.getlength(text[:end]))
    return fit or 1
