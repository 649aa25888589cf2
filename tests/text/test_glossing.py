"""Sentences of languages that are not read themselves, word for word in English."""

import pytest

from limner.text.glossaries import LANGUAGES, glossary_of
from limner.text.glossing import gloss, glossed_words, language_of
from limner.text.tables import table

SENTENCES = [
    ("nl", "een jongen die op een fiets rijdt", "a boy riding a bicycle"),
    ("nl", "twee witte konijnen eten wortels", "two white rabbits eating carrots"),
    ("nl", "op de tafel zit een kat", "a cat sitting on a table"),
    ("nl", "een heks vliegt 's nachts op een bezem", "a witch flying at night on a broom"),
    ("pl", "dziewczynka w niebieskim kapeluszu", "a girl in a blue hat"),
    ("pl", "narysuj proszę niebieskiego smoka", "a blue dragon"),
    ("pl", "chłopiec, który je jabłko", "a boy eating an apple"),
    ("pl", "chłopiec jedzie na rowerze", "a boy riding a bicycle"),
    ("pl", "pięć zielonych żab", "five green frogs"),
    ("pl", "statek na morzu o zachodzie słońca", "a ship on a sea at sunset"),
    ("tr", "masanın üstünde uyuyan iki kedi", "two cats sleeping on a table"),
    ("tr", "mavi şapkalı bir kız", "a girl with a blue hat"),
    ("tr", "ormanda balık yiyen bir ayı", "a bear eating a fish in a forest"),
    ("tr", "İki köpek plajda oynuyor", "two dogs playing on a beach"),
    ("tr", "dağda gri bir kurt", "a grey wolf on a mountain"),
    ("tr", "file binen altın taçlı bir kraliçe", "a queen with a golden crown riding an elephant"),
    ("hu", "egy királynő koronával elefánton lovagol", "a queen with a crown riding an elephant"),
    ("fa", "یک ملکه با تاج سوار بر فیل", "a queen with a crown riding an elephant"),
    ("sv", "tre ballonger på himlen", "three balloons on a sky"),
    ("sv", "en björn som äter en fisk i skogen", "a bear eating a fish in a forest"),
    ("nb", "tre gule fugler i et tre", "three yellow birds in a tree"),
    ("nb", "en rev bak et tre", "a fox behind a tree"),
    ("da", "en dreng der kører på cykel", "a boy riding a bicycle"),
    ("da", "en landmand med to køer på en mark", "a farmer with two cows on a field"),
    ("uk", "космонавт їде на коні в космосі", "an astronaut riding a horse in space"),
    ("uk", "птах летить над горами", "a bird flying above mountains"),
    ("uk", "п'ять зелених жаб", "five green frogs"),
    ("cs", "chlapec hraje na kytaru na pláži", "a boy playing a guitar on a beach"),
    ("cs", "dva bílí králíci v trávě", "two white rabbits in grass"),
    ("id", "seekor kucing merah duduk di atas meja", "a red cat sitting on a table"),
    ("id", "putri dengan gaun merah muda", "a princess with a pink dress"),
    ("id", "dua orang duduk di bangku", "two people sitting on a bench"),
    ("id", "anak-anak bermain bola", "children playing with a ball"),
    ("vi", "vẽ một con rồng đỏ", "a red dragon"),
    ("vi", "ba con chim vàng trên cây", "three yellow birds in a tree"),
    ("vi", "một con thỏ đeo kính", "a rabbit wearing glasses"),
    ("el", "μια κόκκινη γάτα κάθεται σε ένα τραπέζι", "a red cat sitting on a table"),
    ("el", "ένας αστροναύτης στο διάστημα", "an astronaut in space"),
    ("hu", "egy medve halat eszik az erdőben", "a bear eating a fish in a forest"),
    ("hu", "egy fekete ló a ház előtt", "a black horse in front of a house"),
    ("ro", "o vulpe în spatele unui copac", "a fox behind a tree"),
    ("ro", "doi câini se joacă pe plajă", "two dogs playing on a beach"),
    ("fi", "punainen kissa istuu pöydällä", "a red cat sitting on a table"),
    ("fi", "prinsessa vaaleanpunaisessa mekossa", "a princess in a pink dress"),
    ("fa", "خرسی در جنگل ماهی می‌خورد", "a bear eating a fish in a forest"),
    ("fa", "یک گربه قرمز روی میز نشسته است", "a red cat sitting on a table"),
    ("he", "שני ארנבים לבנים אוכלים גזר בגינה", "two white rabbits eating a carrot in a garden"),
    ("he", "רקטה עפה מעל העיר בלילה", "a rocket flying above a city at night"),
    ("nl", "een kat links van een hond", "a cat left of a dog"),
    ("uk", "кіт ліворуч від будинку", "a cat left of a house"),
    ("fi", "kissa koiran oikealla puolella", "a cat right of a dog"),
    ("el", "ένα αυτοκίνητο και ένα σπίτι", "a car and a house"),
    ("vi", "một chiếc ô tô và một ngôi nhà", "a car and a house"),
    ("da", "en kat på en blå baggrund", "a cat on a blue background"),
    ("bn", "টেবিলের উপর একটি লাল বিড়াল বসে আছে", "a red cat sitting on a table"),
    ("bn", "গাছের নিচে একটি মেয়ে বই পড়ছে", "a girl reading a book under a tree"),
    ("ur", "ایک ریچھ جنگل میں مچھلی کھا رہا ہے", "a bear eating a fish in a forest"),
    ("ur", "سنہری تاج والا بادشاہ کرسی پر بیٹھا ہے",
     "a king with a golden crown sitting on a chair"),
    ("ur", "ایک بلی اور ایک کتا", "a cat and a dog"),
    ("tr", "ağacın altında bir kız kitap okuyor", "a girl reading a book under a tree"),
    ("ms", "seekor kuda hitam di hadapan rumah", "a black horse in front of a house"),
    ("ms", "seorang budak perempuan memakai topi biru", "a girl wearing a blue hat"),
    ("sw", "mbwa wawili wanacheza ufukweni", "two dogs playing on a beach"),
    ("sw", "paka mwekundu ameketi juu ya meza", "a red cat sitting on a table"),
    ("tl", "kumakain ng isda ang oso sa gubat", "a bear eating a fish in a forest"),
    ("tl", "isang itim na kabayo sa harap ng bahay", "a black horse in front of a house"),
    ("bg", "ракета лети над града през нощта", "a rocket flying above a city at night"),
    ("bg", "момиче със синя шапка", "a girl with a blue hat"),
    ("hr", "medvjed jede ribu u šumi", "a bear eating a fish in a forest"),
    ("hr", "медвед једе рибу у шуми", "a bear eating a fish in a forest"),
    ("hr", "pet zelenih žaba", "five green frogs"),
    ("sk", "dva psy sa hrajú na pláži", "two dogs playing on a beach"),
    ("sk", "čierny kôň pred domom", "a black horse in front of a house"),
    ("ca", "un ós menjant un peix al bosc", "a bear eating a fish in a forest"),
    ("ca", "cinc granotes verdes", "five green frogs"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "english"), SENTENCES)
def test_sentences_are_english_word_for_word(language, text, english):
    assert gloss(text, lambda _: None) == (language, english)


@pytest.mark.parametrize(
    "text",
    [
        "a man in a hut", "school bus", "robot love", "ein roter Hut auf dem Tisch",
        "un gato gris en la playa", "un cartel triste", "Concierto de rock", "une carte de noël",
        "una casa verde", "um barco no mar", "красный кот на столе", "кот спит под стулом",
        "панда режет торт на кухне",
        "король и королева перед замком", "dos gatos verdes", "قطة على الطاولة",
        "kedi", "birthday cake/cake", "",
    ],
)  # fmt: skip
def test_other_languages_and_names_are_left(text):
    assert language_of(text) is None
    assert gloss(text, lambda _: None) is None


def test_names_that_a_glossary_lacks_are_known_by_the_index():
    names = {"pelikan": "pelican"}
    said = gloss("ağaçta iki büyük pelikan", names.get)
    assert said == ("tr", "two big pelicans in a tree")


def test_unknown_words_and_quotes_stay():
    said = gloss("een hond met een bord 'Te koop' in de gestreepte tuin", lambda _: None)
    assert said == ("nl", "a dog with a plate 'Te koop' in a gestreepte garden")


def test_verbs_of_several_clauses_stay_with_their_nouns():
    said = gloss("een kat slaapt op het bed en een hond speelt met een bal", lambda _: None)
    assert said is not None
    assert said.english == "a cat sleeping on a bed and a dog playing with a ball"


@pytest.mark.parametrize("code", LANGUAGES)
def test_glossaries_hold_what_sentences_are_made_of(code):
    rows = table(f"languages/{code}.tsv")[1:]
    assert all(len(row) == 3 and row[0] for row in rows)
    kinds = {kind for kind, _, _ in rows}
    assert {"noun", "adjective", "number", "phrase", "verb", "join"} <= kinds
    assert {"preposition", "postposition"} & kinds
    said = {english for kind, english, _ in rows if kind == "number"}
    assert {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"} <= said
    assert glossary_of(code).code == code


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("masanın üstünde iki kedi",
         [("table", "masanın"), ("on", "üstünde"), ("two", "iki"), ("cats", "kedi")]),
        ("chłopiec jedzie na rowerze",
         [("boy", "chłopiec"), ("riding", "jedzie"), ("on", "na"), ("bicycle", "rowerze")]),
        ("een jongen fietst boven op een berg",
         [("a", "een"), ("boy", "jongen"), ("riding a bicycle", "fietst"), ("on", "boven op"),
          ("a", "een"), ("mountain", "berg")]),
        ("חתול בגינה", [("cat", "חתול"), ("at garden", "בגינה")]),
    ],
)  # fmt: skip
def test_words_of_a_gloss_are_those_that_they_were(text, words):
    found = gloss(text, lambda _: None)
    said = glossed_words(text, lambda _: None, found)
    assert [(each.english, text[each.start : each.end]) for each in said] == words
