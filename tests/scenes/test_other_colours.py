"""Words for colours in languages that sentences are not read in."""

import pytest

from limner.scenes.other_colours import with_english_colours


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("kırmızı bir araba", "red bir araba"), ("een rode auto", "een red auto"),
        ("zielona żaba", "green żaba"), ("en blå fågel", "en blue fågel"),
        ("rumah merah muda", "rumah pink"), ("чорний кіт", "black кіт"),
        ("con mèo màu đen", "con mèo black"), ("αυτοκίνητο κόκκινο", "αυτοκίνητο red"),
        ("modrý pták", "blue pták"),
    ],
)  # fmt: skip
def test_colours_become_english(text, read):
    assert with_english_colours(text) == read


@pytest.mark.parametrize(
    "text",
    ["a boy rode a horse", "he rode the bus", "a sort of cake", "la vita è bella", "ein roter Hut",
     "un gato gris", "красный кот", "synthetic wit", "el color morado"],
)  # fmt: skip
def test_words_of_other_languages_are_left(text):
    assert with_english_colours(text) == text
