"""Prompts of several things: planned, drawn one by one, put together."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from generation.scene_masks import blobs, border, ink, middle
from limner.errors import PromptError
from limner.generation.phrase_planning import without
from limner.generation.prompt_reader import PromptReader
from limner.generation.prompts import PromptWarning
from limner.generation.replay import redraw
from limner.generation.scene_drawing import actors_of, in_order, spots_of
from limner.models.settings import Settings
from limner.scenes.animal_bodies import asymmetry
from limner.scenes.cutout import cut_out_drawn, is_recoloured
from limner.scenes.matte import matte_of
from limner.text.greetings import greeting_of
from limner.vision.images import on_white


def test_composed_at_the_size_asked_for(shipped):
    for prompt in ("three red apples", "a cat left of a house", "a red apple"):
        (large,) = shipped.generate(prompt, seed=1, size=200)
        assert large.image.size == (200, 200)
        (own,) = shipped.generate(prompt, seed=1)
        small = np.asarray(large.image.resize(own.image.size), np.float64)
        assert np.abs(small - np.asarray(own.image)).mean() < 6


@pytest.mark.parametrize(
    ("prompt", "count"),
    [("three red apples", 3), ("two red apples", 2), ("4 red apples", 4), ("三个红色的苹果", 3),
     ("a red apple", 1), ("two cats and three dogs", 5), ("seven red apples", 7),
     ("two red apples hanging", 2), ("cinco manzanas rojas", 5),
     ("neun rote Äpfel", 9), ("빨간 사과 세 개", 3)],
)  # fmt: skip
def test_as_many_as_the_words_say(shipped, prompt, count):
    for picture in shipped.generate(prompt, n=3, seed=4, style="noto"):
        assert len(blobs(ink(picture.image))) == count


@pytest.mark.parametrize(
    ("prompt", "axis", "sign"),
    [("a red apple left of a blue fish", 0, -1), ("a red apple right of a blue fish", 0, 1),
     ("a red apple above a blue fish", 1, -1), ("a red apple below a blue fish", 1, 1),
     ("一个红色的苹果在一条蓝色的鱼的左边", 0, -1),
     ("una manzana roja a la izquierda de un pez azul", 0, -1),
     ("ein roter Apfel über einem blauen Fisch", 1, -1), ("赤いりんごの右に青い魚", 0, -1)],
)  # fmt: skip
def test_where_the_words_say(shipped, prompt, axis, sign):
    for picture in shipped.generate(prompt, n=3, seed=1, style="noto"):
        pixels = np.asarray(picture.image).astype(int)
        red = (pixels[..., 0] > 150) & (pixels[..., 2] < 120)
        blue = (pixels[..., 2] > 120) & (pixels[..., 0] < 110)
        assert (middle(red)[axis] - middle(blue)[axis]) * sign > 10


def test_a_word_too_many_changes_nothing(shipped):
    for said, meant in [("one fish", "fish"), ("one pear", "pear")]:
        one, other = (shipped.generate(text, seed=8)[0] for text in (said, meant))
        assert one.image.tobytes() == other.image.tobytes()


@pytest.mark.parametrize(
    ("phrase", "words", "rest"),
    [
        ("three red apples", ["three"], "red apples"),
        ("a big cat", ["big"], "a cat"),
        ("三个红色的苹果", ["三个"], "红色的苹果"),
        ("一只很大的猫", ["很大"], "一只猫"),
        ("绿色背景上的猫", ["绿色", "背景上"], "猫"),
        ("two", ["two"], "two"),
        ("one stone", ["one"], "stone"),
        ("три красных яблока", ["три"], "красных яблока"),
        ("тритон и кот", ["три"], "тритон и кот"),
        ("दो लाल सेब", ["दो"], "लाल सेब"),
        ("三つの赤いりんご", ["三つ"], "赤いりんご"),
        ("gato de color azul", ["color", "azul"], "gato"),
        ("plátano de color rojo", [], "plátano de color rojo"),
    ],
)
def test_words_are_taken_off(phrase: str, words: Sequence[str], rest: str):
    assert without(phrase, words) == rest


def test_what_was_drawn_is_cut_out_without_specks(tmp_path: Path):
    pixels = np.full((64, 64, 3), 250, np.uint8)
    pixels[20:44, 10:50] = (200, 30, 40)
    pixels[2:4, 2:4] = 90  # a speck
    matte = matte_of(pixels)
    cut = matte.cut(pixels)
    assert not is_recoloured(cut, cut)
    painted = np.where(pixels == (200, 30, 40), np.uint8([30, 40, 200]), pixels)
    after = matte.cut(painted)
    assert np.array_equal(after[..., 3], cut[..., 3])
    assert np.allclose(after[..., 2], cut[..., 3] * 200 / 255, atol=1e-6)
    assert is_recoloured(cut, after)
    assert cut.shape == (24, 40, 4)
    assert (cut[..., 3] < 0.999).sum() == 4  # corners are rounded
    assert np.allclose(cut[..., 0], cut[..., 3] * 200 / 255, atol=1e-6)
    full = cut_out_drawn(np.full((8, 8, 3), 40, np.uint8))
    assert full.shape == (8, 8, 4)
    assert (full[..., 3] == 1).all()


@pytest.mark.parametrize(
    "prompt", ["a koala wearing a crown", "un koala con una corona", "戴皇冠的考拉"]
)
def test_a_crown_is_on_the_head(shipped, prompt):
    for picture in shipped.generate(prompt, n=2, seed=4, style="noto"):
        pixels = np.asarray(picture.image).astype(int)
        gold = (pixels[..., 0] > 200) & (pixels[..., 1] > 130) & (pixels[..., 2] < 120)
        grey = np.ptp(pixels, axis=-1) < 60
        things = ink(picture.image)
        rows = np.flatnonzero(things.any(1))
        top, rest = rows[: len(rows) // 6], rows[len(rows) // 3 :]
        assert len(blobs(things)) == 1
        assert gold[top].sum() > 3 * (grey & things)[top].sum()
        assert (grey & things)[rest].sum() > 3 * gold[rest].sum()
        assert abs(middle(gold[top])[0] - middle(things)[0]) < 12


def test_who_wears_a_hat_is_a_face_if_one_is_known(shipped):
    def drawn(prompt: str) -> list[str]:
        return [each.drawn for each in shipped.generate(prompt, seed=1)[0].drawn_from]

    assert "cow face" in drawn("a cow wearing a party hat")
    assert "cow face" not in drawn("a cow wearing a hat beside a tree")
    assert "cow face" not in drawn("a cow beside a hat")


def test_a_place_is_behind_the_things(shipped):
    day, night = shipped.generate(["a fox on the grass", "a fox on the grass at night"],
                                  seed=3, style="noto", size=96)  # fmt: skip
    assert day.image.size == (96, 96)
    sky, ground = border(day.image)[:96], border(day.image)[96:192]
    assert sky.mean(0)[2] > 200
    assert ground.mean(0)[1] > ground.mean(0)[2] + 40
    assert border(night.image).mean() < 0.6 * border(day.image).mean()
    alone = shipped.generate("a fox on the grass", seed=3, style="noto", size=96)[0]
    assert alone.image.tobytes() == day.image.tobytes()


@pytest.mark.parametrize("prompt", [
    "a mermaid under water", "a fox at the bottom of the sea", "ein Fuchs unter Wasser"
])  # fmt: skip
def test_a_thing_at_a_place_that_is_named_with_its_preposition_is_drawn(shipped, prompt):
    picture = shipped.generate(prompt, seed=1)[0]
    assert [each.drawn for each in picture.drawn_from] in (["mermaid"], ["fox"])


@pytest.mark.parametrize("prompt", [
    "una niña con globos rojos", "ein Mädchen mit roten Ballons", "a girl with red balloons"
])  # fmt: skip
def test_a_plural_without_a_number_is_some(shipped, prompt):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "shipped", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert not isinstance(read, PromptError) and read.scene is not None
    assert [thing.count for thing in read.scene.plan.things] == [1, 3]
    assert [each.drawn for each in read.drawn_from] == ["girl", "balloon"]


@pytest.mark.parametrize(("prompt", "place"), [
    ("a pirate ship in a storm", "sea"), ("a sailboat at night", "sea"), ("a cat at night", None),
])  # fmt: skip
def test_a_boat_is_at_sea_where_no_place_is_said(shipped, prompt, place):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert read.scene.setting.place == place


@pytest.mark.parametrize(("prompt", "links"), [
    ("a blue dragon and a knight with a silver sword", [(1, "with", 2)]),
    ("a cat and a dog wearing hats", [(0, "wearing", 2), (1, "wearing", 2)]),
])  # fmt: skip
def test_who_stands_how_to_whom(shipped, prompt, links):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert [(n.first, n.relation, n.second) for n in read.scene.links] == links


@pytest.mark.parametrize(("prompt", "parts"), [
    ("a man in a suit with a briefcase", ["man in tuxedo", "briefcase"]),
    ("a woman in a suit", ["woman in tuxedo"]),
    ("a cat in a suit", ["cat", "coat"]),
    ("a woman in a red dress", ["woman", "dress"]),
])  # fmt: skip
def test_a_suit_is_no_second_man_on_the_chest_of_the_first(shipped, prompt, parts):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert [*read.scene.parts] == parts == [each.drawn for each in read.drawn_from]
    assert [(n.first, n.second) for n in read.scene.links] == [(0, 1)][: len(parts) - 1]


@pytest.mark.parametrize(("prompt", "whole"), [
    ("three children holding hands", True), ("two smiling boys", False), ("a boy smiling", False),
    ("two women", False),
])  # fmt: skip
def test_who_does_something_that_is_not_drawn_stands(shipped, prompt, whole):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert any(read.scene.figures if read.scene else ()) == whole


def test_a_robot_that_does_something_has_a_grey_body(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    asked = ["a robot holding a flower", "a robot", "a robot with a hat"]
    read = reader.read([reader.asked(prompt, Settings())[0] for prompt in asked])
    assert [bool(each.scene and any(each.scene.figures)) for each in read] == [True, False, False]
    (picture,) = shipped.generate("a robot on the beach", seed=1, style="noto", size=128)
    body = np.asarray(picture.image)[90:112, 60:68].reshape(-1, 3).astype(int)
    assert np.median(np.ptp(body, axis=1)) < 25


@pytest.mark.parametrize(("prompt", "whole"), [
    ("a fox in the snow at night", {0}), ("a wolf howling at the moon", {0}), ("a fox", None),
    ("a bear riding a bicycle", {0}), ("三只狐狸在雪地里", {0}),
    ("a fox and a rabbit in a forest", {0, 1}),
    ("a fox wearing a hat", set()), ("a fox and a house", set()), ("a bear in a car", set()),
    ("a fox face in the snow", set()), ("a girl in the snow", set()),
    ("a big candle with a small fox", frozenset()),
    ("a fox with a candle in the snow", frozenset({0})),
])  # fmt: skip
def test_animals_that_do_something_are_no_heads(shipped, prompt, whole):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert (None if read.scene is None else read.scene.whole) == whole


def test_a_fox_in_the_snow_has_a_body(shipped):
    def shape(prompt: str, style: str) -> float:
        """Height of what is orange, of its greatest width."""
        (picture,) = shipped.generate(prompt, seed=1, style=style, size=128)
        pixels = np.asarray(picture.image).astype(int)
        orange = (pixels[..., 0] > 150) & (pixels[..., 0] - pixels[..., 2] > 80)
        rows = np.flatnonzero(orange.sum(1) > 3)
        return float((rows[-1] - rows[0]) / orange.sum(1).max())

    for style in ("noto", "twemoji", "fluent-emoji-flat", "streamline-emojis"):
        assert shape("a fox in the snow", style) > 1.15 * shape("a fox", style)


@pytest.mark.parametrize("style", ["noto", "twemoji", "emojione", "fluent-emoji-flat", "noto-v1"])
def test_of_several_drawings_of_a_tiger_that_of_the_whole_one_is_seen(shipped, style):
    alike = []
    for seed in range(3):
        (picture,) = shipped.generate("a tiger on grass", seed=seed, style=style, transparent=True)
        alike.append(asymmetry(np.asarray(picture.image, np.float32) / 255))
    assert min(alike) > 0.2


def test_animals_in_places_are_drawn_in_sets_that_show_them_whole(shipped):
    there = {shipped.generate("a chicken on a farm", seed=i)[0].settings.style for i in range(6)}
    assert there <= {"emojione", "noto-v1"}
    dogs = {shipped.generate("a dog on grass", seed=i)[0].settings.style for i in range(6)}
    assert "fxemoji" not in dogs
    alone = {shipped.generate("a chicken", seed=i)[0].settings.style for i in range(6)}
    assert alone - there


def test_what_does_something_to_another_stands_with_it(shipped):
    def places(prompt: str) -> tuple[bool, float]:
        reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
        (read,) = reader.read([reader.asked(prompt, Settings())[0]])
        cuts = [np.ones((50, 60, 4), np.float32)] * 2
        actors = actors_of(read.scene, cuts)
        spots = spots_of(read.scene, cuts, 128, np.random.default_rng(0))
        one, other = sorted(spots, key=lambda spot: spot.left)
        return in_order(read.scene, actors)[0], other.left - one.right

    ordered, gap = places("a dragon guarding treasure")
    assert not ordered and gap < 0
    ordered, gap = places("a dragon and a treasure chest")
    assert ordered and gap > 0


def test_what_a_sign_says_is_written_on_it(shipped, tmp_path):
    plain, said = shipped.generate(["a sign", 'a sign that says "OPEN"'], seed=2, style="noto")
    dark = [(np.asarray(each.image.convert("L")) < 90).mean() for each in (plain, said)]
    assert dark[1] > dark[0] + 0.02
    assert said.drawn_from[0].drawn == plain.drawn_from[0].drawn
    file = said.save(tmp_path / "sign.png")
    assert redraw(file).image.tobytes() == said.image.tobytes()


@pytest.mark.parametrize(("prompt", "inscriptions"), [
    ('a black cat with a sign that says "meow"', ((1, "meow"),)),
    ('a sign that reads "No parking" in front of a house', ((0, "No parking"),)),
    ('una tarjeta que dice "Feliz día"', ((0, "Feliz día"),)),
    ('a girl that says "hello"', ()),
])  # fmt: skip
def test_words_are_on_the_thing_of_which_they_are_said(shipped, prompt, inscriptions):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert (read.scene.inscriptions if read.scene else ()) == inscriptions


def test_a_card_bears_its_greeting_above_what_shows_it(shipped, tmp_path):
    (card,) = shipped.generate("christmas card with a penguin", seed=5, style="noto")
    dark = np.asarray(card.image.convert("L")) < 90
    side = len(dark)
    band = round(0.2 * side)
    letters = dark[:band].any(0)
    assert letters[round(0.3 * side) : round(0.7 * side)].mean() > 0.6, "a line of words"
    assert not dark[round(0.19 * side) : round(0.21 * side)].any(), "nothing reaches into it"
    assert redraw(card.save(tmp_path / "card.png")).image.tobytes() == card.image.tobytes()
    batch = shipped.generate(["a cat", "christmas card with a penguin"], seed=5, style="noto")
    assert batch[1].image.tobytes() == card.image.tobytes()
    (clear,) = shipped.generate(
        "christmas card with a penguin", seed=5, style="noto", transparent=True
    )
    apart = np.abs(np.asarray(on_white(clear.image), float) - np.asarray(card.image))
    assert apart[:band].mean() < 2, "of 255: letters are not left out"
    edited = shipped.edit(card, "make the penguin bigger")
    assert (np.asarray(edited.image)[:band] == np.asarray(card.image)[:band]).all()


def test_a_greeting_is_looked_for_once_a_prompt(shipped, monkeypatch):
    """Its heading and its plainer words come from the same search, of some hundred patterns."""
    texts = []

    def counted(text, *args):
        texts.append(text)
        return greeting_of(text, *args)

    for module in ("limner.generation.prompt_reader", "limner.text.rewording"):
        monkeypatch.setattr(f"{module}.greeting_of", counted)
    shipped.generate("a thank you card with an otter", seed=1)
    assert len(texts) == 1


def test_what_has_no_letters_is_told(shipped):
    with pytest.warns(PromptWarning, match="Latin"):
        shipped.generate("写着“你好”的卡片", seed=1)


@pytest.mark.parametrize(("prompt", "high"), [
    ("two pencils", 0.6), ("a bottle and a glass", 0.6), ("three bottles", 0.5),
    ("four candles", 0.4),
])  # fmt: skip
def test_narrow_things_fill_the_picture(shipped, prompt, high):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    cuts = [np.ones((60, 20, 4), np.float32)] * len(read.scene.parts)
    for seed in range(3):
        spots = spots_of(read.scene, cuts, 128, np.random.default_rng(seed))
        lefts = [spot.left for spot in spots]
        assert lefts == sorted(lefts) or len({spot.thing for spot in spots}) == 1
        row = sorted(spots, key=lambda spot: spot.left)
        assert all(a.right < b.left for a, b in pairwise(row))
        assert min(spot.left for spot in spots) > 0.02
        assert max(spot.right for spot in spots) < 0.98
        assert max(spot.height for spot in spots) > high


def test_a_cow_that_jumps_over_the_moon_is_above_it(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked("a cow jumping over the moon", Settings())[0]])
    assert [each.drawn for each in read.drawn_from] == ["cow", "crescent moon"]
    assert read.scene.plan.relation == "above"


@pytest.mark.parametrize("prompt", ["fireworks over a city", "城市上空的烟花"])
def test_fireworks_are_at_night_and_no_square(shipped, prompt):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert read.scene.setting.night
    (picture,) = shipped.generate(prompt, seed=2)
    sky = np.asarray(picture.image.crop((0, 0, 256, 120))).reshape(-1, 3)
    colours, counts = np.unique(sky, axis=0, return_counts=True)
    assert colours[counts.argmax()].max() < 100, "night"
    bright = np.asarray(picture.image)[:150].max(-1) > 120
    assert 0.01 < bright.mean() < 0.35, "no square of another night stands there"


def test_a_plant_is_in_a_flower_pot_and_soup_in_another(shipped):
    for prompt, drawn in (("a cactus in a pot", "bucket"), ("soup in a pot", "pot of food")):
        (picture,) = shipped.generate(prompt, seed=1)
        assert drawn in [each.drawn for each in picture.drawn_from]


def test_who_is_drawn_as_somebody_with_a_helmet_gets_no_hat_on_top(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked("el obrero con un sombrero verde", Settings())[0]])
    assert "worker" in read.drawn_from[0].drawn
    who, *others = actors_of(read.scene, [np.ones((8, 8, 4), np.float32)] * len(read.scene.parts))
    assert who.hatted
    assert not any(each.hatted for each in others)


@pytest.mark.parametrize(("prompt", "sizes"), [
    ("a giant pumpkin next to a tiny mouse", ["big", "small"]),
    ("un ratón diminuto junto a una calabaza gigante", ["small", "big"]),
    ("小さな猫と大きな犬", ["small", "big"]),
    ("ein winziger Frosch auf einem Buch", ["small", None]),
    ("una niña pequeña con un perro", [None, None]),
])  # fmt: skip
def test_things_are_as_large_beside_each_other_as_is_said(shipped, prompt, sizes):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert [thing.size for thing in read.scene.plan.things] == sizes


def test_how_somebody_stands_is_no_thing(shipped):
    for prompt in ("a flamingo standing on one leg", "a dog walking on its hind legs"):
        (picture,) = shipped.generate(prompt, seed=1)
        assert len(picture.drawn_from) == 1


def test_a_boat_on_a_lake_has_no_water_of_its_own_and_a_red_one_no_red_water(shipped):
    """The canoe is drawn on a block of water that is as wide as it."""
    drawn: dict[str, np.ndarray] = {}
    for prompt in ("a canoe on a lake", "a red canoe"):
        (picture,) = shipped.generate(prompt, seed=7, style="twemoji")
        drawn[prompt] = np.asarray(picture.image).astype(int)
    block = np.abs(drawn["a canoe on a lake"] - [98, 165, 234]).max(-1) < 24
    assert block.mean() < 0.02
    red, _, blue = np.moveaxis(drawn["a red canoe"], -1, 0)
    assert (blue > red + 60).mean() > 0.1
    assert (red > blue + 60).mean() > 0.05


@pytest.mark.parametrize(("prompt", "boat"), [
    ("a cat in a boat", "canoe"), ("ein Hund in einem Boot", "canoe"), ("a boat", "sailboat"),
    ("a bear in a sailboat", "sailboat"), ("一只猫在船上", "canoe"),
])  # fmt: skip
def test_who_is_in_a_boat_is_in_one_without_a_sail(shipped, prompt, boat):
    (picture,) = shipped.generate(prompt, seed=1)
    assert picture.drawn_from[-1].drawn == boat
