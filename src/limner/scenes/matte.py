"""Alpha and colours of a thing that a model drew on a nearly white background.

A decoder's edges are soft over two or three pixels and its white is not exactly white, so that what
is cut out along the white keeps a light fringe. Here an edge pixel is taken for a mixture of white
and the ink next to it, which gives its alpha; alpha is made smooth along the contour and as steep
as a drawing's; colours are continued outwards from where there is ink alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.arrays import Floats, Mask, Pixels
from limner.vision.masks import grown, largest, parts_of, touching_border

_BACKGROUND = 0.06
"""Largest difference of the background from white, of 1; a model's white varies."""
_FAINT = 0.01
"""Least difference from white of faint ink, as of a white cup, on a background that is whiter."""
_SOLID = 1 / 80
"""Share of the side that faint ink reaches in every direction, where it is no soft edge."""
_SPECK = 0.0075
"""Separate parts smaller than this share of the ink are removed as noise."""
_SOFT = 1 / 64
"""Share of the side, from the background on, that may be mixtures of white and ink."""
_SOFTEST, _HARDEST = 4, 2
"""The same in pixels, at most and at least."""
_PALE = 0.16
"""Ink that differs from white by less, of 1, is not told from it pixel by pixel."""
_PEAK, _PURE = 0.85, 0.95
"""Of the ink's difference from white: what is less after more is inside; what is more is ink."""
_STEEPEN = 3.0
_ROUNDER, _AT, _FAINT_EDGE = 5, 256, 2
"""Times that alpha is made smooth again at 256 pixels where ink hardly differs from white, so that
its contour is noise; how many pixels from there on its colours are."""
_LIGHT, _FEW_LIGHT = 0.4, 0.06
"""Ink that differs from white by less is light; most share of it in a thing that has no light parts
of its own."""
_BEHIND = 1 / 16
"""Share of the side: white within such a thing, and so near to the background, is background."""
_SIDES = 2
"""Sides on which the background is so near to such white, at least; it is on one of a highlight."""
_BELOW = 0.8
"""Or least share of it that is below, where no highlights are, as light falls from above."""
_TURNS = 2
"""Times that such white is looked for, as some is seen only beside other."""
_LARGE = 1 / 50
"""Share of the picture that such white has at most."""
_WIDER = 3
"""By so much farther mixtures reach from the background on, in such a thing."""
_TINY = np.float32(1e-6)


@dataclass(frozen=True)
class Matte:
    """Where a drawn thing is in its picture.

    Attributes:
        box: rows and columns of the smallest rectangle that holds it.
        alpha: ``(H, W)`` in [0, 1], of the rectangle.
        pure: ``(H, W)``, where the picture shows the thing's own colours.
    """

    box: tuple[slice, slice]
    alpha: Floats
    pure: Mask

    def inside(self, shape: tuple[int, ...]) -> Mask:
        """Where the thing is, ``(S, S)``, in a picture of a shape."""
        found = np.zeros(shape[:2], np.bool_)
        found[self.box] = self.alpha > 0
        return found

    def cut(self, pixels: Pixels) -> Floats:
        """The thing, ``(H, W, 4)`` float32 in [0, 1], premultiplied.

        Args:
            pixels: ``(S, S, 3)``, the picture, or the same recoloured.
        """
        colours = pixels[self.box].astype(np.float32) / np.float32(255)
        inside = self.pure[..., None]
        colours = continued(colours * inside, inside.astype(np.float32), _SOFTEST + 1, colours)
        return np.concatenate([colours, np.ones_like(colours[..., :1])], -1) * self.alpha[..., None]


def matte_of(pixels: Pixels) -> Matte:
    """Find the thing in a picture ``(S, S, 3)``: all of it where there is no background.

    The background is the white that touches the border; white inside the thing belongs to it, but
    for what is seen between the legs of a dark one. Small separate parts are noise.
    """
    darkest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    white = (darkest > round(255 * (1 - _BACKGROUND))) & ~_faint_ink(darkest)
    background = _background(white)
    if background.all() or not background.any():
        whole = slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
        return Matte(whole, np.ones(darkest.shape, np.float32), np.ones(darkest.shape, np.bool_))
    between = _seen_between(darkest, background)
    if between is not None:
        background = background | between
    parts = parts_of(~background)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    inside = (sizes >= min(_SPECK * sizes.sum(), sizes.max()))[parts] & ~background
    soft = min(_SOFTEST, max(_HARDEST, round(_SOFT * len(pixels))))
    box = _around(inside, soft)
    depth = (255 - darkest[box]).astype(np.float32) / np.float32(255)
    farthest = soft if between is None else _WIDER * soft
    rounder = int(_ROUNDER * (len(pixels) / _AT) ** 2)
    alpha, pure = _alpha(depth, inside[box], white[box], soft, farthest, rounder=rounder)
    small = _around(alpha > 0, 0)
    return Matte(tuple(slice(big.start + part.start, big.start + part.stop)
                       for big, part in zip(box, small, strict=True)),  # type: ignore[arg-type]
                 alpha[small], pure[small])  # fmt: skip


def continued(colours: Floats, weights: Floats, steps: int, otherwise: Floats) -> Floats:
    """Continue colours beyond where they are known, a pixel a step.

    Args:
        colours: ``(H, W, 3)``, premultiplied by the weights.
        weights: ``(H, W, 1)`` in [0, 1]: 1 where the colour is known.
        steps: how far; each takes the weighted mean of the pixels around.
        otherwise: colours of what is farther away, ``(H, W, 3)``.

    Returns:
        ``(H, W, 3)``, not premultiplied.
    """
    known = np.ascontiguousarray(np.concatenate([colours, weights], -1).transpose(2, 0, 1))
    settled = known[3] > _PURE
    for _ in range(steps):
        around = _summed(_summed(known, 1), 2)
        around *= 1 / np.maximum(around[3], _TINY)
        np.copyto(around, known, where=settled)
        known = around
    weight = known[3]
    known[:3] *= 1 / np.maximum(weight, _TINY)
    np.copyto(known[:3], otherwise.transpose(2, 0, 1), where=weight <= _TINY)
    found: Floats = known[:3].transpose(1, 2, 0)
    return found.clip(0, 1)


def _summed(bands: Floats, axis: int) -> Floats:
    """Sums of three neighbours along an axis, ``(C, H, W)``."""
    found = bands.copy()
    ahead, behind = ((slice(None),) * axis + (part,) for part in (slice(1, None), slice(-1)))
    found[ahead] += bands[behind]
    found[behind] += bands[ahead]
    return found


def _faint_ink(darkest: Pixels) -> Mask:
    """Where ink that hardly differs from white fills more than an edge.

    Nothing, where the border of the picture is no whiter than that.

    Args:
        darkest: ``(S, S)`` uint8, the least channel.
    """
    faint = darkest < round(255 * (1 - _FAINT))
    reach = max(1, round(_SOLID * len(darkest)))
    core = ~largest(~faint, reach)
    border = np.concatenate([darkest[0], darkest[-1], darkest[:, 0], darkest[:, -1]])
    if not core.any() or np.median(border) < round(255 * (1 - _FAINT / 2)):
        return np.zeros_like(faint)
    return largest(core, reach) & ~touching_border(faint)


def _background(white: Mask) -> Mask:
    """The part of the mask that is connected to the border, but for what lies behind narrow gaps.

    An outline with gaps of two pixels still holds its white inside: white that is farther than a
    pixel from everything else is inside or outside as a whole, and both grow towards each other.
    """
    core = ~largest(~white, 1)
    outside = touching_border(core)
    inside, found = core & ~outside, outside
    before, now = -1, 0
    while now != before:
        before = now
        found = grown(found) & white & ~inside
        inside = grown(inside) & white & ~found
        now = int(np.count_nonzero(found)) + int(np.count_nonzero(inside))
    return found


def _seen_between(darkest: Pixels, background: Mask) -> Mask | None:
    """Small pale parts that narrow bridges of ink, as legs, part from the background around them.

    A highlight has background on one side only. None where the thing has light parts of its own;
    what is light at the edge of another is none of it.

    Args:
        darkest: ``(S, S)`` uint8, the least channel.
        background: ``(S, S)``.
    """
    reach = max(1, round(_BEHIND * len(darkest)))
    pale, between = darkest > round(255 * (1 - _PALE)), np.zeros_like(background)
    for _ in range(_TURNS):
        ground = background | between
        parts = parts_of(pale & ~ground)
        sizes = np.bincount(parts.ravel())
        near = largest(ground, reach)
        for part in np.unique(parts[near & (parts > 0)]).tolist():
            if reach < sizes[part] < _LARGE * darkest.size:
                own = parts == part
                box = _around(own, reach)
                if _has_ground_around(own[box], ground[box], reach):
                    between |= own
    deep = ~largest(background, reach) & ~between
    light = deep & (darkest > round(255 * (1 - _LIGHT)))
    return between if deep.any() and light.sum() < _FEW_LIGHT * deep.sum() else None


def _has_ground_around(own: Mask, ground: Mask, reach: int) -> bool:
    """Whether background is so many pixels from a part on two sides, or below."""
    seen = ground & largest(own, reach) & ~largest(own, reach - 1)
    sides = np.bincount(parts_of(seen).ravel())[1:] > reach
    below = np.nonzero(seen)[0] > np.flatnonzero(own.any(1)).mean()
    return sides.sum() >= _SIDES or (bool(sides.any()) and below.mean() > _BELOW)


def _alpha(
    depth: Floats, inside: Mask, white: Mask, reach: int, farthest: int, *, rounder: int
) -> tuple[Floats, Mask]:
    """Alpha ``(H, W)``, and where the colours are the thing's own.

    Args:
        depth: difference from white, in [0, 1].
        inside: what is not background.
        white: what might be background by its colour.
        reach: pixels from the background on that may be mixtures.
        farthest: the same, of light ones.
        rounder: times that alpha is made smooth again where ink is faint.
    """
    best = largest(np.where(inside, depth, np.float32(0)), reach - 1)
    share = (depth / np.maximum(best, _TINY)).clip(0, 1)
    share = np.where(best < _PALE, inside.astype(np.float32), share)
    reached, peak = ~inside, np.zeros_like(depth)
    mixed, inked = largest(inside, 1) & reached, ~(white & inside)
    light = depth < np.float32(_LIGHT)
    for step in range(farthest):
        ring = grown(reached) & ~reached
        if step >= reach:
            ring &= light
        peak = largest(peak, 1)
        past = (depth < np.float32(_PEAK) * peak) & (peak > np.float32(_PEAK) * best)
        mixed |= ring & inked & ~past
        np.maximum(peak, depth, out=peak, where=ring)
        reached |= ring
    alpha = np.where(mixed, share, inside.astype(np.float32))
    smooth = smoothed(alpha)
    if not (smooth > np.float32(0.5)).any():  # a few dots
        return inside.astype(np.float32), inside
    steep = _steep(smooth)
    pure = inside & (~mixed | (share > _PURE))
    faint = mixed & (best < _PALE)
    if not rounder or not faint.any():
        return steep, pure
    for _ in range(rounder):
        smooth = smoothed(smooth)
    faint = largest(faint, _FAINT_EDGE) & (depth < np.float32(_PALE))
    return np.where(faint, _steep(smooth), steep), pure & ~faint


def _steep(smooth: Floats) -> Floats:
    """Alpha as steep as a drawing's, of a smooth one."""
    found: Floats = ((smooth - np.float32(0.5)) * np.float32(_STEEPEN) + np.float32(0.5)).clip(0, 1)
    return found


def smoothed(values: Floats) -> Floats:
    """The weighted mean (1, 2, 1) / 4 of each value of ``(H, W)`` and those around it."""
    return _binomial(_binomial(values).T).T


def _binomial(values: Floats) -> Floats:
    """The weighted mean (1, 2, 1) / 4 of each row and those above and below."""
    wide = np.concatenate([values[:1], values, values[-1:]])
    found: Floats = (wide[:-2] + wide[2:] + 2 * values) / np.float32(4)
    return found


def _around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Rows and columns of what is in a mask, and of a margin as far as the picture reaches."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
            slice(max(0, columns[0] - margin), columns[-1] + 1 + margin))  # fmt: skip
