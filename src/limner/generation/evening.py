"""Making drawings alike: one size, one palette and one width of lines for a set of pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats, Pixels
from limner.errors import UsageError
from limner.generation.restyle import redraw
from limner.generation.styles import (
    Kind,
    StyleProfile,
    clusters,
    flatness,
    from_oklab,
    grown,
    nearest_of,
    shrunk,
    stroke,
    to_oklab,
)
from limner.scenes.cutout import colours_of, place, to_pixels, without_background

OPTICAL_SIZE, LONGEST = 0.66, 0.86
"""Square root of the area of a thing, and the most of its longer side, as shares of the side."""
_AREAS, _APART, _SOFT = 12, 0.05, 0.05
"""Colours that a drawing is taken apart into, and how softly pixels belong to them, in Oklab."""
_SHADE = 0.4
"""How much of the shading inside an area is kept."""
_WHITE, _GREY = 0.94, 0.03
"""Lightness and chroma of what is as good as white: it is the paper, and stays."""
_SCALE = 2
_FINE = 512
"""Side in pixels that lines are redrawn at, at least about."""
_SIDE = 128
_PALETTE = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
MOST_COLOURS = 64
COLOURS, _PER_PICTURE = 32, 400


@dataclass(frozen=True)
class SetLook:
    """What the drawings of a set have in common.

    Attributes:
        style: profile of its style; None where drawings cannot be redrawn in it.
        palette: ``(K, 3)`` float32 RGB in [0, 1] that all colours are taken from; None to leave
            them.
        outline: width of the outline or of lines, as a share of the side; 0 to leave them.
        drawn_outline: whether an outline is drawn around what has none.
    """

    style: StyleProfile | None = None
    palette: Floats | None = None
    outline: float = 0.0
    drawn_outline: bool = False


def read_palette(text: str) -> Floats:
    """Colours such as ``#ffcc00,#333``, ``(K, 3)`` float32 in [0, 1].

    Raises:
        UsageError: one of them is no colour in hex, or there are too many.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not 1 <= len(words) <= MOST_COLOURS:
        raise UsageError(
            f"a palette has 1 to {MOST_COLOURS} colours, such as '#ffcc00,#333333', not "
            f"{len(words)}"
        )
    found = []
    for word in words:
        match = _PALETTE.fullmatch(word)
        if match is None:
            raise UsageError(f"{word!r} in the palette is no colour; write it as #ffcc00")
        digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
        found.append([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    return np.array(found, np.float32)


def as_palette(colours: object) -> Floats:
    """Colours that were given as a text of them, a list of such texts, or numbers.

    Args:
        colours: such as ``"#ffcc00,#333"``, ``["#ffcc00", "#333"]`` or ``(K, 3)`` RGB in [0, 1].

    Returns:
        ``(K, 3)`` float32 in [0, 1].

    Raises:
        UsageError: they are none of these, or there are too many.
    """
    if isinstance(colours, str):
        return read_palette(colours)
    if isinstance(colours, list | tuple) and all(isinstance(each, str) for each in colours):
        return read_palette(",".join(colours))
    try:
        found = np.array(colours, np.float32)
    except (TypeError, ValueError):
        found = np.empty(0, np.float32)
    numbers = found.ndim == 2 and found.shape[1] == 3 and 1 <= len(found) <= MOST_COLOURS
    if not numbers or not ((found >= 0) & (found <= 1)).all():
        raise UsageError(
            f"the palette {colours!r} is refused: give 1 to {MOST_COLOURS} colours, as in "
            "['#ffcc00', '#333333'] or as RGB from 0 to 1"
        )
    return found


def evened(pixels: Pixels, look: SetLook) -> Pixels:
    """A drawing with the size, the colours and the lines of a set.

    It is scaled until its area is that of the others, or its longer side fills the margins, and put
    into the middle; a picture without a white ground keeps its size.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        look: of the set.

    Returns:
        ``(S, S, 3)`` uint8, on white.
    """
    cut = without_background(pixels)
    thing = cut[..., 3] > 0.5
    if not thing.any():
        return pixels
    if not thing.all():
        pixels = _centred(cut, thing, scale_of(cut[..., 3]))
    style = look.style
    if style is not None and look.outline and style.kind is Kind.LINES:
        pixels = _redrawn(pixels, replace(style, width=look.outline, closed=False))
    if look.palette is not None:
        pixels = recoloured(pixels, look.palette)
    if look.drawn_outline and look.outline:
        pixels = _outlined(pixels, look)
    return pixels


def _redrawn(pixels: Pixels, style: StyleProfile) -> Pixels:
    """A drawing in a style, on a larger canvas where widths in whole pixels would be too coarse."""
    side = len(pixels)
    times = max(1, _FINE // side)
    if times == 1:
        return redraw(pixels, style)
    large = Image.fromarray(pixels).resize((times * side,) * 2, Image.Resampling.BICUBIC)
    return np.asarray(Image.fromarray(redraw(np.asarray(large), style)).reduce(times))


def scale_of(alpha: Floats) -> float:
    """How much a thing of alpha ``(S, S)`` is enlarged to have the size of its set."""
    side = len(alpha)
    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    area = max(float(alpha.sum()), 1.0) ** 0.5
    return float(min(OPTICAL_SIZE * side / area, LONGEST * side / longest))


def _centred(cut: Floats, thing: NDArray[np.bool_], scale: float) -> Pixels:
    side = len(cut)
    rows, columns = np.flatnonzero(thing.any(1)), np.flatnonzero(thing.any(0))
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    part = cut[top : rows[-1] + 2, left : columns[-1] + 2]
    canvas = np.ones((side, side, 3), np.float32)
    place(canvas, part, side / 2, side / 2, min(scale * max(part.shape[:2]), side))
    return to_pixels(canvas)


def recoloured(pixels: Pixels, palette: Floats) -> Pixels:
    """A drawing in the colours of a palette; white stays.

    Its colours are grouped, and each group is moved to the nearest colour of the palette, in Oklab,
    where a difference of hue weighs more than one of lightness. Pixels at edges, which are
    mixtures, are moved as the groups are that they are mixed of.

    Args:
        pixels: ``(S, S, 3)`` uint8.
        palette: ``(K, 3)`` float32 RGB in [0, 1].
    """
    rgb = pixels.astype(np.float32) / np.float32(255)
    lab = to_oklab(rgb)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    paper = (lab[..., 0] > _WHITE) & (chroma < _GREY)
    if paper.all():
        return pixels
    flat = flatness(lab)
    ink = ~paper
    groups = clusters(lab[ink], flat[ink], _AREAS, _APART)
    colours = to_oklab(palette)
    gaps = groups[:, None] - colours[None]
    cost = (0.7 * gaps[..., 0]) ** 2 + 4 * (gaps[..., 1:] ** 2).sum(-1)  # (G, K)
    if not (colours[:, 0] > _WHITE).all():  # what is coloured does not vanish into the paper
        cost[:, colours[:, 0] > _WHITE] += (groups[:, :1] < _WHITE) * 9.0
    target = colours[cost.argmin(1)]
    white = np.array([[1.0, 0.0, 0.0]], np.float32)
    groups, target = np.concatenate([groups, white]), np.concatenate([target, white])
    flatly = lab.reshape(-1, 3)
    squared = ((flatly[:, None] - groups) ** 2).sum(-1)  # (N, G)
    weight = np.exp(-(squared - squared.min(1, keepdims=True)) / _SOFT**2)
    weight /= weight.sum(1, keepdims=True)
    moved, centre = weight @ target, weight @ groups
    found = from_oklab((moved + _SHADE * (flatly - centre)).reshape(lab.shape))
    return to_pixels(np.asarray(np.where(paper[..., None], rgb, found), np.float32))


def palette_of(pictures: Sequence[Pixels]) -> Floats | None:
    """The colours of drawings on white, ``(K, 3)`` float32 RGB; None where nothing is drawn.

    At most :data:`COLOURS`, the most frequent first; those of a thing count as much as of another.
    """
    colours, weights = [], []
    for pixels in pictures:
        lab = to_oklab(pixels.astype(np.float32) / np.float32(255))
        paper = (lab[..., 0] > _WHITE) & (np.hypot(lab[..., 1], lab[..., 2]) < _GREY)
        some = lab[~paper & (flatness(lab) > 0.5)]
        if len(some):
            some = some[:: max(1, len(some) // _PER_PICTURE)]
            colours.append(some)
            weights.append(np.full(len(some), 1 / len(some), np.float32))
    if not colours:
        return None
    return from_oklab(clusters(np.concatenate(colours), np.concatenate(weights), COLOURS, _APART))


def _outlined(pixels: Pixels, look: SetLook) -> Pixels:
    """A drawing with an outline of the set's width around it."""
    side = len(pixels) * _SCALE
    large = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    cut = without_background(np.asarray(large))
    thing = cut[..., 3] > 0.5
    if thing.all():
        return pixels
    width = look.outline * side
    ring = grown(thing, width / 2) & ~shrunk(thing, width / 2)
    colours = np.zeros((1, 3), np.float32) if look.palette is None else look.palette
    ink = colours[int(to_oklab(colours)[:, 0].argmin())]
    canvas = np.array(large, np.float32) / np.float32(255)
    canvas[ring] = ink
    return np.asarray(Image.fromarray(to_pixels(canvas)).reduce(_SCALE))


@dataclass(frozen=True)
class Evenness:
    """How much alike the drawings of a set are; each a spread, the lower the more alike.

    Attributes:
        size: standard deviation of the square roots of their areas over the mean.
        margin: standard deviation of the distances of their middles from the picture's, as a share
            of the side.
        outline: standard deviation of the widths of their lines over the mean; None where they have
            none.
        palette: mean distance in Oklab of their colours from the sixteen that all of them together
            are nearest to, white left out.
    """

    size: float
    margin: float
    outline: float | None
    palette: float


def evenness(pictures: Sequence[Pixels]) -> Evenness:
    """How much alike drawings on white are.

    Args:
        pictures: ``(S, S, 3)`` uint8 each.

    Raises:
        UsageError: fewer than two of them show anything.
    """
    sizes, offsets, widths, colours = [], [], [], []
    for pixels in pictures:
        small = np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX))
        cut = without_background(small)
        thing = cut[..., 3] > 0.5
        if not (thing & (small.min(-1) < 250)).any():
            continue
        rows, columns = np.flatnonzero(thing.any(1)), np.flatnonzero(thing.any(0))
        middle = np.array([rows[0] + rows[-1], columns[0] + columns[-1]]) / 2 - (_SIDE - 1) / 2
        offsets.append(float(np.hypot(*middle)) / _SIDE)
        sizes.append(float(cut[..., 3].sum()) ** 0.5 / _SIDE)
        lab = to_oklab(colours_of(cut))
        dark = thing & (lab[..., 0] < 0.45)
        width, solid = stroke([dark])
        if dark.any() and solid < 0.1:
            widths.append(width)
        paper = (lab[..., 0] > _WHITE) & (np.hypot(lab[..., 1], lab[..., 2]) < _GREY)
        some = lab[thing & ~paper & (flatness(lab) > 0.5)]
        if len(some):
            colours.append(some[:: max(1, len(some) // 500)])
    if len(sizes) < 2:
        raise UsageError("fewer than two pictures show anything, so they cannot be compared")
    every = np.concatenate(colours) if colours else np.zeros((1, 3), np.float32)
    weight = np.ones(len(every), np.float32)
    shared = clusters(every, weight, 16, 0.03)
    far = np.linalg.norm(every - shared[nearest_of(every, shared)], axis=1)
    enough = len(widths) > len(sizes) / 2
    return Evenness(
        size=pstdev(sizes) / fmean(sizes),
        margin=pstdev(offsets),
        outline=pstdev(widths) / max(fmean(widths), 1e-9) if enough else None,
        palette=float(far.mean()),
    )
