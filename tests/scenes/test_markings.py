"""What is on the ground is of the ground's own colour there, a little darker, and only there."""

import numpy as np
import pytest

from limner.scenes.markings import MARKINGS, Stroke, draw


@pytest.mark.parametrize("kind", ["tufts", "grains", "drifts"])
def test_markings_take_their_colour_from_the_ground_under_them(kind):
    """Red on the left, blue on the right; the sky above is white."""
    canvas = np.ones((200, 200, 3), np.float32)
    canvas[100:, :100] = (0.9, 0.2, 0.2)
    canvas[100:, 100:] = (0.2, 0.2, 0.9)
    before = canvas.copy()
    MARKINGS[kind](canvas, 0.5, np.random.default_rng(3))
    changed = np.abs(canvas - before).max(-1) > 0.01
    away = np.abs(np.arange(200) - 100) > 10  # a stroke may lean over the line
    changed &= away
    assert changed[:, :100].any() and changed[:, 100:].any()
    assert not changed[:90].any(), "the sky has none"
    marked, ground = canvas[changed], before[changed]
    assert (marked <= ground + 1e-6).all()
    assert (marked >= 0.7 * ground).all()


def test_the_seed_places_them():
    def drawn(seed: int) -> np.ndarray:
        canvas = np.full((100, 100, 3), 0.8, np.float32)
        MARKINGS["grains"](canvas, 0.5, np.random.default_rng(seed))
        return canvas

    assert (drawn(1) == drawn(1)).all()
    assert not (drawn(1) == drawn(2)).all()


def test_a_dot_covers_the_area_of_its_circle_and_a_stroke_that_of_a_capsule():
    for stroke in (Stroke(0.5, 0.5, 0.1), Stroke(0.3, 0.4, 0.05, right=0.4, down=0.2)):
        canvas = np.zeros((200, 200, 3), np.float32)
        draw(canvas, stroke, np.ones(3, np.float32), 1.0)
        length = np.hypot(stroke.right, stroke.down)
        area = np.pi * stroke.radius**2 + 2 * stroke.radius * length
        assert canvas[..., 0].mean() == pytest.approx(area, rel=0.02)
