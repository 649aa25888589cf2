from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from limner.errors import CapabilityError, ModelFileError
from limner.generation.drawn_from import Grounding
from limner.generation.generator import Generator, load
from limner.generation.grounding import _in_colour
from limner.generation.phrase_planning import _is_compound
from limner.generation.picture_folder import entry_of
from limner.generation.prompts import PromptWarning
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.models.concepts import ConceptIndex
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder
from tiny_models import STYLES, save_tiny

CAPTIONS = ["cat", "dog", "tower", "red heart"]
NAMES = {"cat": 0, "猫": 0, "dog": 1, "perro": 1, "tower": 2, "torre": 2, "red heart": 3}
SPELLED = [("kissa", 0), ("koira", 1)]
INSTANCES = [("labrador", 1), ("keep", 2)]


def write_index(model: Path, names: dict[str, int], styles: torch.Tensor | None = None) -> None:
    encoder = load_encoder("e5-small")
    vectors = encoder.encode(list(names)).pooled
    index = ConceptIndex.fit(
        captions=CAPTIONS, names=list(names), concepts=list(names.values()),
        vectors=vectors, keywords=encoder.encode(["puppy"]).pooled,
        styles=styles, spelled=SPELLED, instances=INSTANCES if "tower" in names else (),
    )  # fmt: skip
    tensors = {f"{CONCEPTS_PREFIX}{name}": value for name, value in index.tensors().items()}
    write_tensors(model.with_suffix(".concepts.safetensors"), tensors, {})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = save_tiny(tmp_path_factory.mktemp("known") / "tiny.safetensors", "vae")
    write_index(model, NAMES)
    return model


@pytest.fixture(scope="module")
def known(path: Path) -> Generator:
    return load(path)


def one(generator: Generator, prompt: str, **options):
    return generator.generate(prompt, seed=4, **options)[0]


def bits(picture) -> bytes:
    return picture.image.tobytes()


def test_a_prompt_that_was_read_before_says_the_same_again(path):
    generator, asked = load(path), []
    generator.encoder.encode = lambda texts, encode=generator.encoder.encode: (
        asked.extend(texts), encode(texts))[1]  # fmt: skip
    said, pictures = [], []
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pictures.append(one(generator, "a lighthouse"))
        said.append([str(each.message) for each in caught])
        asked.append("|")
    assert said[0] == said[1] and len(said[0]) == 1
    assert bits(pictures[0]) == bits(pictures[1])
    assert pictures[0].drawn_from == pictures[1].drawn_from
    assert asked.index("|") > 0 and asked[asked.index("|") :] == ["|", "|"], "read once"


def test_an_unknown_word_is_drawn_from_the_nearest_known_name(known):
    with pytest.warns(PromptWarning, match='"a lighthouse" is .* the 4 things .* drawn as "tower"'):
        picture = one(known, "a lighthouse")
    (found,) = picture.drawn_from
    assert (found.phrase, found.drawn) == ("a lighthouse", "tower")
    assert bits(picture) == bits(one(known, "tower"))
    assert bits(picture) != bits(one(known, "a lighthouse", grounding=False))


def quiet(generator, prompt: str, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return one(generator, prompt, **options)


@pytest.mark.parametrize("prompt", ["tower", "puppy"])
def test_a_caption_or_keyword_is_drawn_as_it_stands(known, prompt):
    picture = quiet(known, prompt)
    assert [each.replaced for each in picture.drawn_from] == [False]
    assert bits(picture) == bits(one(known, prompt, grounding=False))


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("猫", "cat"), ("perro", "dog"), ("TORRE", "tower"), ("koira", "dog"), ("Kissa!", "cat"),
        ("a picture of towers", "tower"), ("一只猫", "cat"), ("dogs", "dog"),
    ],
)  # fmt: skip
def test_a_name_in_any_language_is_drawn_from_its_concept(known, prompt, caption):
    picture = quiet(known, prompt, scenes=False)
    (found,) = picture.drawn_from
    assert (found.drawn, found.known, found.similarity) == (caption, True, 1.0)
    assert bits(picture) == bits(one(known, caption))


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a labrador", "dog"), ("an old wooden labrador", "dog"), ("ruskea koira", "dog"),
        ("koirra", "dog"), ("the tallest keep", "tower"), ("一只可爱的猫咪", "cat"),
    ],
)  # fmt: skip
def test_a_name_is_found_in_a_phrase_misspelt_or_as_an_instance(known, prompt, caption):
    picture = known.generate(prompt, seed=4, scenes=False)[0]
    assert [each.drawn for each in picture.drawn_from] == [caption]


def test_an_instance_is_said_to_be_drawn_as_another_thing(known):
    with pytest.warns(PromptWarning, match='"a labrador" is not among .* drawn as "dog"'):
        one(known, "a labrador")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """Knows persons, and things that are called like them."""
    model = save_tiny(tmp_path_factory.mktemp("people") / "tiny.safetensors", "vae")
    things = ["man", "woman", "person", "passenger ship", "fishing", "tree", "wood", "hut", "hat"]
    index = ConceptIndex.fit(
        captions=things, names=[*things, "passenger"], concepts=[*range(len(things)), 3],
        vectors=load_encoder("e5-small").encode([*things, "passenger"]).pooled,
        instances=[("big tree", 6)],
    )  # fmt: skip
    tensors = {f"{CONCEPTS_PREFIX}{name}": value for name, value in index.tensors().items()}
    write_tensors(model.with_suffix(".concepts.safetensors"), tensors, {})
    return load(model)


def drawn(generator: Generator, prompt: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        return [each.drawn for each in one(generator, prompt, scenes=True).drawn_from]


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("my uncle fishing", ["man", "fishing"]),
        ("my little sister", ["person"]), ("a passenger", ["person"]),
        ("a big tree", ["tree"]), ("ein Mann mit Hut", ["man", "hat"]), ("a hut", ["hut"]),
        ("una mujer y un árbol", ["woman", "tree"]),
    ],
)  # fmt: skip
def test_a_person_is_a_person_and_a_word_of_its_own_language(people, prompt, things):
    assert drawn(people, prompt) == things


def test_what_is_like_nothing_known_is_left_out_of_a_scene(people):
    with pytest.warns(PromptWarning, match='"a qqxz" is like none of the 9 .* is left out'):
        picture = one(people, "a man wearing a qqxz", scenes=True)
    assert [each.drawn for each in picture.drawn_from] == ["man"]
    assert len(drawn(people, "a qqxz")) == 1


def test_a_thing_is_drawn_in_a_style_that_it_is_known_in(tmp_path):
    model = save_tiny(tmp_path / "tiny.safetensors", "vae")
    have = [[1, 1], [0, 1], [1, 0], [1, 0]]
    write_index(model, NAMES, torch.tensor(have).bool())
    generator = load(model)

    def styles(prompt: str, **options) -> list[str | None]:
        pictures = generator.generate(prompt, n=24, seed=1, **options)
        return [picture.settings.style for picture in pictures]

    first, second = STYLES
    assert set(styles("cat")) == {first, second}
    assert set(styles("dog")) == {second}
    assert set(styles("tower")) == {first}
    assert set(styles("a cat and a dog", scenes=True)) == {second}
    assert set(styles("tower", style=second)) == {second}
    assert set(styles("tower", grounding=False)) == {None}
    # The same seeds as the model's own choice, where the thing has every style.
    plain = generator.generate("cat", n=8, seed=1, grounding=False)
    for mine, own in zip(generator.generate("cat", n=8, seed=1), plain, strict=True):
        assert bits(mine) == bits(own)
    picture = generator.generate("dog", seed=3)[0]
    again = redraw(picture.save(tmp_path / "a.png"), model)
    assert again.settings == picture.settings and bits(again) == bits(picture)


def test_every_thing_of_a_scene_is_looked_up(known):
    with pytest.warns(PromptWarning):
        scene = one(known, "a labrador and two cats", scenes=True)
    assert scene.drawn_from[0].phrase == "a labrador"
    assert scene.drawn_from[0].drawn == "dog"
    alone = one(known, "a labrador and two cats", scenes=True, grounding=False)
    assert alone.drawn_from == ()
    assert bits(alone) != bits(scene)


def test_the_record_says_what_was_drawn_and_draws_it_again(known, path, tmp_path):
    with pytest.warns(PromptWarning):
        picture = one(known, "a lighthouse")
    file = picture.save(tmp_path / "a.png")
    record = read_record(file)
    assert record.drawn_from == picture.drawn_from
    (listed,) = entry_of(picture, file)["drawn_from"]
    assert (listed["phrase"], listed["drawn"]) == ("a lighthouse", "tower")
    with pytest.warns(PromptWarning):
        again = redraw(file, path)
    assert same_pixels(file, again.image)
    plain = one(known, "a lighthouse", grounding=False).save(tmp_path / "b.png")
    assert same_pixels(plain, redraw(plain, path).image)


def test_another_index_than_the_one_it_was_drawn_by_is_an_error(tmp_path):
    model = save_tiny(tmp_path / "tiny.safetensors", "vae")
    write_index(model, NAMES)
    with pytest.warns(PromptWarning):
        file = one(load(model), "a lighthouse").save(tmp_path / "a.png")
    write_index(model, {"cat": 0, "dog": 1})
    with (
        pytest.raises(ModelFileError, match="drawn from other known names"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        redraw(file, model)


def test_a_model_without_an_index_draws_as_before(tmp_path):
    generator = load(save_tiny(tmp_path / "tiny.safetensors", "vae"))
    assert one(generator, "a lighthouse").drawn_from == ()
    with pytest.raises(CapabilityError, match=r"tiny\.safetensors has no index of the concepts"):
        one(generator, "a lighthouse", grounding=True)


def test_a_colour_stays_in_the_words_where_the_model_learned_such_words():
    encoder = load_encoder("e5-small")
    names = {"heart": 0, "red heart": 1}
    vectors = encoder.encode(list(names)).pooled

    def words(tint: str | None, drawn: str, keywords: torch.Tensor | None) -> str:
        index = ConceptIndex.fit(
            captions=list(names), names=list(names), concepts=[0, 1], vectors=vectors,
            keywords=keywords,
        )  # fmt: skip
        each = Grounding(phrase="cœur", drawn=drawn, similarity=1.0, known=True)
        return _in_colour(index, tint, each, "cœur")

    assert words("red", "heart", None) == "red heart"
    assert words("purple", "heart", None) == "heart", "no drawing is of that"
    assert words("purple", "heart", vectors[:1]) == "purple heart"
    assert words(None, "heart", None) == "heart"


@pytest.mark.parametrize(
    ("word", "is_colour"),
    [("red", True), ("Reddish", True), ("blackboard", False), ("greenhouse", False),
     ("red-coloured", True), ("rojo", True), ("黑板", True)],
)  # fmt: skip
def test_a_compound_names_no_colour(word, is_colour):
    assert _is_compound(word) is not is_colour


@pytest.fixture(scope="module")
def drawers(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """Knows things by several names, in a black style and a coloured one."""
    model = save_tiny(tmp_path_factory.mktemp("drawers") / "tiny.safetensors", "vae")
    have = {
        "grape": [0], "grapes": [1], "like": [1], "car": [0, 1], "family fan": [1], "forest": [0],
        "man": [0, 1], "health worker": [1], "doctor": [0], "flag": [1], "triangular flag": [0, 1],
        "deciduous tree": [1], "cloud": [1],
    }  # fmt: skip
    styles = torch.zeros(len(have), len(STYLES), dtype=torch.bool)
    for row, some in enumerate(have.values()):
        styles[row, some] = True
    index = ConceptIndex.fit(
        captions=list(have), names=list(have), concepts=list(range(len(have))),
        vectors=load_encoder("e5-small").encode(list(have)).pooled, styles=styles,
        coloured=torch.tensor([False, True]),
    )  # fmt: skip
    tensors = {f"{CONCEPTS_PREFIX}{name}": value for name, value in index.tensors().items()}
    write_tensors(model.with_suffix(".concepts.safetensors"), tensors, {})
    return load(model)


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("a grape", ["grapes"]), ("una uva", ["grapes"]), ("doctor", ["health worker"]),
        ("a friendly car", ["car"]), ("a car waiting for us", ["car"]),
        ("a dentist", ["health worker"]), ("a flag", ["flag"]),
        ("a man and a doctor", ["man", "health worker"]),
    ],
)  # fmt: skip
def test_a_thing_is_drawn_from_the_name_it_is_drawn_best_by(drawers, prompt, things):
    assert drawn(drawers, prompt) == things


def test_the_style_that_is_asked_for_counts_more(drawers, tmp_path):
    picture = one(drawers, "a grape", style=STYLES[0])
    assert [each.drawn for each in picture.drawn_from] == ["grape"]
    for seed in range(8):  # the seed may choose a style that only one of them has
        path = tmp_path / f"{seed}.png"
        picture = drawers.generate("a grape beside a forest", seed=seed, scenes=True)[0].save(path)
        assert same_pixels(path, redraw(path, drawers.path).image)


def test_another_word_that_is_spelled_alike_is_no_misspelling(drawers):
    assert drawn(drawers, "lake") != ["like"]  # a caption, whose word means something else
    assert drawn(drawers, "dotcor") == ["health worker"]


def test_a_place_without_a_coloured_drawing_is_painted(drawers):
    for prompt in ("a forest", "Wald"):
        picture = one(drawers, prompt, scenes=True)
        sky = picture.image.getpixel((2, 2))
        assert picture.drawn_from == () and min(sky) > 150 and sky != (255, 255, 255)
