"""Prompts that ask for nothing but a background."""

import pytest

from limner.scenes.plain import background_alone

ALONE = {
    "a pink background": "pink", "pink background": "pink", "on a green background": "green",
    "A dark blue backdrop.": "dark blue", "pale pink background": "pale pink",
    "solid red background": "red", "a plain green background": "green", "a background": None,
    "a plain white background": "plain white", "a transparent background": "transparent",
    "一个粉色背景": "pink", "粉色背景": "pink", "ピンクの背景": "pink", "분홍색 배경": "pink",
    "fondo rosa": "pink", "ein rosa Hintergrund": "pink", "blauer Hintergrund": "blue",
    "un fond rose": "pink", "fundo azul": "blue", "sfondo verde": "green", "розовый фон": "pink",
    "गुलाबी पृष्ठभूमि": "pink",
}  # fmt: skip


@pytest.mark.parametrize(("text", "colour"), ALONE.items())
def test_backgrounds_alone(text, colour):
    assert background_alone(text) == (True, colour)


@pytest.mark.parametrize(
    "text",
    ["a cat on a pink background", "pink", "a sunset background", "a forest background", "粉色的猫",
     "a pink cat as a background", "stars on a red background", "猫,粉色背景", "fond of pink cats"],
)  # fmt: skip
def test_backgrounds_of_something(text):
    assert not background_alone(text)[0]
