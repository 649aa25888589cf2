"""Events and kinds that no one drawing shows."""

import re

import pytest

from limner.text.events import shown_event
from limner.text.lexicon import languages_of
from limner.text.tables import table


@pytest.mark.parametrize(
    ("text", "languages", "shows"),
    [
        ("a haunted house", ("en",), "a ghost and a derelict house at night"),
        ("Our first day of school!", ("en",), "a school, a child and a backpack"),
        ("a tea party with teddy bears", ("en",), "a teapot and two teacups with teddy bears"),
        ("valentine's day", ("en",), "a red heart and a bouquet"),
        ("雪合戦", ("ja",), "two children with snowballs in the snow"),
        ("der erste Schultag", ("de",), "a school, a child and a backpack"),
        ("una casa embrujada", ("es",), "a ghost and a derelict house at night"),
        ("mascotas", ("es",), "a dog, a cat, a rabbit and a hamster"),
        ("the solar system", ("en",),
         "a sun, a globe, a full moon and a ringed planet in space"),
        ("台所", ("zh",), "a pot of food, a teapot and a cup in a kitchen"),
        ("cocina", ("en",), "a pot of food, a teapot and a cup in a kitchen"),
        ("an empty classroom", ("en",), "a blackboard, a desk and a chair"),
        ("children at a tea party", ("en",), "children, a teapot and two teacups"),
        ("working from home with a laptop", ("en",), "a laptop and a cup of coffee on a table"),
        ("les vacances d'été", ("fr",), "sunglasses and a suitcase on the beach"),
        ("a picnic by the lake", ("en",),
         "a basket, a sandwich and a watermelon on the grass by the lake"),
        ("our backyard bbq", ("en",), "a hot dog, a cut of meat and a fire on the grass"),
        ("breaking news", ("en",), "a newspaper and a microphone"),
        ("data breach", ("en",), "a laptop, an unlocked and a warning"),
        ("the water cycle", ("en",), "a sun, a cloud-with-rain and a droplet on the sea"),
        ("something that makes me happy", ("en",), "a smiling face, a sun and a rainbow"),
        ("a pile of laundry", ("en",), "a basket, a t-shirt and socks"),
        ("trick-or-treating", ("en",), "a ghost, a jack-o-lantern and candy at night"),
        ("Weihnachtskarte", ("en",), "a Christmas tree"),
        ("día de las elecciones", ("es",), "a ballot box and a person"),
        ("a haunted housekeeper", ("en",), None), ("a house", ("en",), None),
        ("a party", ("en",), None), ("el abrazo de un oso", ("es",), None),
    ],
)  # fmt: skip
def test_what_shows_an_event(text, languages, shows):
    assert shown_event(text, languages) == shows


def test_no_name_of_an_event_is_another_one_too():
    """Each plain name of the table, in every language, is found as its own row says."""
    (_, *languages), *rows = table("events.tsv")
    for shows, *words in rows:
        for language, cell in zip(languages, words, strict=True):
            for name in re.findall(r"(?:^|\|)([^|()\[\]?\\.]+)(?=\||$)", cell):
                if cell.count("(") == 0:
                    assert shown_event(name, (language,)) == shows, (language, name)


@pytest.mark.parametrize(
    ("text", "language"),
    [("the baby's bottle", "en"), ("mother’s day", "en"), ("the dog's bone", "en"),
     ("it is 3 o'clock", "en"),
     ("une fille s'amuse", "fr"), ("elle s’assoit sur le banc", "fr")],
)  # fmt: skip
def test_a_possessive_is_english(text, language):
    assert languages_of(text) == (language,)
