"""Ways to put things beside, behind, around and under each other, where they do not hold on.

Each takes the groups and the numbers of the first and the second of a relation.
"""

from __future__ import annotations

import numpy as np

from limner.scenes.actors import extent
from limner.scenes.groups import Groups

_MOON, _MOON_MOST = 3.0, 0.55
"""Greatest length of what is a point in the sky, and no rainbow, in metres; how large it is at
most, of those below it."""
_STAR, _STAR_MOST = 1.0, 0.22
"""The same of a star."""


def shelter(groups: Groups, i: int, j: int) -> None:
    """Under a tree or a table: at its foot, before it."""
    base, box = extent(groups.spots_of(j)), groups.abreast(i)
    scale = groups.scale_to(i, base, 0.42, 0.6)
    aside = 0.2 if base.width > 0.5 * base.height else 0.5
    if groups.actors[j].facts.role in ("table", "seat"):  # between its legs
        aside = max(0.0, min(aside, 0.45 - 0.5 * box.width * scale / base.width))
    side = (-1, 1)[int(groups.rng.integers(2))] * aside
    x = base.left + (0.5 + side) * base.width
    moved = groups.scaled(i, scale, x, base.bottom + 0.08 * box.height * scale, 0.3)
    groups.merge(i, j, [*groups.group(j), *moved])


def _stagger(groups: Groups, near: int, far: int) -> None:
    """One before the other, which is seen beside and above it."""
    front, back = groups.abreast(near), extent(groups.spots_of(far))
    side = (-1, 1)[int(groups.rng.integers(2))]
    smaller = min(back.width, front.width)
    x = front.left + front.width / 2 + side * (0.5 * (front.width + back.width) - 0.32 * smaller)
    y = front.bottom - 0.14 * front.height
    if len(groups.sharing(near)) > 1:  # in the middle behind all of them
        x = front.left + front.width / 2
    elif back.width > 1.3 * front.width:
        x = front.left + front.width / 2 + side * 0.16 * back.width
    elif back.height < 0.8 * front.height:  # looks over it, or past the trunk of a tree
        tree = groups.actors[near].facts.role == "plant"
        y = front.bottom - (0.03 if tree else 0.4) * front.height
    moved = groups.scaled(far, 1.0, x, y, front.depth - 1)
    groups.merge(near, far, [*groups.group(near), *moved])


def put_behind(groups: Groups, i: int, j: int) -> None:
    """The first partly hidden by the second."""
    _stagger(groups, j, i)


def put_in_front(groups: Groups, i: int, j: int) -> None:
    """The second partly hidden by the first."""
    _stagger(groups, i, j)


def put_around(groups: Groups, i: int, j: int) -> None:
    """The first all around the second."""
    base = extent(groups.spots_of(j))
    count = max(groups.actors[i].count, 6)
    one = groups.single(i, min(groups.length(i), 0.42 * max(base.width, base.height)))
    spots = list(groups.group(j))
    wide, high = 0.5 * base.width + 0.5 * one.width, 0.5 * base.height + 0.4 * one.height
    for number in range(count):
        angle = 2 * np.pi * (number + 0.5) / count
        x = base.left + base.width / 2 + wide * float(np.cos(angle))
        y = base.top + base.height / 2 + high * float(np.sin(angle))
        spots.append(one.moved(1, x, y + one.height / 2, float(np.sin(angle))))
    groups.merge(i, j, spots)


def put_below(groups: Groups, i: int, j: int) -> None:
    """The group of the first is below the second's; the moon or a star is no larger than it."""
    sky = groups.actors[j]
    if sky.facts.role == "celestial" and sky.facts.length <= _MOON and sky.size is None:
        far, near = extent(groups.group(j)), extent(groups.group(i))
        most = _STAR_MOST if sky.facts.length <= _STAR else _MOON_MOST
        most *= max(near.width, near.height)
        scale = min(1.0, most / max(far.width, far.height))
        groups.regroup(j, [spot.moved(scale, 0, 0) for spot in groups.group(j)])
    groups.place_beside(i, j, 0, 1)


def put_beside(groups: Groups, i: int, j: int) -> None:
    """The second to the right of the first, on one line."""
    groups.place_beside(j, i, 1, 0)
