"""Explanations against the same drawn by hand, and scenes whose things are known."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from limner.errors import CapabilityError, UsageError
from limner.evaluation.explanation_page import explanation_page
from limner.generation.explaining import MOST_WORDS, MapSource, things_of, without_word
from limner.generation.explanation_files import explanation_as_json, write_explanation
from limner.generation.generator import load
from limner.generation.glossed_prompts import still_read
from limner.generation.heat_maps import heat_map
from limner.generation.placed import Placed
from limner.models.settings import Capability
from limner.reading.aligner import load_aligner
from limner.scenes.actors import Spot
from limner.text.word_spans import word_spans

SCENE = "please draw an apple left of a green pear"


@pytest.fixture(scope="module")
def scene(shipped):
    return shipped.explain(SCENE, seed=3, aligner=load_aligner(), style="noto")


def maps(explanation) -> dict[str, np.ndarray]:
    return {word.text: word.map for word in explanation.words}


def pixels(picture) -> np.ndarray:
    return np.asarray(picture.image.convert("RGB"), np.float64) / 255


def test_every_family_explains_a_picture_as_it_is_drawn(generator):
    found = generator.explain("a cat", seed=5)
    assert np.array_equal(pixels(found.picture), pixels(generator.generate("a cat", seed=5)[0]))
    side = generator.model.config.size
    assert [word.text for word in found.words] == ["a", "cat"]
    for word, rest in zip(found.words, ("cat", "a"), strict=True):
        (other,) = generator.generate(rest, seed=5)
        assert word.without.prompt == rest
        assert np.array_equal(pixels(word.without), pixels(other))
        change = np.abs(pixels(found.picture) - pixels(other)).mean()
        assert word.change == pytest.approx(change, abs=1e-6)
        assert word.map.shape == (side, side) and word.map.dtype == np.float32
        assert word.map.min() >= 0 and word.map.max() in (0, 1)
    assert found.source in (MapSource.INFORMATION, MapSource.GRADIENT)
    assert not found.captions and not found.pictures and found.score is None
    changed = generator.explain("a cat", seed=5, maps="change").words[1]
    difference = np.abs(pixels(found.picture) - pixels(changed.without)).mean(-1)
    assert changed.map == pytest.approx(difference / difference.max(), abs=1e-5)


def test_the_words_of_a_scene_have_the_pixels_of_their_things(scene):
    found = maps(scene)
    assert scene.source is MapSource.PLAN
    ink = (pixels(scene.picture) < 0.97).any(-1)
    apple, pear = found["apple"] > 0.5, found["pear"] > 0.5
    middle = ink.shape[1] // 2
    assert not apple[:, middle:].any() and not pear[:, :middle].any()
    assert (ink[:, :middle] == apple[:, :middle]).mean() > 0.98
    assert (ink[:, middle:] == pear[:, middle:]).mean() > 0.98
    red, green, blue = pixels(scene.picture)[pear].mean(0)
    assert green > max(red, blue), "the green thing is the pear"
    assert np.array_equal(found["left"], np.maximum(found["apple"], found["pear"]))
    assert np.array_equal(found["green"], found["pear"])


def test_what_is_hidden_is_not_shown():
    square = np.ones((4, 4, 4), np.float32)
    glass = square * 0.5
    spots = [Spot(0, 0, 0, 0.5, 0.5), Spot(1, 0.25, 0, 0.5, 0.5), Spot(0, 0.5, 0.5, 0.5, 0.5)]
    behind, front = Placed([square, glass], spots=spots).masks(8)
    assert behind[0].tolist() == [1, 1, 0.5, 0.5, 0, 0, 0, 0]
    assert front[0].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0]
    assert behind[4:, 4:].min() == 1 and not front[4:].any()


def test_words_that_change_nothing_are_said_to(scene):
    found = {word.text: word for word in scene.words}
    assert found["please"].changes_nothing and not found["please"].map.any()
    assert np.array_equal(pixels(found["please"].without), pixels(scene.picture))
    assert not found["pear"].changes_nothing and found["pear"].change > 0.02
    assert found["apple"].drawn.drawn in ("red apple", "apple") and found["please"].drawn is None


def test_scores_are_those_of_the_aligner(scene):
    aligner = load_aligner()
    text = aligner.encode_texts([SCENE])[0]

    def score(picture) -> float:
        values = np.asarray(picture.image.convert("RGB"), np.float32) / 127.5 - 1
        from torch import from_numpy

        return float(aligner.encode_images(from_numpy(values.transpose(2, 0, 1))[None])[0] @ text)

    assert scene.score == pytest.approx(score(scene.picture), abs=1e-4)
    word = next(word for word in scene.words if word.text == "pear")
    assert word.score_change == pytest.approx(score(word.without) - scene.score, abs=1e-4)


def test_the_nearest_training_picture_of_a_thing_is_the_one_that_it_was_drawn_from(shipped):
    found = shipped.explain("a rocket", seed=2, variety=0)
    (source,) = found.picture.sources
    first = found.pictures[0]
    assert (first.style, first.licence) == (source.set, source.licence)
    assert first.distance == pytest.approx(source.distance, abs=0.01) and first.copied
    distances = [each.distance for each in found.pictures]
    assert distances == sorted(distances)
    assert found.captions[0].caption == "rocket" and found.captions[0].distance < 0.1
    alone = found.words[1]
    ink = (pixels(found.picture) < 0.97).any(-1)
    assert (alone.map > 0.5)[ink].mean() > 0.9, "but for pale specks; white inside belongs to it"
    assert not alone.map[:4].any() and not alone.map[:, -4:].any()


def test_the_nearest_pictures_of_a_store(few, tiny_model):
    generator = load(tiny_model)
    found = generator.explain("a cat", seed=1, store=few)
    shown = pixels(found.picture).reshape(16, 2, 16, 2, 3).mean((1, 3))
    distances = []
    for row in range(len(few)):
        side = few.size // 16
        other = np.asarray(few.images[row]).reshape(16, side, 16, side, 3).mean((1, 3)) / 255
        distances.append(2 * np.sqrt(((shown - other) ** 2).mean()))
    nearest = sorted(distances)[: len(found.pictures)]
    assert [each.distance for each in found.pictures] == pytest.approx(nearest, abs=1e-3)


@pytest.mark.parametrize(
    ("prompt", "number", "rest"),
    [
        ("a red, round apple", 1, "a, round apple"),
        ("a cat and a dog.", 4, "a cat and a."),
        ("a banana and a whale", 1, "a whale"),
        ("a banana and a whale", 4, "a banana"),
        ("a cat and a fox and a dog", 4, "a cat and a dog"),
        ("红苹果", 0, "苹果"),
        ("l'arbre vert", 1, "l' vert"),
        ("cat", 0, ""),
        ("cat, please", 1, "cat"),
    ],
)
def test_a_prompt_without_a_word(prompt, number, rest):
    assert without_word(prompt, word_spans(prompt)[number]) == rest


@pytest.mark.parametrize(
    ("prompt", "phrases", "things"),
    [
        ("a red apple on a blue plate", ["a apple", "a plate"], "0 0 0 01 1 1 1"),
        ("a red apple and a green apple", ["a apple", "a apple"], "0 0 0 01 1 1 1"),
        ("two big cats", ["cats"], "0 0 0"),
        ("红苹果在蓝盘子上", ["苹果", "盘子"], "0 0 01 1 1"),
        ("at night", [], "- -"),
    ],
)
def test_words_stand_for_things(prompt, phrases, things):
    found = things_of(prompt, word_spans(prompt), phrases)
    assert " ".join("".join(map(str, each)) or "-" for each in found) == things


def test_words_of_a_language_that_is_put_into_english_stand_for_its_things(shipped):
    text = "masanın üstünde uyuyan iki kırmızı kedi"
    found = shipped.explain(text, seed=1)
    drawn = {word.text: word.drawn and word.drawn.phrase for word in found.words}
    assert all(text[word.start : word.end] == word.text for word in found.words)
    assert drawn["masanın"] == "a table"
    assert drawn["iki"] == drawn["kedi"] == drawn["kırmızı"] == drawn["uyuyan"] == "cats"
    assert drawn["üstünde"] is None, "between the two"


@pytest.mark.parametrize(
    ("left", "language", "read"),
    [
        ("masada kedi", "tr", "masada kedi"),
        ("czerwony", "pl", "red"),
        ("un gato", None, "un gato"),
    ],
)
def test_what_is_left_of_a_text_keeps_its_language(left, language, read):
    """Too few words to tell it are given in English."""
    assert still_read(left, language, None) == read


def test_what_cannot_be_explained_is_refused(tiny_model, monkeypatch):
    generator = load(tiny_model)
    with pytest.raises(UsageError, match=f"at most {MOST_WORDS}"):
        generator.explain("cat " * (MOST_WORDS + 1))
    with pytest.raises(UsageError, match="of the kind attention; choose one of: gradient, change"):
        generator.explain("a cat", maps="attention")
    with pytest.raises(UsageError, match="of the kind 'colours'; choose one of: plan, inform"):
        generator.explain("a cat", maps="colours")
    able = generator.model.capabilities - {Capability.EXPLAIN}
    monkeypatch.setattr(generator.model, "capabilities", able, raising=False)
    with pytest.raises(CapabilityError, match="cannot do 'explain'; use a model of: ar, flow, gan"):
        generator.explain("a cat")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources, self.tags = list[str](), list[str]()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def test_the_files_and_the_page_need_nothing_else(scene, tiny_model, tmp_path):
    page = explanation_page(scene)
    written = write_explanation(scene, tmp_path / "why", page)
    assert {path.name for path in written} == {path.name for path in (tmp_path / "why").iterdir()}
    record = json.loads((tmp_path / "why" / "explanation.json").read_text("utf-8"))
    assert record == json.loads(json.dumps(explanation_as_json(scene)))
    for word in record["words"]:
        assert SCENE[word["start"] : word["end"]] == word["text"]
        assert (tmp_path / "why" / word["map"]).is_file()
        assert (tmp_path / "why" / word["without"]["file"]).is_file()
    hostile = "a <script>alert(1)</script> cat"
    page = explanation_page(load(tiny_model).explain(hostile, seed=1))
    found = _Page()
    found.feed(page)
    assert found.tags.count("script") == 1, "that of the page itself"
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    assert not re.search(r"https?://", page)


def test_a_heat_map_is_the_faded_picture_where_nothing_is(scene):
    image = scene.picture.image
    nothing = np.asarray(heat_map(image, np.zeros(image.size, np.float32)))
    assert (nothing[..., 0] == nothing[..., 1]).all() and nothing.min() > 100
    everything = np.asarray(heat_map(image, np.ones(image.size, np.float32))).astype(int)
    assert (everything[..., 0] > everything[..., 2] + 50).all()
