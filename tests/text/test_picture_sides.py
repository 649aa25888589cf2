"""Sides of the picture, said as one thing beside another."""

import pytest

from limner.text.picture_sides import beside_each_other


@pytest.mark.parametrize(("language", "text", "plain"), [
    ("en", "a dog on the left and a cat on the right", "a dog to the left of a cat"),
    ("en", "a red apple on the left, a pear on the right", "a red apple to the left of a pear"),
    ("en", "a cat on the right side and a dog on the left side", "a cat to the right of a dog"),
    ("en", "on the left a dog, on the right a cat", "a dog to the left of a cat"),
    ("en", "a sun at the top and a flower at the bottom", "a sun above a flower"),
    ("en", "a house with a tree on the right", "a tree to the right of a house"),
    ("en", "a cat on the left side of a dog", "a cat to the left of a dog"),
    ("en", "a cat on the left side of the picture", "a cat"),
    ("en", "a big sun in the top right corner", "a big sun"),
    ("es", "un perro a la izquierda y un gato a la derecha", "un perro a la izquierda de un gato"),
    ("fr", "un chien à gauche et un chat à droite", "un chien à gauche de un chat"),
    ("de", "links ein Hund und rechts eine Katze", "ein Hund links von eine Katze"),
    ("it", "un cane a sinistra e un gatto a destra", "un cane a sinistra di un gatto"),
    ("zh", "左边是一只猫，右边是一只狗", "一只猫在一只狗的左边"),
    ("zh", "一只猫在左边，一只狗在右边", "一只猫在一只狗的左边"),
])  # fmt: skip
def test_two_sides_are_one_relation_and_one_side_is_left_out(language, text, plain):
    assert beside_each_other(text, language) == plain


@pytest.mark.parametrize(("language", "text"), [
    ("en", "a cat to the left of a dog"), ("en", "a left hand"), ("en", "a spinning top"),
    ("en", "a cat on top of a box"), ("es", "un perro a la izquierda de un gato"),
    ("de", "ein Hund links von einer Katze"), ("fr", "un chien à droite d'un chat"),
    ("zh", "猫在狗的左边"), ("ko", "왼쪽에 개"),
])  # fmt: skip
def test_a_side_of_a_thing_stays(language, text):
    assert beside_each_other(text, language) == text
