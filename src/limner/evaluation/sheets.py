"""Contact sheets for the pages of reports: the same captions of every model, side by side."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.evaluation.report import ContactSheet
from limner.metrics.memorisation import pixels
from limner.vision.images import png_bytes
from limner.vision.pixels import to_images

if TYPE_CHECKING:
    from limner.evaluation.reference import Reference

ROWS = 10
COLUMNS = 8


class CaptionRows:
    """The first pictures of the most frequent captions, one row each.

    Args:
        prompts: of all pictures that will come.
    """

    def __init__(self, prompts: Sequence[str]) -> None:
        counts = Counter(prompts)
        common = sorted(counts, key=lambda text: (-min(counts[text], COLUMNS), text))
        self.captions = sorted(common[:ROWS])
        self._found: dict[str, list[Tensor]] = {text: [] for text in self.captions}

    def add(self, images: Tensor, captions: Sequence[str]) -> None:
        """Keep the first few pictures of each caption, ``(B, 3, S, S)`` in [-1, 1]."""
        for image, text in zip(images, captions, strict=True):
            mine = self._found.get(text)
            if mine is not None and len(mine) < COLUMNS:
                mine.append(image.clone())

    def add_real(self, reference: Reference) -> None:
        """Keep the first real pictures that carry each caption."""
        store, table = reference.store, reference.store.caption_table()
        number = {text: i for i, text in enumerate(table.texts)}
        owner = np.repeat(np.arange(len(store)), np.diff(table.offsets))
        known = np.isin(owner, reference.selection.rows(store))
        for text in self.captions:
            rows = owner[known & (table.text_index == number[text])][:COLUMNS]
            self.add(pixels(store, rows.astype(np.int64)), [text] * len(rows))

    def image(self) -> Image.Image:
        """One row a caption; a missing picture is white."""
        shape = next(row[0] for row in self._found.values() if row).shape
        blank = torch.ones(shape)
        rows = [(row + [blank] * COLUMNS)[:COLUMNS] for row in self._found.values()]
        return tiled(torch.stack([image for row in rows for image in row]))

    def sheet(self, title: str) -> ContactSheet:
        """The same for a page, with the captions beside the rows."""
        return ContactSheet(title=title, png=as_png(self.image()), rows=tuple(self.captions))


def tiled(images: Tensor, gap: int = 2) -> Image.Image:
    """A grid of eight columns of ``(N, 3, S, S)`` in [-1, 1], the gaps transparent."""
    cells = to_images(images)
    side = cells[0].width
    rows = -(-len(cells) // COLUMNS)
    step = side + gap
    sheet = Image.new("RGBA", (COLUMNS * step - gap, rows * step - gap), (0, 0, 0, 0))
    for i, cell in enumerate(cells):
        sheet.paste(cell, (i % COLUMNS * step, i // COLUMNS * step))
    return sheet


def as_png(image: Image.Image) -> str:
    """A PNG as base64."""
    return base64.b64encode(png_bytes(image)).decode()
