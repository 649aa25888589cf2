"""Prompts of several things: planned, drawn one by one, put together."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import ModelFileError, PromptError, UsageError
from limner.generation.generator import Generator, load
from limner.generation.phrase_planning import without
from limner.generation.prompt_reader import PromptReader
from limner.generation.prompts import PromptWarning
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.generation.requests import DrawRequest
from limner.generation.scene_drawing import actors_of, in_order, spots_of
from limner.models.settings import Settings
from limner.scenes.animal_bodies import asymmetry
from limner.scenes.backgrounds import background_rgb
from limner.scenes.cutout import cut_out_drawn, is_recoloured
from limner.scenes.matte import matte_of
from limner.text import load_encoder
from limner.vision.images import on_white
from tiny_models import save_tiny


@pytest.fixture(scope="module")
def shipped(own_cache: None) -> Generator:
    return load()


def ink(image: Image.Image) -> np.ndarray:
    """Where there is something on white, ``(S, S)`` bool."""
    return np.asarray(image).min(-1) < 200


def blobs(mask: np.ndarray) -> list[np.ndarray]:
    """Parts of a mask that hang together and are no specks, by flooding."""
    left, found = mask.copy(), []
    while left.any():
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            wide = np.pad(part, 1)
            wide = wide[2:, 1:-1] | wide[:-2, 1:-1] | wide[1:-1, 2:] | wide[1:-1, :-2] | part
            if (wide & left).sum() == part.sum():
                break
            part = wide & left
        left &= ~part
        if part.sum() > 30:
            found.append(part)
    return found


def middle(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


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


def test_what_has_its_colour_is_not_dyed(shipped):
    """The wheels of a tractor that is green anyway stay orange."""
    for prompt in ("a tractor", "a green tractor"):
        pixels = np.asarray(shipped.generate(prompt, seed=5, style="noto")[0].image, int)
        orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 90) & (pixels[..., 1] > 80)
        assert orange.mean() > 0.03, prompt


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


def test_the_face_of_a_clock_stays_white(shipped):
    (picture,) = shipped.generate("a blue clock", seed=0, style="noto")
    red, _, blue = np.moveaxis(np.asarray(picture.image, float)[56:-56, 56:-56], -1, 0)
    assert (blue > red + 90).mean() > 0.15 and (red > 200).mean() > 0.15


def border(image: Image.Image) -> np.ndarray:
    """The outermost pixels, ``(N, 3)``."""
    pixels = np.asarray(image).astype(int)
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def test_a_coloured_ground_goes_to_the_border(shipped):
    edge = border(shipped.generate("two fish on a green background", seed=3)[0].image)
    red, green, blue = edge.mean(0)
    assert green > red + 20
    assert green > blue + 20
    assert edge.std(0).max() < 8


@pytest.mark.parametrize(
    ("prompt", "ground"),
    [("a cat on a navy background", "navy"), ("two fish, light yellow background", "light yellow"),
     ("a dog and a tree on a dark red background", "dark red"),
     ("一只猫，浅蓝色背景", "light blue"), ("deux chats sur un fond vert", "green"),
     ("a sun on a black background", "black"),
     ("pink airplane, orange background", "orange")],
)  # fmt: skip
def test_a_ground_has_the_shade_that_is_asked_for(shipped, prompt, ground):
    wanted = 255 * np.array(background_rgb(ground))
    assert np.abs(border(shipped.generate(prompt, seed=3)[0].image) - wanted).mean() < 30


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [("a red heart on a white background", "a red heart"), ("一只猫，白色背景", "一只猫"),
     ("a house on a plain background", "a house"),
     ("una casa sobre un fondo blanco", "una casa")],
)  # fmt: skip
def test_white_behind_a_thing_changes_nothing(shipped, prompt, meant):
    one, other = (shipped.generate(text, seed=8)[0] for text in (prompt, meant))
    assert one.image.tobytes() == other.image.tobytes()


def test_transparent_where_the_prompt_says_so(shipped):
    for prompt, meant in {
        "a cat, transparent background": "a cat", "一只猫，透明背景": "一只猫",
        "two fish on a transparent background": "two fish",
        "three red apples on a transparent background": "three red apples",
    }.items():  # fmt: skip
        picture = shipped.generate(prompt, seed=8)[0]
        (asked,) = shipped.generate(meant, seed=8, transparent=True)
        assert picture.settings.transparent and picture.image.mode == "RGBA"
        assert picture.image.tobytes() == asked.image.tobytes()
        alpha = np.asarray(picture.image)[..., 3]
        assert alpha.max() == 255 and border(picture.image)[..., 3].max() < 200
        (opaque,) = shipped.generate(meant, seed=8)
        apart = np.abs(np.asarray(on_white(picture.image), float) - np.asarray(opaque.image))
        assert apart.mean() < 2  # of 255: on white it is the picture that it always was
        assert (alpha == 0).mean() > 0.2
    (plain,) = shipped.generate("a cat, transparent background", seed=8, transparent=False)
    assert plain.image.mode == "RGB"


def test_white_behind_things_is_white(shipped):
    assert border(shipped.generate("two fish on a white background", seed=3)[0].image).min() > 250


def test_one_thing_on_white_is_drawn_as_it_always_was(shipped):
    prompts = [
        "a cat",
        "一只可爱的小狗",
        "cat with wry smile",
        "sunset",
        "a cat with tears of joy",
        "a house with garden",
        "a sun behind rain cloud",
        "a snowman without snow",
        "three o'clock",
    ]
    composed = shipped.generate(prompts, seed=5)
    for with_plan, without_plan in zip(
        composed, shipped.generate(prompts, seed=5, scenes=False), strict=True
    ):
        assert with_plan.planner == ""
        assert with_plan.image.tobytes() == without_plan.image.tobytes()


@pytest.mark.parametrize(
    ("prompt", "plain", "low", "high"),
    [
        ("a blue pear", "a pear", 0, 2),
        ("一只蓝色的猫", "一只猫", 0, 2),
        ("a pink cat", "a cat", 1, 0),
    ],
)
def test_a_thing_in_a_colour_it_does_not_come_in_is_recoloured(shipped, prompt, plain, low, high):
    painted = shipped.generate(prompt, n=3, seed=4, style="noto")
    unpainted = shipped.generate(plain, n=3, seed=4, style="noto", scenes=False)
    for one, other in zip(painted, unpainted, strict=True):
        assert one.planner
        before, after = np.asarray(other.image), np.asarray(one.image)
        changed = (before != after).any(-1)
        assert changed[ink(other.image)].mean() > 0.5
        assert not changed[before.min(-1) > 250].any()  # white stays white
        middle = after[changed].mean(0)
        assert middle[high] > middle[low] + 30


def test_what_cannot_be_painted_is_drawn_from_the_colour_too(shipped):
    """A camera has no colour to paint over."""
    told, untold = (
        shipped.generate(
            "a green camera", n=2, seed=3, style="noto", scenes=scenes, grounding=False
        )
        for scenes in (None, False)
    )
    for one, other in zip(told, untold, strict=True):
        assert one.planner
        assert one.image.tobytes() == other.image.tobytes()


def test_what_has_the_colour_already_is_not_complained_of(shipped):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        shipped.generate("a black top hat", seed=3, style="noto")


def test_a_word_too_many_changes_nothing(shipped):
    for said, meant in [("one fish", "fish"), ("one pear", "pear")]:
        one, other = (shipped.generate(text, seed=8)[0] for text in (said, meant))
        assert one.image.tobytes() == other.image.tobytes()


def test_a_scene_is_the_same_alone_and_beside_others(shipped):
    prompts = ["a cat", "three red apples", "a dog and a tree", "a sun"]
    together = shipped.generate(prompts, n=2, seed=9)
    for picture in together:
        alone = shipped.generate(picture.prompt, seed=picture.seed)[0]
        assert alone.image.tobytes() == picture.image.tobytes()
        assert alone.planner == picture.planner
    assert [bool(p.planner) for p in together] == [
        False,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_scene_is_drawn_again_from_its_record(shipped, tmp_path):
    for asked in (None, False):
        picture = shipped.generate("a cat and a dog", seed=2, scenes=asked)[0]
        path = picture.save(tmp_path / f"{asked}.png")
        assert bool(read_record(path).planner) == (asked is None)
        again = redraw(path)
        assert same_pixels(path, again.image)
        assert again.planner == picture.planner


def test_a_scene_of_another_planner_is_not_drawn_again(shipped, tmp_path):
    picture = shipped.generate("a cat and a dog", seed=2)[0]
    object.__setattr__(picture, "planner", "0" * 16)
    with pytest.raises(ModelFileError, match="planner 0000"):
        redraw(picture.save(tmp_path / "a.png"))


def test_a_model_composes_when_it_is_told_to(tmp_path):
    tiny = load(save_tiny(tmp_path / "tiny.safetensors", "vae"))
    assert tiny.generate("two cats", seed=1)[0].planner == ""
    assert tiny.generate("two cats", seed=1, scenes=True)[0].planner != ""


def test_each_thing_of_a_scene_has_a_seed_of_its_own(tmp_path):
    """Drawn by it, a thing has the bits that it has alone; the others have the picture's."""
    tiny = load(save_tiny(tmp_path / "tiny.safetensors", "flow"), threads=1)

    def things(**options: Any) -> list[Any]:
        (job,) = tiny.jobs([DrawRequest("a cat and two dogs", 4, Settings(scenes=True, **options))])
        assert job.composed_of == ("a cat", "dog")
        session = tiny.session()
        session.add(job.drawing)
        while not session.idle:
            session.advance()
        return [*job.placed.pixels]

    def alone(words: str, seed: int) -> Any:
        return np.asarray(tiny.generate(words, seed=seed, scenes=False)[0].image)

    cat, dog = things(thing_seeds="9,7")
    assert np.array_equal(cat, alone("a cat", 9)) and np.array_equal(dog, alone("dog", 7))
    first, second = things(thing_seeds="9")
    assert np.array_equal(first, cat) and np.array_equal(second, alone("dog", 4))
    assert all(map(np.array_equal, things(), things(thing_seeds="4,4")))

    picture = tiny.generate("a cat and two dogs", seed=4, scenes=True, thing_seeds="9,7")[0]
    saved = picture.save(tmp_path / "a.png")
    assert same_pixels(saved, redraw(saved, tmp_path / "tiny.safetensors", threads=1).image)
    assert read_record(saved).settings.thing_seeds == "9,7"


def test_seeds_of_things_are_checked(shipped):
    for wrong in ("", "a", "1,,2", "-1", "1" * 19):
        with pytest.raises(UsageError, match="thing_seeds"):
            shipped.generate("a cat and a dog", thing_seeds=wrong)
    with pytest.warns(PromptWarning, match=r"has 2 things: the last of the 3"):
        shipped.generate("a cat and a dog", seed=1, thing_seeds="1,2,3")


def test_a_thing_alone_is_drawn_by_its_seed(shipped):
    one = shipped.generate("a cat", seed=1, style="noto", thing_seeds="5")[0]
    other = shipped.generate("a cat", seed=5, style="noto")[0]
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_a_model_that_reads_otherwise_cannot(tmp_path):
    short = load_encoder("e5-small?tokens=6")
    path = save_tiny(
        tmp_path / "tiny.safetensors", "vae",
        encoder=short.spec, encoder_fingerprint=short.fingerprint,
    )  # fmt: skip
    with pytest.raises(UsageError, match="--scenes"):
        load(path).generate("two cats", seed=1, scenes=True)


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


def test_a_sentence_with_a_place_is_drawn_again_from_its_record(shipped, tmp_path):
    picture = shipped.generate("a cat wearing a hat on the beach in the rain", seed=2)[0]
    path = picture.save(tmp_path / "a.png")
    assert same_pixels(path, redraw(path).image)


def test_a_thing_asked_for_in_white_is_white_with_its_eyes(shipped):
    (picture,) = shipped.generate("a white cat", seed=1, style="fluent-emoji-3d")
    (plain,) = shipped.generate("a cat", seed=1, style="fluent-emoji-3d")
    there = ink(plain.image)
    before, after = (np.asarray(each.image).astype(int)[there] for each in (plain, picture))
    assert (np.ptp(before, 1) > 60).mean() > 0.5 > 10 * (np.ptp(after, 1) > 60).mean()
    assert after.max(1).mean() > 200
    dark = before.max(1) < 110
    assert dark.any() and after[dark].max(1).mean() < 150


def test_what_is_white_by_name_is_drawn_as_it_is(shipped):
    alone = shipped.generate("white heart", seed=1, style="noto")[0]
    assert [each.drawn for each in alone.drawn_from] == ["white heart"]
    both = shipped.generate("a white heart and a cat", seed=1, style="noto")[0]
    assert [each.drawn for each in both.drawn_from] == ["white heart", "cat"]


@pytest.mark.parametrize("prompt", [
    "una niña con globos rojos", "ein Mädchen mit roten Ballons", "a girl with red balloons"
])  # fmt: skip
def test_a_plural_without_a_number_is_some(shipped, prompt):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "shipped", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert not isinstance(read, PromptError) and read.scene is not None
    assert [thing.count for thing in read.scene.plan.things] == [1, 3]
    assert [each.drawn for each in read.drawn_from] == ["girl", "balloon"]


def test_what_a_thing_is_made_of_gives_its_colour(shipped):
    picture = shipped.generate("a heart made of gold", seed=2, style="noto")[0]
    red, green, blue = np.asarray(picture.image)[ink(picture.image)].mean(0)
    assert min(red, green) > blue + 60


def test_a_black_thing_takes_its_colour_and_its_band_stays(shipped):
    (picture,) = shipped.generate("a red top hat", seed=1, style="noto-v1")
    (plain,) = shipped.generate("a top hat", seed=1, style="noto-v1")
    reds, blacks = [], []
    for each in (picture, plain):
        pixels = np.asarray(each.image).astype(int)
        there = ink(each.image)
        reds.append(((pixels[..., 0] - pixels[..., 1:].max(-1)) > 90)[there].mean())
        blacks.append((pixels.max(-1) < 90)[there].mean())
    assert blacks[1] > 0.4 > 4 * blacks[0]
    assert reds[0] > 0.5 > 4 * reds[1]


@pytest.mark.parametrize(("prompt", "tints"), [
    ("un gato negro y un perro blanco", [None, "white"]), ("due mele verdi", ["green"]),
    ("سيارة حمراء", ["red"]), ("قطة زرقاء", ["blue"]), ("ein roter Ball", ["red"]),
    ("a white cat and a dog", ["white", None]), ("一只白猫和一只狗", ["white", None]),
    ("a butterfly with red wings", ["red"]), ("a girl with pink hair on a beach", [None]),
    ("an orange cat with green eyes", ["orange"]),
    ("a brown dog with a black nose and a red ball", ["brown", "red"]),
    ("a black and white cow in the grass", [None]),
])  # fmt: skip
def test_the_colour_that_is_said_is_that_of_the_plan(shipped, prompt, tints):
    """The planner gave the white dog the cat's black, and a red car in Arabic black."""
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "shipped", scenes=True)
    asked, *_ = reader.asked(prompt, Settings())
    (read,) = reader.read([asked])
    assert not isinstance(read, PromptError) and read.scene is not None
    assert [thing.tint for thing in read.scene.plan.things] == tints


def hued(image: Image.Image, low: float, high: float) -> float:
    """Share of a picture's ink of hues between two, in degrees, that are no skin or hair."""
    hsv = np.asarray(image.convert("HSV")).astype(float)
    hue = hsv[..., 0] * 360 / 255
    vivid = (hsv[..., 1] > 60) & (hsv[..., 2] > 50)
    return float((vivid & (hue > low) & (hue < high)).sum() / ink(image).sum())


def test_hair_has_the_colour_that_is_said_of_it_and_the_face_its_own(shipped):
    for prompt in (
        "a girl with blue hair",
        "una niña con el pelo azul",
        "девочка с синими волосами",
    ):
        plain, blue = (
            shipped.generate(each, seed=3, style="noto")[0].image for each in ("a girl", prompt)
        )
        assert hued(plain, 200, 240) < 0.02
        assert 0.1 < hued(blue, 200, 240) < 0.6
        assert hued(blue, 30, 50) > 0.5 * hued(plain, 30, 50)


def test_who_wears_a_hat_as_drawn_wears_it_in_the_colour_asked_for(shipped):
    plain, purple = (
        shipped.generate(each, seed=3, style="noto")[0].image
        for each in ("a wizard", "a wizard with a purple hat")
    )
    assert hued(purple, 255, 300) > hued(plain, 255, 300) + 0.1


def test_things_of_a_list_in_a_sentence_keep_their_colours(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    asked, _, _ = reader.asked("my little sister with braces and a purple backpack", Settings())
    (read,) = reader.read([asked])
    assert [thing.tint for thing in read.scene.plan.things] == [None, None, "purple"]


@pytest.mark.parametrize(("prompt", "place"), [
    ("a pirate ship in a storm", "sea"), ("a sailboat at night", "sea"), ("a cat at night", None),
])  # fmt: skip
def test_a_boat_is_at_sea_where_no_place_is_said(shipped, prompt, place):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert read.scene.setting.place == place


def test_what_is_known_in_no_such_colour_is_dyed(shipped):
    """Drawn from the words with the colour, a house was black ink with a blue door."""
    for prompt in ("a green house", "una casa verde", "हरा घर"):
        (picture,) = shipped.generate(prompt, seed=4)
        assert hued(picture.image, 80, 160) > 0.3


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


def test_hair_is_drawn_in_styles_in_which_it_is_told_from_the_face(shipped):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        pictures = shipped.generate("a girl with blue hair", n=4, seed=1)
    assert min(hued(picture.image, 200, 240) for picture in pictures) > 0.1


def test_the_hair_is_of_who_wears_the_hat(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    asked, *_ = reader.asked("a girl with a red hat and black hair", Settings())
    (read,) = reader.read([asked])
    assert [(each.tint, each.top) for each in read.scene.plan.things] == [
        (None, "black"), ("red", None),
    ]  # fmt: skip


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


def test_a_colour_that_the_planner_overlooks_in_chinese_is_that_of_its_thing(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked("两只红色的猫和一个蓝色的盘子", Settings())[0]])
    assert read.drawn_from[0].drawn == "cat"
    assert [(thing.tint, thing.count) for thing in read.scene.plan.things] == [
        ("red", 2), ("blue", 1),
    ]  # fmt: skip
