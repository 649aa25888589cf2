"""Settings as pictures: flat, of the colours of their place, and the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from limner.scenes.actors import Spot
from limner.scenes.landscape import paint, props_of, veil
from limner.scenes.places import Setting, place_names


def cut(colour=(0.2, 0.5, 0.2)) -> np.ndarray:
    return np.concatenate([np.broadcast_to(colour, (20, 20, 3)), np.ones((20, 20, 1))], -1).astype(
        np.float32
    )


def picture(setting: Setting, seed: int = 1, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    canvas = paint(side, setting, [(prop, cut()) for prop in props_of(setting)], rng)
    veil(canvas, setting, rng)
    return canvas


@pytest.mark.parametrize("place", [None, *place_names()])
@pytest.mark.parametrize(
    "changed", [{}, {"night": True}, {"sunset": True}, {"weather": "rain"}, {"weather": "fog"},
                {"weather": "snowfall"}]
)  # fmt: skip
def test_every_setting_is_a_picture(place, changed):
    setting = replace(Setting(place), **changed)
    one, again, larger = picture(setting), picture(setting), picture(setting, side=96)
    assert np.array_equal(one, again)
    assert one.shape == (64, 64, 3)
    assert larger.shape == (96, 96, 3)
    assert np.isfinite(one).all()
    assert one.min() > -1e-6
    assert one.max() < 1 + 1e-6


def test_seeds_differ():
    setting = Setting("forest")
    assert not np.array_equal(picture(setting, 1), picture(setting, 2))


def test_bands_have_the_colours_of_their_place():
    bare = {name: paint(64, Setting(name), [], np.random.default_rng(0)) for name in place_names()}
    red, green, blue = bare["grass"][-4:].mean((0, 1))
    assert green > max(red, blue) + 0.1
    red, green, blue = bare["sea"][-4:].mean((0, 1))
    assert blue > max(red, green) + 0.05
    assert bare["snow"][-4:].min() > 0.85
    assert bare["space"].mean() < 0.35
    for name in ("grass", "sea", "beach", "desert"):
        assert bare[name][0, 0, 2] > 0.85  # the sky
        # Most pixels have exactly the colour of a neighbour: the bands are flat.
        assert (np.abs(np.diff(bare[name], axis=1)).max(-1) < 1e-6).mean() > 0.9


def test_night_is_dark_and_has_a_moon_and_fog_is_pale():
    day, night, fog = (
        paint(64, setting, [], np.random.default_rng(0))
        for setting in (Setting("grass"), Setting("grass", night=True),
                        Setting("grass", weather="fog"))
    )  # fmt: skip
    assert night.mean() < 0.6 * day.mean()
    assert fog.std() < 0.7 * day.std()
    assert [prop.name for prop in props_of(Setting("grass", night=True))][-1] == "crescent moon"
    assert "crescent moon" not in {
        prop.name for prop in props_of(Setting("grass", night=True), ["the full moon"])
    }


def test_props_give_way_to_things_and_drawings_of_mountains_end_behind_the_ground():
    (palm,) = (prop for prop in props_of(Setting("beach")) if prop.where == "beach")
    for left in (0.0, 0.6):
        thing = Spot(0, left, 0.3, 0.4, 0.65)
        canvas, bare = (paint(64, Setting("beach"), pairs, np.random.default_rng(0), things=[thing])
                        for pairs in ([(palm, cut((1, 0, 0)))], []))  # fmt: skip
        columns = np.flatnonzero((canvas[:40] != bare[:40]).any((0, 2)))
        side = slice(0, 32) if left else slice(32, 64)
        assert set(columns) <= set(range(64)[side]), "on the other side"
    everywhere = [Spot(0, 0.0, 0.2, 1.0, 0.75)]
    canvas, bare = (paint(64, Setting("beach"), pairs, np.random.default_rng(0), things=everywhere)
                    for pairs in ([(palm, cut((1, 0, 0)))], []))  # fmt: skip
    assert (canvas == bare).all()

    setting = Setting("mountains")
    (far,) = (prop for prop in props_of(setting) if prop.where == "far")
    canvas = paint(100, setting, [(far, cut((1, 0, 0)))], np.random.default_rng(0))
    red = (canvas == [1, 0, 0]).all(-1)
    ground = paint(100, setting, [], np.random.default_rng(0))[-1, 0]
    assert red.any() and not red[70:].any()
    assert np.abs(canvas[72] - ground).max() < 0.15, "only ground below"


@pytest.mark.parametrize(("place", "least"), [
    ("grass", 0.001), ("beach", 0.0005), ("snow", 0.0005), ("street", 0.004), ("kitchen", 0.02),
])  # fmt: skip
def test_there_is_something_on_the_ground_and_not_much(place, least):
    canvas = paint(128, Setting(place), [], np.random.default_rng(0))
    _, counts = np.unique((canvas * 255).round().reshape(-1, 3), axis=0, return_counts=True)
    rare = counts[counts < 0.02 * counts.sum()].sum() / counts.sum()
    assert least < rare < 0.3
    again = paint(128, Setting(place), [], np.random.default_rng(0))
    assert np.array_equal(canvas, again)


def test_a_pot_stands_on_the_counter():
    setting = Setting("kitchen")
    (pot,) = (prop for prop in props_of(setting) if prop.where == "counter")
    canvas, bare = (paint(100, setting, pairs, np.random.default_rng(0))
                    for pairs in ([(pot, cut((1, 0, 0)))], []))  # fmt: skip
    rows = np.flatnonzero((canvas != bare).any((1, 2)))
    assert 50 <= rows[-1] <= 54, "0.2 above the floor, which begins at 0.72"
