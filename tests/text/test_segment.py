import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.text.segment import pieces, segment, words_of
from limner.text.validate import canonical


def structure(text):
    return [piece.text for piece in pieces(text, 30) if piece.kind in {"phrase", "relation"}]


def words(text):
    return [piece.text for piece in pieces(text, 30) if piece.kind == "word"]


def test_the_example_of_the_contract():
    assert segment("a red apple and a green pear") == [
        "a red apple and a green pear", "a red apple", "a green pear",
        "red", "apple", "green", "pear",
    ]  # fmt: skip


def test_one_phrase_is_compact():
    assert segment("red heart") == ["red heart", "red", "heart"]
    assert segment("cat") == ["cat"]
    assert segment("the cat") == ["the cat", "cat"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a red apple to the left of a green pear",
            ["a red apple", "to the left of", "a green pear"],
        ),
        (
            "two dogs on a table, next to the window",
            ["two dogs", "on", "a table", "next to", "the window"],
        ),
        ("a man riding a horse", ["a man riding", "a horse"]),
        ("a garden by the roof of the house", ["a garden", "by", "the roof of the house"]),
        ("ein roter Apfel und eine Birne", ["ein roter Apfel", "eine Birne"]),
        (
            "une pomme à gauche d'une poire verte",
            ["une pomme", "à gauche d'", "une poire verte"],
        ),
        ("una manzana roja y una pera", ["una manzana roja", "una pera"]),
        ("mela rossa e pera verde", ["mela rossa", "pera verde"]),
        ("красное яблоко и зелёная груша", ["красное яблоко", "зелёная груша"]),
        ("яблоко слева от груши", ["яблоко", "слева от", "груши"]),
        ("červené jablko a zelená hruška", ["červené jablko", "zelená hruška"]),
        ("빨간 사과와 초록 배", ["빨간 사과", "초록 배"]),
        ("빵과 우유", ["빵", "우유"]),
        ("تفاحة حمراء و كمثرى خضراء", ["تفاحة حمراء", "كمثرى خضراء"]),
        ("红色的苹果和绿色的梨", ["红色的苹果", "绿色的梨"]),
        ("红苹果在绿梨左边", ["红苹果", "绿梨", "左边"]),
        ("在桌子上面的猫", ["桌子", "上面", "猫"]),
        ("一个红苹果一个绿梨", ["一个红苹果", "一个绿梨"]),
        ("赤いリンゴと緑の梨", ["赤いリンゴ", "緑の梨"]),
        ("箱の中に猫がいる", ["箱", "中", "猫がいる"]),
        ("แมวและหมา", ["แมว", "หมา"]),
        ("แมวบนโต๊ะ", ["แมว", "บน", "โต๊ะ"]),
        ("🍎🚗", ["red apple", "automobile"]),
    ],
)
def test_phrases_and_relations_of_many_languages(text, expected):
    assert structure(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the house of a cat", ["house", "cat"]),
        ("一只可爱的小狗", ["可爱", "小狗"]),
        ("两只猫和三条狗", ["两只", "猫", "三条", "狗"]),
        ("赤いリンゴと緑の梨", ["赤い", "リンゴ", "緑", "梨"]),
        ("宇航员骑马", ["宇航员", "骑", "马"]),
        ("una manzana roja y una pera", ["manzana", "roja", "pera"]),
    ],
)
def test_content_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "text", ["高跟鞋", "사과", "夕阳", "埃及", "和服", "t-shirt", "bell pepper"]
)
def test_what_is_one_thing_stays_one(text):
    assert not [phrase for phrase in structure(text) if phrase != text]
    assert segment(text)[0] == text


def test_the_cap_keeps_phrases_before_relations_before_words_longest_first():
    text = "a red apple left of a green pear on a very long wooden table"
    assert [len(segment(text, n)) for n in (1, 2, 5, 8)] == [1, 2, 5, 8]
    assert segment(text, 1) == [text]
    assert segment(text, 2)[1] == "a very long wooden table"
    assert segment(text, 4)[1:] == ["a red apple", "a green pear", "a very long wooden table"]
    assert segment(text, 5)[2] == "left of"
    assert segment(text, 7)[-1] == "wooden"


def test_words_keep_everything_in_order():
    assert words_of("The cat and the 🍎, the cat") == [
        "The", "cat", "and", "the", "red", "apple", "the", "cat",
    ]  # fmt: skip


@settings(max_examples=150)
@given(
    st.text(max_size=80)
    | st.text("赤い猫と犬の的和一只在左边แมวи и와과 '’-🍎\u200d\ufe0f👩,.aéو", max_size=40),
    st.integers(1, 14),
)
def test_any_legal_text_is_cut_the_same_way_within_the_cap(text, limit):
    try:
        legal = canonical(text)
    except PromptError:
        return
    found = segment(legal, limit)
    pieces.cache_clear()
    assert segment(legal, limit) == found
    assert 1 <= len(found) <= limit
    assert len(set(found)) == len(found)
    assert all(piece.strip() for piece in found)


def test_an_enormous_text_is_cut_quickly():
    found = segment("cat and dog " * 2_600)
    assert set(found[1:]) == {"cat", "dog", "dog cat"}
    assert len(segment("а" * 32_000)) == 1
