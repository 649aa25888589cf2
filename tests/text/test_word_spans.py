"""Where words are in texts of many scripts, against cuts made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.text.word_spans import word_spans, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red apple, on a plate!", "a|red|apple|on|a|plate"),
        ("un gato a la izquierda de l'arbre", "un|gato|a|la|izquierda|de|l'|arbre"),
        ("一个红色的苹果和一只猫", "一个|红色|的|苹果|和|一只|猫"),
        ("赤いリンゴと青い皿", "赤い|リンゴ|と|青い|皿"),
        ("แมวบนจาน", "แมว|บน|จาน"),
        ("🐱 and a dog 🇩🇪", "🐱|and|a|dog|🇩🇪"),
        ("?!", ""),
    ],
)
def test_words_are_cut_as_by_hand(text, words):
    found = word_spans(text)
    assert "|".join(each.text for each in found) == words
    assert all(text[each.start : each.end] == each.text for each in found)


@settings(max_examples=25)
@given(st.text(max_size=40))
def test_words_are_slices_that_do_not_overlap(text):
    last = 0
    for word in word_spans(text):
        assert last <= word.start < word.end <= len(text)
        assert text[word.start : word.end] == word.text
        last = word.end


@pytest.mark.parametrize(
    ("piece", "text", "places"),
    [
        ("apple", "a red apple and a green apple", [[2], [6]]),
        ("a green apple", "a red apple and A Green apple", [[4, 5, 6]]),
        ("a apple", "a red apple", [[0, 2]]),  # a phrase that has lost its colour
        ("cat face", "🐱 and a dog", [[0]]),
        ("盘子", "红苹果在蓝盘子上", [[4]]),
        ("빨간 사과", "빨간 사과와 접시", [[0, 1]]),
        ("pear", "an apple", []),
    ],
)
def test_pieces_are_found_among_the_words(piece, text, places):
    assert words_in(piece, word_spans(text)) == places
