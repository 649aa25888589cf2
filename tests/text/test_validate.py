import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.text.emoji import spell_out
from limner.text.validate import MAX_CHARACTERS, canonical, canonical_all


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n\t\u3000", "empty"),
        ("\u200b\u200e\ufeff", "empty"),
        ("\u200d\ufe0f", "empty"),
        (None, "not NoneType"),
        (b"red heart", "not bytes"),
        (7, "not int"),
        ("cat \ud83d", "lone surrogate (U+D83D)"),
        ("cat\x00dog", "control character (U+0000) at character 4"),
        ("\x1b[31mred", "control character (U+001B)"),
        ("x" * (MAX_CHARACTERS + 1), "32,001 characters"),
    ],
)
def test_what_is_refused_is_refused_in_one_sentence(text, words):
    with pytest.raises(PromptError, match=re.escape(words)) as caught:
        canonical(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  red \n heart\t", "red heart"),
        ("cafe\u0301", "café"),
        ("\u202ered\u202c \u200fheart", "red heart"),
        ("x" * MAX_CHARACTERS, "x" * MAX_CHARACTERS),
        ("قلب أحمر", "قلب أحمر"),
        ("🍎", "🍎"),
        ("!", "!"),
    ],
)
def test_one_spelling(text, expected):
    assert canonical(text) == expected


def test_a_batch_names_the_culprit():
    with pytest.raises(PromptError, match="prompt 2 of 3: the prompt is empty"):
        canonical_all(["cat", " ", "dog"])
    with pytest.raises(PromptError, match="list of prompts"):
        canonical_all("cat")
    assert canonical_all([]) == []


@given(st.text(max_size=60))
def test_any_unicode_is_either_spelled_or_refused(text):
    try:
        legal = canonical(text)
    except PromptError:
        return
    assert legal == legal.strip()
    assert canonical(legal) == legal
    assert "  " not in legal
    assert spell_out(legal).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, all of them", "plain words, all of them"),
        ("❤️", "red heart"),
        ("🍎🚗", "red apple, automobile"),
        ("I like 🍎 pie", "I like, red apple, pie"),
        ("👩‍🚀", "woman astronaut"),
        ("👍🏽", "thumbs up sign medium skin tone"),
        ("🇫🇷", "flag FR"),
        ("🫨", "shaking face"),
        ("☀", "sun"),
    ],
)
def test_emoji_are_spelled_out(text, expected):
    assert spell_out(text) == expected
