"""Scenes: what the caption says is what is drawn, by seed alone, and held-out pairs stay out."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from limner.cli.data import register
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import (
    Composer,
    compose_store,
    held_out_in,
    items_of,
)
from limner.errors import DataError
from limner.scenes.backgrounds import BACKGROUNDS, SHADES, WHITES, background_rgb
from limner.scenes.colours import COLOURS, NOVEL
from limner.scenes.cutout import cut_out, paste, resize
from limner.scenes.layout import Box
from limner.scenes.scene import SCENE_COLOURS, TASKS, Item, Scene, is_own, novelties, plan
from limner.scenes.things import OF_LABEL, THINGS
from limner.scenes.wording import captions, chinese, english

INKS = {
    "cat": "#e07818", "dog": "#7a5230", "banana": "#f0d020", "red apple": "#d81818",
    "green apple": "#30a030", "fish": "#2060d0", "house": "#c03060", "tomato": "#e02818",
}  # fmt: skip
SIDE = 64


def disc(ink: str, number: int) -> np.ndarray:
    """A smooth disc or box with a white eye, on white."""
    big = Image.new("RGB", (4 * SIDE, 4 * SIDE), "white")
    pen = ImageDraw.Draw(big)
    (pen.ellipse if number % 2 else pen.rectangle)((28, 20, 228, 236), fill=ink)
    pen.ellipse((90, 90, 120, 120), fill="white")
    return np.asarray(big.resize((SIDE, SIDE), Image.Resampling.BOX))


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("scenes") / "icons"
    with StoreWriter(path, SIDE, "made-up", licences={"made-up": "CC0-1.0"}) as writer:
        for style in ("plain", "fancy"):
            for number, (label, ink) in enumerate(INKS.items()):
                if (style, label) == ("fancy", "house"):
                    continue
                facts = {"id": f"{style}/{label}", "label": label, "style": style}
                writer.add(disc(ink, number), [Caption(label, "en")], facts)
        return writer.finish()


@pytest.fixture(scope="module")
def composer(icons: Store) -> Composer:
    return Composer(icons)


@pytest.fixture(scope="module")
def plans(composer: Composer) -> list[Scene]:
    return [composer.plan(2, number) for number in range(600)]


# -- cutting out ------------------------------------------------------------------------------


def test_a_cut_out_put_back_on_white_is_the_icon_again():
    icon = disc("#d81818", 1)
    cut = cut_out(icon)
    assert cut is not None and cut.dtype == np.float32
    canvas = np.ones((SIDE, SIDE, 3), np.float32)
    rows, columns = (np.flatnonzero((icon < 255).any((2, axis))) for axis in (1, 0))
    paste(canvas, cut, int(columns[0]), int(rows[0]))
    assert np.abs(canvas * 255 - icon).max() < 1.5


def test_an_edge_on_another_background_is_the_mixture_it_would_have_been():
    ink, background = "#d81818", "#2080c0"
    big = Image.new("RGB", (4 * SIDE, 4 * SIDE), background)
    ImageDraw.Draw(big).ellipse((28, 20, 228, 236), fill=ink)
    ImageDraw.Draw(big).ellipse((90, 90, 120, 120), fill="white")
    truth = np.asarray(big.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
    icon = disc(ink, 1)
    cut = cut_out(icon)
    canvas = np.full((SIDE, SIDE, 3), np.array([0x20, 0x80, 0xC0]) / 255, np.float32)
    rows, columns = (np.flatnonzero((icon < 255).any((2, axis))) for axis in (1, 0))
    paste(canvas, cut, int(columns[0]), int(rows[0]))
    assert np.abs(canvas - truth).max() < 0.03  # the white eye, which is no background, included


def test_nothing_on_white_or_no_white_at_all_cannot_be_cut_out():
    assert cut_out(np.full((8, 8, 3), 255, np.uint8)) is None
    assert cut_out(np.zeros((8, 8, 3), np.uint8)) is None


def test_resizing_keeps_colours_below_alpha():
    cut = resize(cut_out(disc("#30a030", 0)), 21, 17)
    assert cut.shape == (17, 21, 4)
    assert (cut >= 0).all() and (cut[..., :3] <= cut[..., 3:] + 1e-6).all()
    middle = cut[8, 15]
    assert middle[3] == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(middle[:3], np.array([0x30, 0xA0, 0x30]) / 255, atol=0.03)


# -- plans ------------------------------------------------------------------------------------


def test_plans_follow_from_seed_and_number(composer: Composer):
    again = [composer.plan(3, n) for n in range(40)]
    assert again == [composer.plan(3, n) for n in range(40)]
    assert again != [composer.plan(4, n) for n in range(40)]
    assert len(set(again)) == 40
    assert Counter(scene.task for scene in again).keys() == set(TASKS)


@pytest.mark.parametrize("novel", [False, True])
def test_no_plan_for_training_holds_a_held_out_combination(novel: bool):
    paint = dict.fromkeys(THINGS, SCENE_COLOURS)
    scenes = [plan(0, n, paint, novel=novel) for n in range(150)]
    told = [bool(novelties(scene.items)) for scene in scenes if scene.task != "single"]
    assert all(told) if novel else not any(told)


def test_about_a_tenth_is_held_out_but_no_own_colour():
    names = list(THINGS)
    pairs = [novelties([Item(a), Item(b)]) for i, a in enumerate(names) for b in names[:i]]
    assert 0.08 < sum(map(bool, pairs)) / len(pairs) < 0.12
    counts = [novelties([Item(name, count=n)]) for name in names for n in (2, 3, 4)]
    assert 0.05 < sum(map(bool, counts)) / len(counts) < 0.15
    assert novelties([Item("apple", "red")]) == novelties([Item("heart", "blue")]) == []
    for thing, colour in NOVEL:
        if thing in THINGS:
            assert novelties([Item(thing, colour)]) == [f"{colour} {thing}"]


def test_things_that_are_not_related_do_not_touch_and_related_ones_are_far_apart(
    plans: list[Scene],
):
    for scene in plans:
        boxes = scene.boxes
        assert len(boxes) == sum(item.count for item in scene.items) <= 9
        for box in boxes:
            assert box.x - box.side / 2 >= 0 and box.x + box.side / 2 <= 1
            assert box.y - box.side / 2 >= 0 and box.y + box.side / 2 <= 1
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = max(abs(a.x - b.x), abs(a.y - b.y))
                assert apart >= (a.side + b.side) / 2 - 0.03
        if scene.relation is not None:
            # GenEval's rule: the offset of the centres, less a tenth of both sides, points the way
            offset = np.array([boxes[0].x - boxes[1].x, boxes[0].y - boxes[1].y])
            offset = np.sign(offset) * np.maximum(0, np.abs(offset) - 0.1 * 2 * boxes[0].side)
            x, y = offset / np.linalg.norm(offset)
            way = {"left": -x, "right": x, "above": -y, "below": y}[scene.relation]
            assert way > 0.5


# -- pictures ---------------------------------------------------------------------------------


def shown(pixels: np.ndarray, ink: str) -> np.ndarray:
    """Where a picture is of that ink."""
    want = np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(pixels.astype(int) - want).max(-1) < 24


def test_things_are_drawn_within_their_boxes(composer: Composer):
    scene = Scene(
        "position", (Item("cat"), Item("fish")), "left",
        boxes=(Box(0.26, 0.5, 0.45), Box(0.75, 0.45, 0.45)),
    )  # fmt: skip
    drawing = composer.draw(scene, "plain")
    for label, box in zip(("cat", "fish"), drawing.boxes, strict=True):
        rows, columns = np.nonzero(shown(drawing.pixels, INKS[label]))
        left, top, right, bottom = box
        assert abs(columns.min() - left) <= 1 and abs(columns.max() + 1 - right) <= 1
        assert abs(rows.min() - top) <= 1 and abs(rows.max() + 1 - bottom) <= 1
    assert drawing.style == "plain" and (drawing.pixels[0, 0] == 255).all()


def test_a_thing_has_its_own_colour_or_is_recoloured(composer: Composer):
    def ink(item: Item) -> np.ndarray:
        scene = Scene("colour", (item,), boxes=(Box(0.5, 0.5, 0.8),))
        return composer.draw(scene, "plain").pixels[44, 32].astype(int)

    assert np.abs(ink(Item("apple", "green")) - [0x30, 0xA0, 0x30]).max() < 8
    blue = ink(Item("apple", "blue"))
    assert blue[2] > blue[0] + 60


def test_a_style_that_lacks_a_thing_is_not_chosen(composer: Composer):
    scenes = [Scene("single", (Item("house"),), boxes=(Box(0.5, 0.5, 0.8),), pick=n)
              for n in range(6)]  # fmt: skip
    assert {composer.draw(scene).style for scene in scenes} == {"plain"}
    assert composer.draw(scenes[0], "fancy") is None


def test_too_little_contrast_is_not_drawn(composer: Composer):
    hidden = Scene("single", (Item("tomato"),), background="red", boxes=(Box(0.5, 0.5, 0.8),))
    assert composer.draw(hidden) is None
    clear = Scene("single", (Item("tomato"),), background="blue", boxes=(Box(0.5, 0.5, 0.8),))
    corner = composer.draw(clear).pixels[0, 0].astype(int)
    assert corner[2] > corner[0] + 80


def test_white_backgrounds_are_the_default(composer: Composer):
    said, silent = (
        composer.draw(Scene("single", (Item("tomato"),), background=g, boxes=(Box(0.5, 0.5, 0.8),)))
        for g in ("transparent", None)
    )
    assert np.array_equal(said.pixels, silent.pixels)


def test_backgrounds_differ_in_colour():
    hue, light, dark = (
        {name: colorsys.rgb_to_hsv(*background_rgb(f"{tone}{name}"))[place]
         for name in SCENE_COLOURS
         if name != "black"}
        for place, tone in ((0, ""), (1, "light "), (2, "dark "))
    )  # fmt: skip
    for name in hue:
        plain = colorsys.rgb_to_hsv(*background_rgb(name))
        assert light[name] < plain[1] and dark[name] < plain[2]
        assert hue[name] == pytest.approx(COLOURS[name].hue / 360, abs=1e-6)
    assert background_rgb("navy") == pytest.approx((0x1C / 255, 0x2B / 255, 0x57 / 255))
    assert all(background_rgb(name) == (1.0, 1.0, 1.0) for name in WHITES)
    assert len({background.zh for background in BACKGROUNDS.values()}) >= len(BACKGROUNDS) - 2


def test_plans_use_every_kind_of_background_but_never_the_colour_of_a_thing(plans: list[Scene]):
    backgrounds = [scene.background for scene in plans]
    assert backgrounds.count(None) == pytest.approx(390, abs=50)
    for kind in (WHITES, SHADES, SCENE_COLOURS):
        assert sum(name in kind for name in backgrounds) > 25
    for scene in plans:
        if scene.background is not None and BACKGROUNDS[scene.background].of is not None:
            assert BACKGROUNDS[scene.background].of not in {item.colour for item in scene.items}


def test_things_that_cannot_be_coloured_make_no_coloured_scene():
    things = dict.fromkeys(list(THINGS)[:6], ())
    with pytest.raises(DataError, match="none of 6 things can be drawn in a colour"):
        plan(0, 0, things, task="colour")
    counted = [plan(0, n, things, task="counting") for n in range(40)]
    assert all(item.colour is None for scene in counted for item in scene.items)


def test_some_coloured_things_have_their_own_colour():
    recolourable = dict.fromkeys(THINGS, ("red", "blue", "purple"))
    scenes = [plan(4, n, recolourable) for n in range(250)]
    items = [item for scene in scenes for item in scene.items if item.colour]
    own = sum(is_own(item.thing, item.colour) for item in items)
    assert own / len(items) == pytest.approx(0.15, abs=0.07)  # three of 330 if it were chance


# -- words ------------------------------------------------------------------------------------


def test_every_caption_states_the_number():
    pair = Scene("two", (Item("cat", None, 2), Item("dog", None, 3)))
    assert all("two" in text and "three" in text for text in english(pair))
    assert all("两只猫" in text and "三只狗" in text for text in chinese(pair))
    one_each = Scene("two", (Item("cat"), Item("dog")))
    assert "猫和狗" in chinese(one_each)


def test_captions_state_count_colour_relation_and_background():
    three = Scene("counting", (Item("apple", "red", 3),), background="green")
    assert all(re.search("three|3", text) and "green" in text for text in english(three))
    assert all("apples" in text and "red" in text for text in english(three))
    assert all(
        re.search("[三3]个", t) and "红色的苹果" in t and "绿色" in t for t in chinese(three)
    )
    one = Scene("position", (Item("cat"), Item("dog")), "left")
    assert english(one)[0] == "a cat left of a dog" and "a dog right of a cat" in english(one)
    assert chinese(one)[0] == "一只猫在一只狗的左边" and "一只狗在一只猫的右边" in chinese(one)
    assert english(Scene("attribution", (Item("umbrella", "orange"), Item("fish", "blue"))))[0] == (
        "an orange umbrella and a blue fish"
    )
    assert chinese(Scene("two", (Item("mouse", size="big"), Item("tree", size="small"))))[0] == (
        "一只很大的老鼠和一棵很小的树"
    )


def test_no_wording_of_a_relation_matches_another():
    opposite = {"left": "right", "above": "below", "over": "under"}
    for relation in ("left", "right", "above", "below"):
        for text in english(Scene("position", (Item("cat"), Item("dog")), relation)):
            first, second = re.search(r"(cat|dog).*(cat|dog)", text).groups()
            word = next(w for pair in opposite.items() for w in pair if w in text)
            plain = {"over": "above", "under": "below"}.get(word, word)
            flip = {"left": "right", "right": "left", "above": "below", "below": "above"}
            assert (plain if first == "cat" else flip[plain]) == relation, (text, second)


def test_every_caption_counts_and_the_heaviest_differs_from_scene_to_scene():
    heaviest = set()
    for pick in range(8):
        found = captions(Scene("two", (Item("cat"), Item("dog")), pick=pick))
        for lang, share in (("en", 1.0), ("zh", 0.8)):
            mine = [c for c in found if c.lang == lang]
            assert sum(c.weight for c in mine) == pytest.approx(share)
            assert len({c.text for c in mine}) == len(mine)
        heaviest.add(max((c for c in found if c.lang == "en"), key=lambda c: c.weight).text)
    assert len(heaviest) >= 3


def test_every_thing_is_named_in_both_languages_and_shown_by_labels_of_its_own():
    assert 100 <= len(THINGS) <= 150 and len(SCENE_COLOURS) == 10
    assert len(OF_LABEL) == sum(len(thing.labels) for thing in THINGS.values())
    for thing in THINGS.values():
        assert re.fullmatch(r"[a-zT-]+( [a-z]+)?", thing.name)
        assert re.search("[\u4e00-\u9fff]", thing.zh) and len(thing.measure) == 1


# -- stores -----------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_store(icons: Store, tmp_path: Path):
    first = compose_store(icons, tmp_path / "a", count=40, seed=5)
    again = compose_store(icons, tmp_path / "b", count=40, seed=5)
    other = compose_store(icons, tmp_path / "c", count=40, seed=6)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert len(first) == 40 and first.licences == icons.licences
    assert held_out_in(first) == []
    facts = first.metadata(0)
    assert sum(item.count for item in items_of(facts)) == len(facts["boxes"])
    assert facts["style"] in icons.styles and facts["task"] in TASKS


def test_a_novel_store_is_of_held_out_combinations_alone(icons: Store, tmp_path: Path):
    made = compose_store(icons, tmp_path / "n", count=12, novel=True, tasks=["colour"])
    assert all(novelties(items_of(made.metadata(row))) for row in range(len(made)))
    assert held_out_in(made)
    assert {made.metadata(row)["task"] for row in range(12)} == {"colour"}
    with pytest.raises(DataError, match="no held-out scene"):
        compose_store(icons, tmp_path / "m", count=1, novel=True, tasks=["single"])


def test_a_store_without_such_things_is_refused(tmp_path: Path):
    path = tmp_path / "few"
    with StoreWriter(path, 8, "few", licences={"made-up": "CC0-1.0"}) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), [Caption("x", "en")], {"id": 0, "label": "cat"})
        few = writer.finish()
    with pytest.raises(DataError, match="limner data icons"):
        Composer(few)


def test_the_command_composes(icons: Store, tmp_path: Path):
    app = typer.Typer()
    register(app)
    arguments = ["data", "scenes", str(icons.path), "--out", str(tmp_path / "s")]
    done = CliRunner().invoke(app, [*arguments, "--count", "20", "--size", "32", "--quiet"])
    assert done.exit_code == 0, done.output
    made = Store.open(tmp_path / "s")
    assert (len(made), made.size) == (20, 32)


def test_icons_that_never_go_together_are_an_error(tmp_path: Path):
    with StoreWriter(tmp_path / "icons", SIDE, "apart", licences={"apart": "CC0-1.0"}) as writer:
        for number, label in enumerate(("cat", "dog", "banana", "fish")):
            facts = {"id": label, "label": label, "style": f"set {number}"}
            writer.add(disc(INKS[label], number), [Caption(label, "en")], facts)
        icons = writer.finish()
    with pytest.raises(DataError, match="none could be drawn"):
        compose_store(icons, tmp_path / "scenes", count=3, tasks=("two",))
    assert not (tmp_path / "scenes").exists()
