"""Numbers said otherwise than by a numeral, and what is not to be seen."""

import pytest

from limner.text.lexicon import languages_of
from limner.text.negations import without_negated
from limner.text.number_words import in_digits
from limner.text.request_words import subject


@pytest.mark.parametrize(
    ("language", "text", "digits"),
    [
        ("en", "half a dozen eggs", "six eggs"), ("en", "a trio of penguins", "three penguins"),
        ("en", "a handful of red cherries", "five red cherries"), ("en", "a dozen", "a dozen"),
        ("es", "media docena de huevos", "seis huevos"), ("es", "un par de perros", "dos perros"),
        ("es", "un par de zapatos", "un zapatos"), ("es", "once pájaros", "11 pájaros"),
        ("fr", "une demi-douzaine d'œufs", "six œufs"), ("fr", "une poignée de noix", "cinq noix"),
        ("de", "ein halbes Dutzend Eier", "sechs Eier"), ("de", "ein Paar Hunde", "zwei Hunde"),
        ("de", "ein paar Hunde", "drei Hunde"), ("de", "elf Vögel", "11 Vögel"),
        ("de", "ein elf mit Hut", "ein elf mit Hut"), ("it", "un paio di cani", "due cani"),
        ("pt", "meia dúzia de ovos", "seis ovos"), ("ru", "полдюжины яиц", "6 яиц"),
        ("ru", "двое детей", "2 детей"), ("zh", "半打鸡蛋", "6 鸡蛋"),
        ("ja", "猫を三匹", "三匹の猫"),
        ("ja", "女の子三人と男の子二人", "三人の女の子と二人の男の子"),
        ("ko", "장미 열두 송이", "장미 12송이"), ("ko", "개 세 마리", "강아지 세 마리"),
        ("ko", "커피 한 잔과 빵", "커피와 빵"), ("ar", "قطتان", "2 قطة"),
        ("ar", "بنتان وولدان", "2 بنت و 2 ولد"), ("ar", "حصان", "حصان"),
        ("ar", "سيارتان زرقاوان", "2 سيارة زرقاء"), ("ar", "اثنا عشر بالونا", "12 بالونا"),
        ("hi", "आधा दर्जन केले", "6 केले"),
    ],
)  # fmt: skip
def test_numbers_in_digits(language, text, digits):
    assert in_digits(text, language) == digits


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a cat without a hat", "a cat"), ("a beach with no people", "a beach"),
        ("a man without a shirt on the beach", "a man on the beach"),
        ("a street without cars or people at night", "a street at night"),
        ("not a cat but a dog", "a dog"), ("neither cats nor dogs, only birds", "birds"),
        ("no es un gato sino un perro", "un perro"),
        ("kein Hund, sondern eine Katze", "eine Katze"),
        ("не кошка, а собака", "собака"), ("不是猫而是狗", "狗"), ("猫ではなく犬", "犬"),
        ("a table with nothing on it", "a table"), ("a dog that is not black", "a dog"),
        ("a knot but no rope", "a knot"),
        ("without you", "without you"), ("un gato sin sombrero", "un gato"),
        ("une plage sans personne", "une plage"), ("um gato sem chapéu", "um gato"),
        ("eine Katze ohne Hut auf einem Stuhl", "eine Katze auf einem Stuhl"),
        ("кошка без шляпы на столе", "кошка на столе"), ("一个没有人的海滩", "一个海滩"),
        ("一只没戴帽子的猫", "一只猫"), ("不开心的男孩", "不开心的男孩"),
        ("帽子をかぶっていない猫", "猫"), ("危ない犬", "危ない犬"), ("قطة بدون قبعة", "قطة"),
        ("모자를 쓰지 않은 고양이", "고양이"), ("बिना टोपी की बिल्ली", "बिल्ली"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out(text, seen):
    assert without_negated(text, languages_of(text)[0]) == seen


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("what does a fox look like?", "a fox"), ("¿cómo es un zorro?", "un zorro"),
        ("wie sieht ein Fuchs aus?", "ein Fuchs"), ("狐狸长什么样？", "狐狸"),
        ("once upon a time there was a princess", "a princess"), ("érase una vez un rey", "un rey"),
    ],
)  # fmt: skip
def test_what_questions_and_tales_are_about(text, thing):
    assert subject(text) == thing
