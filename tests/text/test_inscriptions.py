"""What is to be written on a thing is told from what is to be drawn."""

import pytest

from limner.text.inscriptions import inscription_of, without_name


@pytest.mark.parametrize(("language", "text", "words", "rest"), [
    ("en", 'a sign that says "OPEN"', "OPEN", "a sign"),
    ("en", 'a mug that reads \'World\'s best dad\'', "World's best dad", "a mug"),
    ("en", 'a heart with the words “I love you” on the beach', "I love you",
     "a heart on the beach"),
    ("en", 'a cake with "Happy Birthday" written on it', "Happy Birthday", "a cake"),
    ("en", "a stop sign saying stop here", "stop here", "a stop sign"),
    ("es", "un letrero que dice «Cuidado»", "Cuidado", "un letrero"),
    ("fr", 'une carte avec le texte « Joyeux anniversaire »', "Joyeux anniversaire", "une carte"),
    ("de", "ein Schild mit der Aufschrift „Offen“ am Strand", "Offen", "ein Schild am Strand"),
    ("de", 'ein Schild, auf dem "Offen" steht', "Offen", "ein Schild"),
    ("it", 'un cartello con scritto "Aperto"', "Aperto", "un cartello"),
    ("pt", 'uma placa que diz "Aberto"', "Aberto", "uma placa"),
    ("ru", 'табличка с надписью «OPEN»', "OPEN", "табличка"),
    ("zh", "写着“SALE”的牌子", "SALE", "牌子"),
    ("ja", "「OPEN」と書かれた看板", "OPEN", "看板"),
])  # fmt: skip
def test_words_between_quotes_are_taken_off(language, text, words, rest):
    found = inscription_of(text, (language,))
    assert found is not None
    assert (found.words, found.rest) == (words, rest)
    assert rest.startswith(found.before)


@pytest.mark.parametrize("text", [
    "a man saying hello", 'a man named "Bob"', 'the words "hello"', "a cat with a ball",
    "a girl's hat with a dog's bone", 'a poster of "Titanic"', '"a cat on a mat"',
])  # fmt: skip
def test_other_quotes_and_words_stay(text):
    assert inscription_of(text, ("en",)) is None


@pytest.mark.parametrize(
    ("text", "rest", "name"),
    [
        ("a logo for my bakery called Sweet Dreams", "a logo for my bakery", "Sweet Dreams"),
        ("a dog named Max", "a dog", "Max"),
        ("a pub called The Queen of Hearts", "a pub", "The Queen of Hearts"),
        ("meine Bäckerei namens Süße Träume", "meine Bäckerei", "Süße Träume"),
        ("un perro llamado Toby", "un perro", "Toby"),
        ("a dog called max", "a dog called max", ""),
        ("a girl named Alice in a garden", "a girl named Alice in a garden", ""),
        ("called Max", "called Max", ""),
    ],
)
def test_what_something_is_called_is_taken_off(text, rest, name):
    assert without_name(text) == (rest, name)
