"""Which numbers of a phrase count things."""

import pytest

from limner.scenes.quantities import Quantity, quantities, several

NO_COUNTS = (
    "3d render of a donut", "3d donut", "a 2d cat", "a 3-d cube", "4k photo of a cat", "7 up",
    "number 5", "the number 5", "number 5 balloons", "no. 7", "the digit 7", "route 66", "room 101",
    "7up", "24 hour clock", "a clock at 3 o'clock", "3 o'clock", "twelve o'clock",
    "5 star hotel", "a five star hotel", "4 leaf clover", "two door car", "ps5",
    "windows 11", "a ps 5 controller",
    "mp3 player", "a 2 year old child", "10 years old man", "page 3 of a book", "top 10 list",
    "a cat aged 3", "2nd place", "1st prize", "a 3x3 grid", "50% off", "$5 bill", "5 dollar bill",
    "9 to 5", "24/7", "42", "№5", "версия номер 5", "nummer 5", "5", "seven",
)  # fmt: skip

COUNTS = {
    "3 cats": 3, "three cats": 3, "the three small cats": 3, "2 red fish": 2, "9 apples": 9,
    "ten balloons": 10, "10 balloons": 10, "12 stars": 12, "a dozen eggs": 12, "100 dogs": 100,
    "twenty people": 20, "15 sheep": 15, "drei Katzen": 3, "zehn Katzen": 10, "10 Katzen": 10,
    "dix chats": 10, "tredici stelle": 13, "13 stelle": 13, "dix-huit bougies": 18,
    "diez gatos": 10, "10 gatos": 10, "три кота": 3, "10 котов": 10, "三只猫": 3, "3只猫": 3,
    "十只猫": 10, "12只猫": 12, "二十个气球": 20, "两百只鸟": 200, "猫3匹": 3, "고양이 3마리": 3,
}  # fmt: skip


@pytest.mark.parametrize("phrase", NO_COUNTS)
def test_numbers_that_count_nothing(phrase):
    found = quantities(phrase)
    assert found
    assert [each.counts for each in found] == [False] * len(found)


@pytest.mark.parametrize(("phrase", "value"), COUNTS.items())
def test_numbers_that_count(phrase, value):
    (found,) = quantities(phrase)
    assert (found.value, found.counts) == (value, True)


def test_what_a_number_is_written_as():
    assert quantities("12只猫") == [Quantity("12只", 12, True)]
    assert quantities("a dozen eggs") == [Quantity("a dozen", 12, True)]


@pytest.mark.parametrize("phrase", ["2024 calendar", "12 gauge", "911 porsche"])
def test_what_only_the_planner_can_know(phrase):
    (found,) = quantities(phrase)
    assert found.counts is None


@pytest.mark.parametrize("phrase", ["a cat", "one cat", "una gata", "一只猫", "十字架"])
def test_articles_are_no_numbers(phrase):
    assert [each for each in quantities(phrase) if each.value != 1] == []


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("many birds", (6, "many")),
        ("a couple of dogs", (2, "a couple of")),
        ("a pair of glasses", (1, "a pair of")),
        ("许多苹果", (6, "许多")),
        ("varios gatos", (4, "varios")),
        ("beaucoup d'oiseaux", (6, "beaucoup d'")),
        ("a cat", None),
        ("a bunch of bananas", (6, "a bunch of")),
        ("many", None),
        ("a family of penguins", (4, "a family of")),
        ("a family of four", None),
        ("a small herd of cows", (6, "a small herd of")),
        ("a pack of wolves", (6, "a pack of")),
        ("a pack of cards", None),
        ("una manada de lobos", (6, "una manada de")),
        ("ein Rudel Wölfe", (6, "ein Rudel")),
    ],
)
def test_words_that_count_without_a_number(phrase, found):
    assert several(phrase) == found
