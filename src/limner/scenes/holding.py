"""Ways to put a thing in the hands, the arms or the mouth of another, or over its head.

Each takes the groups and the numbers of who holds and of what is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from limner.arrays import Floats
from limner.scenes.actors import Spot, extent
from limner.scenes.groups import Groups
from limner.scenes.sizes import ALIVE

_FIGURE = 0.6
"""How much smaller what a standing figure holds is, beside its height, than beside the side of a
head."""
_ROUND = 0.75
"""How much smaller what is round is held, as it is as large in both directions."""
_LAP = 0.84
"""Lower edge of who is carried, of the height of who carries him."""
_STANDING, _AMID = (0.6, 0.44, (0.42, 0.66)), (0.76, 0.5, (0.36, 0.52))
"""Height of both hands before the body, and least height of what they hold, so that no face is
hidden, of the height of who holds; its least and greatest longer side, as beside a head: of who
stands, and of who sits or is drawn with the shoulders alone."""
_CHEEK, _BELOW_CHIN = 0.3, 0.55
"""Middle of what a standing figure eats, from that of the head, of its breadth; how much of it is
below the chin."""
_GRIP, _ROWS = 0.12, 16
"""How far what is held reaches into the outline of who holds it, of the narrower; rows in which
that is looked at."""
_CANOPY, _COVERED, _RIM = (1.3, 0.9), 0.12, 0.6
"""Least width of an umbrella, of the width and of the height of who is under it; how far down it
reaches, of the height; least width of the lower edge of its canopy, of its own."""


def hold(groups: Groups, i: int, j: int) -> None:
    """Held in a hand, at a side, or in both; who is alive in the arms of a standing figure."""
    if groups.is_figure(i) and groups.actors[j].facts.role in ALIVE:
        _carry(groups, i, j)
        return
    if groups.actors[i].reaching and groups.shapes[i].tall < 1.0:
        _hold_before_body(groups, i, j)
        return
    share, side = groups.next_hand(i)
    _bunch(groups, j)
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + share * who.width + side * (0.5 * box.width * s - 0.12 * who.width),
        who.top + 0.72 * who.height + 0.35 * box.height * s,
    ), (0.48, 0.7))  # fmt: skip
    groups.merge(i, j, held)


def _hold_before_body(groups: Groups, i: int, j: int) -> None:
    """In both hands, before the belly and below the face."""
    _bunch(groups, j)
    hands, face, sizes = _STANDING if groups.is_figure(i) else _AMID
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + 0.5 * who.width,
        who.top + box.height * s + max(
            face * who.height, hands * who.height - 0.5 * box.height * s
        ),
    ), sizes)  # fmt: skip
    groups.merge(i, j, held)


def _carry(groups: Groups, i: int, j: int) -> None:
    """A child or an animal in somebody's arms, before the chest."""
    head = groups.shapes[j].tall == 1.0
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + 0.5 * who.width, who.top + (0.76 if head else _LAP) * who.height,
    ), (0.36, 0.46) if head else (0.48, 0.62))  # fmt: skip
    groups.merge(i, j, held)


def _bunch(groups: Groups, j: int) -> None:
    """Several of a kind that somebody holds in one hand, close together."""
    spots = groups.spots_of(j)
    if len(spots) < 2 or len(spots) < len(groups.group(j)):
        return
    one = groups.single(j, groups.length(j))
    asides = [place - (len(spots) - 1) / 2 for place in range(len(spots))]
    groups.regroup(
        j,
        [
            one.moved(
                1, 0.5 * aside * one.width, 0.08 * abs(aside) * one.height, -0.01 * abs(aside)
            )
            for aside in asides
        ],
    )


def eat(groups: Groups, i: int, j: int) -> None:
    """What is eaten is at the mouth."""
    shape = groups.shapes[i]
    if groups.is_figure(i) and groups.actors[i].facts.role == "person":
        _eat_standing(groups, i, j)
        return
    side = -1 if shape.head < 0.4 else 1
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + shape.head * who.width + side * 0.42 * shape.breadth * who.width,
        who.top + (shape.crown + (0.78 if shape.tall == 1 else 0.7) * shape.tall) * who.height
        + 0.5 * box.height * s,
    ), (0.36, 0.5) if shape.tall == 1 else (0.3, 0.42))  # fmt: skip
    groups.merge(i, j, held)


def _eat_standing(groups: Groups, i: int, j: int) -> None:
    """Below the mouth of a standing figure, beside the chin, so that the face is seen."""
    shape = groups.shapes[i]
    chin = shape.neck if shape.neck is not None else shape.crown + shape.tall
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + (shape.head + _CHEEK * shape.breadth) * who.width,
        who.top + chin * who.height + _BELOW_CHIN * box.height * s,
    ), (0.3, 0.42), grip=0.0)  # fmt: skip
    groups.merge(i, j, held)


def hold_by_string(groups: Groups, i: int, j: int) -> None:
    """In a hand, above the head, on a string: a balloon, a kite."""
    share, side = groups.next_hand(i)
    _bunch(groups, j)
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + share * who.width + side * (0.5 * box.width * s - 0.1 * who.width),
        who.top + 0.55 * who.height,
    ), (0.5, 0.9), grip=0.0)  # fmt: skip
    groups.merge(i, j, held)


def hold_in_front(groups: Groups, i: int, j: int) -> None:
    """Something large that is played or used: in front of whoever does it."""
    held = _held(groups, i, j, lambda who, box, s: (
        who.left + 0.5 * who.width,
        who.bottom + (0.62 if groups.shapes[i].tall == 1 else 0.35) * box.height * s,
    ), (0.55, 0.8))  # fmt: skip
    groups.merge(i, j, held)


def _held(
    groups: Groups, i: int, j: int, where: Callable[[Spot, Spot, float], tuple[float, float]],
    sizes: tuple[float, float], *, grip: float = _GRIP,
) -> list[Spot]:  # fmt: skip
    """The first group, and the second scaled and put in the hands of each of the first.

    Args:
        groups: of the things.
        i: number of who holds it.
        j: number of what is held.
        where: middle and lower edge of what is held, by the holder, its box and its scale.
        sizes: its least and greatest longer side, of the holder's.
        grip: how far it reaches into the holder's outline, of the narrower.
    """
    low, high = sizes
    spots = list(groups.group(i))
    if groups.is_figure(i):
        low, high = _FIGURE * low, _FIGURE * high
    if groups.is_round(j):
        low, high = _ROUND * low, _ROUND * high
    for who in groups.spots_of(i):
        box = extent(groups.spots_of(j))
        scale = groups.scale_to(j, who, low, high)
        x, bottom = where(who, box, scale)
        held = groups.scaled(j, scale, x, bottom, who.depth + 0.2)
        spots += _touching(groups, who, held, grip)
    return spots


def _touching(groups: Groups, who: Spot, held: Sequence[Spot], grip: float) -> Sequence[Spot]:
    """What is held at a side, moved so that it reaches into the outline of who holds it."""
    box = extent(held)
    side = np.sign(box.left + box.width / 2 - who.left - who.width / 2)
    if side == 0:
        return held
    ours = _outline(groups.actors[who.thing].cut, who, side)
    theirs = [_outline(groups.actors[spot.thing].cut, spot, -side) for spot in held]
    rows = np.linspace(box.top, box.bottom, 2 * _ROWS + 1)[1::2]
    reach = np.array([ours(y) for y in rows])
    near = np.array([np.nanmin([side * one(y) for one in theirs] + [np.inf]) for y in rows])
    gaps = near - side * reach
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        return held
    short = float(gaps.min()) + grip * min(who.width, box.width)
    return [spot.moved(1, -side * short, 0) for spot in held] if short > 0 else held


def cover(groups: Groups, i: int, j: int) -> None:
    """An umbrella over the first, its stick behind them; several are held."""
    if groups.actors[j].count > 1:
        hold(groups, i, j)
        return
    box, base = groups.abreast(i), extent(groups.spots_of(j))
    if groups.actors[j].facts.role == "umbrella":
        scale = max(_CANOPY[0] * box.width / base.width, _CANOPY[1] * box.height / base.width)
        edge = _canopy(groups.actors[j].cut) * base.height * scale
        bottom = box.top + _COVERED * box.height - edge + base.height * scale
        bottom = min(bottom, box.bottom - 0.06 * box.height)
    else:  # a mushroom, which stands on the ground
        scale = max(1.25 * box.width / base.width, 1.4 * box.height / base.height)
        bottom = box.bottom - 0.06 * box.height
    moved = groups.scaled(j, scale, box.left + 0.5 * box.width, bottom, -0.4)
    groups.merge(i, j, [*groups.group(i), *moved])


def _outline(cut: Floats, spot: Spot, side: float) -> Callable[[float], float]:
    """The outermost place of a thing to one side at a height; NaN where it has none.

    Args:
        cut: the thing.
        spot: where it is.
        side: 1 for its right edge, -1 for its left one.
    """
    solid = cut[..., 3] > 0.5
    wide = solid.shape[1]
    edge = wide - solid[:, ::-1].argmax(1) if side > 0 else solid.argmax(1)
    edges = np.where(solid.any(1), spot.left + edge / wide * spot.width, np.nan)

    def at(y: float) -> float:
        row = int((y - spot.top) / spot.height * len(edges))
        return float(edges[row]) if 0 <= row < len(edges) else float("nan")

    return at


def _canopy(cut: Floats) -> float:
    """Lower edge of the canopy of an umbrella, above its handle, in shares of its height."""
    widths = (cut[..., 3] > 0.5).sum(1)
    return float(np.flatnonzero(widths > _RIM * widths.max())[-1] + 1) / len(widths)
