"""Arms that bend, and what both hands hold, on figures of known shapes."""

from __future__ import annotations

import numpy as np
import pytest

from limner.scenes.actors import Spot, extent
from limner.scenes.arms import with_bent_arms
from limner.scenes.bodies import on_body
from limner.scenes.contacts import resolve, with_worn
from limner.scenes.framing import framed
from limner.scenes.sentence import Link
from limner.scenes.sizes import facts_of
from limner.scenes.staging import stage
from made_actors import actor

SIDE = 256
SKIN, HAIR, SHIRT, TROUSERS = (250, 195, 50), (90, 60, 40), (30, 150, 130), (120, 120, 125)
LEFT, RIGHT = (slice(110, 160), slice(92, 104)), (slice(110, 160), slice(152, 164))
"""Rows and columns of the forearms."""
Y, X = np.mgrid[:SIDE, :SIDE]


def figure(arms: tuple[int, int, int] = SKIN) -> np.ndarray:
    """Somebody of 240 rows who stands, in short sleeves, with hanging arms."""
    found = np.full((SIDE, SIDE, 3), 255, np.uint8)
    found[76:130, 104:152] = SHIRT
    found[76:110, 92:164] = SHIRT  # sleeves
    found[130:248, 106:150] = TROUSERS
    found[LEFT] = found[RIGHT] = arms
    found[(X - 128) ** 2 + (Y - 42) ** 2 < 34**2] = SKIN
    found[8:30, 104:152] = HAIR
    return found


def share(pixels: np.ndarray, where: tuple[slice, slice], colour: tuple[int, int, int]) -> float:
    """How much of a part of a picture has a colour."""
    return float((abs(pixels[where].astype(int) - colour).max(-1) < 30).mean())


def test_forearms_go_from_the_sides_to_the_belly():
    before, after = figure(), with_bent_arms(figure())
    for arm in (LEFT, RIGHT):
        assert share(before, arm, SKIN) == 1
        lower = slice(arm[0].start + 25, arm[0].stop), arm[1]
        assert share(after, lower, (255, 255, 255)) > 0.95
    belly = slice(118, 146), slice(112, 144)
    assert share(before, belly, SKIN) == 0
    assert share(after, belly, SKIN) > 0.2
    assert (after[:76] == before[:76]).all()  # the head, of the same colour
    assert (after[165:] == before[165:]).all()
    assert np.allclose(after[80:], after[80:, ::-1], atol=3)  # both arms alike


def test_a_head_that_does_not_touch_the_body_stays():
    apart = figure()
    apart[73:77] = 255
    after = with_bent_arms(apart)
    assert (after[:73] == apart[:73]).all()
    assert (after[165:] == apart[165:]).all()
    assert share(after, (slice(118, 146), slice(112, 144)), SKIN) > 0.2


def test_a_raised_hand_is_one_and_below_the_chin():
    before, after = figure(), with_bent_arms(figure(), raised=True)
    assert (after[:, :110] == before[:, :110]).all()
    lower = slice(RIGHT[0].start + 25, RIGHT[0].stop), RIGHT[1]
    assert share(after, lower, (255, 255, 255)) > 0.95
    assert share(after, (slice(92, 106), slice(140, 154)), SKIN) > 0.5


@pytest.mark.parametrize("arms", [SHIRT, TROUSERS], ids=["long sleeves", "as the trousers"])
def test_arms_that_are_not_bare_hang_on(arms):
    assert (with_bent_arms(figure(arms)) == figure(arms)).all()


def test_what_has_no_arms_stays_as_it_is():
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert (with_bent_arms(blank) == 255).all()
    body = figure()
    body[LEFT] = body[RIGHT] = 255
    assert (with_bent_arms(body) == body).all()


def test_a_body_begins_at_the_chin_and_not_at_the_shadow_below_it():
    face = np.full((SIDE, SIDE, 3), 255, np.uint8)
    face[(X - 128) ** 2 + (Y - 108) ** 2 < 90**2] = SKIN
    shadowed = face.copy()
    shadowed[228:240, 60:196] = 210
    plain, found = (on_body(each, figure(), young=False) for each in (face, shadowed))
    assert np.array_equal(plain, found)


def standing() -> np.ndarray:
    """A cut-out figure: a head with eyes on a body, more than twice as high as wide."""
    cut = np.zeros((200, 80, 4), np.float32)
    cut[:70, 10:70] = 1
    for x in (25, 50):
        cut[30:36, x : x + 6, :3] = 0
    cut[70:76, 32:48] = 1
    cut[76:, 5:75] = 1
    return cut


def held(name: str, relation: str = "holding", *, reaching: bool) -> tuple[Spot, Spot]:
    """The places of a standing man and of what he holds."""
    rng = np.random.default_rng(0)
    actors = [actor("man", standing(), reaching=reaching),
              actor(name, np.ones((40, 50, 4), np.float32))]  # fmt: skip
    spots = framed(stage(actors, [Link(0, relation, 1)], rng), actors, None, rng)  # type: ignore[arg-type]
    one, other = (extent([spot for spot in spots if spot.thing == i]) for i in (0, 1))
    return one, other


@pytest.mark.parametrize("name", ["book", "guitar", "cake", "teddy bear"])
def test_what_both_hands_hold_is_before_the_body_and_below_the_face(name):
    man, thing = held(name, "with", reaching=True)
    assert thing.left + thing.width / 2 == pytest.approx(man.left + man.width / 2, abs=0.01)
    assert thing.top > man.top + 0.38 * man.height
    assert thing.bottom < man.top + 0.9 * man.height
    assert thing.depth > man.depth


def test_what_one_hand_holds_is_at_a_side():
    man, thing = held("book", reaching=False)
    assert abs(thing.left + thing.width / 2 - man.left - man.width / 2) > 0.4 * man.width


def test_who_stands_and_eats_shows_the_face():
    man, thing = held("apple", "eating", reaching=False)
    assert thing.top > man.top + 0.2 * man.height  # below the eyes
    assert man.left + man.width / 2 < thing.left + thing.width / 2 < man.right


def test_an_animal_on_somebody_is_held():
    assert resolve("on", facts_of("cat"), facts_of("old woman")) == "held by"
    assert resolve("on", facts_of("parrot"), facts_of("man")) == "on"
    assert resolve("on", facts_of("cat"), facts_of("dog")) == "on"


def test_who_sits_on_a_chair_reads_and_not_the_chair():
    things = [facts_of(name) for name in ("man", "chair", "book")]
    links = with_worn(things, [Link(0, "on", 1), Link(1, "holding", 2)])
    assert links[1] == Link(0, "holding", 2)
    alone = with_worn(things[1:], [Link(0, "holding", 1)])
    assert alone == [Link(0, "holding", 1)]


def test_a_toy_that_is_called_like_an_animal_is_small():
    assert facts_of("teddy bear").length < 0.5 < facts_of("brown bear").length
