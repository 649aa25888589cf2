"""What things are made of, as colours."""

import pytest

from limner.text.materials import in_colours_of_materials

NAMES = {"apple", "house", "castle", "key", "ice cream", "crystal ball", "ball", "cream", "dog",
         "retriever", "slipper", "gold medal", "medal", "wooden chair", "chair"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("golden apple", "yellow apple"), ("an ice castle at night", "a blue castle at night"),
        ("a silver key and a golden key", "a grey key and a yellow key"),
        ("a wooden house", "a brown house"), ("a glass slipper", "a turquoise slipper"),
        ("ice cream", "ice cream"), ("a crystal ball", "a crystal ball"),
        ("a golden retriever", "a golden retriever"), ("a gold medal", "a gold medal"),
        ("a wooden chair", "a wooden chair"), ("a house made of ice", "a house made of ice"),
        ("a golden opportunity", "a golden opportunity"), ("gold", "gold"),
    ],
)  # fmt: skip
def test_what_something_is_made_of_is_its_colour(text, plain):
    assert in_colours_of_materials(text, lambda words: words.casefold() in NAMES) == plain
