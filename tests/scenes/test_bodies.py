"""Heads on bodies, and mouths turned upside down, on figures of known shapes."""

from __future__ import annotations

import numpy as np
import pytest

from limner.scenes.bodies import figures_of, head_and_pose, on_body
from limner.scenes.frowns import frowning

SIDE = 128
SKIN, HAIR, SHIRT, LIPS = (240, 190, 60), (200, 60, 40), (40, 90, 200), (120, 20, 30)
Y, X = np.mgrid[:SIDE, :SIDE]


def blank() -> np.ndarray:
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def head() -> np.ndarray:
    """A round head with eyes, and a mouth whose corners are up."""
    found = blank()
    found[(X - 64) ** 2 + (Y - 64) ** 2 < 56**2] = SKIN
    for x in (44, 84):
        found[(X - x) ** 2 + (Y - 58) ** 2 < 6**2] = (20, 20, 20)
    curve = 92 - ((X - 64) / 16) ** 2 * 8
    found[(abs(Y - curve) < 2.5) & (abs(X - 64) <= 16)] = LIPS
    return found


def figure() -> np.ndarray:
    """Somebody who stands: a small head, a neck, a body."""
    found = blank()
    found[4:28, 52:76] = HAIR
    found[28:32, 60:68] = HAIR
    found[32:124, 44:84] = SHIRT
    return found


def rows_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    near = abs(pixels.astype(int) - colour).max(-1) < 30
    return np.flatnonzero(near.sum(1) > 3)


def test_a_head_is_put_on_a_body_without_its_own():
    found = on_body(head(), figure(), young=False)
    skin, shirt = rows_of(found, SKIN), rows_of(found, SHIRT)
    assert len(rows_of(found, HAIR)) < 6  # what remains of the neck
    assert skin.max() < shirt.min() + 10
    assert skin.min() < shirt.min()
    assert (found[0] == 255).all()
    assert (found[-1] == 255).all()


def test_a_childs_head_is_larger():
    old, young = (on_body(head(), figure(), young=each) for each in (False, True))
    shares = [len(rows_of(each, SKIN)) / len(rows_of(each, SHIRT)) for each in (old, young)]
    assert 1.15 < shares[1] / shares[0] < 1.45


def test_a_mouth_is_turned_upside_down_and_nothing_else():
    before, after = head(), frowning(head())
    assert after is not None

    def bow(pixels: np.ndarray) -> float:
        """How far the middle of the mouth is below its corners."""
        lips = abs(pixels.astype(int) - LIPS).max(-1) < 40
        middle, corner = (np.flatnonzero(lips[:, x]).mean() for x in (64, 50))
        return float(middle - corner)

    assert bow(before) > 4
    assert bow(after) == pytest.approx(-bow(before), abs=1)
    changed = (before != after).any(-1)
    assert not changed[:70].any()
    assert not changed[110:].any()


def test_a_face_without_a_mouth_is_left():
    plain = blank()
    plain[(X - 64) ** 2 + (Y - 64) ** 2 < 56**2] = SKIN
    assert frowning(plain) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("girl running", ("girl", "running")), ("old-man-walking", ("old man", "walking")),
        ("woman in lotus position", ("woman", "in lotus position")),
        ("boy frowning", ("boy", "frowning")), ("man frowning", None), ("cat running", None),
        ("girl", None),
    ],
)  # fmt: skip
def test_heads_and_poses(name, found):
    assert head_and_pose(name) == found


def test_figures_are_of_the_gender_first():
    assert figures_of("girl", "walking") == ("woman walking", "person walking", "man walking")
