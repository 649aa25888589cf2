"""Fireworks are taken out of the square of night that they are drawn on."""

from __future__ import annotations

import numpy as np

from limner.scenes.own_sky import has_own_sky, without_sky


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
