"""Pictures in the making that ask for their parts, whoever draws them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

from PIL import Image

from limner.models.rows import KnownPixels
from limner.text.base import TextFeatures


class Inpainted(NamedTuple):
    """Pictures of which some pixels are known: the features of their texts, and those pixels."""

    text: TextFeatures
    known: KnownPixels


class Numbered(NamedTuple):
    """Texts that are drawn as further parts of a picture: their features, number of the first."""

    text: TextFeatures
    first: int


class Seeded(NamedTuple):
    """Texts that are drawn by seeds of their own: features, and seeds; None for the picture's."""

    text: TextFeatures
    seeds: Sequence[int | None]


Wanted = TextFeatures | Inpainted | Numbered | Seeded
"""What a picture in the making asks for."""
PartialDrawing = Generator[Wanted, Sequence[Image.Image], Image.Image]
"""A picture in the making: yields the features of the texts that it wants drawn, all with its own
seed and settings, is sent their pictures, and returns the finished one. So the parts of many
pictures are drawn together, and nobody who draws them knows what they are parts of."""


def one_piece(text: TextFeatures, seed: int | None = None) -> PartialDrawing:
    """A picture that is drawn from one text as it stands; by the picture's seed if None."""
    images = yield Seeded(text, [seed])
    return images[0]
