"""Inpainting: parts of a picture are regenerated, and all other pixels stay identical.

A square around the hole is resized to the model's size, inpainted by the model and resized back.
Only the pixels of the hole are replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from limner.arguments import whole
from limner.arrays import Floats, Mask, Pixels
from limner.data.pictures import PictureError, read_still
from limner.errors import DataError, UsageError
from limner.generation.partial_drawing import Inpainted, PartialDrawing
from limner.models.rows import KnownPixels
from limner.scenes.cutout import cut_out_drawn, resize
from limner.text.base import TextFeatures
from limner.vision.flat_colours import coloured_in
from limner.vision.images import PictureLike, image_or_file, on_white
from limner.vision.patches import filled
from limner.vision.pixels import to_tensor
from limner.vision.resampling import resample
from limner.vision.symmetry import mirrored

MOST_PIXELS = 64_000_000
"""Largest picture that can be edited."""
_Number = TypeVar("_Number", bound=np.generic)

_CONTEXT = 2
"""Side of the model's window relative to the hole's, unless the picture is smaller."""
_SEAM = 32
"""The width of a seam is the model's side divided by this."""
_FILLED = 0.9
"""Share of the hole's bounding box that a thing fills."""
_OPAQUE = 128


class Window(NamedTuple):
    """The model's square input around a hole, in pixels; it may extend beyond the picture."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, eq=False)
class MaskedPicture:
    """A picture with a hole; two are equal if their pixels and holes are.

    Attributes:
        pixels: ``(H, W, 3)`` or ``(H, W, 4)`` uint8.
        mask: ``(H, W)`` bool, true inside the hole.
        inserts: whether a model that keeps its training drawings draws the prompt's things in the
            hole. If not, the hole is filled from its surroundings; other models ignore this.

    Raises:
        UsageError: the mask has another size, is empty, or covers the whole picture.
    """

    pixels: Pixels
    mask: Mask
    inserts: bool = True

    def __post_init__(self) -> None:
        if self.mask.shape != self.pixels.shape[:2]:
            have, want = (f"{s[1]} x {s[0]}" for s in (self.mask.shape, self.pixels.shape))
            raise UsageError(
                f"the mask has {have} pixels and the picture {want}: both must have the same size"
            )
        if not self.mask.any():
            raise UsageError(
                "the mask is empty, so there is nothing to draw: make the hole transparent or white"
            )
        if self.mask.all():
            raise UsageError("the mask covers the whole picture; draw a new one instead")

    @classmethod
    def open(
        cls,
        picture: PictureLike,
        *,
        mask: PictureLike | None = None,
        box: Sequence[int] | None = None,
        outpaint: Sequence[int] | None = None,
        inserts: bool = True,
    ) -> MaskedPicture:
        """Open a picture, with the hole given by exactly one of ``mask``, ``box`` and ``outpaint``.

        Args:
            picture: of at most :data:`MOST_PIXELS`; given in any way (see
                :data:`limner.vision.images.PictureLike`).
            mask: a picture of the same size, see :func:`mask_of`.
            box: left, top, width and height of a rectangle, in pixels.
            outpaint: pixels to add at the left, top, right and bottom.
            inserts: see the class.

        Raises:
            UsageError: none or several of the three are given, one does not fit the picture, or
                something is no picture.
            DataError: a picture cannot be read, is animated or too large.
        """
        if sum(each is not None for each in (mask, box, outpaint)) != 1:
            raise UsageError("give the area to draw in exactly one way: a mask, a box or a margin")
        pixels = given_pixels(picture)
        if outpaint is not None:
            return cls(*outpainted(pixels, outpaint), inserts)
        if mask is not None:
            return cls(pixels, mask_of(Image.fromarray(given_pixels(mask))), inserts)
        assert box is not None
        return cls(pixels, box_mask(pixels.shape[1::-1], box), inserts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the pixels and the mask, in hex."""
        found = hashlib.sha256(np.array(self.pixels.shape, "<i8").tobytes())
        for part in (self.pixels, np.packbits(self.mask)):
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskedPicture):
            return NotImplemented
        return (self.digest, self.inserts) == (other.digest, other.inserts)

    def __hash__(self) -> int:
        return hash((self.digest, self.inserts))

    @cached_property
    def _box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the hole."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def window(self) -> Window:
        """The window of the model: the hole and about as much around it."""
        left, top, right, bottom = self._box
        height, width = map(int, self.mask.shape)
        side = min(int(_CONTEXT * max(right - left, bottom - top)), max(height, width))

        def start(low: int, high: int, length: int) -> int:
            if side >= length:
                return (length - side) // 2
            return min(max(0, (low + high - side) // 2), length - side)

        return Window(start(left, right, width), start(top, bottom, height), side)

    def known(self, side: int) -> KnownPixels:
        """The window at a model's side S, as input of inpainting.

        A pixel of the model's counts as known if no pixel of the hole contributes to it. Beyond
        the picture, its edge is repeated.
        """
        _, _, size = self.window
        image = Image.fromarray(self._seen(self._filled()))
        holes = Image.fromarray(self._seen(self.mask).astype(np.uint8) * np.uint8(255))
        images = to_tensor(np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))[None])
        reached = holes.resize((side, side), Image.Resampling.BOX)
        hole = torch.from_numpy(np.array(reached) > 0)[None, None].float()
        reach = 0 if size <= side else 1
        return KnownPixels(images, F.max_pool2d(hole, 2 * reach + 1, 1, reach) > 0)

    def merged(self, drawn: Tensor, *, patched: bool = False) -> Pixels:
        """The picture with its hole filled.

        Args:
            drawn: ``(3, S, S)`` in [-1, 1], the model's output for :meth:`known`.
            patched: whether that is only a blurred first guess, to be refined by symmetry, flat
                colours or patches.

        Returns:
            ``(H, W, 3)`` or ``(H, W, 4)`` uint8; known pixels are unchanged.
        """
        left, top, size = self.window
        known = self.known(drawn.shape[-1])
        small = _without_seam(drawn, known)
        if patched:
            small, hole = mirrored(small, known.hole[0, 0])
            if hole.any():
                flat = coloured_in(small, hole)
                small = filled(small, hole) if flat is None else flat
        values = np.ascontiguousarray((small.numpy().transpose(1, 2, 0) + 1) / 2, np.float32)
        large = resample(values.clip(0, 1), size, size)
        height, width = self.mask.shape
        rows = slice(max(0, top), min(height, top + size))
        columns = slice(max(0, left), min(width, left + size))
        inside = large[rows.start - top : rows.stop - top, columns.start - left :]
        inside = inside[:, : columns.stop - columns.start]
        merged, drawn_here = self.pixels.copy(), self.mask[rows, columns]
        merged[rows, columns, :3][drawn_here] = (inside[drawn_here] * 255).round().astype(np.uint8)
        merged[rows, columns, 3:][drawn_here] = 255
        return merged

    def with_thing(self, merged: Pixels, thing: Floats) -> Pixels:
        """Paste a thing into the hole, as large as fits, and clip it to the hole.

        Args:
            merged: result of :meth:`merged`.
            thing: ``(h, w, 4)`` in [0, 1], premultiplied.
        """
        left, top, right, bottom = self._box
        high, wide = thing.shape[:2]
        scale = _FILLED * min((bottom - top) / high, (right - left) / wide)
        cut = resize(thing, max(1, round(wide * scale)), max(1, round(high * scale)))
        high, wide = cut.shape[:2]
        x, y = (left + right - wide) // 2, (top + bottom - high) // 2
        rows, columns = slice(y, y + high), slice(x, x + wide)
        cut = cut * self.mask[rows, columns, None]
        found = merged.copy()
        under = found[rows, columns, :3].astype(np.float32) / 255
        over = under * (1 - cut[..., 3:]) + cut[..., :3]
        found[rows, columns, :3] = (over.clip(0, 1) * 255).round().astype(np.uint8)
        return found

    def _filled(self) -> Pixels:
        """The picture on white, with its mean known colour in the hole."""
        rgb = np.array(on_white(Image.fromarray(self.pixels)))
        rgb[self.mask] = rgb[~self.mask].mean(0).round().astype(np.uint8)
        return rgb

    def _seen(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Crop an array ``(H, W, ...)`` to the window, with its edges repeated beyond."""
        left, top, side = self.window
        height, width = self.mask.shape
        rows = np.arange(top, top + side).clip(0, height - 1)
        columns = np.arange(left, left + side).clip(0, width - 1)
        found: NDArray[_Number] = values[rows][:, columns]
        return found


def given_pixels(given: PictureLike, most: int = MOST_PIXELS) -> Pixels:
    """As :func:`read_pixels`, for a picture given in any way.

    Raises:
        UsageError: it is not a picture.
        DataError: it is missing, broken, animated, or has more pixels.
    """
    picture = image_or_file(given)
    if not isinstance(picture, Image.Image):
        return read_pixels(picture, most)
    if picture.width * picture.height > most:
        raise DataError(f"the picture cannot be edited: more than {most:,} pixels")
    return np.array(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))


def read_pixels(source: Path | bytes, most: int = MOST_PIXELS) -> Pixels:
    """A picture at its own size, ``(H, W, 3)`` uint8, or ``(H, W, 4)`` where it is transparent.

    Args:
        source: a file or its bytes.
        most: largest number of pixels.

    Raises:
        DataError: it is missing, broken, animated, or has more pixels.
    """
    name = str(source) if isinstance(source, Path) else "the picture"
    try:
        colours, alpha = read_still(source, most)
    except PictureError as error:
        raise DataError(f"{name} cannot be edited: {error}") from error
    if alpha is not None:
        colours.putalpha(alpha)
    return np.array(colours)


def box_mask(size: tuple[int, int], box: Sequence[int]) -> Mask:
    """A mask of a rectangle.

    Args:
        size: width and height of the picture.
        box: left, top, width and height, in pixels.

    Raises:
        UsageError: the box has no area, or lies beyond the picture.
    """
    width, height = size
    if not hasattr(box, "__len__") or len(box) != 4:
        raise UsageError(f"the box {box!r} is refused: give left, top, width and height")
    x, y, wide, high = (whole("box", side) for side in box)
    if wide < 1 or high < 1 or x < 0 or y < 0 or x + wide > width or y + high > height:
        raise UsageError(
            f"the box {x},{y},{wide},{high} (left, top, width, height) is not inside the picture "
            f"of {width} x {height} pixels"
        )
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + high, x : x + wide] = True
    return mask


def outpainted(pixels: Pixels, margins: Sequence[int]) -> tuple[Pixels, Mask]:
    """A picture on a larger canvas, and the mask of what is new.

    Args:
        pixels: ``(H, W, C)`` uint8.
        margins: pixels at its left, top, right and bottom.

    Raises:
        UsageError: a margin is negative, or all are zero.
    """
    if min(margins) < 0 or not any(margins):
        raise UsageError(
            "outpainting takes the pixels to add at the left, top, right and bottom: zero or more "
            "each, and not all zero"
        )
    left, top, right, bottom = margins
    around = ((top, bottom), (left, right))
    mask = np.pad(np.zeros(pixels.shape[:2], np.bool_), around, constant_values=True)
    return np.pad(pixels, (*around, (0, 0)), mode="edge"), mask


def mask_of(image: Image.Image) -> Mask:
    """The hole of a mask: its transparent pixels, or if there are none, its white pixels.

    So both the masks of the Images API (transparent) and of diffusers (white) can be used.
    """
    if "A" in image.getbands() or "transparency" in image.info:
        transparent = np.asarray(image.convert("RGBA").getchannel("A")) < _OPAQUE
        if transparent.any():
            return transparent
    return np.asarray(image.convert("L")) >= _OPAQUE


def inpainted(
    masked: MaskedPicture,
    text: TextFeatures,
    side: int,
    *,
    patched: bool = False,
    thing: PartialDrawing | None = None,
) -> PartialDrawing:
    """The picture with its hole filled.

    Args:
        masked: the picture.
        text: features of the prompt.
        side: the model's image size.
        patched: see :meth:`MaskedPicture.merged`.
        thing: a drawing on white to paste into the hole; None for none.
    """
    (image,) = yield Inpainted(text, masked.known(side))
    merged = masked.merged(to_tensor(np.asarray(image)[None])[0], patched=patched)
    if thing is not None:
        drawn = np.asarray((yield from thing))
        cut = cut_out_drawn(drawn) if drawn.shape[2] == 3 else _trimmed(drawn)
        merged = masked.with_thing(merged, cut)
    return Image.fromarray(merged)


def _trimmed(drawn: Pixels) -> Floats:
    """An RGBA picture as a cut-out: its smallest rectangle with anything in it, premultiplied."""
    values = drawn.astype(np.float32) / np.float32(255)
    values[..., :3] *= values[..., 3:]
    rows, columns = (np.flatnonzero(drawn[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return values
    return values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _without_seam(drawn: Tensor, known: KnownPixels) -> Tensor:
    """What was drawn ``(3, S, S)``, moved in the hole towards the colours that are known beside it.

    The differences on the known side of the seam are averaged, and fade with the distance from it.
    """
    width = max(1, drawn.shape[-1] // _SEAM)
    there = (~known.hole).float()  # (1, 1, S, S)
    total, weight = (known.images - drawn) * there, there
    for _ in range(2):
        total, weight = (F.avg_pool2d(each, 2 * width + 1, 1, width) for each in (total, weight))
    moved = drawn + (total / weight.clamp_min(1e-6) * (2 * weight).clamp_max(1))[0]
    return torch.where(known.hole[0], moved, known.images[0]).clamp(-1, 1)
