"""Arms: a standing figure whose forearms hang at its sides, with the forearms bent before it.

Sets of drawings show persons that stand with their arms at their sides, where nothing that they
hold looks held. Forearms below short sleeves are told by their colour, which is neither that of the
top nor that of the trousers; they are taken away, and drawn again from the sleeves to a point
before the belly, where what is held hides the hands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.scenes.cutout import to_pixels
from limner.vision.masks import grown, largest_part, parts_of, touching_border

Colour = Floats
"""``(3,)`` in [0, 1]."""

_ROWS = (0.42, 0.66)
"""Heights between which forearms hang, in shares of a figure's height."""
_TOP, _TROUSERS = (0.36, 0.46), (0.62, 0.72)
"""Heights of the middle of the top and of the trousers."""
_SHOULDERS, _AMID = 0.3, 0.12
"""Height of the shoulders; half the width of the middle of the body; in shares of the height."""
_INSET = (2, 5)
"""Pixels from the outline on within which an arm's colour is looked at."""
_LIKE, _UNLIKE, _PAIR = 0.2, 0.2, 0.15
"""Greatest difference of a channel from the colour of the arms; least of that from the clothes';
greatest of that of one arm from the other's."""
_AREA = (0.006, 0.08)
"""Least and greatest area of a forearm, of the figure's."""
_PIECE = 0.01
"""Greatest area, of the figure's, of a piece of a shaded hand that is left."""
_PALE = 0.75
"""Least channel of the background and of what is mostly that, at soft edges."""
_EDGE, _SHADED = 3, 8
"""Pixels around a forearm that are its edge, and among which its shaded parts are."""
_ASIDE, _DOWN = 0.035, 0.35
"""Where the hands come together: from the middle, in shares of the figure's height; below the
elbows, in shares of the forearm's length."""
_CHIN, _CHEEK = 0.38, 0.08
"""Height of a raised hand; how far it is from the middle; in shares of the figure's height."""
_HAND = 1.2
"""Radius of a hand, in those of the arm."""


class _Figure(NamedTuple):
    """Somebody who stands on white.

    Attributes:
        box: rows and columns of the picture that hold the figure.
        rgb: ``(H, W, 3)`` in [0, 1], of that box.
        solid: ``(H, W)``, where the figure is.
        high: H.
        middle: the column about which it is symmetric.
    """

    box: tuple[slice, slice]
    rgb: Floats
    solid: NDArray[np.bool_]
    high: int
    middle: float

    def rows(self, shares: tuple[float, float]) -> slice:
        """Those between two heights, in shares of its own."""
        first, last = (round(share * self.high) for share in shares)
        return slice(first, last)


class _Forearm(NamedTuple):
    """One that hangs, in pixels of the figure's box.

    Attributes:
        mask: ``(H, W)``, where it is.
        elbow: row and column of its upper end.
        length: from there to the end of the hand.
        radius: half its width.
    """

    mask: NDArray[np.bool_]
    elbow: tuple[float, float]
    length: float
    radius: float


def with_bent_arms(figure: Pixels, *, raised: bool = False) -> Pixels:
    """A standing figure with its hands before its belly, or one of them below its chin.

    Args:
        figure: ``(S, S, 3)``, somebody from head to foot on white, seen from the front.
        raised: whether one hand goes to the mouth, and the other hangs.

    Returns:
        ``(S, S, 3)``; the figure as it is where no two bare forearms are seen.
    """
    seen = _measured(figure)
    skin = None if seen is None else _colour_of_arms(seen)
    if seen is None or skin is None:
        return figure
    clothes = [_colour_amid(seen, rows) for rows in (_TOP, _TROUSERS)]
    if any(np.abs(skin - each).max() < _UNLIKE for each in clothes):
        return figure
    left, right = _forearm(seen, skin, -1), _forearm(seen, skin, 1)
    if left is None or right is None:
        return figure
    if raised:
        hand = seen.rows((_CHIN, 1)).start, seen.middle + _CHEEK * seen.high
        bent = [(right, hand)]
    else:
        bent = [(arm, (arm.elbow[0] + _DOWN * arm.length, seen.middle + side * _ASIDE * seen.high))
                for side, arm in ((-1, left), (1, right))]  # fmt: skip
    arms = np.any([arm.mask for arm, _ in bent], 0)
    canvas = seen.rgb.copy()
    canvas[_taken_away(seen, arms, skin, clothes)] = 1
    for arm, hand in bent:
        _paint(canvas, arm, hand, skin)
    whole = figure.copy()
    whole[seen.box] = to_pixels(canvas)
    return whole


def _measured(pixels: Pixels) -> _Figure | None:
    """A figure on white with its measures; None where there is nothing."""
    rgb: Floats = pixels.astype(np.float32) / np.float32(255)
    solid = ~touching_border(rgb.min(-1) > _PALE)
    if not solid.any():
        return None
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return _Figure(box, rgb[box], solid[box], len(rows), (len(columns) - 1) / 2)


def _colour_of_arms(figure: _Figure) -> Colour | None:
    """The colour of what is outermost at both sides, where forearms hang; None where it differs."""
    found = []
    for turned in (False, True):
        way = slice(None, None, -1) if turned else slice(None)
        seen, solid = figure.rgb[figure.rows(_ROWS), way], figure.solid[figure.rows(_ROWS), way]
        edges = [(row, int(solid[row].argmax())) for row in np.flatnonzero(solid.any(1))]
        if not edges:
            return None
        some = [seen[row, edge + _INSET[0] : edge + _INSET[1]] for row, edge in edges]
        found.append(np.median(np.concatenate(some), 0))
    if np.abs(found[0] - found[1]).max() > _PAIR:
        return None
    colour: Colour = np.mean(found, 0).astype(np.float32)
    return colour


def _colour_amid(figure: _Figure, rows: tuple[float, float]) -> Colour:
    """The median colour of the middle of a figure between two heights; black of nothing."""
    aside, middle = round(_AMID * figure.high), round(figure.middle)
    amid = figure.rows(rows), slice(middle - aside, middle + aside + 1)
    seen = figure.rgb[amid][figure.solid[amid]]
    return np.median(seen, 0).astype(np.float32) if len(seen) else np.zeros(3, np.float32)


def _forearm(figure: _Figure, skin: Colour, side: int) -> _Forearm | None:
    """The forearm at a side, 1 for the right; None where there is none of its own."""
    like = figure.solid & (np.abs(figure.rgb - skin).max(-1) < _LIKE)
    like[: figure.rows((_SHOULDERS, 1)).start] = False  # the face has the same colour
    like &= (side * (np.arange(like.shape[1]) - figure.middle) > 0)[None]
    mask = largest_part(like)
    if not _AREA[0] < mask.sum() / figure.solid.sum() < _AREA[1]:
        return None
    rows = np.flatnonzero(mask.any(1))
    wide = float(np.median(mask.sum(1)[rows]))
    upper = rows[: max(2, len(rows) // 6)]
    column = float(np.mean([np.flatnonzero(mask[row]).mean() for row in upper]))
    lower = slice(rows[len(rows) // 3], rows[-1] + 1 + _SHADED)
    inner = np.median([np.flatnonzero(mask[row])[::side][0] for row in rows[len(rows) // 3 :]])
    beyond = side * (np.arange(mask.shape[1]) - inner) >= 0
    mask[lower] |= figure.solid[lower] & beyond[None]  # its shaded parts, too
    return _Forearm(mask, (float(rows[0]) + wide / 2, column), float(len(rows)), wide / 2)


def _taken_away(
    figure: _Figure, arms: NDArray[np.bool_], skin: Colour, clothes: list[Colour]
) -> NDArray[np.bool_]:
    """Pixels of forearms with their shades and mixed edges, and pieces that are left of a hand."""
    edge, shaded = _widened(arms, _EDGE), _widened(arms, _SHADED)
    near = np.abs(figure.rgb - skin).max(-1)
    others = np.min([np.abs(figure.rgb - each).max(-1) for each in clothes], 0)
    pale = figure.rgb.min(-1) > _PALE
    gone = arms | (shaded & figure.solid & (near < others)) | (edge & pale)
    parts = parts_of(figure.solid & ~gone)
    small = np.bincount(parts.ravel()) < _PIECE * figure.solid.sum()
    away: NDArray[np.bool_] = gone | ((parts > 0) & small[parts])
    return away


def _widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    for _ in range(pixels):
        mask = grown(mask)
    return mask


def _paint(canvas: Floats, arm: _Forearm, hand: tuple[float, float], colour: Colour) -> None:
    """Draw a forearm and its hand, at a row and a column, in place; the edge is soft."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    (top, left), (low, right) = arm.elbow, hand
    along = (low - top) ** 2 + (right - left) ** 2
    share = np.clip(((y - top) * (low - top) + (x - left) * (right - left)) / along, 0, 1)
    far = np.hypot(y - top - share * (low - top), x - left - share * (right - left)) - arm.radius
    fist = np.hypot(y - low, x - right) - _HAND * arm.radius
    alpha = np.clip(0.5 - np.minimum(far, fist), 0, 1)[..., None]
    canvas += alpha * (colour - canvas)
