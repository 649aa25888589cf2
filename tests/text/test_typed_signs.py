"""Emoji, hashtags, quotes and laughter around what a text asks for."""

import pytest

from limner.text.request_words import what_is_asked
from limner.text.typed_signs import plain_signs


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a 🍕 on a 🪑", "a slice-of-pizza on a chair"), ("I love 🐼🐼", "I love 2 panda face"),
        ("🐱🌧️☂️", "cat face, cloud-with-rain, umbrella"), ("🐱", "🐱"),
        ("my dog 🐶", "my dog"), ("a snail with a pink shell 🐌", "a snail with a pink shell"),
        ("a cat 🐟", "a cat 🐟"), ("best day ever ✨😂", "best day ever"),
        ("#sunset #beach", "sunset, beach"), ("#RedCar", "red car"),
        ("a cat on a sofa #cute #cat", "a cat on a sofa"), ("a #cat on a sofa", "a cat on a sofa"),
        ("C# code", "C# code"), ("#1", "#1"),
        ('"a lonely tree on a hill"', "a lonely tree on a hill"), ("«un chat»", "un chat"),
        ("「猫」", "猫"), ("my dog wearing sunglasses lol", "my dog wearing sunglasses"),
        ("BIG GREEN DRAGON!!!", "BIG GREEN DRAGON"), ("!!!", "!!!"), ("haha", "haha"),
    ],
)  # fmt: skip
def test_signs_are_words_or_left_out(text, plain):
    assert plain_signs(text) == plain


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("¿puedes dibujar un conejo con un sombrero?", "un conejo con un sombrero"),
        ("Kannst du mir bitte einen Pinguin malen?", "einen Pinguin"),
        ("tu peux me faire un dessin de licorne ?", "licorne"),
        ("puoi disegnare una mucca?", "una mucca"),
        ("você pode desenhar um gato de óculos?", "um gato de óculos"),
        ("можешь нарисовать собаку в шляпе?", "собаку в шляпе"),
        ("能不能给我画一只戴眼镜的猫?", "一只戴眼镜的猫"), ("猫を描いてください", "猫"),
        ("고양이를 그려줘", "고양이"), ("एक हाथी का चित्र बनाओ", "एक हाथी"), ("ارسم لي قطة", "قطة"),
        ("koala, kawaii, pastel colors", "koala"), ("cat, garden, sunny", "cat, garden, sunny day"),
        ("весна, цветы и бабочки", "цветы и бабочки"), ("cute, pretty", "cute, pretty"),
        ("sunset beach, watercolor painting, highly detailed, 4k", "sunset beach"),
        ("Kinder malen", "Kinder malen"), ("a spring", "a spring"),
    ],
)  # fmt: skip
def test_requests_and_keywords_as_they_are_typed(text, subject):
    assert what_is_asked(text).subject == subject
