"""Places that change: what was not asked for stays, and nothing overlaps."""

import numpy as np
import pytest

from limner.scenes.actors import Actor, Spot
from limner.scenes.framing import Room
from limner.scenes.rearranging import Arrangement
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of

HIGH, WIDE = np.ones((20, 10, 4), np.float32), np.ones((10, 20, 4), np.float32)
CAT, DOG, TREE, BUS, HAT = range(5)
ACTORS = {
    CAT: Actor(HIGH, facts_of("cat")), DOG: Actor(HIGH, facts_of("dog")),
    TREE: Actor(HIGH, facts_of("tree")), BUS: Actor(WIDE, facts_of("bus")),
    HAT: Actor(WIDE, facts_of("hat")),
}  # fmt: skip
PAIR = [Spot(CAT, 0.1, 0.3, 0.2, 0.4), Spot(DOG, 0.6, 0.3, 0.2, 0.4)]


def arranged(spots=PAIR, **options) -> Arrangement:
    return Arrangement(spots, ACTORS, rng=np.random.default_rng(0), **options)


def overlap(spots) -> bool:
    return any(
        a.left < b.right - 1e-6 and b.left < a.right - 1e-6
        and a.top < b.bottom - 1e-6 and b.top < a.bottom - 1e-6
        for i, a in enumerate(spots) for b in spots[:i]
    )  # fmt: skip


def inside(spots) -> bool:
    return all(min(s.left, s.top) >= 0 and max(s.right, s.bottom) <= 1 for s in spots)


@pytest.mark.parametrize(
    "change",
    [lambda a: a.add(TREE, 1), lambda a: a.add(BUS, 3), lambda a: a.count(CAT, 2),
     lambda a: a.recast(CAT, BUS), lambda a: a.scale(CAT, 0.7), lambda a: a.scale(CAT, 1.4),
     lambda a: a.remove(CAT), lambda a: a.move(CAT, "up"), lambda a: a.move(CAT, "down"),
     lambda a: a.recast(CAT, BUS, 3)],
)  # fmt: skip
def test_others_stay_where_they_are(change):
    there = arranged()
    change(there)
    assert there.of(DOG) == [PAIR[1]]
    assert there.of(CAT) != [PAIR[0]] or len(there.spots) > 2
    assert inside(there.spots) and not overlap(there.spots)
    for spot in there.spots:
        assert spot.width / spot.height == pytest.approx(ACTORS[spot.thing].aspect)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_as_many_as_asked(count):
    there = arranged()
    there.count(CAT, count)
    assert len(there.of(CAT)) == count and not overlap(there.spots)
    there.count(CAT, 1)
    assert len(there.of(CAT)) == 1


@pytest.mark.parametrize(
    ("direction", "axis", "sign"),
    [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)],
)
def test_moved_that_way(direction, axis, sign):
    there = arranged([Spot(CAT, 0.4, 0.4, 0.1, 0.2)])
    assert there.move(CAT, direction)
    assert sign * (there.spots[0].box[axis] - 0.4) > 0.1 and inside(there.spots)
    assert not there.move(CAT, direction)  # it is there already


def test_without_room_neighbours_change_places():
    full = [Spot(CAT, 0.05, 0.05, 0.42, 0.84), Spot(DOG, 0.52, 0.05, 0.42, 0.84)]
    there = arranged(full)
    assert there.move(DOG, "left")
    (cat,), (dog,) = there.of(CAT), there.of(DOG)
    assert dog.right < cat.left and inside(there.spots)
    there = arranged([Spot(CAT, 0.3, 0.03, 0.47, 0.94)])
    there.add(BUS, 1)  # a thing that fills the picture gives way
    assert inside(there.spots) and not overlap(there.spots)


def test_what_is_worn_goes_along():
    there = arranged()
    there.add(HAT, 1, Link(CAT, "with", HAT))
    (hat,), (cat,) = there.of(HAT), there.of(CAT)
    assert hat.top < cat.top < hat.bottom and there.of(DOG) == [PAIR[1]]
    there.scale(CAT, 0.7)
    (small,), (lesser,) = there.of(HAT), there.of(CAT)
    assert small.width / hat.width == pytest.approx(lesser.width / cat.width)
    there.remove(CAT)
    assert there.spots == [PAIR[1]]


def test_what_stands_is_added_on_the_ground_and_what_flies_above_it():
    ground = Room()
    there = arranged([Spot(CAT, 0.1, 0.6, 0.15, 0.3)], room=ground, sized=True)
    there.add(DOG, 1)
    assert there.of(DOG)[0].bottom == pytest.approx(0.9)
    sun = {9: Actor(np.ones((10, 10, 4), np.float32), facts_of("sun"))}
    there = Arrangement(there.spots, ACTORS | sun, room=ground, rng=np.random.default_rng(0))
    there.add(9, 1)
    assert there.of(9)[0].bottom < 0.6


def test_beside_another():
    there = arranged()
    there.add(BUS, 1, Link(BUS, "above", DOG))
    (bus,) = there.of(BUS)
    assert bus.bottom < PAIR[1].top and abs(bus.left + bus.width / 2 - 0.7) < 0.1
    assert there.relate(Link(CAT, "right", DOG))
    assert there.of(CAT)[0].left > there.of(DOG)[0].right
