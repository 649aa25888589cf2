"""Words that are known from signs are written on one."""

import pytest

from limner.text.signs import sign_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wet floor", "WET FLOOR"), ("an exit sign", "EXIT"), ("speed limit 50", "SPEED LIMIT 50"),
        ("Black Friday sale", "BLACK FRIDAY SALE"), ("beware of the dog!", "BEWARE OF THE DOG"),
        ("be yourself", "BE YOURSELF"), ("never give up!", "NEVER GIVE UP"),
        ("50% off", "50% OFF"), ("open 24 hours", "OPEN 24 HOURS"),
    ],
)  # fmt: skip
def test_a_sign_bears_its_words(text, words):
    found = sign_of(text, ("en",))
    assert found is not None
    assert (found.words, found.rest) == (words, "a sign")


@pytest.mark.parametrize(
    "text", ["an open book", "a dog", "a wet floor with a mop", "a closed door"]
)
def test_other_texts_are_no_signs(text):
    assert sign_of(text, ("en",)) is None


def test_no_sign_of_a_language_without_any():
    assert sign_of("exit", ("fi",)) is None
