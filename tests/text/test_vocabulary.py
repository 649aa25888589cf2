"""Nouns of other languages are taken for those before the English words spelled alike."""

import pytest

from limner.text.lexicon import languages_of
from limner.text.names import name_key
from limner.text.vocabulary import _nouns, best_name, head_of_compound, in_english, singular_of


@pytest.mark.parametrize(
    ("text", "noun", "meaning"),
    [
        ("ein Mann mit Hut", "Hut", "hat"), ("ein Boot auf dem See", "ein Boot", "boat"),
        ("un chat sur un lit", "un chat", "cat"), ("il cane nella casa", "il cane", "dog"),
        ("un vaso en la mesa", "la mesa", "table"), ("l'ours dans la forêt", "l'ours", "bear"),
        ("le four", "le four", "oven"), ("大树旁边的小房子", "大树", "tree"),
        ("Wald", "Wald", "forest"), ("abeille", "abeille", "bee"), ("robe", "robe", None),
        ("un gato en el tejado", "el tejado", "roof"),
        ("eine Tasse Tee", "eine Tasse Tee", "cup of tea"),
        ("un plato de sopa", "un plato de sopa", "soup"), ("angel", "angel", None),
        ("un dragón delante de una cueva", "una cueva", "cave"),
        ("リスとどんぐり", "どんぐり", "acorn"),
        ("a hut and a boot", "a hut", None), ("chat", "chat", None), ("a pan", "a pan", None),
    ],
)  # fmt: skip
def test_a_word_is_of_the_language_of_its_text(text, noun, meaning):
    assert in_english(noun, languages_of(text)) == meaning


def test_a_word_by_itself_may_be_of_any_language():
    assert in_english("parapluie") == "umbrella"
    assert in_english("灯台") == "lighthouse"
    assert in_english("kangaroo") is None


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("Schokoladenkuchen", "cake"), ("ein Apfelbaum", "tree"), ("Ei", None), ("Baum", None)],
)
def test_a_german_compound_is_what_it_ends_in(word, meaning):
    assert head_of_compound(word, ("de",)) == meaning
    assert head_of_compound(word, ("en",)) is None


@pytest.mark.parametrize(
    ("phrase", "best", "same"),
    [
        ("a cup of coffee", "hot beverage", True), ("kangaroo", None, True),
        ("squirrel", "chipmunk", True), ("a coffee shop", "hot beverage", False),
        ("leaves", "leaf fluttering in wind", True), ("a paramedic", "health worker", False),
    ],
)  # fmt: skip
def test_the_best_drawn_name_of_a_thing(phrase, best, same):
    assert best_name(phrase) == (None if best is None else (best, same))


def test_the_table_holds_spellings_that_are_compared():
    words = [word for nouns in _nouns().values() for word in nouns]
    assert len(words) > 3000 and words == [name_key(word) for word in words]


@pytest.mark.parametrize(("text", "language", "meaning"), [
    ("dos vacas", "es", "cow"), ("tres peces", "es", "fish"), ("tres leones", "es", "lion"),
    ("drei Bälle", "de", "ball"), ("drei Eier", "de", "egg"), ("zwei Hüte", "de", "hat"),
    ("due mele", "it", "apple"), ("tre cani", "it", "dog"), ("duas vacas", "pt", "cow"),
    ("três corações", "pt", "heart"), ("deux bateaux", "fr", "boat"),
])  # fmt: skip
def test_a_number_tells_the_language_and_a_plural_its_noun(text, language, meaning):
    assert languages_of(text)[0] == language
    assert in_english(text.split()[1], languages_of(text)) == meaning


def test_plurals_are_read_only_in_languages_that_are_told():
    assert in_english("glasses", ("en",)) is None
    assert in_english("mele", ("en",)) is None
    assert languages_of("due to the weather") == ("en",)
    assert languages_of("dos") == ("pt",), "by itself it counts nothing"


@pytest.mark.parametrize(("phrase", "language", "one"), [
    ("globos rojos", "es", "balloon"), ("unos gatos", "es", "cat"), ("gafas", "es", None),
    ("un gato", "es", None), ("tigre", "es", None), ("ballons rouges", "fr", "balloon"),
    ("le bras", "fr", None), ("roten Ballons", "de", "balloon"), ("des Hundes", "de", None),
    ("Katzen", "de", "cat"), ("palloncini rossi", "it", "balloon"), ("cane", "it", None),
    ("balões", "pt", "balloon"), ("cats", "en", None),
])  # fmt: skip
def test_a_plural_without_a_number_is_told_by_its_ending(phrase, language, one):
    assert singular_of(phrase, language) == one


@pytest.mark.parametrize(("text", "noun", "meaning"), [
    ("فيل يحمل مظلة", "مظلة", "umbrella"), ("كلبان", "كلبان", "dog"), ("قطتين", "قطتين", "cat"),
    ("ثلاث سيارات", "سيارات", "car"), ("خمسة كلاب", "كلاب", "dog"), ("قطتي", "قطتي", "cat"),
    ("رجل يركب حصانا", "حصانا", "horse"), ("السيارة الحمراء", "السيارة", "car"),
    ("بيت بين الاشجار", "الاشجار", "tree"), ("قِطَّة", "قِطَّة", "cat"), ("قطه", "قطه", "cat"),
    ("سلة مليئة بالتفاح", "بالتفاح", "apple"), ("ارنب", "ارنب", "rabbit"), ("بطة", "بطة", "duck"),
    ("दो कुत्ते", "कुत्ते", "dog"), ("तीन बिल्लियाँ", "बिल्लियाँ", "cat"), ("छाते के साथ", "छाते", "umbrella"),
    ("फलों से भरी", "फलों", "fruits"), ("घोड़े पर", "घोडे", "horse"), ("चांद", "चांद", "moon"),
    ("किताबें", "किताबें", "books"), ("चन्द्रमा", "चन्द्रमा", "moon"), ("खाने की मेज", "मेज", "table"),
    ("고양이들", "고양이들", "cat"), ("犬たち", "犬たち", "dog"), ("пчёлы", "пчёлы", "bee"),
    ("самолет", "самолет", "airplane"), ("ein Loewe", "Loewe", "lion"),
    ("drei Äpfel", "Äpfel", "apple"),
    ("un arbol", "arbol", "tree"), ("el leon", "leon", "lion"), ("火车旁边的帐篷", "帐篷", "tent"),
    ("une méduse", "une méduse", "jellyfish"), ("um guarda-chuva", "guarda-chuva", "umbrella"),
])  # fmt: skip
def test_nouns_are_found_as_they_are_typed(text, noun, meaning):
    assert in_english(noun, languages_of(text)) == meaning


def test_words_of_other_languages_do_not_replace_english_ones():
    assert in_english("a grab", ("en",)) is None
    assert in_english("manga", ("en",)) is None and in_english("manga", ("pt",)) == "mango"


def test_nearly_every_row_has_every_language():
    table = _nouns()
    for english in ("elephant", "umbrella", "volcano", "helicopter", "unicorn", "broken heart"):
        assert all(english in table[code].values() for code in table), english
