"""Drawings: what sources of icons and clip art offer, drawn one after another into a store."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.datasets.emoji import Concept
from limner.errors import DataError, MissingExtraError

_SAME = 1.5
"""Pictures whose 16x16 thumbnails differ by less than this, of 255, on average are joined."""
_SHARE = 0.06
"""The same as a share of the picture's mean difference from white."""


@dataclass(frozen=True)
class Drawing:
    """One picture of a source.

    Attributes:
        key: its name in the store.
        style: its style in the store.
        source: the package or collection.
        licence: of the source.
        concept: what it shows.
        own_name: what its source calls it, in English.
        instances: nouns of things that it may stand for, such as *labrador* of a dog.
        draw: makes its ``(S, S, 3)`` uint8 pixels of a side S; raises DataError if it cannot.
    """

    key: str
    style: str
    source: str
    licence: str
    concept: Concept
    own_name: str
    draw: Callable[[int], NDArray[np.uint8]] = field(repr=False)
    instances: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata in the store."""
        concept = self.concept
        facts = {
            "id": self.key, "source": self.source, "style": self.style, "concept": concept.key,
            "label": concept.label, "group": concept.group, "subgroup": concept.subgroup,
            "licence": self.licence,
        }  # fmt: skip
        return facts | ({"instances": list(self.instances)} if self.instances else {})


def rasterise(svg: str, size: int, background: str | None = None) -> Image.Image:
    """Draw an SVG ``size`` pixels wide, as RGBA.

    Raises:
        DataError: it cannot be drawn.
        MissingExtraError: resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError("resvg-py", "train", "drawing icons") from error
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=size, background=background, skip_system_fonts=True
        )
        return Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    except (ValueError, OSError) as error:
        raise DataError(f"SVG cannot be drawn: {error}") from error


class Joiner:
    """Finds pictures that look the same as an earlier one, by thumbnails of 16x16 pixels.

    Args:
        most: how many pictures there are at most.
    """

    def __init__(self, most: int) -> None:
        self._thumbs = np.zeros((most, 768), np.float32)
        self._means = np.zeros(most, np.float32)
        self._count = 0

    def find(self, pixels: NDArray[np.uint8]) -> int | None:
        """Number of an earlier picture that this one repeats; None if it is new, and remembered.

        Args:
            pixels: ``(S, S, 3)`` uint8, S a multiple of 16.
        """
        side = len(pixels) // 16
        thumb = 255 - pixels.reshape(16, side, 16, side, 3).mean((1, 3), dtype=np.float32).ravel()
        mean = thumb.mean()
        limit = min(_SAME, _SHARE * float(mean))
        # Means differ by no more than pixels do on average, and are cheap to compare.
        near = np.flatnonzero(np.abs(self._means[: self._count] - mean) < limit)
        if len(near):
            differences = np.abs(self._thumbs[near] - thumb).mean(1)
            best = int(differences.argmin())
            if differences[best] < limit:
                return int(near[best])
        self._thumbs[self._count], self._means[self._count] = thumb, mean
        self._count += 1
        return None


def draw_into(
    writer: StoreWriter,
    drawings: Sequence[Drawing],
    captions: Callable[[Drawing], Sequence[Caption]],
    joiner: Joiner | None = None,
) -> None:
    """Draw what is not in a store yet; ``drawings`` come in the same order each time.

    Pictures that the ``joiner`` finds to look the same are packed once, and those that come later
    give their captions at half the weight.
    """
    if joiner is not None:
        for pixels in writer.packed():
            joiner.find(pixels)
    for drawing in writer.rest(drawings, lambda drawing: drawing.key):
        try:
            pixels = drawing.draw(writer.size)
        except DataError as error:
            writer.skip(drawing.key, str(error))
        else:
            same = joiner.find(pixels) if joiner is not None else None
            if same is None:
                writer.add(pixels, captions(drawing), drawing.metadata)
            else:
                also = [replace(each, weight=each.weight / 2) for each in captions(drawing)]
                writer.join(same, also, drawing.key)
        writer.progress(writer.consumed, len(drawings))
