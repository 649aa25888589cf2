"""Restyling: a drawing of one style redrawn in another that has no drawing of the thing.

The drawing is cut into areas of one colour, whose edges are smoothed; these are painted anew, as
the profile of the other style says (:mod:`limner.generation.styles`): in its colours, with its
contour, as lines alone or as a glyph.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.arrays import Floats, Mask, Pixels
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
from limner.scenes.cutout import resize, without_background

_SCALE = 2
"""Pixels painted for each of the result's, along one side, so that edges are smooth."""
_AREAS, _APART = 9, 0.055
_SMOOTH = 0.007
"""Deviation of the blur that smooths edges, as a share of the side."""
_SMOOTH_LINES = 0.2
"""The same as a share of the lines' width."""
_VISIBLE = (0.11, 0.2, 0.3, 0.5)
"""Differences in Oklab of two areas from which a line is drawn between them."""
_DARK, _PALE = 0.4, 0.9
"""Lightness in Oklab below which ink is dark, and above which it is as good as white."""
_INK_LIGHT = (0.3, 0.75)
"""Lightness in Oklab of ink that stands for a colour which is not known."""
_DARKER, _WHITEST = np.array([0.6, 1, 1], np.float32), np.array([1, 0, 0], np.float32)
_FRAMED = 0.4
"""Share of a picture's edge that is no ground, from which it is one that fills its edges."""
_THINNER = 0.25
"""Width of lines in a picture that fills its edges, such as a photograph, over that in drawings."""
_COLOURED, _WHITE, _NEAR = 0.06, 0.95, 0.12


class _Areas(NamedTuple):
    """A drawing as areas of one colour.

    Attributes:
        labels: ``(T, T)`` of each pixel, 0 for the ground and 1 + k for colour k.
        colours: ``(K, 3)`` in Oklab.
        shares: ``(K,)`` of the thing.
    """

    labels: NDArray[np.int64]
    colours: Floats
    shares: Floats


def redraw(pixels: Pixels, style: StyleProfile, *, fills: bool = False) -> Pixels:
    """A drawing in another style.

    Args:
        pixels: ``(S, S, 3)`` uint8, on white.
        style: what it is to look like.
        fills: whether a picture without a white ground is redrawn, too, as one thing.

    Returns:
        ``(S, S, 3)`` uint8, on white; the drawing itself where there is no thing on white.
    """
    cut = without_background(pixels)
    thing = cut[..., 3] > 0.5
    edges = np.concatenate([thing[0], thing[-1], thing[:, 0], thing[:, -1]])
    if fills and edges.mean() > _FRAMED:  # white at its edge is no ground
        thing = np.ones_like(thing)
    if style.kind is Kind.PIXELS or (thing.all() and not fills) or not thing.any():
        return pixels
    if style.kind is Kind.STICKER:
        return _sticker(cut, style.width)
    if thing.all():
        style = replace(style, width=style.width * _THINNER)
    areas = _areas(pixels, thing, style)
    painted = {Kind.LINES: _lines, Kind.GLYPH: _glyph, Kind.FILLS: _fills}[style.kind](areas, style)
    whole = Image.fromarray((painted * 255).round().astype(np.uint8))
    return np.asarray(whole.reduce(_SCALE))


def restyled(pixels: Pixels, style: StyleProfile, strength: float) -> Pixels:
    """Any picture in another style, as far as a strength says.

    Squares and borders grow with the strength; for the other styles the picture passes over into
    one redrawn (:func:`redraw`), in Oklab. A picture that fills its edges has finer lines and no
    contour, and a silhouette of it shows its darker half.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        style: what it is to look like.
        strength: in [0, 1]; 0 leaves it as it is.
    """
    if strength == 0:
        return pixels
    height, width = pixels.shape[:2]
    side = max(height, width)
    lines, columns = ((side - each) // 2 for each in (height, width))
    around = [(lines, side - height - lines), (columns, side - width - columns), (0, 0)]
    square = np.pad(pixels, around, "edge")
    if style.kind is Kind.PIXELS:
        cell = max(strength * style.width, 1 / side)
        found = np.asarray(pixelated(Image.fromarray(square), cell))
    elif style.kind is Kind.STICKER:
        found = redraw(square, replace(style, width=strength * style.width), fills=True)
    else:
        found = redraw(square, style, fills=True)
        if strength < 1:
            before, after = (
                to_oklab(each.astype(np.float32) / np.float32(255)) for each in (square, found)
            )
            mixed = from_oklab(before + np.float32(strength) * (after - before))
            found = (mixed * 255).round().astype(np.uint8)
    return found[lines : lines + height, columns : columns + width]


def _areas(pixels: Pixels, thing: Mask, style: StyleProfile) -> _Areas:
    """A drawing cut into areas, ``_SCALE`` times as large.

    They are fewer and smoother where wide lines are drawn around them.
    """
    side = len(pixels)
    smooth = max(_SMOOTH, _SMOOTH_LINES * style.width) * side
    lab = to_oklab(pixels.astype(np.float32) / np.float32(255))
    colours = clusters(lab[thing], flatness(lab)[thing], _AREAS, _APART)
    labels = np.where(thing, 1 + nearest_of(lab.reshape(-1, 3), colours).reshape(thing.shape), 0)
    size = (side * _SCALE, side * _SCALE)
    best, found = np.full(size, -1, np.int16), np.zeros(size, np.int64)
    for label in range(len(colours) + 1):
        mask = Image.fromarray((labels == label).astype(np.uint8) * 255)
        soft = mask.filter(ImageFilter.GaussianBlur(smooth))
        soft = soft.resize(size, Image.Resampling.BICUBIC)
        value = np.asarray(soft).astype(np.int16)
        found = np.where(value > best, label, found)
        best = np.maximum(best, value)
    held = np.bincount(found.ravel(), minlength=len(colours) + 1)[1:]
    return _Areas(found, colours, (held / max(held.sum(), 1)).astype(np.float32))


def _inner_lines(areas: _Areas, width: float, most: float) -> Mask:
    """Lines of a width in pixels between areas, those of the greatest differences alone.

    Args:
        areas: of the drawing.
        width: of the lines.
        most: share of the thing that they may cover.
    """
    labels, thing = areas.labels, areas.labels > 0
    gaps = np.linalg.norm(areas.colours[:, None] - areas.colours, axis=-1)
    lines = own = _own_lines(areas, width)
    near = grown(own, 2)
    for visible in _VISIBLE:
        apart = np.pad(gaps > visible, ((1, 0), (1, 0)))
        edges = np.zeros_like(thing)
        edges[1:] |= apart[labels[1:], labels[:-1]]
        edges[:, 1:] |= apart[labels[:, 1:], labels[:, :-1]]
        lines = own | (grown(edges & ~near, width / 2) & thing)
        if lines.sum() <= most * thing.sum():
            break
    return lines


def _own_lines(areas: _Areas, width: float) -> Mask:
    """Lines that a drawing has already: thin parts of areas that are darker than most of it.

    Args:
        areas: of the drawing.
        width: in pixels, up to which a part is thin.
    """
    light = areas.colours[:, 0]
    most = min(0.75 * float(np.average(light, weights=areas.shares)), 0.6)
    dark = np.concatenate([[False], light < most])[areas.labels]
    return dark & ~grown(shrunk(dark, 0.6 * width), 0.6 * width + 1)


class _Strokes(NamedTuple):
    """The lines of a drawing of lines, and their width in pixels."""

    mask: Mask
    width: float

    def of_width(self, width: float) -> Mask:
        """The lines at another width."""
        change = (width - self.width) / 2
        return grown(self.mask, change) if change > 0 else shrunk(self.mask, -change)


def _strokes(areas: _Areas) -> _Strokes | None:
    """The dark lines of a drawing whose edge is drawn by such."""
    light, chroma = areas.colours[:, 0], np.hypot(areas.colours[:, 1], areas.colours[:, 2])
    dark = np.concatenate([[False], (light < _DARK) & (chroma < _COLOURED)])[areas.labels]
    thing = areas.labels > 0
    edge = shrunk(thing, 3) & ~shrunk(thing, 5)
    if not edge.any() or dark[edge].mean() < 0.7:
        return None
    width, solid = stroke([dark])
    return _Strokes(dark, width * len(dark)) if solid < 0.1 else None


def _lines(areas: _Areas, style: StyleProfile) -> Floats:
    """Edges of all areas as lines."""
    width = style.width * len(areas.labels)
    drawn = _strokes(areas)
    if drawn is not None:
        return _paint(drawn.of_width(width), style.ink)
    thing = areas.labels > 0
    outline = thing & ~shrunk(thing, width)
    return _paint(outline | _inner_lines(areas, width, 0.35), style.ink)


def _glyph(areas: _Areas, style: StyleProfile) -> Floats:
    """The silhouette, with white lines where areas meet and what is small and light in white."""
    thing, side = areas.labels > 0, len(areas.labels)
    drawn = _strokes(areas)
    if drawn is not None:
        return _paint(thing & ~(drawn.mask & shrunk(thing, 1.3 * drawn.width)), style.ink)
    light = (areas.colours[:, 0] > _PALE) & (areas.shares < 0.25)
    if thing.all():  # no silhouette, but shadows
        shown = areas.colours[:, 0]
        light = shown > (shown.min() + shown.max()) / 2
        return _paint(~np.concatenate([[True], light])[areas.labels], style.ink)
    white = np.concatenate([[True], light])[areas.labels]
    gaps = _inner_lines(areas, 0.018 * side, 0.2) & ~grown(white, 0.02 * side)
    return _paint(~white & ~gaps, style.ink)


def _fills(areas: _Areas, style: StyleProfile) -> Floats:
    """Areas in the style's colours, with its contour."""
    side, thing = len(areas.labels), areas.labels > 0
    palette, width = to_oklab(style.palette), style.width * side
    drawn = _strokes(areas)
    colours = _matched(areas, palette, style.closed)
    if drawn is not None:  # white areas are what it does not say the colour of
        main = to_oklab(_main(style.palette))
        white = areas.colours[:, 0] > _PALE
        if areas.shares[white].sum() > 0.5 * areas.shares[areas.colours[:, 0] > _DARK].sum():
            colours = np.where(white[:, None], main, colours)
    canvas = np.concatenate([np.ones((1, 3), np.float32), from_oklab(colours)])[areas.labels]
    if drawn is not None:
        ink = style.ink if style.width else from_oklab(main * _DARKER)
        canvas[drawn.of_width(max(width, drawn.width))] = ink
    elif style.width:
        outline = thing & ~shrunk(thing, width)
        canvas[outline | _inner_lines(areas, 0.8 * width, 0.3)] = style.ink
    return canvas


def _main(palette: Floats) -> Floats:
    """The most frequent colour of a palette that is neither nearly white nor dark."""
    lab = to_oklab(palette)
    fit = (lab[:, 0] > _DARK) & (lab[:, 0] < _PALE)
    vivid = fit & (np.hypot(lab[:, 1], lab[:, 2]) > _COLOURED)
    return np.asarray(palette[int((vivid if vivid.any() else fit).argmax())])


def _matched(areas: _Areas, palette: Floats, closed: bool) -> Floats:
    """For each area a colour of the palette, in Oklab.

    The nearest one, where the palette has the hue; else the area's own hue at the lightness and
    chroma that the palette has. A palette of one hue is chosen from by lightness.
    """
    if _many_hues(palette):
        return _by_hue(areas, palette, np.inf if closed else _NEAR)
    return _by_lightness(areas, palette)


def _many_hues(palette: Floats) -> bool:
    vivid = np.hypot(palette[:, 1], palette[:, 2]) > _COLOURED
    if vivid.sum() < 3:
        return False
    units = palette[vivid, 1:] / np.hypot(palette[vivid, 1], palette[vivid, 2])[:, None]
    return bool(np.linalg.norm(units.mean(0)) < 0.8)


def _by_hue(areas: _Areas, palette: Floats, near: float) -> Floats:
    own, ground = areas.colours, bool((areas.labels == 0).any())
    if ground and bool((np.hypot(own[:, 1], own[:, 2]) < _COLOURED)[areas.shares > 0.01].all()):
        dark = own[:, 0] < _DARK  # a glyph says no colour: its ink is the style's quietest
        return np.where(dark[:, None], _quiet(palette), own)
    found = []
    for colour in own:
        gaps = palette - colour
        cost = np.sqrt((0.7 * gaps[:, 0]) ** 2 + (4 * gaps[:, 1:] ** 2).sum(1))
        cost = np.where((palette[:, 0] > _WHITE) & (colour[0] < _WHITE), np.inf, cost)
        best = int(cost.argmin())
        found.append(palette[best] if cost[best] < near else colour)
    return np.asarray(found, np.float32)


def _quiet(palette: Floats) -> Floats:
    """The least vivid of the colours in Oklab that are neither nearly white nor nearly black."""
    fit = palette[(palette[:, 0] > _INK_LIGHT[0]) & (palette[:, 0] < _INK_LIGHT[1])]
    fit = fit if len(fit) else palette
    return np.asarray(fit[int(np.hypot(fit[:, 1], fit[:, 2]).argmin())])


def _by_lightness(areas: _Areas, palette: Floats) -> Floats:
    """White stays, and the other areas take the other colours in the order of their lightness."""
    light = areas.colours[:, 0]
    some = palette[palette[:, 0] < _WHITE]
    some = some if len(some) else palette
    order = some[np.argsort(some[:, 0])]
    inner = light[light < _WHITE]
    low, high = (inner.min(), inner.max()) if len(inner) else (0.0, 1.0)
    place = ((light - low) / max(high - low, 0.3)).clip(0, 1) * (len(order) - 1)
    found = order[place.round().astype(int)]
    return np.where(light[:, None] < _WHITE, found, _WHITEST)


def _sticker(cut: Floats, width: float) -> Pixels:
    """A cut-out ``(S, S, 4)`` with a white border and a thin grey line around it."""
    side = len(cut)
    inner = round(side * (1 - 2.2 * width))
    small = np.zeros_like(cut)
    start = (side - inner) // 2
    small[start : start + inner, start : start + inner] = resize(cut, inner, inner)
    mask = np.asarray(
        Image.fromarray((small[..., 3] * 255).astype(np.uint8)).resize(
            (side * _SCALE, side * _SCALE), Image.Resampling.BICUBIC
        )
    )
    border = grown(mask > 127, width * side * _SCALE)
    line = grown(border, 0.006 * side * _SCALE) & ~border
    around = Image.fromarray(np.where(line, 200, 255).astype(np.uint8)).reduce(_SCALE)
    ground = np.asarray(around, np.float32)[..., None] / 255
    canvas = ground * (1 - small[..., 3:]) + small[..., :3]
    return np.asarray((canvas.clip(0, 1) * 255).round(), np.uint8)


def pixelated(image: Image.Image, cell: float) -> Image.Image:
    """A picture, RGB or RGBA, made of squares of few colours.

    Args:
        image: square.
        cell: side of the squares, as a share of the picture's.
    """
    cells = round(1 / cell)
    small = np.asarray(image.resize((cells, cells), Image.Resampling.BOX), np.float32)
    small /= np.float32(255)
    lab = to_oklab(small[..., :3]).reshape(-1, 3)
    colours = clusters(lab, np.ones(len(lab), np.float32), 20, 0.04)
    rgb = from_oklab(colours)[nearest_of(lab, colours)].reshape(cells, cells, 3)
    bands = np.concatenate([rgb, (small[..., 3:] > 0.5).astype(np.float32)], -1)
    grid = Image.fromarray((bands * 255).round().astype(np.uint8))
    return grid.resize(image.size, Image.Resampling.NEAREST)


def _paint(mask: Mask, ink: Floats) -> Floats:
    return np.where(mask[..., None], ink, np.float32(1)).astype(np.float32)
