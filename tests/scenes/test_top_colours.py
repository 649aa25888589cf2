"""The colour of hair, hats and roofs: how it is said, and what of a thing takes it."""

import numpy as np
import pytest

from limner.scenes.top_colours import top_colour, top_recoloured
from limner.text.lexicon import languages_of

WHITE, SKIN, BROWN, BLUE = (255, 255, 255), (250, 190, 30), (110, 70, 60), (40, 110, 220)


@pytest.mark.parametrize(
    ("text", "rest", "colour"),
    [
        ("a girl with pink hair", "a girl", "pink"),
        ("a boy with long curly green hair on a beach", "a boy on a beach", "green"),
        ("a girl with blue hair and a red dress", "a girl with a red dress", "blue"),
        ("a girl with a red hat and black hair", "a girl with a red hat", "black"),
        ("a blonde-haired woman", "a woman", "yellow"),
        ("a white house with a red roof", "a white house", "red"),
        ("una niña con el pelo azul", "una niña", "blue"),
        ("uma menina com cabelo azul e vestido rosa", "uma menina com vestido rosa", "blue"),
        ("eine Frau mit blonden Haaren und Brille", "eine Frau mit Brille", "yellow"),
        ("une maison au toit bleu", "une maison", "blue"),
        ("ein Mädchen mit grünen Haaren", "ein Mädchen", "green"),
        ("una ragazza con i capelli rossi", "una ragazza", "red"),
        ("девочка с синими волосами", "девочка", "blue"),
        ("девочка с рыжими волосами и воздушным шаром", "девочка с воздушным шаром", "orange"),
        ("粉色头发的女孩", "女孩", "pink"),
        ("ピンクの髪の女の子", "女の子", "pink"),
        ("파란 머리의 소녀", "소녀", "blue"),
        ("بنت بشعر أحمر", "بنت", "red"),
    ],
)
def test_the_colour_of_hair_and_roofs_is_read(text, rest, colour):
    found = top_colour(text, languages_of(text))
    assert found is not None
    assert (found.rest, found.colour) == (rest, colour)


@pytest.mark.parametrize(
    "text", ["a red girl", "a hairy dog", "pink hair dye", "a house with a roof", "a red-haired"]
)
def test_nothing_is_read_where_nothing_is_said(text):
    assert top_colour(text, ["en"]) is None


def girl(skin: tuple[int, int, int] = SKIN) -> tuple[np.ndarray, np.ndarray]:
    """A face under hair, with two pigtails apart from it; and where it is."""
    pixels = np.full((100, 100, 3), 255, np.uint8)
    pixels[20:90, 20:80] = skin
    pixels[10:40, 20:80] = BROWN
    pixels[75:90, 8:20] = pixels[75:90, 80:92] = BROWN
    return pixels, (pixels < 255).any(-1)


def test_hair_takes_the_colour_and_the_face_keeps_its_own():
    pixels, inside = girl()
    found = top_recoloured(pixels, inside, "blue", parted=True)
    assert found is not None
    hair = (pixels == BROWN).all(-1)
    assert np.array_equal(found[~hair], pixels[~hair])
    assert (found[hair][:, 2] > found[hair][:, 0] + 80).all()
    without_tails = top_recoloured(pixels, inside, "blue")
    assert np.array_equal(without_tails[75:90, 8:20], pixels[75:90, 8:20])


def test_hair_that_is_not_told_from_the_face_stays():
    pixels, inside = girl(skin=(120, 78, 66))
    assert top_recoloured(pixels, inside, "blue") is None
    pixels, inside = girl()
    face = np.zeros_like(inside)
    face[15:35, 40:60] = True
    assert top_recoloured(pixels, inside, "blue", spared=face) is None


def test_a_black_hat_is_no_outline():
    pixels, inside = girl()
    pixels[10:40, 20:80] = 20
    found = top_recoloured(pixels, inside, "red")
    assert found is not None
    assert (found[12:38, 22:78, 0] > found[12:38, 22:78, 2] + 60).all()
    assert np.array_equal(found[45:70, 25:75], pixels[45:70, 25:75])


def test_the_top_is_found_by_the_colours_of_before():
    """A white house with a red roof is white but for the roof."""
    pixels, inside = girl()
    white = np.where(inside[..., None], np.uint8(240), pixels)
    found = top_recoloured(white, inside, "red", plain=pixels)
    assert found is not None
    assert (found[12:38, 22:78, 0] > found[12:38, 22:78, 1] + 80).all()
    assert np.array_equal(found[45:70, 25:75], white[45:70, 25:75])
