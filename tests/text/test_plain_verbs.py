"""English verbs without an ending, without an article after them, and without an object."""

import pytest

from limner.text.plain_verbs import participle, with_endings, with_objects

NAMES = {
    "bear", "rabbit", "cat", "dog", "hot dog", "burger", "drink", "man", "dinosaur", "egg",
    "ball", "running shoe", "shoe", "elephant", "water", "mom", "king", "soup", "sun", "moon",
    "flying saucer", "saucer", "rocket", "landing strip", "my", "hen",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("the bear and the rabbit drink soup", "the bear and the rabbit drinking a soup"),
        ("a cat and a dog sleep on a bed", "a cat and a dog on a bed"),
        ("the cat and the dog run", "the cat and the dog"),
        ("a dog and a hen make soup", "a dog and a hen making a soup"),
        ("a burger and a hot dog stand", "a burger and a hot dog stand"),
        ("a burger and a soft drink", "a burger and a soft drink"),
        ("the sun and the moon float", "the sun and the moon float"),
        ("man walking dog", "man walking a dog"),
        ("a dog chasing cat in the park", "a dog chasing a cat in the park"),
        ("elephant spraying water", "elephant spraying water"),
        ("running shoe", "running shoe"), ("a flying saucer", "a flying saucer"),
        ("a dinosaur hatching", "a dinosaur"),
        ("rocket launching at night", "rocket launching at night"),
        ("a dinosaur stomping through the city", "a dinosaur through the city"),
        ("a king and a ring", "a king and a ring"), ("the king", "the king"),
        ("a dog laughing", "a dog laughing"), ("my landscaping", "my landscaping"),
    ],
)  # fmt: skip
def test_verbs_end_in_ing_or_are_left_out(text, plain):

    def is_name(words: str) -> bool:
        return words.casefold() in NAMES

    assert with_objects(with_endings(text, is_name), is_name) == plain


@pytest.mark.parametrize(
    ("verb", "ending"),
    [("drink", "drinking"), ("ride", "riding"), ("lie", "lying"), ("run", "running"),
     ("see", "seeing"), ("play", "playing")],
)  # fmt: skip
def test_participles(verb, ending):
    assert participle(verb) == ending
