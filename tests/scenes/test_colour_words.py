"""Colours that phrases of other languages say, in their inflections."""

import pytest

from limner.scenes.colour_words import (
    _TABLE,
    WHITE,
    colour_said,
    colours_said,
    with_one_colour,
    without_colours,
)
from limner.scenes.colours import COLOURS


@pytest.mark.parametrize(("language", "phrase", "colour", "word"), [
    ("es", "un perro blanco", WHITE, "blanco"), ("es", "flores amarillas", "yellow", "amarillas"),
    ("fr", "deux chats noirs", "black", "noirs"), ("de", "ein roter Ball", "red", "roter"),
    ("de", "die grünen Hüte", "green", "grünen"), ("it", "due mele verdi", "green", "verdi"),
    ("pt", "três gatos pretos", "black", "pretos"), ("ru", "на жёлтом стуле", "yellow", "жёлтом"),
    ("ar", "سيارة حمراء", "red", "حمراء"), ("ar", "القطة السوداء", "black", "السوداء"),
])  # fmt: skip
def test_a_colour_is_read(language, phrase, colour, word):
    assert colour_said(phrase, (language,)) == (colour, word)


@pytest.mark.parametrize(("language", "phrase"), [
    ("es", "un gato"), ("ru", "белка"), ("ru", "черника"), ("de", "ein Rotkehlchen"),
    ("es", "un gato negro y blanco"), ("en", "a red apple"), ("fr", "une violette"),
])  # fmt: skip
def test_no_colour_or_several_are_none(language, phrase):
    assert colour_said(phrase, (language,)) is None


@pytest.mark.parametrize(("language", "phrase", "rest"), [
    ("ru", "синий кит", "кит"), ("de", "ein roter Vogel", "ein Vogel"), ("zh", "蓝色的鲸", "鲸"),
    ("ar", "حوت أزرق", "حوت"), ("hi", "नीली व्हेल", "व्हेल"),
    ("de", "ein Rotkehlchen", "ein Rotkehlchen"),
])  # fmt: skip
def test_a_phrase_without_its_colour(language, phrase, rest):
    assert without_colours(phrase, [language]) == rest


def test_all_colours_are_known():
    assert {colour for words in _TABLE.values() for colour in words} <= {*COLOURS, WHITE}


@pytest.mark.parametrize(("language", "text", "one"), [
    ("en", "a blue and yellow bird", "a blue bird"),
    ("es", "un pájaro azul y amarillo", "un pájaro azul"),
    ("de", "ein rotes und blaues Auto", "ein rotes Auto"), ("ru", "красно", "красно"),
    ("en", "a black and white cat", "a black and white cat"),
    ("fr", "un chat noir et blanc", "un chat noir et blanc"),
    ("en", "the car is red and blue", "the car is red and blue"),
])  # fmt: skip
def test_a_thing_of_two_colours_has_the_first(language, text, one):
    assert with_one_colour(text, [language]) == one


def test_all_colours_of_a_phrase_are_said_in_their_order():
    found = colours_said("a brown dog with a white nose and a red ball", ["en"])
    assert found == [("brown", "brown"), (WHITE, "white"), ("red", "red")]
    assert colours_said("un gato negro con ojos verdes", ["es"]) == [
        ("black", "negro"), ("green", "verdes"),
    ]  # fmt: skip
