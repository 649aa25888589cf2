"""Pictures as ICO: icons of applications and sites (``favicon.ico``), each in several sizes.

The layout is that of the format's directory of images (ICONDIR and ICONDIRENTRY of Windows), each a
whole PNG, as all browsers and Windows since Vista read them. The largest is the picture itself,
with its record.
"""

from __future__ import annotations

import struct

from PIL import Image

from limner.errors import UsageError
from limner.vision.images import png_bytes

MOST_SIDE = 256
"""Of a picture in an ICO, in pixels."""
_SIDES = (16, 24, 32, 48, 64, 128)
"""In which the picture is there as well, where it is larger than these."""
_HEAD, _ENTRY = struct.Struct("<HHH"), struct.Struct("<BBBBHHII")
_ICON = 1


def check_side(width: int, height: int) -> None:
    """Refuse what an ICO cannot hold.

    Args:
        width: of the picture, in pixels.
        height: as ``width``.

    Raises:
        UsageError: it is larger than 256 pixels, or not square.
    """
    if width != height or width > MOST_SIDE:
        raise UsageError(
            f"an ICO holds a square picture of at most {MOST_SIDE} x {MOST_SIDE} pixels, not one "
            f"of {width} x {height}: ask for another size, or write it as PNG"
        )


def to_ico(image: Image.Image, texts: dict[str, str]) -> bytes:
    """An ICO of a square RGB or RGBA picture, in all smaller usual sizes as well.

    Args:
        image: of at most 256 pixels a side.
        texts: text chunks of the picture itself.

    Raises:
        UsageError: see :func:`check_side`.
    """
    check_side(*image.size)
    smaller = [
        image.resize((side, side), Image.Resampling.LANCZOS)
        for side in _SIDES
        if side < image.width
    ]
    files = [*map(png_bytes, smaller), png_bytes(image, texts)]
    bits, entries = 8 * len(image.getbands()), b""
    start = _HEAD.size + _ENTRY.size * len(files)
    for each, file in zip((*smaller, image), files, strict=True):
        side = each.width % MOST_SIDE  # 0 stands for 256
        entries += _ENTRY.pack(side, side, 0, 0, 1, bits, len(file), start)
        start += len(file)
    return _HEAD.pack(0, _ICON, len(files)) + entries + b"".join(files)


def largest_file(data: bytes) -> bytes:
    """The file of the largest picture in an ICO; a PNG where limner has written it.

    Raises:
        ValueError: the directory is cut short, or names no file.
    """
    try:
        _, _, count = _HEAD.unpack_from(data)
        entries = [
            _ENTRY.unpack_from(data, _HEAD.size + _ENTRY.size * number) for number in range(count)
        ]
    except struct.error as error:
        raise ValueError("its directory of pictures is cut short") from error
    if not entries:
        raise ValueError("there is no picture in it")
    *_, size, start = max(entries, key=lambda entry: (entry[0] - 1) % MOST_SIDE)
    return data[start : start + size]
