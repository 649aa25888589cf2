"""Ways to put a thing upon another or in it: on a table, a seat or a horse, in a boat or a box.

Each takes the groups and the numbers of what rests and of what it rests upon.
"""

from __future__ import annotations

from typing import NamedTuple

from limner.scenes.actors import extent
from limner.scenes.contacts import HANDY
from limner.scenes.groups import ROW_RISE, Groups
from limner.scenes.sizes import ALIVE

_HIDDEN = 0.9
"""How far down what is in something may reach, of its height."""
_SUNK, _SUNK_HEAD = 0.34, 0.2
"""How far what is in something reaches below its edge, of its height; the same of a head alone in a
vessel, of which the face is seen."""
_ROW = 0.95
"""Greatest width of several things upon one, of its own."""
_CLOSE = 0.48
"""How much higher the far row of many of a kind is upon something, of its height."""
_SURFACE = 0.16
"""Most of its height by which the far edge of a table is above its middle."""


class Stance(NamedTuple):
    """How something is upon something else.

    Attributes:
        low: its least size, as a share of what it is upon.
        high: its largest.
        sink: share of its height by which it reaches below the edge.
        feet: where the edge is, as a share of the other's height; None for its silhouette's.
        depth: before the other if positive.
    """

    low: float
    high: float
    sink: float
    feet: float | None = None
    depth: float = 0.3


_SEATED = Stance(0.5, 0.8, 0.0, feet=0.68)


def _upon(groups: Groups, i: int, j: int, stance: Stance) -> None:
    """The first group upon the second."""
    if groups.actors[j].facts.role != "plate":
        _close_up(groups, i)
    base, box = extent(groups.spots_of(j)), groups.abreast(i)
    high = stance.high if len(groups.sharing(i)) < 2 else max(stance.high, _ROW)
    scale = groups.scale_to(i, base, stance.low, high)
    one = groups.spots_of(j)[0]
    edge = groups.shapes[j].seat if stance.feet is None else stance.feet
    if stance.feet is None and groups.actors[j].facts.role == "table":  # seen from above
        edge = max(edge, min(groups.shapes[j].rim, edge + _SURFACE))
    bottom = one.top + edge * one.height + stance.sink * box.height * scale
    if stance.depth < 0:  # what is behind it must not look out below it
        bottom = min(bottom, one.top + _HIDDEN * groups.shapes[j].keel * one.height)
    x = base.left + base.width / 2
    if stance.feet is None and groups.actors[j].facts.role in ("ridden", "person", "being"):
        x += 0.06 * base.width  # behind the neck
    moved = groups.scaled(i, scale, x, bottom, stance.depth)
    groups.merge(i, j, [*groups.group(j), *moved])


def _close_up(groups: Groups, i: int) -> None:
    """Move the far row of many of a kind down: what is upon something does not float above."""
    spots = groups.group(i)
    if {spot.thing for spot in spots} != {i}:
        return
    low = max(spot.bottom for spot in spots)
    down = 1 - _CLOSE / ROW_RISE
    groups.regroup(i, [spot.moved(1, 0, (low - spot.bottom) * down) for spot in spots])


def ride(groups: Groups, i: int, j: int) -> None:
    """On the back of an animal, behind its neck; upon a board or a broom."""
    facts = groups.actors[j].facts
    if groups.actors[j].aspect > 2.2 or (facts.role == "board" and facts.length < 1.6):
        _upon(groups, i, j, Stance(0.6, 1.1, 0.04))  # a skateboard, a broom
    elif groups.shapes[i].tall == 1.0:  # a face alone
        _upon(groups, i, j, Stance(0.45, 0.62, 0.1, depth=-0.3))
    else:
        _upon(groups, i, j, Stance(0.6, 0.85, 0.2, depth=-0.3))


def put_on(groups: Groups, i: int, j: int) -> None:
    """With the feet upon the upper edge of its middle."""
    carried = {groups.actors[j].facts.role} <= ALIVE and groups.actors[i].facts.role in HANDY
    _upon(groups, i, j, Stance(0.3, 0.5, 0.07) if carried else Stance(0.45, 0.85, 0.07))


def sit(groups: Groups, i: int, j: int) -> None:
    """On a seat, before its back."""
    face = groups.shapes[i].tall == 1.0
    _upon(groups, i, j, Stance(0.4, 0.56, 0.0, feet=0.66) if face else _SEATED)


def serve(groups: Groups, i: int, j: int) -> None:
    """On a plate, which is seen from above."""
    _upon(groups, i, j, Stance(0.45, 0.62, 0.5, feet=0.48))


def put_in(groups: Groups, i: int, j: int) -> None:
    """Looking out of something open: its lower part is hidden."""
    rim = groups.shapes[j].rim if groups.actors[j].facts.role in ("vessel", "box") else None
    widest = 0.85 if groups.actors[i].count == 1 else _ROW
    head = groups.shapes[i].tall == 1.0 and groups.actors[i].facts.role in ALIVE
    sink = _SUNK_HEAD if head and rim is not None else _SUNK
    _upon(groups, i, j, Stance(0.6, widest, sink, feet=rim, depth=-0.3))


def put_inside(groups: Groups, i: int, j: int) -> None:
    """In what encloses it, before that: a bird in a cage, somebody in a doorway."""
    if groups.actors[j].facts.role in ("house", "opening"):
        _upon(groups, i, j, Stance(0.4, 0.5, 0.0, feet=0.98))
    else:
        _upon(groups, i, j, Stance(0.4, 0.5, 0.5, feet=0.42))


def put_over(groups: Groups, i: int, j: int) -> None:
    """In the middle, before it: a face over a window, a witch over the moon."""
    _upon(groups, i, j, Stance(0.45, 0.65, 0.5, feet=0.5))
