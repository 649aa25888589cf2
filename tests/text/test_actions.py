"""Who does something is named by it where that is drawn; other verbs are left out."""

import pytest

from limner.text.actions import with_actions
from limner.text.lexicon import languages_of

NAMES = {
    "woman dancing", "woman running", "man running", "person running", "woman biking",
    "man biking", "woman swimming", "horse", "dog", "rabbit", "bird", "bear", "running shoe",
    "ballet dancer", "person in lotus position",
}  # fmt: skip


def plain(text: str) -> str:
    return with_actions(text, languages_of(text)[0], NAMES.__contains__)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a horse jumps", "a horse"), ("a rabbit jumping over a fence", "a rabbit over a fence"),
        ("девочка прыгает", "девочка"), ("due persone che ballano", "due woman-dancing"),
        ("two people dancing", "two woman-dancing"), ("dos personas bailando", "dos woman-dancing"),
        ("zwei Mädchen tanzen im Regen", "zwei woman-dancing im Regen"),
        ("两个人在跳舞", "两个woman-dancing"), ("踊っている二人", "二人のwoman-dancing"),
        ("춤추는 두 사람", "두 woman-dancing"), ("नाचते हुए लोग", "woman-dancing"),
        ("بنت ترقص", "woman-dancing"),
        ("a woman running on the beach", "a woman-running on the beach"),
        ("un hombre corriendo en el parque", "un man-running en el parque"),
        ("deux enfants qui courent dans le jardin", "deux child-running dans le jardin"),
        ("公園を走っている男の子", "公園のboy-running"), ("a girl riding a bike", "a woman-biking"),
        ("un niño montando en bicicleta", "un man-biking"),
        ("she reads a book", "a woman reads a book"), ("他在弹吉他", "男人在弹吉他"),
        ("elle joue du violon", "une femme joue du violon"),
        ("वह दौड़ रही है", "woman-running"),
    ],
)  # fmt: skip
def test_who_does_something(text, said):
    assert plain(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "a bear riding a bike", "a man flying a kite", "a woman flying on a broom", "running shoe",
        "a man riding a red bicycle", "the swimming pool", "a cat climbing a tree",
        "le facteur",
    ],
)  # fmt: skip
def test_what_says_no_more_or_has_no_drawing_stays(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a girl running in the park", "a girl-running in the park"),
        ("children running", "3 child-running"), ("the kids running", "the 3 child-running"),
        ("two boys running", "two boy-running"), ("dos niños corriendo", "dos child-running"),
        ("un niño sentado en una silla", "un boy-in-lotus-position en una silla"),
    ],
)  # fmt: skip
def test_children_and_the_old_are_named_with_what_they_do(text, said):
    assert plain(text) == said
