"""Who is called by a name is drawn as somebody."""

import pytest

from limner.text.first_names import is_first_name, with_persons
from limner.text.tables import table

NAMES = {"charlie chaplin", "Tom"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Emma riding a horse", "a woman riding a horse"),
        ("tom and anna at the beach", "a man and a woman at the beach"),
        ("jack and the beanstalk", "a boy and the beanstalk"),
        ("hansel and gretel at the house", "a boy and a girl at the house"),
        ("Little Tom planted a bean", "a boy planted a bean"),
        ("Mr Smith with a hat", "a man with a hat"),
        ("King Arthur on a horse", "a king on a horse"),
        ("my uncle Bob and his dog", "my man and his dog"),
        ("Tom Hanks eating pizza", "a man eating pizza"),
        ("a girl named Anna", "a girl named Anna"),
        ("my cat Luna on a sofa", "my cat on a sofa"),
        ("our old dog Max", "our old dog"),
        ("a bob haircut", "a bob haircut"),
        ("John Deere tractor", "John Deere tractor"),
        ("the king of hearts", "the king of hearts"),
        ("union jack", "union jack"),
        ("charlie chaplin", "charlie chaplin"),
        ("Tom", "Tom"),
    ],
)
def test_names_are_persons(text, plain):
    assert with_persons(text, NAMES.__contains__) == plain


def test_names_are_those_of_one_row():
    names = [name for _, cell in table("first_names.tsv")[1:] for name in cell.split("|")]
    assert len(names) == len(set(names))
    assert is_first_name("Emma") and not is_first_name("rose")
