"""Source pictures of image-to-image drawing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.generation.inpainting import given_pixels
from limner.generation.morphing import Morph, is_mirrored, on_canvas
from limner.generation.partial_drawing import Inpainted, PartialDrawing
from limner.generation.restyle import restyled
from limner.generation.styles import Kind, StyleProfile
from limner.models.rows import KnownPixels
from limner.text.base import TextFeatures
from limner.vision.images import PictureLike, on_white
from limner.vision.pixels import to_tensor


@dataclass(frozen=True, eq=False)
class SourcePicture:
    """A picture to change; two are equal if their pixels and options are.

    Attributes:
        pixels: ``(H, W, 3)`` uint8.
        draws: whether a model that keeps its training drawings moves it towards what it draws of
            the prompt; without, its style alone changes.
        keeps_style: whether what is drawn after, a style or a picture, leaves its own style alone.
    """

    pixels: Pixels
    draws: bool = True
    keeps_style: bool = False

    @classmethod
    def open(
        cls,
        picture: PictureLike,
        *,
        draws: bool = True,
        keeps_style: bool = False,
    ) -> SourcePicture:
        """A picture that is given in any way, on white where it is transparent.

        Raises:
            UsageError: it is no picture.
            DataError: it cannot be read, is animated or has more than 64 million pixels.
        """
        return cls(np.array(on_white(Image.fromarray(given_pixels(picture)))), draws, keeps_style)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the shape and the pixels, in hex."""
        shape = np.array(self.pixels.shape, "<i8").tobytes()
        return hashlib.sha256(shape + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()

    @property
    def _facts(self) -> tuple[str, bool, bool]:
        return self.digest, self.draws, self.keeps_style

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourcePicture) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    def size(self, longest: int) -> tuple[int, int]:
        """Its width and height when resized to a longer side."""
        height, width = self.pixels.shape[:2]
        scale = longest / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def resized(self, longest: int) -> Pixels:
        """The picture ``(H, W, 3)`` uint8 at a longer side, in pixels."""
        image = Image.fromarray(self.pixels)
        return np.asarray(image.resize(self.size(longest), Image.Resampling.LANCZOS))

    def known(self, side: int) -> KnownPixels:
        """A model's input: the whole picture at its side, padded with white to a square."""
        canvas = np.full((side, side, 3), 255, np.uint8)
        canvas[self._part(side)] = self.resized(side)
        return KnownPixels.whole(to_tensor(canvas[None]))

    def _part(self, side: int) -> tuple[slice, slice]:
        """Rows and columns of a square canvas that it is on."""
        width, height = self.size(side)
        top, left = (side - height) // 2, (side - width) // 2
        return slice(top, top + height), slice(left, left + width)

    def cropped(self, image: Image.Image, longest: int) -> Image.Image:
        """A model's output for :meth:`known`, cropped to the picture's shape."""
        found = Image.fromarray(np.asarray(image)[self._part(image.width)])
        return found.resize(self.size(longest), Image.Resampling.LANCZOS)


def changed(
    source: SourcePicture,
    text: TextFeatures,
    side: int,
    longest: int,
    look: StyleProfile | None = None,
) -> PartialDrawing:
    """A picture changed by the model itself.

    Args:
        source: the picture.
        text: features of the prompt.
        side: of the model.
        longest: side of the result.
        look: that the result is redrawn in; None to leave it.
    """
    (image,) = yield Inpainted(text, source.known(side))
    made = source.cropped(image, longest)
    return made if look is None else Image.fromarray(restyled(np.asarray(made), look, 1.0))


def moved(
    source: SourcePicture,
    thing: PartialDrawing,
    strength: float,
    longest: int,
    style: StyleProfile | None,
) -> PartialDrawing:
    """A picture moved towards a drawing and a style, for a model that keeps its training drawings.

    Args:
        source: the picture.
        thing: what the prompt draws; not drawn where the source does not ask for it.
        strength: how far, in [0, 1]: 1 is the drawing, as large as fits in the picture.
        longest: side of the result.
        style: None to leave the picture in its own.
    """
    pixels = source.resized(longest)
    style = None if source.keeps_style else style
    squares = style is not None and style.kind is Kind.PIXELS
    if style is not None and not squares:
        pixels = restyled(pixels, style, strength)
    if source.draws and strength > 0:
        drawn = yield from thing
        height, width = pixels.shape[:2]
        goal = on_canvas(drawn, width, height)
        if strength < 1 and is_mirrored(pixels, goal):  # which would have two heads halfway
            goal = np.ascontiguousarray(goal[:, ::-1])
        pixels = Morph(pixels, goal).at(strength)
    if style is not None and squares:  # which nothing moves any more
        pixels = restyled(pixels, style, strength)
    return Image.fromarray(pixels)
