"""Which names are taken for which things, with the real text encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.models.concepts import ConceptIndex
from limner.text import load_encoder
from limner.training import concept_index
from limner.training.concept_index import index_concepts

CONCEPTS = {
    # label: pictures by style, captions
    "sailboat": (("ink", "oil", "oil"), [("en", "sailboat", 1.0), ("en", "boat", 0.33)]),
    "boat anchor": (("ink",), [("en", "boat anchor", 1.0), ("en", "boat", 0.3)]),
    "fleur-de-lis": (("oil",), [("en", "fleur-de-lis", 1.0), ("en", "knight", 0.58)]),
    "automobile": (("ink",), [("en", "automobile", 1.0), ("en", "car", 0.43),
                              ("es", "coche", 0.25), ("fi", "auto", 0.1), ("en", "a car", 0.3),
                              ("en", "automobile icon", 0.3)]),
    "check mark": (("ink", "print"), [("en", "check mark", 1.0), ("fr", "coche", 0.25)]),
    "dog": (("oil", "ink"), [("en", "dog", 1.0), ("zh", "狗", 1.0), ("en", "hound", 0.04)]),
}  # fmt: skip
INSTANCES = {"dog": ["hound", "labrador", "car"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    place = tmp_path_factory.mktemp("names") / "store"
    with StoreWriter(place, 16, "names", licences={"made-up": "CC0-1.0"}) as writer:
        for number, (label, (styles, captions)) in enumerate(CONCEPTS.items()):
            for style in styles:
                facts = {"id": f"{label}-{writer.consumed}", "label": label, "style": style,
                         "concept": str(number), "group": "all" if number < 5 else "animals",
                         "instances": INSTANCES.get(label, [])}  # fmt: skip
                words = [Caption(text, lang, weight) for lang, text, weight in captions]
                # The style "ink" draws in black only, "print" in one blue, "oil" in any colour.
                any_colour = (200, number, 0) if number % 2 else (0, 200, number)
                ink = {"ink": (number,) * 3, "print": (20, 60, 220), "oil": any_colour}[style]
                writer.add(np.full((16, 16, 3), ink, np.uint8), words, facts)
        return writer.finish()


@pytest.fixture(scope="module")
def index(store: Store) -> ConceptIndex:
    return index_concepts(store, load_encoder("e5-small"), styles=("oil", "ink", "print"))


def caption(index: ConceptIndex, text: str) -> str | None:
    found = index.named(text)
    return None if found is None else found.caption


def test_a_name_is_that_of_the_thing_that_it_says_most_of(index):
    assert caption(index, "boat") == "sailboat"  # of more pictures, and nearer in meaning
    assert caption(index, "car") == caption(index, "auto") == "automobile"
    assert caption(index, "coche") == "automobile"  # of two languages' words the more telling
    assert caption(index, "a dog") == caption(index, "狗") == "dog"


def test_keywords_and_phrases_around_names_are_no_names(index):
    assert caption(index, "knight") is None
    assert "a car" not in index.names and "automobile icon" not in index.names


def test_instances_are_what_no_thing_is_called(index):
    found = index.named("labrador")
    assert (found.caption, found.instance) == ("dog", True)
    assert not index.named("car").instance
    assert index.named("hound") is None  # a keyword of a dog


def test_what_stands_for_too_many_things_stands_for_none(store, monkeypatch):
    monkeypatch.setattr(concept_index, "MOST_INSTANCES", len(INSTANCES["dog"]) - 1)
    few = index_concepts(store, load_encoder("e5-small"))
    assert few.named("labrador") is None
    assert few.named("dog").caption == "dog"


def test_things_are_drawn_in_colour_where_they_have_such_pictures(index):
    assert index.styles_of(["sailboat"]) == [0]
    assert index.styles_of(["automobile"]) == [1]
    assert not index.lacks("sailboat", 1) and index.lacks("sailboat", 2)
    assert index.captions[0] == "sailboat"  # that of the most pictures


def test_a_style_of_one_colour_is_not_preferred_to_others(index):
    assert index.coloured.tolist() == [True, False, False]
    assert index.styles_of(["check mark"]) == [1, 2]
    assert index.colours_of(index.captions.index("check mark")) == 0


def test_filters_and_keys_choose_concepts(store):
    encoder = load_encoder("e5-small")
    animals = index_concepts(store, encoder, filters={"group": ["animals"]})
    assert animals.captions == ("dog",) and animals.styles.sum() == 2
    assert len(animals.styles_of(["dog"])) == 1, "in colour"
    assert set(index_concepts(store, encoder, keys={"1", "4"}).captions) == {
        "boat anchor", "check mark"
    }  # fmt: skip


def test_where_there_are_no_concepts_every_caption_is_one(tmp_path: Path):
    with StoreWriter(tmp_path / "own", 16, "own", licences={"me": "CC0-1.0"}) as writer:
        for text in ("grandma", "our garden", "grandma"):
            writer.add(np.zeros((16, 16, 3), np.uint8), [Caption(text)], {"id": text})
        own = writer.finish()
    index = index_concepts(own, load_encoder("e5-small"))
    assert set(index.captions) == {"grandma", "our garden"}
    assert caption(index, "grandma") == "grandma"
    assert index.styles is None


def test_the_concentration_of_hues_is_their_mean_resultant_length():
    """Hues stand 120 degrees apart for red, green and blue, and 60 for red and yellow."""

    def of(*colours: tuple[int, int, int]) -> float:
        pixels = np.array([colours], np.int16)[:, None]  # (1, 1, N, 3)
        return concept_index._hue_concentration(pixels, np.ones(pixels.shape[:3], bool))

    red, green, blue, yellow = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
    assert of(red, (120, 20, 20)) == pytest.approx(1)
    assert of(red, green, blue) == pytest.approx(0, abs=1e-9)
    for pair in ((red, green), (green, blue), (blue, red)):
        assert of(*pair) == pytest.approx(0.5)
    assert of(red, yellow) == pytest.approx(np.cos(np.pi / 6))
    assert of(red, (90, 90, 90)) == pytest.approx(1), "grey has no hue"


def test_only_ink_counts_for_the_colours_of_a_style(tmp_path: Path):
    """Grey lines on paper with a tint have no colours, and few colourful pixels on white do."""

    def picture(paper: tuple[int, int, int], ink: tuple[int, int, int]) -> np.ndarray:
        pixels = np.full((16, 16, 3), paper, np.uint8)
        pixels[4:6, 4:6] = ink
        return pixels

    with StoreWriter(tmp_path / "store", 16, "colours", licences={"made-up": "CC0-1.0"}) as writer:
        for number, hue in enumerate([(220, 20, 20), (20, 220, 20), (20, 20, 220)]):
            for style, pixels in [
                ("tinted", picture((255, 255, 241), (100, 100, 100))),
                ("small", picture((255, 255, 255), hue)),
            ]:
                facts = {"id": f"{style}-{number}", "style": style}
                writer.add(pixels, [Caption("thing", "en", 1.0)], facts)
        store = writer.finish()
    assert concept_index._coloured(store) == {"small"}
