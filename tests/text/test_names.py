from __future__ import annotations

import pytest

from limner.text.names import bare, name_key, subject


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("an apple", "apple"), ("la casa", "casa"), ("hammers", "hammer"),
        ("the churches", "church"),
        ("cherries", "cherry"), ("a bus", "bus"), ("glass", "glass"), ("一棵树", "树"),
        ("图上有三只猫", "猫"), ("tree", "tree"), ("a", "a"), ("a very cute little dog", "dog"),
        ("一只可爱的小狗", "狗"), ("小", "小"), ("可爱", "可爱"), ("una rana muy bonita", "rana"),
        ("little", "little"),
    ],
)  # fmt: skip
def test_what_stands_around_a_name_is_taken_off(phrase, name):
    assert bare(phrase) == name


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("T-Rex", "t rex"), ("t. rex", "t rex"), ("Fleur‑de‑Lis!", "fleur de lis"),
        ("ＡＢＣ", "abc"), ("Straße", "strasse"), ("हिन्दी", "हिन्दी"),
        ("woman’s  hat", "woman s hat"),
        ("", ""), ("!?", ""),
    ],
)  # fmt: skip
def test_the_same_name_in_other_spellings_has_one_key(text, key):
    assert name_key(text) == key


@pytest.mark.parametrize(
    ("phrase", "asked"),
    [
        ("a picture of an apple", "an apple"), ("please draw me a kitty", "a kitty"),
        ("draw a kitty cat plz", "a kitty cat"), ("logo for a bakery", "a bakery"),
        ("oil painting of a sailing ship", "a sailing ship"), ("I'd like a horse", "a horse"),
        ("dibujo de una rana bonita", "una rana bonita"), ("帮我画一只小狗", "一只小狗"),
        ("quiero un logo para mi panadería", "mi panadería"), ("兔子的图标", "兔子"),
        ("un dessin d'un chat", "un chat"), ("ein Logo für unsere Bäckerei", "unsere Bäckerei"),
        ("帽子の絵を描いて", "帽子"), ("고양이 그림", "고양이"), ("heart icon", "heart"),
        ("icon", "icon"), ("画", "画"), ("draw", "draw"), ("drawer", "drawer"),
        ("a photographer", "a photographer"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_found_in_how_it_is_asked(phrase, asked):
    assert subject(phrase) == asked
