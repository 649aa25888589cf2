"""What a prompt asks for, beyond what the planner has learned, and what a user is told of it."""

import warnings

import pytest

from limner.generation.prompts import PromptWarning, check_wording
from limner.generation.scene_drawing import draw_scene
from limner.generation.scene_planning import ScenePlanner
from limner.text import load_encoder

STYLES = ("noto", "twemoji")


@pytest.fixture(scope="module")
def planner(own_cache):
    return ScenePlanner(load_encoder())


def understood(planner, prompt):
    return planner.understand([prompt], planner.encoder.encode([prompt]))[0]


def said(recwarn):
    return [str(each.message) for each in recwarn if issubclass(each.category, PromptWarning)]


@pytest.mark.parametrize(
    "prompt",
    ["3d render of a donut", "3d donut", "7 up", "number 5", "the number 5", "page 3 of a book",
     "4k photo of a cat", "5 star hotel", "24 hour clock", "route 66", "a ps 5 controller"],
)  # fmt: skip
def test_a_number_that_is_no_count_leaves_the_prompt_as_it_is(planner, prompt, recwarn):
    assert understood(planner, prompt) is None  # drawn in one piece
    assert said(recwarn) == []


def test_the_words_of_such_a_number_are_drawn(planner):
    scene = understood(planner, "number 5 on a cake")
    assert [thing.count for thing in scene.plan.things] == [1, 1]
    assert scene.parts == ("number 5", "a cake")


@pytest.mark.parametrize(
    ("prompt", "part"),
    [("ten balloons", "balloons"), ("12 stars", "stars"), ("a dozen eggs", "eggs"),
     ("十只猫", "猫"), ("12只猫", "猫"), ("zehn Katzen", "Katzen")],
)  # fmt: skip
def test_more_than_nine_is_said(planner, prompt, part):
    with pytest.warns(PromptWarning) as caught:
        scene = understood(planner, prompt)
    assert [str(each.message) for each in caught] == [
        f'"{prompt}": 9 are drawn, the most of one kind that a picture can hold'
    ]
    assert [thing.count for thing in scene.plan.things] == [9]
    assert scene.parts == (part,)


def test_counts_to_nine_stay(planner, recwarn):
    for prompt, counts in {
        "three cats": [3], "3 cats": [3], "9 apples": [9], "三只猫": [3], "drei Katzen": [3],
        "a cat and 3 dogs": [1, 3], "3 cats, 4k": [3],
    }.items():  # fmt: skip
        assert [thing.count for thing in understood(planner, prompt).plan.things] == counts
    assert said(recwarn) == []


def test_a_background_alone_is_a_plain_picture(planner):
    for prompt, rgb in {"a pink background": (255, 145, 190), "blauer Hintergrund": None,
                        "a plain white background": (255, 255, 255)}.items():  # fmt: skip
        scene = understood(planner, prompt)
        assert scene.plan.things == ()
        drawing = draw_scene(scene, planner.encoder, seed=1, side=16)
        with pytest.raises(StopIteration) as done:
            next(drawing)
        colours = done.value.value.getcolors()
        assert len(colours) == 1
        if rgb is not None:
            assert max(abs(a - b) for a, b in zip(colours[0][1], rgb, strict=True)) < 20


def test_styles_that_the_model_does_not_know():
    for prompt, name in {
        "a cat, watercolour style": "watercolour", "a cat in oil painting style": "oil painting",
        "a cat in the style of Van Gogh": "Van Gogh", "a cat, anime style.": "anime",
    }.items():  # fmt: skip
        with pytest.warns(PromptWarning, match=f'style "{name}".*noto, twemoji'):
            check_wording(prompt, STYLES)
    with pytest.warns(PromptWarning, match="it has no styles"):
        check_wording("a cat, anime style", ())


def test_plain_prompts_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for prompt in (
            "a cat", "an old style house", "a house, in winter", "lifestyle", "a cat, style",
            "a long sentence, and then more words about a house in its own very special style",
        ):  # fmt: skip
            check_wording(prompt, STYLES)
