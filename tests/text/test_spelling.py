"""Misspelt English: what is put right, and what is right as it is."""

import pytest

from limner.text.spelling import Speller, means_person
from limner.text.vocabulary import best_name

DRAWN = [
    "cat", "dog", "ball", "hat", "woman", "horse", "penguin", "umbrella", "flower", "tower",
    "ice cream", "air balloon", "black cat", "rainbow", "butterfly", "crystal ball",
    "yellow square", "bicycle", "elephant",
]  # fmt: skip
NAMES = [*DRAWN, "hot air balloon", "hatt", "spagetti", "gato", "barca a vela", "beekeeper"]


@pytest.fixture(scope="module")
def speller() -> Speller:
    return Speller(
        DRAWN, NAMES, lambda text: text.removeprefix("a ") in DRAWN or best_name(text) is not None,
        lambda text: text in NAMES,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("a caat", "a cat"), ("two dgos playing wiht a bal", "two dogs playing with a ball"),
        ("a wman wearig a hatt", "a woman wearing a hat"), ("A DOGG", "A DOG"),
        ("a womna on a hores", "a woman on a horse"), ("a pengiun", "a penguin"),
        ("an umbrela", "an umbrella"), ("a bycicle", "a bicycle"), ("an elefant", "an elephant"),
        ("icecream", "ice cream"), ("a hotairballoon", "a hot air balloon"),
        ("blackcat", "black cat"), ("a rain bow", "a rainbow"), ("a butter fly", "a butterfly"),
        ("flowrs", "flowers"), ("a crywtal ball", "a crystal ball"),
        ("catonabicycle", "cat on a bicycle"), ("thehorseandthedog", "the horse and the dog"),
        ("yellow sauare", "yellow square"), ("Elefant on a bicycle", "Elephant on a bicycle"),
    ],
)  # fmt: skip
def test_what_is_put_right(speller, text, right):
    assert speller.corrected(text) == right


@pytest.mark.parametrize(
    "text",
    [
        "brest", "a rainy day", "a fluffy cat sitting on a table", "a green house", "sparkly dogs",
        "a girl named Greta", "gato", "a spagetti", "la barca a vela", "asdkjhasd", "a beekeeper",
        "a bowl of ramen", "the wombat's burrow", "3d", "wifi", "Zorak the cat", "a colleague",
        "fisarmonica", "supercalifragilistic", "donaudampfschiff",
        "a teamster and a banker", "a fiend", "猫", "a doughnut’s hole",
    ],
)  # fmt: skip
def test_what_is_right_stays(speller, text):
    assert speller.corrected(text) == text


def test_nouns_for_persons():
    assert means_person("Colleague") and means_person("rookie")
    assert not means_person("python") and not means_person("blue")


@pytest.mark.parametrize(
    ("typed", "name"),
    [("an axolottl", "axolotl"), ("a narwahl", "narwhal"), ("a pangoiln", "pangolin")],
)
def test_a_rare_word_is_meant_where_it_names_what_is_drawn(typed: str, name: str):
    def speller_of(*names: str) -> Speller:
        return Speller(names, names, lambda text: text.split()[-1] in names, names.__contains__)

    assert speller_of("cat", "dog").corrected(typed) == typed
    assert speller_of("cat", "dog", name).corrected(typed) == typed.partition(" ")[0] + f" {name}"
