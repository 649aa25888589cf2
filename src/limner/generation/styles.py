"""Style profiles, measured from a few pictures of a style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats, Mask, Pixels
from limner.scenes.cutout import without_background

_SIDE = 128
"""Of the pictures of a style as they are measured, in pixels."""
_STROKE = 0.045
"""What is within this of its edges everywhere, as a share of the side, is a stroke."""
_SOLID, _SHADED, _CONTOUR, _PALETTE, _ROUNDS = 0.03, 0.0205, 0.15, 16, 12
_GREY, _DARK = 0.05, 0.45
"""Chroma below which a colour is a grey, and lightness below which it is dark, in Oklab."""
_APART = 0.06
"""Colours nearer to each other than this are one, in Oklab."""


class Kind(StrEnum):
    """How a style shows a thing."""

    LINES = "lines"
    GLYPH = "glyph"
    FILLS = "fills"
    PIXELS = "pixels"
    STICKER = "sticker"


@dataclass(frozen=True)
class StyleProfile:
    """Measured facts of a style.

    Attributes:
        kind: lines alone, a silhouette of one colour, areas of colours, squares, or the drawing
            as it is with a white border.
        palette: ``(K, 3)`` float32 RGB in [0, 1] of the areas, the most frequent first.
        ink: ``(3,)`` of lines, contours and glyphs.
        width: of lines, contours, squares or border, as a share of the picture's side; 0 where
            there are none.
        closed: whether areas take no colours but those of the palette.
    """

    kind: Kind
    palette: Floats
    ink: Floats
    width: float = 0.0
    closed: bool = False


def to_oklab(rgb: Floats) -> Floats:
    """Colours of sRGB ``(..., 3)`` in [0, 1] in Oklab.

    Ottosson, A perceptual color space for image processing, 2020.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _TO_CONES)
    return np.asarray(cones @ _TO_LAB, np.float32)


def from_oklab(lab: Floats) -> Floats:
    """The inverse of :func:`to_oklab`; what sRGB does not have is clipped."""
    linear = ((lab @ np.linalg.inv(_TO_LAB)) ** 3) @ np.linalg.inv(_TO_CONES)
    linear = linear.clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb.clip(0, 1), np.float32)


_TO_CONES = np.array([
    [0.4122214708, 0.2119034982, 0.0883024619],
    [0.5363325363, 0.6806995451, 0.2817188376],
    [0.0514459929, 0.1073969566, 0.6299787005],
])  # fmt: skip
_TO_LAB = np.array([
    [0.2104542553, 1.9779984951, 0.0259040371],
    [0.7936177850, -2.4285922050, 0.7827717662],
    [-0.0040720468, 0.4505937099, -0.8086757660],
])  # fmt: skip


def clusters(lab: Floats, weights: Floats, count: int, apart: float = _APART) -> Floats:
    """At most ``count`` colours of N weighted ones, ``(K, 3)``, the heaviest first.

    k-means (Lloyd 1982) from the heaviest colours that are apart from each other; then those that
    are near to each other are joined.

    Args:
        lab: ``(N, 3)`` in Oklab.
        weights: ``(N,)``.
        count: K at most.
        apart: distance from which two colours are told apart.
    """
    cells = (lab * 50).round().astype(np.int64) @ [1 << 20, 1 << 10, 1]
    inverse = np.unique(cells, return_inverse=True)[1]
    mass = np.bincount(inverse, weights)
    sums = [np.bincount(inverse, weights * lab[:, i]) for i in range(3)]
    points: Floats = (np.stack(sums, 1) / np.maximum(mass, 1e-9)[:, None]).astype(np.float32)
    found, gap = points[[mass.argmax()]], np.full(len(points), np.inf)
    while len(found) < count:  # the next is far from all and heavy
        gap = np.minimum(gap, ((points - found[-1]) ** 2).sum(1))
        best = int((gap * mass).argmax())
        if gap[best] < apart**2:
            break
        found = np.concatenate([found, points[[best]]])
    for _ in range(_ROUNDS):
        nearest = nearest_of(points, found)
        held = np.bincount(nearest, mass, len(found))
        sums = [np.bincount(nearest, mass * points[:, i], len(found)) for i in range(3)]
        means = np.stack(sums, 1) / np.maximum(held, 1e-9)[:, None]
        found = np.where(held[:, None] > 0, means, found).astype(np.float32)
    held = np.bincount(nearest_of(points, found), mass, len(found))
    while len(found) > 1:
        gaps = np.linalg.norm(found[:, None] - found, axis=-1) + 9 * np.eye(len(found))
        a, b = divmod(int(gaps.argmin()), len(found))
        if gaps[a, b] >= apart:
            break
        found[a] = (held[a] * found[a] + held[b] * found[b]) / max(held[a] + held[b], 1e-9)
        held[a] += held[b]
        found, held = np.delete(found, b, 0), np.delete(held, b)
    return found[np.argsort(-held, kind="stable")]


def nearest_of(lab: Floats, colours: Floats) -> NDArray[np.int64]:
    """Which of K colours is nearest to each of N, ``(N,)``."""
    cross = lab @ colours.T
    return np.asarray(((colours**2).sum(1) - 2 * cross).argmin(1), np.int64)


def flatness(lab: Floats) -> Floats:
    """How little a picture ``(H, W, 3)`` changes around each pixel, ``(H, W)`` in [0, 1]."""
    padded = np.pad(lab, ((1, 1), (1, 1), (0, 0)), "edge")
    change = np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1]) + np.abs(
        padded[1:-1, 2:] - padded[1:-1, :-2]
    )
    return np.asarray(np.clip(1.05 - change.sum(-1) / 0.08, 0.02, 1), np.float32)


def grown(mask: Mask, radius: float) -> Mask:
    """All pixels within a radius of a mask's, by a disc."""
    reach = int(radius)
    if reach < 1:
        return mask
    found = np.zeros_like(mask)
    counts = np.pad(mask.cumsum(1, dtype=np.int32), ((0, 0), (1, 0)))
    counts = np.pad(counts, ((0, 0), (reach, reach)), "edge")
    for dy in range(reach + 1):
        half = int((radius**2 - dy**2) ** 0.5)
        low = reach - half
        row = (
            counts[:, 1 + reach + half :][:, : mask.shape[1]] > counts[:, low : low + mask.shape[1]]
        )
        found[dy:] |= row[: len(row) - dy]
        found[: len(row) - dy] |= row[dy:]
    return found


def shrunk(mask: Mask, radius: float) -> Mask:
    """The pixels that are farther than a radius from all outside a mask."""
    return ~grown(~mask, radius)


def thinned(mask: Mask, steps: int) -> Iterator[int]:
    """How many pixels of a mask are left after 0, 1, 2, … steps of erosion by a small octagon."""
    for step in range(steps):
        yield int(mask.sum())
        wide = np.pad(mask, 1, constant_values=False)
        cross = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        if step % 2:
            cross &= wide[:-2, :-2] & wide[:-2, 2:] & wide[2:, :-2] & wide[2:, 2:]
        mask = cross
    yield int(mask.sum())


def stroke(masks: Sequence[Mask]) -> tuple[float, float]:
    """Width of the strokes of masks ``(S, S)`` as a share of the side, and how much is no stroke.

    Erosion of a stroke of width w by r leaves (w - 2 r) / w of it; half is left at r = w / 4.
    """
    side = len(masks[0])
    reach = round(_STROKE * side)
    left = np.array([list(thinned(mask, reach)) for mask in masks if mask.any()], float)
    if not len(left):
        return 0.0, 1.0
    shares = (left / left[:, :1]).mean(0)
    half = int(np.argmax(shares < 0.5)) if (shares < 0.5).any() else reach
    before, after = shares[max(half - 1, 0)], shares[half]
    exact = half - 1 + (before - 0.5) / max(before - after, 1e-6) if half else 0.0
    return float(4 * exact / side), float(shares[-1])


def measure(pictures: Sequence[Pixels], *, closed: bool = False) -> StyleProfile | None:
    """The profile of a style; None if other drawings cannot be redrawn in it.

    That is where nothing is drawn, or areas are shaded, as those of renders.

    Args:
        pictures: of the style, each ``(S, S, 3)`` uint8 on white.
        closed: whether they show all colours of the style; then shades count as areas, too.
    """
    seen = [each for each in map(_Seen.of, pictures) if each.inked.any()]
    if not seen:
        return None
    inks = np.concatenate([each.lab[each.inked & (each.flat > 0.5)][::3] for each in seen])
    inks = inks if len(inks) else np.concatenate([each.lab[each.inked] for each in seen])
    grey = np.hypot(inks[:, 1], inks[:, 2]) < _GREY
    dark = grey & (inks[:, 0] < _DARK)
    if grey.mean() > 0.95 and dark.any():
        width, solid = stroke([each.inked for each in seen])
        ink = from_oklab(np.median(inks[dark], 0))
        if solid < _SOLID:
            return StyleProfile(Kind.LINES, ink[None], ink, width)
        if dark.mean() > 0.9:
            return StyleProfile(Kind.GLYPH, ink[None], ink)
    shade = float(np.mean([each.shading() for each in seen]))
    width, ink = _contour(seen)
    if shade > _SHADED and not closed:
        return None
    fills = [each.thing & (each.flat > 0.5) for each in seen]
    inside = [
        fill & (np.linalg.norm(each.lab - ink, axis=-1) > _CONTOUR) if width else fill
        for each, fill in zip(seen, fills, strict=True)
    ]
    if not any(map(np.any, inside)):  # all is of the contour's colour, or so fine that none is flat
        width = 0.0
        inside = fills if any(map(np.any, fills)) else [each.thing for each in seen]
    colours = [each.lab[mask][::3] for each, mask in zip(seen, inside, strict=True)]
    weights = [np.full(len(some), 1 / max(len(some), 1)) for some in colours]
    palette = clusters(np.concatenate(colours), np.concatenate(weights), _PALETTE, 0.045)
    return StyleProfile(Kind.FILLS, from_oklab(palette), from_oklab(ink), width, closed)


@dataclass(frozen=True)
class _Seen:
    """A picture of a style at a small size, taken apart."""

    lab: Floats
    thing: Mask  # with the white inside
    inked: Mask
    flat: Floats

    @classmethod
    def of(cls, pixels: Pixels) -> _Seen:
        small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        pixels = np.asarray(small)
        rgb = pixels.astype(np.float32) / np.float32(255)
        thing = without_background(pixels)[..., 3] > 0.5
        lab = to_oklab(rgb)
        return cls(lab, thing, thing & (rgb.min(-1) < 0.9), flatness(lab))

    def shading(self) -> float:
        """How far colours inside are from the few that would do for flat areas."""
        inside = self.lab[self.thing & (self.flat > 0.5)]
        if not len(inside):
            return 0.0
        few = clusters(inside, np.ones(len(inside), np.float32), 8)
        return float(np.linalg.norm(inside - few[nearest_of(inside, few)], axis=1).mean())


def _contour(seen: Sequence[_Seen]) -> tuple[float, Floats]:
    """Width of the contour as a share of the side, and its colour in Oklab; 0 for none."""
    rings = [each.lab[shrunk(each.thing, 2) & ~shrunk(each.thing, 3)] for each in seen]
    medians = [np.median(ring, 0) for ring in rings if len(ring)]
    if not medians:
        return 0.0, np.zeros(3, np.float32)
    colour = np.median(np.stack(medians), 0).astype(np.float32)
    near = [np.linalg.norm(ring - colour, axis=1) < _CONTOUR for ring in rings if len(ring)]
    width, solid = stroke([np.linalg.norm(each.lab - colour, axis=-1) < _CONTOUR for each in seen])
    share = float(np.mean([each.mean() for each in near]))
    return (width if share > 0.6 and solid < 0.25 else 0.0), colour
