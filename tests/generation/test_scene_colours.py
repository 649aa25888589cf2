"""Colours of scenes: of their things, of hair and hats, and of what is behind them."""

import warnings

import numpy as np
import pytest

from generation.scene_masks import border, hued, ink
from limner.errors import PromptError
from limner.generation.prompt_reader import PromptReader
from limner.generation.prompts import PromptWarning
from limner.models.settings import Settings
from limner.scenes.backgrounds import background_rgb
from limner.vision.images import on_white


def test_what_has_its_colour_is_not_dyed(shipped):
    """The wheels of a tractor that is green anyway stay orange."""
    for prompt in ("a tractor", "a green tractor"):
        pixels = np.asarray(shipped.generate(prompt, seed=5, style="noto")[0].image, int)
        orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 90) & (pixels[..., 1] > 80)
        assert orange.mean() > 0.03, prompt


def test_the_face_of_a_clock_stays_white(shipped):
    (picture,) = shipped.generate("a blue clock", seed=0, style="noto")
    red, _, blue = np.moveaxis(np.asarray(picture.image, float)[56:-56, 56:-56], -1, 0)
    assert (blue > red + 90).mean() > 0.15 and (red > 200).mean() > 0.15


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


def test_what_is_known_in_no_such_colour_is_dyed(shipped):
    """Drawn from the words with the colour, a house was black ink with a blue door."""
    for prompt in ("a green house", "una casa verde", "हरा घर"):
        (picture,) = shipped.generate(prompt, seed=4)
        assert hued(picture.image, 80, 160) > 0.3


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


def test_a_colour_that_the_planner_overlooks_in_chinese_is_that_of_its_thing(shipped):
    reader = PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)
    (read,) = reader.read([reader.asked("两只红色的猫和一个蓝色的盘子", Settings())[0]])
    assert read.drawn_from[0].drawn == "cat"
    assert [(thing.tint, thing.count) for thing in read.scene.plan.things] == [
        ("red", 2), ("blue", 1),
    ]  # fmt: skip
