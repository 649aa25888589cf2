"""Feelings and jobs of persons in words for what is drawn, in twelve languages."""

import pytest

from limner.text.lexicon import languages_of
from limner.text.persons import as_drawn, job_alone, kind_of
from limner.text.tables import columns, table
from limner.text.vocabulary import in_english

NAMES = {
    "shield",
    "woman frowning", "man frowning", "person frowning", "woman pouting", "man pouting",
    "man shrugging", "crying cat", "pouting cat", "envelope", "fishing pole", "bread", "ewe",
    "nurse", "guitar", "axe", "taxi",
}  # fmt: skip


def drawn(text: str) -> str:
    said = (as_drawn(text, language, NAMES.__contains__) for language in languages_of(text))
    return next((each for each in said if each != text), text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a sad girl", "a woman-frowning"), ("una niña triste", "una woman-frowning"),
        ("une petite fille triste", "une petite woman-frowning"),
        ("ein wütender Mann", "ein man-pouting"), ("una donna arrabbiata", "una woman-pouting"),
        ("um menino triste", "um man-frowning"), ("грустная девочка", "woman-frowning"),
        ("一个伤心的男孩", "一个man-frowning"), ("怒っている女の子", "woman-pouting"),
        ("슬픈 소녀", "woman-frowning"), ("एक उदास लड़की", "एक woman-frowning"),
        ("بنت حزينة", "woman-frowning"), ("the girl is very angry", "the woman-pouting"),
        ("el niño está cansado", "el man-frowning"), ("女孩很伤心", "woman-frowning"),
        ("女の子が悲しんでいる", "woman-frowning"), ("девочка грустит", "woman-frowning"),
        ("das Mädchen ist traurig", "das woman-frowning"), ("소녀가 울고 있다", "woman-frowning"),
        ("a sad child in the rain", "a person-frowning in the rain"),
        ("a confused man", "a man-shrugging"), ("生气的猫", "pouting-cat"),
    ],
)  # fmt: skip
def test_who_feels_something_is_drawn_so(text, shown):
    assert drawn(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "an angry old man", "a happy boy", "a sad dog",
        "scared face", "生气的老师", "a mad scientist",
        "un cartel triste", "a confused woman",
    ],
)  # fmt: skip
def test_who_has_no_drawing_with_a_feeling_stays(text):
    assert drawn(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a postman in the street", "a man holding envelope in the street"),
        ("a mail carrier", "a person holding envelope"),
        ("un cartero y su perro", "un hombre sosteniendo envelope, su perro"),
        ("a knight and a dragon", "a man holding shield, a dragon"),
        ("a knight with a lance", "a man with a lance"),
        ("two knights", "two men holding shield"), ("a warrior princess", "a warrior princess"),
        ("un pirata", "un hombre con pirate-hat"), ("una pirata", "una mujer con pirate-hat"),
        ("pirates on a ship", "3 men wearing pirate-hats on a ship"),
        ("骑士和龙", "拿着盾牌的男人, 龙"),
        ("le facteur", "le homme tenant enveloppe"),
        ("der Briefträger", "der Mann hält Umschlag"),
        ("邮递员在路上", "拿着信封的男人在路上"), ("почтальон", "мужчина держит конверт"),
        ("a shepherd with three sheep", "a farmer with three sheep"),
        ("una panadera", "una cocinero sosteniendo pan"),
        ("a taxi driver", "a person next to taxi"),
        ("une guitariste dans la rue", "une personne tenant guitare dans la rue"),
        ("a nurse", "a nurse"), ("a plumber", "a plumber"), ("a postbox", "a postbox"),
    ],
)  # fmt: skip
def test_a_job_is_shown_by_what_it_is_known_by(text, shown):
    assert drawn(text) == shown


def test_a_word_alone_is_a_job_in_the_language_that_has_it():
    assert languages_of("郵便配達員") == ("zh",)
    assert job_alone("郵便配達員", NAMES.__contains__) == "man holding envelope"
    assert job_alone("木", NAMES.__contains__) == "木"


@pytest.mark.parametrize(
    ("word", "language", "kind"),
    [
        ("girls", "en", "woman"),
        ("niñas", "es", "woman"),
        ("people", "en", "person"),
        ("Kinder", "de", "child"),
        ("кот", "ru", "cat"),
        ("teacher", "en", None),
        ("Baum", "de", None),
    ],
)
def test_as_whom_somebody_is_drawn(word, language, kind):
    assert kind_of(word, language) == kind


def test_jobs_are_known_in_other_languages():
    """Most jobs of the table have nouns in all languages, which mean them."""
    names = {name for _, _, _, some in table("jobs.tsv")[1:] for name in some.split("|")}
    for word in ("leñador", "bûcheron", "Holzfäller", "伐木工", "лесоруб", "나무꾼", "حطاب"):
        assert in_english(word) == "lumberjack" and "lumberjack" in names


@pytest.mark.parametrize("name", ["moods.tsv", "actions.tsv"])
def test_tables_have_a_cell_for_every_language(name):
    meanings, words = columns(name)
    assert len(words) == 12 and all(len(some) == len(meanings) for some in words.values())
    assert all(cell for some in words.values() for cell in some)


SIGNS = {"sweat droplets", "anger symbol", "exclamation question mark", "two hearts"}


def is_sign(name: str) -> bool:
    return name.replace("-", " ") in SIGNS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("an angry old man", "an old man with anger-symbol"),
        ("a sad dog", "a dog with sweat-droplets"), ("a lonely whale", "a lonely whale"),
        ("a surprised child", "a child with exclamation-question-mark"),
        ("ein wütender alter Mann", "ein alter Mann mit anger-symbol"),
        ("une vieille dame triste", "une vieille dame avec sweat-droplets"),
        ("una abuela sorprendida", "una abuela con exclamation-question-mark"),
        ("惊讶的男孩", "exclamation-question-mark旁边的男孩"), ("生气的狗", "anger-symbol旁边的狗"),
        ("驚いた男の子", "exclamation-question-markの隣の男の子"),
        ("an angry sea", "an angry sea"), ("a surprised sign", "a surprised sign"),
    ],
)  # fmt: skip
def test_who_has_no_drawing_with_a_feeling_has_a_sign_of_it(text, shown):
    said = (as_drawn(text, language, is_sign) for language in languages_of(text))
    assert next((each for each in said if each != text), text) == shown
