"""Where groups stand in a room: by the seed, on the ground, near ones before far ones."""

import numpy as np
import pytest

from limner.scenes.actors import Actor, Spot
from limner.scenes.framing import Room, framed
from limner.scenes.sizes import facts_of
from limner.scenes.staging import stage


def actor(name: str, wide: int = 40, high: int = 40, **changed) -> Actor:
    return Actor(np.ones((high, wide, 4), np.float32), facts_of(name), **changed)


def placed(actors: list[Actor], room: Room | None, seed: int = 0) -> list[Spot]:
    rng = np.random.default_rng(seed)
    return framed(stage(actors, [], rng, loose=True, sky=room is not None), actors, room, rng)


def test_what_stands_alone_is_somewhere_near_the_middle_of_the_ground():
    room = Room(top=0.2, ground=0.9)
    middles = []
    for seed in range(40):
        (house,) = placed([actor("house")], room, seed)
        assert house.bottom == pytest.approx(room.ground)
        assert house.top >= room.top
        middles.append(house.left + house.width / 2 - 0.5)
    assert max(np.abs(middles)) <= 0.05
    assert min(middles) < -0.02 and max(middles) > 0.02, "the seed moves it to both sides"


@pytest.mark.parametrize(("wide", "high"), [(80, 20), (20, 80), (40, 40)])
def test_what_stands_alone_leaves_some_of_its_place_to_be_seen(wide, high):
    room = Room(top=0.1, ground=0.9)
    (house,) = placed([actor("house", wide, high)], room)
    assert house.width <= 0.84 and house.height <= 0.82 * 0.8
    assert house.width > 0.78 or house.height > 0.75 * 0.8, "as large as that allows"
    (head,) = placed([actor("man", 40, 40)], room)
    assert head.width <= 0.6 and head.height <= 0.58 * 0.8


def test_on_white_all_is_in_the_middle_and_inside():
    for seed in range(10):
        spots = placed([actor("house")], None, seed)
        (house,) = spots
        assert house.left + house.width / 2 == pytest.approx(0.5)
        assert house.top + house.height / 2 == pytest.approx(0.5)
        assert 0.88 < house.width < 0.95


def test_the_near_row_is_before_the_far_one():
    actors = [actor("van", 60, 30), actor("car", 60, 30), actor("ambulance", 60, 30)]
    far, *near = placed(actors, Room(far=0.67))
    assert all(each.depth > far.depth + 1 for each in near)
    assert all(each.bottom > far.bottom for each in near)


def test_what_flies_is_between_the_heights_of_the_sky():
    room = Room(aloft=(0.05, 0.42))
    for seed in range(10):
        spots = placed([actor("house"), actor("moon"), actor("balloon")], room, seed)
        flying = [each for each in spots if each.thing]
        assert len(flying) == 2
        assert all(each.top >= 0.05 - 1e-9 for each in flying)
        (house,) = (each for each in spots if not each.thing)
        assert house.top >= 0.85 * 0.42 - 1e-9, "it hardly reaches into the sky"
        assert house.top < 0.6, "and is as large as there is room"
        assert house.bottom == pytest.approx(room.ground)


def test_who_is_said_to_fly_is_in_the_sky_and_no_bridge_is():
    room = Room(top=0.1, ground=0.9, aloft=(0.05, 0.42), far=0.6)
    (pig,) = placed([actor("pig", aloft=True)], room)
    assert pig.bottom < room.far
    for kept in (actor("pig"), actor("bridge", aloft=True)):
        (spot,) = placed([kept], room)
        assert spot.bottom == pytest.approx(room.ground)


def test_where_nothing_stands_things_are_on_one_line():
    actors = [actor("van", 60, 30), actor("car", 60, 30), actor("ambulance", 60, 30)]
    spots = placed(actors, Room(ground=None))
    assert len({round(each.bottom, 9) for each in spots}) == 1
    lefts = [each.left for each in sorted(spots, key=lambda each: each.thing)]
    assert lefts == sorted(lefts)
