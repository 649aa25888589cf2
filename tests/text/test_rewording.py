"""Texts in plainer words: measures, baskets, doings and colours of one sign."""

import pytest

from limner.text.lexicon import languages_of
from limner.text.rewording import reworded

NAMES = {"红酒", "红绿灯", "黑板", "绿茶", "glass of milk", "plate of food"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a plate of spaghetti and meatballs", "a spaghetti and meatballs"),
        ("three slices of pizza on a table", "three pizza on a table"),
        ("ein Stück Kuchen", "ein Kuchen"), ("un plato de sopa", "un sopa"),
        ("a basket of apples", "a basket full of apples"),
        ("eine Kiste Äpfel", "eine Kiste voller Äpfel"),
        ("an old man fishing by the lake", "an old man holding a fishing pole by the lake"),
        ("a girl who is singing", "a girl holding a microphone"),
        ("una abuela tejiendo", "una abuela sosteniendo un ovillo de lana"),
        ("eine Oma, die strickt", "eine Oma hält ein Wollknäuel"),
        ("un homme en train de pêcher", "un homme tenant une canne à pêche"),
        ("奶奶在织毛衣", "奶奶拿着毛线"), ("钓鱼的老人", "拿着鱼竿的老人"),
        ("мальчик читает под деревом", "мальчик держит книгу под деревом"),
        ("낚시하는 할아버지", "낚싯대를 든 할아버지"), ("穿红裙子的女孩", "穿红色裙子的女孩"),
        ("喝红酒的女人在黑板前", "喝红酒的女人在黑板前"), ("红红的太阳", "红红的太阳"),
        ("一篮水果", "装满水果的篮子"), ("蓝裙子的公主", "穿蓝色裙子的公主"),
        ("红绿灯", "红绿灯"), ("a glass of milk", "a glass of milk"),
        ("a plate of food", "a plate of food"), ("a fishing boat", "a fishing boat"),
        ("a man painting a fence", "a man painting a fence"), ("fishing", "fishing"),
        ("der Hund liegt auf dem Teller", "der Hund liegt auf dem Teller"),
        ("a room with a painting", "a room with a painting"),
        ("una mela e la pesca", "una mela e la pesca"),
        ("a man reading a book", "a man reading a book"), ("钓鱼", "钓鱼"),
    ],
)  # fmt: skip
def test_plainer_words(text, plain):
    assert reworded(text, languages_of(text), NAMES.__contains__) == plain
