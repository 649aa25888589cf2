"""The rules of composition: true scenes pass, every way of being wrong fails."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import Composer, compose_store
from limner.errors import DataError, UsageError
from limner.evaluation.concept_prompts import check_languages
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.parts.composition import SceneSearch, shuffled_verdicts, verdicts
from limner.evaluation.report import write_card
from limner.evaluation.scene_prompts import (
    ScenePrompt,
    scene_prompts,
    scene_prompts_hash,
)
from limner.evaluation.suite import evaluate
from limner.generation.card import markdown_card
from limner.generation.generator import load
from limner.metrics.composition import Detection, relations, shares, shows
from limner.metrics.detector import load_detector
from limner.metrics.intervals import wilson
from limner.modelinfo import read_info
from limner.scenes.scene import SCENE_COLOURS, TASKS, Item, Scene, novelties, plan
from limner.scenes.things import THINGS
from limner.scenes.wording import english

PAINT = dict.fromkeys(THINGS, SCENE_COLOURS)


def truth(scene: Scene) -> list[Detection]:
    """What a perfect detector sees in a scene as it was planned."""
    found = []
    for item, box in scene.singles:
        half = box.side / 2
        corners = (box.x - half, box.y - half, box.x + half, box.y + half)
        found.append(Detection(item.thing, corners, item.colour or "green"))
    return found


@pytest.mark.parametrize("task", TASKS)
def test_scenes_as_planned_are_right_and_those_of_others_are_not(task):
    scenes = [plan(0, n, PAINT, task=task) for n in range(60)]
    assert all(shows(scene, truth(scene)) for scene in scenes)
    shuffled = [shows(a, truth(b)) for a, b in zip(scenes, scenes[1:] + scenes[:1], strict=True)]
    assert sum(shuffled) <= 3


def at(x: float, y: float, thing: str = "cat", colour: str | None = None) -> Detection:
    return Detection(thing, (x - 5, y - 5, x + 5, y + 5), colour)


def test_counting_wants_no_more_and_the_others_do_not_mind():
    three = Scene("counting", (Item("cat", count=3),))
    cats = [at(10 * n, 0) for n in range(4)]
    assert [shows(three, cats[:n]) for n in range(5)] == [False, False, False, True, False]
    assert shows(Scene("single", (Item("cat"),)), cats)
    assert shows(Scene("two", (Item("cat"), Item("dog"))), [*cats, at(0, 0, "dog")])


def test_colours_belong_to_their_things():
    scene = Scene("attribution", (Item("cat", "blue"), Item("house", "yellow")))
    right = [at(0, 0, "cat", "blue"), at(20, 0, "house", "yellow")]
    swapped = [at(0, 0, "cat", "yellow"), at(20, 0, "house", "blue")]
    assert shows(scene, right) and not shows(scene, swapped)
    assert not shows(scene, [replace(right[0], colour=None), right[1]])


def test_relations_are_those_of_geneval():
    here = at(50, 50)
    assert relations(at(20, 50), here) == {"left"} and relations(here, at(20, 50)) == {"right"}
    assert relations(at(50, 20), here) == {"above"} and relations(here, at(50, 20)) == {"below"}
    assert relations(at(20, 20), here) == {"left", "above"}
    assert relations(here, here) == set()
    assert relations(at(51.5, 50), here) == set()  # less than a tenth of both sizes
    # |offset| = 4, less 0.1 * 20 = 2, over 4 = 0.5: not more than a half
    assert relations(at(46, 50), here) == set() and relations(at(45.9, 50), here) == {"left"}


def test_a_relation_holds_if_any_pair_shows_it():
    scene = Scene("position", (Item("cat"), Item("dog")), "left")
    assert shows(scene, [at(80, 0), at(10, 0), at(50, 0, "dog")])
    assert not shows(scene, [at(80, 0), at(50, 0, "dog")])


def test_shares_count_a_prompt_once_and_a_task_like_any_other():
    right = {
        ("single", 0): [True, True, True, False],
        ("single", 1): [True] * 4,
        ("counting", 2): [False] * 4,
    }  # fmt: skip
    found = shares(right)
    assert found["single"].value == pytest.approx(0.875) and found["single"].count == 2
    assert (found["single"].low, found["single"].high) == wilson(1.75, 2)
    assert found["overall"].value == pytest.approx(0.4375) and found["overall"].count == 3
    assert shares({}) == {}


def test_a_single_thing_has_the_colour_that_is_named():
    scene = Scene("single", (Item("banana", "purple"),))
    assert shows(scene, [at(0, 0, "banana", "purple")])
    assert not shows(scene, [at(0, 0, "banana", "yellow")])
    assert not shows(scene, [at(0, 0, "eggplant", "purple")]) and not shows(scene, [])


# -- the frozen prompts -----------------------------------------------------------------------


def test_the_prompts_are_frozen():
    """Other prompts make every published figure incomparable: change them knowingly."""
    assert scene_prompts_hash() == "7640e60328cf0bac"
    kinds = Counter((prompt.task, prompt.held_out) for prompt in scene_prompts())
    assert kinds == {(task, held_out): 40 for task in TASKS for held_out in (False, True)}
    for language in ("en", "zh"):
        assert len({prompt.texts[language] for prompt in scene_prompts()}) == 480


def test_held_out_prompts_and_no_others_ask_for_what_no_training_store_holds():
    for prompt in scene_prompts():
        assert bool(novelties(prompt.scene.items)) == prompt.held_out, prompt.texts["en"]


def test_prompts_are_words_for_their_scenes():
    for prompt in scene_prompts():
        for item in prompt.scene.items:
            thing = THINGS[item.thing]
            assert thing.name in prompt.texts["en"] or thing.plural in prompt.texts["en"]
            assert thing.zh in prompt.texts["zh"]
            assert item.colour is None or item.colour in prompt.texts["en"]
        count = sum(item.count for item in prompt.scene.items)
        assert len(prompt.scene.boxes) == count


def test_true_scenes_pass_and_those_of_other_prompts_do_not():
    prompts = scene_prompts()
    seen = {i: [truth(prompt.scene)] for i, prompt in enumerate(prompts)}
    everyone = range(len(prompts))
    assert all(all(right) for right in verdicts(prompts, everyone, seen).values())
    lower = shares(shuffled_verdicts(prompts, everyone, seen))
    assert lower["overall"].value < 0.02 and lower["overall"].count == 480


def test_languages_without_prompts_are_refused():
    with pytest.raises(UsageError, match="scenes in fr"):
        check_languages(["en", "fr"], scene_prompts()[0].texts, "prompts of scenes")


# -- a whole measurement ----------------------------------------------------------------------


INKS = {"cat": "#e07818", "dog": "#7a5230", "banana": "#f0d020", "red apple": "#d81818",
        "fish": "#2060d0", "house": "#c03060", "tomato": "#e02818"}  # fmt: skip


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Discs with the names of things."""
    path = tmp_path_factory.mktemp("composition") / "icons"
    with StoreWriter(path, 64, "made-up", licences={"made-up": "CC0-1.0"}) as writer:
        for label, ink in INKS.items():
            big = Image.new("RGB", (128, 128), "white")
            ImageDraw.Draw(big).ellipse((14, 10, 114, 118), fill=ink)
            facts = {"id": label, "label": label, "style": "plain"}
            writer.add(np.asarray(big.resize((64, 64))), [Caption(label)], facts)
        return writer.finish()


@pytest.fixture(scope="module")
def asked(icons: Store) -> list[ScenePrompt]:
    """Two prompts of every task and kind that the discs can show."""
    composer, found = Composer(icons), []
    for task in TASKS:
        for number in range(2):
            scene = composer.plan(3, number, task=task)
            found.append(ScenePrompt(scene, bool(number), {"en": english(scene)[0], "zh": "猫"}))
    return found


def test_a_measurement_holds_what_it_takes_to_repeat_it(icons, asked, few_model, tmp_path):
    searched = compose_store(icons, tmp_path / "scenes", count=40)
    own = tmp_path / "own.safetensors"  # the fixture's is not to be written to
    shutil.copy(few_model, own)
    generator = load(own)
    options = EvaluationOptions(
        languages=("en",), scenes=searched, scene_prompts=asked, command="a test"
    )
    report = evaluate(generator, icons, "composition", options)
    part = report.part("composition")
    for name in ("en trainable", "en held out"):
        keys = {each.key for each in part.figures if each.key.startswith(name)}
        assert keys == {f"{name}: {task}" for task in (*TASKS, "overall")}
        assert part.figure(f"{name}: overall").count == 6
    assert part.headline == "en held out: overall" and part.baseline == "retrieval"
    assert part.protocol["prompts"] == scene_prompts_hash(asked) != scene_prompts_hash()
    assert part.judge.endswith(load_detector().fingerprint)
    assert (part.protocol["icons"], part.protocol["searched_scenes"]) == (icons.fingerprint, 40)
    drawn = part.figure("en trainable: overall")
    assert drawn.value < 0.2  # random weights draw nothing
    assert None not in (drawn.upper_bound, drawn.lower_bound, drawn.baseline)
    write_card(own, report)
    card = markdown_card("tiny", read_info(own), {"parameters": 1, "hash": "", "bytes": 1})
    assert "en held out: counting" in card and part.judge in card


def test_the_search_finds_the_scene_of_its_own_caption(icons, tmp_path):
    searched = compose_store(icons, tmp_path / "scenes", count=30)
    rows = range(0, 30, 7)
    texts = [max((c for c in searched.captions(row) if c.lang == "en"),
                 key=lambda c: c.weight).text for row in rows]  # fmt: skip
    found = SceneSearch(searched).nearest(texts)
    best = [max((c for c in searched.captions(row) if c.lang == "en"),
                key=lambda c: c.weight).text for row in found]  # fmt: skip
    assert best == texts


def test_a_search_among_held_out_scenes_is_refused(icons, tmp_path):
    novel = compose_store(icons, tmp_path / "novel", count=6, novel=True)
    with pytest.raises(DataError, match="held-out combinations, such as"):
        SceneSearch(novel)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name a store of"),
        (["--scenes", "nowhere"], "no store at nowhere"),
        (["--scenes", "ICONS", "--languages", "fr"], "scenes in fr"),
        (["--scenes", "nowhere", "--samples", "10"], "--samples: only --suite"),
    ],
)
def test_the_command_says_what_it_lacks(icons, few_model, options, said):
    words = ["evaluate", few_model, "--data", icons.path, "--suite", "composition"]
    words += [str(icons.path) if each == "ICONS" else each for each in options]
    found = CliRunner().invoke(build_app(), list(map(str, words)))
    assert found.exit_code == 2
    assert said in " ".join(found.stderr.split())


def test_the_scene_that_a_text_finds_has_the_greatest_cosine(tmp_path):
    """Of counts of words times log(N / n), n the captions of N with the word; by brute force."""
    texts = ["a red cat and a red red dog", "a red dog", "a blue dog on the left of a cat",
             "a cat", "two red cats", "a cup and a dog"]  # fmt: skip
    with StoreWriter(tmp_path / "s", 8, "scenes") as writer:
        for number, text in enumerate(texts):
            image = np.full((8, 8, 3), number, np.uint8)
            writer.add(image, [Caption(text, "en")], {"id": str(number)})
        search = SceneSearch(writer.finish())
    words = sorted({word for text in texts for word in text.split()})
    counts = np.array([[text.split().count(word) for word in words] for text in texts], float)
    rarity = np.log(len(texts) / (counts > 0).sum(0))
    weighted = counts * rarity
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    for asked in (*texts, "red red red dog", "blue cat", "left cup cup", "two dogs and a cat"):
        query = np.array([asked.split().count(word) for word in words]) * rarity
        cosines = weighted @ query
        assert np.sort(cosines)[-1] > np.sort(cosines)[-2], "the question has one answer"
        assert search.nearest([asked]) == [int(cosines.argmax())], asked
