"""Further clauses, what somebody is late for or dreams of, and places alone."""

import re

import pytest

from limner.text.lexicon import LATIN, article_pattern, languages_of
from limner.text.places_alone import place_alone
from limner.text.rewording import reworded
from limner.text.tables import table

NAMES = {"on the road", "en casa"}


def said(text: str) -> str:
    return reworded(text, languages_of(text), NAMES.__contains__)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("my sister is late for the bus", "my sister next to the bus"),
        ("the kids are ready for school", "the kids next to a school"),
        ("a boy ready for bed", "a boy in bed"),
        ("a woman on the way to work", "a woman next to an office building"),
        ("a cat dreaming of fish", "a cat next to fish"),
        ("a girl thinking about her dog", "a girl next to her dog"),
        ("a family going to the beach", "a man, a woman and a girl at the beach"),
        ("monkeys stealing bananas from a farmer", "monkeys holding bananas next to a farmer"),
        ("a fox stealing grapes from the farm", "a fox stealing grapes from the farm"),
        ("a man tired of it", "a man tired of it"), ("ready to go", "ready to go"),
        ("mi hermana llega tarde al autobús", "mi hermana junto a autobús"),
        ("un chat qui rêve de poissons", "un chat à côté de poissons"),
        ("eine Katze träumt von einem Fisch", "eine Katze neben einem Fisch"),
        ("un gatto sogna un pesce", "un gatto accanto a un pesce"),
        ("um homem esperando o ônibus", "um homem ao lado de o ônibus"),
        ("дети ждут автобус", "дети рядом с автобус"),
        ("等公交车的学生", "公交车旁边的学生"), ("小狗梦见骨头", "小狗在骨头旁边"),
        ("バスを待っている学生", "バスの隣の学生"), ("버스를 기다리는 학생", "버스 옆에 있는 학생"),
        ("मछली का सपना देखती बिल्ली", "मछली के पास बिल्ली"),
        ("أطفال ينتظرون الحافلة", "أطفال بجانب الحافلة"),
    ],
)  # fmt: skip
def test_what_somebody_is_concerned_with_is_beside_him(text, plain):
    assert said(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a woman smiling because she got flowers", "a woman next to flowers"),
        ("a dog on a mat when the doorbell rings", "a dog on a mat, the doorbell"),
        ("a cat in a box while it rains", "a cat in a box in the rain"),
        ("a fox under a tree because it is tired", "a fox under a tree"),
        ("a fox in the garden until it gets dark", "a fox in the garden"),
        ("a boy plants a seed. Soon a big tree", "a boy plants a seed. a big tree"),
        ("It was a dark night. A wolf at a lake.", "A wolf at a lake at night"),
        ("ein Hund im Bett, weil er eine Katze sieht", "ein Hund im Bett, eine Katze"),
        ("le chien est triste parce qu'il a vu un chat", "le chien est triste, un chat"),
        ("女孩因为收到花而微笑", "女孩和花"),
    ],
)  # fmt: skip
def test_clauses_show_their_things_and_not_their_verbs(text, plain):
    assert said(text) == plain


@pytest.mark.parametrize(
    ("text", "language", "place"),
    [
        ("in the old factory", "en", "the old factory"), ("in a box on a hill", "en", None),
        ("in love", "en", None), ("on the road", "en", None), ("nel bosco", "it", "forest"),
        ("nell'acqua", "it", "water"), ("sur la lune", "fr", "moon"), ("en casa", "es", None),
        ("in der Schule", "de", "school"), ("na praia", "pt", "beach"), ("в лесу", "ru", "forest"),
        ("在海滩上", "zh", "beach"), ("森の中で", "ja", "forest"), ("숲에서", "ko", "forest"),
        ("जंगल में", "hi", "forest"), ("في الغابة", "ar", "forest"), ("猫", "zh", None),
        ("el bosque", "es", None),
    ],
)  # fmt: skip
def test_a_place_alone_is_told_from_what_stands_before_it(text, language, place):
    assert place_alone(text, language, NAMES.__contains__) == (place or text)


def test_every_article_of_the_lexicon_may_stand_before_a_noun():
    for code, lexicon in LATIN.items():
        pattern = re.compile(article_pattern(code) + "x")
        assert pattern.fullmatch("x")
        for article in (words[0] for words in lexicon.articles if len(words) == 1):
            assert pattern.fullmatch(f"{article} x"), (code, article)
    assert re.fullmatch(article_pattern("fr") + "eau", "l'eau") and article_pattern("zh") == ""


@pytest.mark.parametrize("name", ["clauses.tsv", "concerns.tsv", "turns.tsv", "doings.tsv"])
def test_each_row_says_its_language_and_a_pattern(name):
    codes = {*table("events.tsv")[0][1:]}
    for code, words, instead in table(name)[1:]:
        groups = re.compile(words).groupindex
        assert code in codes
        assert {*re.findall(r"\\g<([a-z]+)>", instead)} <= {*groups}, words
