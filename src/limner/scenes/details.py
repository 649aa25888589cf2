"""Ways to add details to a thing: what fills or tops it, the sign of a feeling, a door.

Each takes the groups and the numbers of the thing and of its detail, and adds as many as there are
to each of the things.
"""

from __future__ import annotations

from limner.scenes.actors import extent
from limner.scenes.contacts import WINDOW
from limner.scenes.groups import Groups

_FLOWER, _PLANT, _IN_VASE, _MOST_FLOWERS = 0.62, 0.95, 0.3, 5
"""Length of one of several flowers, of the vase's that they are in, and of a single one; share of
it that is inside; most of them."""
_FRUIT, _SOLID = 0.17, 0.5
"""Length of a fruit in a tree, of the tree's; opacity from which on it is in front of leaves."""
_IN_CROWN = (
    (0.5, 0.3), (0.27, 0.36), (0.73, 0.36), (0.4, 0.14), (0.62, 0.52), (0.37, 0.54), (0.16, 0.5),
    (0.84, 0.5), (0.64, 0.13),
)  # fmt: skip
"""Middles of fruits in a tree, of its width and height."""
_SIGN = 0.34
"""Length of what says a feeling, of who feels it."""


def fill(groups: Groups, i: int, j: int) -> None:
    """The first is full of the second: a heap that looks out of it."""
    if groups.actors[j].facts.role == "plant":
        _bouquet(groups, i, j)
        return
    base = extent(groups.spots_of(i))
    vessel = groups.spots_of(i)[0]
    edge = vessel.top + groups.shapes[i].rim * vessel.height
    one = groups.single(j, 0.4 * base.width)
    spots = list(groups.group(i))
    for y, places in ((0.62, (-0.13, 0.13)), (0.18, (-0.27, 0.0, 0.27))):
        for x in places:
            middle, depth = base.left + (0.5 + x) * base.width, -0.6 if y > 0.5 else -0.5
            spots.append(one.moved(1, middle, edge + (0.6 - y) * one.height, depth))
    groups.merge(i, j, spots)


def _bouquet(groups: Groups, i: int, j: int) -> None:
    """Flowers that stand in each of the first, with their stalks in it."""
    spots = list(groups.group(i))
    count = min(max(groups.actors[j].count, 1), _MOST_FLOWERS)
    for vessel in groups.spots_of(i):
        length = _FLOWER if count > 1 else _PLANT
        one = groups.single(j, length * max(vessel.width, vessel.height))
        for place in range(count):
            aside = place - (count - 1) / 2
            x = vessel.left + vessel.width / 2 + 0.55 * one.width * aside
            y = vessel.top + (_IN_VASE + 0.05 * abs(aside)) * one.height
            spots.append(one.moved(1, x, y, vessel.depth - 0.5 - 0.01 * abs(aside)))
    groups.merge(i, j, spots)


def top(groups: Groups, i: int, j: int) -> None:
    """Some of the second on the first."""
    base = extent(groups.spots_of(i))
    one = groups.single(j, 0.34 * max(base.width, base.height))
    middle, spots = base.left + base.width / 2, list(groups.group(i))
    top = base.top + groups.shapes[i].seat * base.height
    for x in (-0.25, 0.0, 0.25):
        spots.append(one.moved(1, middle + x * base.width, top + 0.3 * one.height, 0.1))
    groups.merge(i, j, spots)


def hang(groups: Groups, i: int, j: int, *, least: int = 1) -> None:
    """Fruits of the second, so many at least, in the crown of each tree of the first."""
    cut, spots = groups.actors[i].cut, list(groups.group(i))
    count = max(groups.actors[j].count, least)
    for tree in groups.spots_of(i):
        one = groups.single(j, _FRUIT * max(tree.width, tree.height))
        places = [
            (x, y) for x, y in _IN_CROWN
            if cut[int(y * cut.shape[0]), int(x * cut.shape[1]), 3] > _SOLID
        ]  # fmt: skip
        for x, y in (places or [_IN_CROWN[0]])[:count]:
            middle, bottom = tree.left + x * tree.width, tree.top + y * tree.height
            spots.append(one.moved(1, middle, bottom + one.height / 2, tree.depth + 0.2))
    groups.merge(i, j, spots)


def mark(groups: Groups, i: int, j: int) -> None:
    """What says a feeling, small at the upper right of the head of each of the first."""
    spots, shape = list(groups.group(i)), groups.shapes[i]
    for who in groups.spots_of(i):
        one = groups.single(j, _SIGN * max(who.width, who.height))
        x = who.left + (shape.head + 0.5 * shape.breadth) * who.width + 0.42 * one.width
        tall = shape.tall * who.height * (1 - (shape.crown if shape.tall == 1.0 else 0))
        y = who.top + shape.crown * who.height + 0.12 * tall
        if shape.tall == 1.0:
            y += 0.08 * tall
        spots.append(one.moved(1, x, y, who.depth + 0.3))
    groups.merge(i, j, spots)


def fit_in_wall(groups: Groups, i: int, j: int) -> None:
    """A door or windows in the wall of each of the first."""
    spots, door = list(groups.group(i)), groups.actors[j].facts.length > WINDOW
    count = groups.actors[j].count
    for house in groups.spots_of(i):
        one = groups.single(j, (0.4 if door else 0.22) * min(house.height, house.width))
        for place in range(count):
            x = house.left + (0.5 + 0.6 * ((place + 0.5) / count - 0.5)) * house.width
            y = house.bottom - (0.03 if door else 0.3) * house.height
            spots.append(one.moved(1, x, y, house.depth + 0.1))
    groups.merge(i, j, spots)
