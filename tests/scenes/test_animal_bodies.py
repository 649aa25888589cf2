"""Heads of animals on bodies, on figures of known shapes."""

from __future__ import annotations

import numpy as np
import pytest

from limner.scenes.animal_bodies import asymmetry, body_of, is_head, with_body
from limner.scenes.cutout import cut_out_drawn
from limner.scenes.sizes import facts_of

SIDE = 128
FUR, CHIN, INK = (230, 120, 30), (250, 225, 190), (30, 30, 40)
Y, X = np.mgrid[:SIDE, :SIDE]


def head(*, outlined: bool = False, shadow: bool = False) -> np.ndarray:
    """A round head with two ears and a light chin."""
    found = np.full((SIDE, SIDE, 3), 255, np.uint8)
    inside = (X - 64) ** 2 + (Y - 68) ** 2 < 44**2
    for x in (36, 92):
        inside |= (X - x) ** 2 + (Y - 30) ** 2 < 14**2
    found[inside] = FUR
    found[inside & (Y > 92)] = CHIN
    if outlined:
        found[inside & ((X - 64) ** 2 + (Y - 68) ** 2 > 40**2) & (Y > 30)] = INK
    for x in (48, 80):
        found[(X - x) ** 2 + (Y - 62) ** 2 < 5**2] = INK
    if shadow:
        found[120:124, 40:88] = 215
    return found


def running() -> np.ndarray:
    """A whole animal seen from the side: its body, its head to the left, two legs."""
    found = np.full((SIDE, SIDE, 3), 255, np.uint8)
    found[60:90, 30:110] = FUR
    found[36:66, 10:42] = FUR
    found[90:118, 36:46] = FUR
    found[90:118, 96:106] = FUR
    return found


def share_of(pixels: np.ndarray, colour: tuple[int, int, int], rows: slice) -> float:
    return float((abs(pixels[rows].astype(int) - colour).max(-1) < 25).mean())


def test_a_head_is_like_its_mirror_image_and_a_whole_animal_is_not():
    fox = body_of("fox")
    assert fox is not None
    assert is_head(cut_out_drawn(head()), fox)
    assert not is_head(cut_out_drawn(running()), fox)


def test_a_head_that_leans_is_seen_from_the_front():
    leaning = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for y in range(SIDE):
        leaning[y] = np.roll(head()[y], round(0.15 * (y - 64)), 0)
    assert asymmetry(cut_out_drawn(leaning)) < 0.1


@pytest.mark.parametrize("name", ["fox", "bear", "frog", "deer"])
def test_an_animal_gets_a_body_in_the_colour_of_its_head(name):
    body = body_of(name)
    assert body is not None
    found = with_body(cut_out_drawn(head()), body, SIDE)
    assert found.shape == (SIDE, SIDE, 3)
    assert share_of(found, FUR, slice(90, 125)) > 0.08
    assert share_of(found, INK, slice(0, 60)) > 0  # the eyes are above
    for edge in (found[0], found[-1], found[:, 0], found[:, -1]):
        assert (edge == 255).all()


def test_the_body_of_a_head_with_an_outline_has_one():
    fox = body_of("fox")
    assert fox is not None
    plain, lined = (
        with_body(cut_out_drawn(head(outlined=each)), fox, SIDE) for each in (False, True)
    )
    low = slice(100, 125)
    assert share_of(lined, INK, low) > share_of(plain, INK, low) + 0.02


def test_a_shadow_below_a_head_is_left_out():
    bear = body_of("bear")
    assert bear is not None
    plain, shaded = (
        with_body(cut_out_drawn(head(shadow=each)), bear, SIDE).astype(int)
        for each in (False, True)
    )
    assert (abs(plain - shaded).max(-1) > 40).mean() < 0.02


def test_a_pony_stands_behind_its_head_to_whichever_side_it_looks():
    unicorn = body_of("unicorn")
    assert unicorn is not None
    bust = np.full((SIDE, SIDE, 3), 255, np.uint8)
    bust[10:60, 10:80] = FUR
    bust[40:118, 60:118] = FUR
    left, right = (with_body(cut_out_drawn(each), unicorn, SIDE) for each in (bust, bust[:, ::-1]))
    assert np.flatnonzero((left < 200).any((0, 2)))[-1] > 115
    assert (abs(left.astype(int) - right[:, ::-1]) > 40).any(-1).mean() < 0.03


def test_who_gets_a_body_is_alive():
    for name in ("fox", "polar bear", "unicorn"):
        assert body_of(name) is not None
        assert facts_of(name).role in ("being", "ridden")
    assert body_of("house") is None
