"""Which piece of a scene's caption names what, without anybody having labelled a word."""

from dataclasses import asdict

import pytest

from limner.scenes.colours import COLOURS
from limner.scenes.labels import SIZES, TINTS, Kind, parse
from limner.scenes.layout import INVERSE
from limner.scenes.scene import Item, Scene, plan
from limner.scenes.things import THINGS
from limner.scenes.wording import captions, english
from limner.text.segment import pieces


def facts(scene: Scene) -> dict[str, object]:
    return {"items": [asdict(item) for item in scene.items], "relation": scene.relation,
            "background": scene.background}  # fmt: skip


def understood(text: str, scene: Scene) -> dict[str, object]:
    cut = pieces(text)
    found = parse(cut, facts(scene))
    assert found is not None
    things = [(cut[i].text, found.counts[i], SIZES[found.sizes[i]])
              for i, kind in enumerate(found.kinds) if kind is Kind.THING]  # fmt: skip
    drop = [cut[i].text for i, kind in enumerate(found.kinds) if kind is Kind.DROP]
    tints = [TINTS[n] for n in found.tints if n]
    paint = [cut[i].text for i, kind in enumerate(found.kinds) if kind is Kind.TINT]
    if tints or paint:
        drop = [*drop, *tints, *(f"paint {word}" for word in paint)]
    return {
        "things": things,
        "drop": drop,
        "relation": found.relation,
        "background": found.background,
    }


CAT, OWL = Item("cat"), Item("owl")


@pytest.mark.parametrize(
    ("text", "scene", "things", "drop", "relation"),
    [
        ("three red apples", Scene("counting", (Item("apple", "red", 3),)),
         [("three red apples", 3, None)], ["three"], None),
        ("a cat above an owl", Scene("position", (CAT, OWL), "above"),
         [("a cat", 1, None), ("an owl", 1, None)], [], "above"),
        ("an owl below a cat", Scene("position", (CAT, OWL), "above"),
         [("an owl", 1, None), ("a cat", 1, None)], [], "below"),
        ("一只猫头鹰在一只猫的左边", Scene("position", (OWL, CAT), "left"),
         [("一只猫头鹰", 1, None), ("一只猫", 1, None)], [], "left"),
        ("a big cat and a small owl",
         Scene("two", (Item("cat", size="big"), Item("owl", size="small"))),
         [("a big cat", 1, "big"), ("a small owl", 1, "small")], ["big", "small"], None),
        ("绿色背景上的三个红色的苹果", Scene("counting", (Item("apple", "red", 3),), None, "green"),
         [("三个红色的苹果", 3, None)], ["三个"], None),
        ("a purple banana and an owl", Scene("two", (Item("banana", "purple"), OWL)),
         [("a purple banana", 1, None), ("an owl", 1, None)], ["purple", "paint purple"], None),
        ("两根紫色的香蕉", Scene("counting", (Item("banana", "purple", 2),)),
         [("两根紫色的香蕉", 2, None)], ["两根", "purple", "paint 紫色"], None),
        ("one blue pear", Scene("colour", (Item("pear", "blue"),)),
         [("one blue pear", 1, None)], ["one", "blue", "paint blue"], None),
        ("绿色背景上的猫", Scene("single", (CAT,), None, "green"),
         [("绿色背景上的猫", 1, None)], ["绿色", "背景上"], None),
    ],
)  # fmt: skip
def test_labels(text, scene, things, drop, relation):
    found = understood(text, scene)
    assert found == {
        "things": things,
        "drop": drop,
        "relation": relation,
        "background": scene.background,
    }


@pytest.mark.parametrize(
    ("text", "background", "behind", "asked"),
    [
        ("a cat on a navy blue background", "navy blue",
         ["a navy blue background", "navy", "blue", "background"], "navy blue"),
        ("a cat, white background", "white", ["white background", "white", "background"], None),
        ("一只猫在浅绿色的背景上", "light green",
         ["浅绿色的背景上", "浅绿色", "背景上"], "light green"),
        ("a cat on a transparent backdrop", "transparent",
         ["a transparent backdrop", "transparent", "backdrop"], None),
    ],
)  # fmt: skip
def test_phrases_about_the_background_are_marked(text, background, behind, asked):
    cut, scene = pieces(text), Scene("single", (CAT,), None, background)
    found = parse(cut, facts(scene))
    assert found is not None
    marked = [cut[i].text for i, kind in enumerate(found.kinds) if kind is Kind.BACKGROUND]
    assert (marked, found.background) == (behind, asked)
    assert understood(text, scene)["things"] == [(cut[1].text, 1, None)]


def test_a_word_shared_with_a_thing_is_not_marked_as_background():
    cut = pieces("a red apple on a red background")
    found = parse(cut, facts(Scene("single", (Item("apple", "red"),), None, "red")))
    assert found is not None
    assert found.kinds[[piece.text for piece in cut].index("red")] is Kind.OTHER


def test_a_caption_of_a_single_icon_names_one_thing():
    cut = pieces("cat with wry smile")
    found = parse(cut, {"label": "cat with wry smile"})
    assert found is not None
    assert found.kinds[0] is Kind.THING
    assert set(found.kinds[1:]) == {Kind.OTHER}
    assert (found.relation, found.background) == (None, None)


def test_a_recoloured_icon_is_one_thing_with_that_tint():
    for text in ("turquoise owl", "a turquoise owl", "青绿色的猫头鹰"):
        cut = pieces(text)
        found = parse(cut, {"label": "turquoise owl", "colour": "turquoise"})
        assert found is not None
        assert (found.kinds[0], TINTS[found.tints[0]]) == (Kind.THING, "turquoise")
        said = [cut[i].text for i, kind in enumerate(found.kinds) if kind is Kind.TINT]
        assert said in (["turquoise"], ["青绿色"])


def test_every_caption_of_every_scene_is_parsed():
    recolourable = {name: list(COLOURS)[:6] for name in THINGS}
    for number in range(300):
        scene = plan(3, number, recolourable)
        for caption in captions(scene):
            found = understood(caption.text, scene)
            counts = [count for _, count, _ in found["things"]]
            assert sorted(counts) == sorted(item.count for item in scene.items), caption.text


def test_the_relation_follows_the_order_of_the_words():
    scene = Scene("position", (CAT, OWL), "left")
    for text in english(scene):
        found = understood(text, scene)
        first = "cat" in found["things"][0][0]
        assert found["relation"] == ("left" if first else INVERSE["left"]), text


def test_a_thing_that_no_piece_names_makes_the_parse_unknown():
    assert parse(pieces("a dog"), facts(Scene("single", (CAT,)))) is None
