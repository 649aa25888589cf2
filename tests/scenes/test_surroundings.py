"""Fireworks are taken out of the square of night that they are drawn on."""

from __future__ import annotations

import numpy as np

from limner.scenes.surroundings import has_own_sky, without_sky, without_water


def picture(sky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cross of yellow before a sky, opaque ``(100, 100, 4)``, and where it is."""
    cross = np.zeros((100, 100), np.bool_)
    cross[45:55, 20:80] = cross[20:80, 45:55] = True
    colours = np.where(cross[..., None], [1.0, 0.8, 0.1], sky)
    return np.concatenate([colours, np.ones((100, 100, 1))], -1).astype(np.float32), cross


def graded() -> np.ndarray:
    """A night that is lighter below and towards the middle, ``(100, 100, 3)``."""
    y, x = np.mgrid[0:100, 0:100] / 100
    return np.stack([0.1 + 0.1 * y, 0.05 + 0 * x, 0.3 + 0.4 * x * (1 - x)], -1)


def test_what_is_seen_keeps_its_colours_and_the_sky_is_gone():
    cut, cross = picture(graded())
    found = without_sky(cut)
    assert found is not None
    np.testing.assert_allclose(found[cross], cut[cross], atol=1e-4)
    assert (found[~cross] == 0).all()


def test_a_mixture_with_the_sky_is_taken_apart():
    sky = graded()
    cut, _ = picture(sky)
    glow = 0.25 * np.array([1.0, 0.8, 0.1]) + 0.75 * sky
    cut[30:34, 30:34, :3] = glow[30:34, 30:34]
    found = without_sky(cut)
    assert found is not None
    assert 0.0 < found[31, 31, 3] < 0.7
    back = found[31, 31, :3] + (1 - found[31, 31, 3]) * sky[31, 31]
    np.testing.assert_allclose(back, cut[31, 31, :3], atol=1e-4)


def test_no_other_pictures_lose_anything():
    cut, cross = picture(graded())
    assert without_sky(cut[:, 20:80]) is None, "it is no square"
    alone = cut * cross[..., None]
    assert without_sky(alone) is None, "it fills no square"
    rng = np.random.default_rng(0)
    assert without_sky(picture(rng.uniform(0, 1, (100, 100, 3)))[0]) is None, "no even sky"
    assert has_own_sky("Fireworks")
    assert not has_own_sky("a blackboard")


def afloat(hull: tuple[float, float, float], slant: float = 0.0) -> np.ndarray:
    """A sail and a hull on a block of water, ``(100, 120, 4)``; the water may be slanted below."""
    cut = np.zeros((100, 120, 4), np.float32)
    cut[5:50, 55:65] = [0.9, 0.9, 0.9, 1]
    cut[50:70, 20:100] = [*hull, 1]
    cut[70:, 2:118] = [0.35, 0.65, 0.95, 1]
    rows, columns = np.mgrid[0:100, 0:120]
    cut[rows > 99 - slant * columns] = 0
    return cut


def test_a_boat_loses_its_water_and_nothing_else():
    for slant in (0.0, 0.05):
        found = without_water(afloat((0.8, 0.2, 0.1), slant))
        assert found is not None
        assert found.shape[0] in range(60, 67)
        assert found.shape[1] == 80
        assert (found[-3:, :, 2] < 0.3).all(), "the hull is lowest"


def test_a_blue_hull_is_no_water():
    boat = afloat((0.35, 0.65, 0.95))
    boat[70:] = 0
    tapered = np.arange(120)[None] < 20 + np.arange(50, 70)[:, None] - 50
    boat[50:70][tapered | tapered[:, ::-1]] = 0
    assert without_water(boat) is None
    assert without_water(afloat((0.8, 0.2, 0.1))[:70]) is None


def test_water_is_told_by_what_was_drawn_before_it_was_recoloured():
    plain = afloat((0.8, 0.2, 0.1))
    recoloured = plain.copy()
    recoloured[70:, 2:118] = [0.2, 0.7, 0.2, 1]
    assert without_water(recoloured) is None
    found = without_water(recoloured, plain)
    assert found is not None
    assert found.shape[0] < 70
