"""The rules of composition: true scenes pass, every way of being wrong fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from limner.data.scenes import SCENE_COLOURS, TASKS, Item, Scene, plan
from limner.data.things import THINGS
from limner.metrics.composition import Detection, relations, shares, shows
from limner.metrics.intervals import wilson

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
    scenes = [plan(0, n, things=tuple(THINGS), paintable=PAINT, task=task) for n in range(60)]
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
    assert found["single"].value == pytest.approx(0.875) and found["single"].prompts == 2
    assert (found["single"].low, found["single"].high) == wilson(1.75, 2)
    assert found["overall"].value == pytest.approx(0.4375) and found["overall"].prompts == 3
    assert shares({}) == {}
