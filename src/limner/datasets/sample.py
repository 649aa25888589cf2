"""A small folder of captioned pictures, drawn by code, to try every command on offline."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw

from limner.errors import DataError
from limner.files import make_folder

COLOURS = {
    "red": (214, 40, 40),
    "green": (60, 160, 70),
    "blue": (40, 90, 210),
    "yellow": (245, 200, 40),
    "purple": (130, 60, 170),
}
SHAPES = ("circle", "square", "heart", "triangle")
SIDES = (48, 60, 76)
_WIDTH, _HEIGHT, _SCALE = 96, 80, 4


def make_sample(folder: Path) -> int:
    """Draw the sample: 60 pictures of 96x80 pixels, four shapes in five colours and three sizes.

    Beside each PNG lies a text file with its captions, one a line, such as ``a red heart``.

    Args:
        folder: made here; it may exist if it is empty.

    Returns:
        The number of pictures.

    Raises:
        DataError: the folder holds something already, or cannot be written.
    """
    make_folder(folder, DataError)
    try:
        if any(folder.iterdir()):
            raise DataError(f"{folder} is not empty; name a new folder for the sample")
        for colour, shape, side in product(COLOURS, SHAPES, SIDES):
            file = folder / f"{colour}-{shape}-{side}.png"
            _draw(shape, COLOURS[colour], side).save(file)
            file.with_suffix(".txt").write_text(f"a {colour} {shape}\n{shape}\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error
    return len(COLOURS) * len(SHAPES) * len(SIDES)


def _draw(shape: str, rgb: tuple[int, int, int], side: int) -> Image.Image:
    """A shape on white; drawn four times as large and reduced, so that its edges are smooth."""
    picture = Image.new("RGB", (_SCALE * _WIDTH, _SCALE * _HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    side, half = _SCALE * side, _SCALE * side // 2
    x, y = (picture.width - side) // 2, (picture.height - side) // 2
    if shape == "circle":
        draw.ellipse((x, y, x + side, y + side), fill=rgb)
    elif shape == "square":
        draw.rectangle((x, y, x + side, y + side), fill=rgb)
    elif shape == "triangle":
        draw.polygon([(x + half, y), (x + side, y + side), (x, y + side)], fill=rgb)
    else:
        draw.ellipse((x, y, x + half, y + half), fill=rgb)
        draw.ellipse((x + half, y, x + side, y + half), fill=rgb)
        shoulder = y + half // 2 + side // 15
        draw.polygon([(x, shoulder), (x + side, shoulder), (x + half, y + side)], fill=rgb)
    return picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
