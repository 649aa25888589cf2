"""Busts and heads of persons on bodies in their clothes, on drawings of known shapes."""

from __future__ import annotations

import numpy as np

from limner.scenes.bodies import HEADS
from limner.scenes.clothed_bodies import USUAL, _table, clothed, clothes_of
from limner.scenes.cutout import cut_out_drawn
from limner.scenes.paints import PAINTS, paint
from limner.scenes.sizes import facts_of

SIDE = 128
SKIN, COAT = (250, 200, 60), (60, 60, 200)
Y, X = np.mgrid[:SIDE, :SIDE]


def head(*, hair: bool = False) -> np.ndarray:
    found = np.full((SIDE, SIDE, 3), 255, np.uint8)
    if hair:
        found[(abs(X - 64) < 50) & (Y > 20) & (Y < 118)] = (90, 50, 30)
    found[(X - 64) ** 2 + (Y - 64) ** 2 < 44**2] = SKIN
    found[(abs(X - 64) < 30) & (Y > 64) & (Y < 118)] = SKIN
    for x in (48, 80):
        found[(X - x) ** 2 + (Y - 58) ** 2 < 6**2] = 20
    return found


def bust() -> np.ndarray:
    found = np.full((SIDE, SIDE, 3), 255, np.uint8)
    found[(X - 64) ** 2 + (Y - 50) ** 2 < 36**2] = SKIN
    for x in (52, 76):
        found[(X - x) ** 2 + (Y - 50) ** 2 < 5**2] = 20
    found[((X - 64) ** 2 / 56**2 + (Y - 120) ** 2 / 40**2 < 1) & (Y < 118)] = COAT
    return found


def count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((abs(pixels.astype(int) - colour).max(-1) < 24).sum())


def height(pixels: np.ndarray) -> float:
    """Of what is drawn, over its width."""
    cut = cut_out_drawn(pixels)
    return cut.shape[0] / cut.shape[1]


def test_a_bust_gets_a_body_in_its_own_colour_with_trousers_and_shoes():
    found = clothed(bust(), USUAL)
    assert height(found) > 1.4 > height(bust())
    assert count(found, COAT) > 1200
    rgb = tuple(round(255 * part) for part in paint(USUAL.lower))
    assert count(found, rgb) > 400
    assert (found[0] == 255).all() and (found[-1] == 255).all()


def test_a_robe_reaches_the_ground_and_a_head_has_it_in_the_colour_of_the_table():
    clothes = clothes_of("princess")
    assert clothes is not None and clothes.kind == "robe"
    purple = tuple(round(255 * part) for part in paint(clothes.top))
    for hair in (False, True):  # long hair at the lower edge is no coat
        found = clothed(head(hair=hair), clothes)
        assert count(found, purple) > 900, hair


def test_who_sits_is_lower_and_bent_arms_bring_the_hands_together():
    standing, sitting = (clothed(bust(), USUAL, sitting=each) for each in (False, True))
    assert height(sitting) < height(standing)
    bent = clothed(bust(), USUAL, arms="bent")
    low = bent[SIDE // 2 :, 56:72]
    assert count(low, SKIN) > 40 > count(standing[SIDE // 2 :, 56:72], SKIN)


def test_who_is_whole_or_in_black_ink_stays_as_he_is():
    whole = np.full((SIDE, SIDE, 3), 255, np.uint8)
    whole[4:124, 44:84] = COAT
    assert (clothed(whole, USUAL) == whole).all()
    black = np.where((bust() < 255).any(-1, keepdims=True), 0, bust()).astype(np.uint8)
    assert (clothed(black, USUAL) == black).all()
    assert (clothed(head(), USUAL) == head()).all()  # of whom nothing is said and no bust


def test_the_table_is_of_persons_with_colours_that_there_are():
    for name, clothes in _table().items():
        assert name not in HEADS
        assert facts_of(name).role in ("person", "being", ""), name
        for colour in (clothes.top, clothes.lower, clothes.shoes, clothes.trim):
            assert colour in (*PAINTS, "own", "none"), name
    assert clothes_of("woman cook") == clothes_of("cook") != USUAL
    assert clothes_of("teacher") == USUAL
    for name in ("cat", "boy", "family", "men holding hands", "house"):
        assert clothes_of(name) is None, name
