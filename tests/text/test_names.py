from __future__ import annotations

import pytest

from limner.text.names import bare, name_key


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("an apple", "apple"), ("la casa", "casa"), ("l'orso", "orso"), ("hammers", "hammer"),
        ("the churches", "church"),
        ("cherries", "cherry"), ("a bus", "bus"), ("glass", "glass"), ("一棵树", "树"),
        ("图上有三只猫", "猫"), ("tree", "tree"), ("a", "a"), ("a very cute little dog", "dog"),
        ("一只可爱的小狗", "狗"), ("小", "小"), ("可爱", "可爱"), ("una rana muy bonita", "rana"),
        ("little", "little"), ("الكلب", "كلب"),
        ("mice", "mouse"), ("the wolves", "wolf"), ("kitchen knives", "kitchen knife"),
        ("women", "woman"), ("specimen", "specimen"), ("children", "child"), ("olives", "olive"),
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
