"""Contact sheets: many pictures of a store in one PNG, with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.data.store import Store
from limner.errors import DataError
from limner.files import whole_file

_BAND = 14
_GAP = 6
_TEXT_COLOUR = (60, 60, 60)


def _drawable(text: str) -> str:
    """Keep what Pillow's built-in font can draw (Latin-1); the table shows the rest."""
    return text if text.isascii() else text.encode("latin-1", "ignore").decode("latin-1").strip()


def contact_sheet(
    store: Store, indices: Sequence[int], *, columns: int = 12, cell: int | None = None
) -> Image.Image:
    """Draw pictures in rows, below each its first caption that the built-in font can show.

    Args:
        store: that holds the pictures.
        indices: which pictures, in order.
        columns: pictures a row.
        cell: side of a picture on the sheet; None for the store's own, at least 64.

    Returns:
        An RGB picture with a light grey background.
    """
    if not indices:
        raise DataError("a contact sheet needs at least one picture")
    side = cell or max(64, store.size)
    columns = min(columns, len(indices))
    rows = -(-len(indices) // columns)
    step_x, step_y = side + _GAP, side + _BAND + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), (225, 225, 225))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=9)
    for place, index in enumerate(indices):
        x, y = _GAP + place % columns * step_x, _GAP + place // columns * step_y
        tile = Image.fromarray(np.asarray(store.images[index]))
        if tile.width != side:
            grown = side >= tile.width
            tile = tile.resize(
                (side, side), Image.Resampling.NEAREST if grown else Image.Resampling.LANCZOS
            )
        sheet.paste(tile, (x, y))
        texts = (_drawable(caption.text) for caption in store.captions(index))
        text = next((text for text in texts if text), "")
        while text and draw.textlength(text, font=font) > side:
            text = text[:-1]
        draw.text((x, y + side + 1), text, fill=_TEXT_COLOUR, font=font)
    return sheet


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG.

    Raises:
        DataError: the file cannot be written, or its name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise DataError(f"a contact sheet is a PNG: give {path.name!r} the ending .png")
    with whole_file(path, DataError) as part:
        sheet.save(part, format="PNG")
