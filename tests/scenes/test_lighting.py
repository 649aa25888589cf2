"""The light of a setting, shadows under what stands on the ground, and rims in the dark."""

import numpy as np
import pytest

from limner.scenes.actors import Spot
from limner.scenes.landscape import lighting_of
from limner.scenes.lighting import afloat, cast, light_of, lit, outlined, shines, standing
from limner.scenes.places import Setting

BOX = (0.3, 0.4, 0.4, 0.4)


def table() -> np.ndarray:
    """A board on two legs at its ends."""
    cut = np.zeros((40, 40, 4), np.float32)
    cut[:8] = cut[:, :6] = cut[:, -6:] = (0.5, 0.3, 0.1, 1.0)
    return cut


def test_nights_are_blue_and_sunsets_red_outdoors_alone():
    red, green, blue = light_of(Setting("grass", night=True))
    assert red < green < blue < 1
    red, green, blue = light_of(Setting("beach", sunset=True))
    assert 1 == red > green > blue
    for place in ("room", "kitchen", "space", "underwater"):
        assert light_of(Setting(place, night=True)) == (1, 1, 1)
    assert light_of(None) == light_of(Setting("grass")) == (1, 1, 1)


def test_light_leaves_the_outline_and_what_shines():
    cut = table()
    dark = lit(cut, (0.5, 0.6, 0.7))
    np.testing.assert_array_equal(dark[..., 3], cut[..., 3])
    np.testing.assert_allclose(dark[0, 0, :3], [0.25, 0.18, 0.07], rtol=1e-6)
    assert lit(cut, (1.0, 1.0, 1.0)) is cut
    assert shines("a street lamp") and shines("full moon")
    assert not shines("a cat") and not shines("starfish")


def test_who_is_upon_a_thing_or_in_the_air_does_not_stand_on_the_ground():
    sofa, cat = Spot(0, 0.3, 0.6, 0.4, 0.3), Spot(1, 0.4, 0.5, 0.2, 0.25)
    kite, dog = Spot(2, 0.7, 0.1, 0.1, 0.1), Spot(3, 0.75, 0.7, 0.2, 0.22)
    assert standing([sofa, cat, kite, dog], 0.6) == [sofa, dog]


def test_a_shadow_is_under_the_feet_alone_and_darkest_in_its_middle():
    canvas = np.full((100, 100, 3), 0.8, np.float32)
    cast(canvas, table(), BOX)
    dark = 0.8 - canvas[..., 0]
    rows, columns = np.nonzero(dark > 1e-3)
    assert rows.min() >= 74 and rows.max() <= 85, "the feet are at row 80"
    assert columns.min() < 32 and columns.max() > 67
    middle = dark[rows.min() : rows.max() + 1, 50]
    assert middle.max() == dark.max() and 0.2 < dark.max() / 0.8 < 0.4
    assert dark[:, 28].max() < 0.5 * dark.max()

    narrow = np.full((100, 100, 3), 0.8, np.float32)
    trunk = table() * 0
    trunk[:20] = trunk[:, 18:22] = 1
    cast(narrow, trunk, BOX)
    assert ((0.8 - narrow[..., 0]) > 1e-3).any(0).sum() < 10, "as narrow as the trunk"


def test_shadows_beyond_the_edges_and_of_nothing():
    canvas = np.full((20, 20, 3), 0.5, np.float32)
    for box in ((-0.5, 0.5, 0.6, 0.6), (0.8, 0.9, 0.5, 0.5), (1.2, 1.2, 0.1, 0.1)):
        cast(canvas, table(), box)
    before = canvas.copy()
    cast(canvas, np.zeros((8, 8, 4), np.float32), BOX)
    assert (canvas == before).all() and canvas.min() > 0.3


def test_what_floats_is_covered_below_its_waterline():
    found = afloat(np.ones((100, 10, 4), np.float32))
    assert (found[:88] == 1).all()
    assert (found[-4:] < 0.3).all() and (np.diff(found[:, 0, 3]) <= 0).all()
    assert lighting_of(Setting("sea")).water and lighting_of(Setting("beach")).water is None


@pytest.mark.parametrize(
    ("behind", "thing", "rim"), [(0.1, 0.12, 1), (0.9, 0.92, -1), (0.1, 0.6, 0), (0.9, 0.3, 0)]
)
def test_a_thing_of_the_colour_of_its_ground_has_a_rim(behind, thing, rim):
    canvas = np.full((100, 100, 3), behind, np.float32)
    cut = np.full((40, 40, 4), thing, np.float32)
    cut[..., 3] = 1
    outlined(canvas, cut, BOX)
    assert np.sign(np.abs(canvas - behind).max()) == abs(rim)
    assert np.sign(canvas[60, 29, 0] - np.float32(behind)) == rim
    assert canvas[5, 5, 0] == canvas[60, 20, 0] == np.float32(behind), "only a rim"
