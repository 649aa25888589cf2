"""Words shared by several concepts, against the formula worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limner.data.store import Caption, CaptionTable
from limner.data.writer import StoreWriter
from limner.errors import RecipeError
from limner.training.disambiguation import disambiguate
from limner.training.loop import train
from limner.training.session import disambiguate_captions, encode_captions, open_session

# Unit vectors in a plane, so that every cosine is the cosine of a difference of angles.
ANGLES = {"automobile": 0, "taxi": 60, "racing car": 90, "car": 10, "wheels": 45}
TEXTS = list(ANGLES)
POOLED = torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))]
                       for a in ANGLES.values()])  # fmt: skip


def table(*pictures: dict[str, float], second: tuple[str, ...] = ()) -> CaptionTable:
    """Captions in one language, but for the texts in ``second``."""
    rows = [(TEXTS.index(text), weight) for each in pictures for text, weight in each.items()]
    return CaptionTable(
        texts=TEXTS,
        offsets=np.cumsum([0, *map(len, pictures)]).astype(np.int64),
        text_index=np.array([text for text, _ in rows], np.int64),
        weight=np.array([weight for _, weight in rows], np.float32),
        lang=np.array([TEXTS[text] in second for text, _ in rows], np.int64),
        languages=("en", "de"),
    )


def chances(cosines: list[float], temperature: float) -> list[float]:
    powers = [math.exp(c / temperature) for c in cosines]
    return [p / sum(powers) for p in powers]


def cosine(a: str, b: str) -> float:
    return math.cos(math.radians(ANGLES[a] - ANGLES[b]))


CARS = ({"automobile": 1.0, "car": 0.1}, {"taxi": 1.0, "car": 0.1}, {"racing car": 1.0, "car": 0.1})


def test_a_shared_word_goes_to_the_nearest_concept():
    changed = disambiguate(table(*CARS), ["auto", "taxi", "race"], POOLED, 0.3)
    share = chances([cosine("car", name) for name in ("automobile", "taxi", "racing car")], 0.3)
    assert share[0] > share[1] > share[2]
    expected = [1.0, 0.1 * 3 * share[0], 1.0, 0.1 * 3 * share[1], 1.0, 0.1 * 3 * share[2]]
    np.testing.assert_allclose(changed.weight, expected, rtol=1e-5)


def test_only_the_weights_change_and_the_given_table_does_not():
    before = table(*CARS)
    changed = disambiguate(before, ["auto", "taxi", "race"], POOLED, 0.3)
    np.testing.assert_array_equal(before.weight, table(*CARS).weight)
    assert changed.texts == before.texts
    np.testing.assert_array_equal(changed.text_index, before.text_index)
    np.testing.assert_array_equal(changed.offsets, before.offsets)


def test_the_length_of_the_vectors_does_not_count():
    scaled = POOLED * torch.tensor([[1.0], [7.0], [0.2], [3.0], [1.0]])
    keys = ["auto", "taxi", "race"]
    plain = disambiguate(table(*CARS), keys, POOLED, 0.3).weight
    np.testing.assert_allclose(disambiguate(table(*CARS), keys, scaled, 0.3).weight, plain, 1e-5)


def test_pictures_of_one_concept_share_no_word():
    """The same concept in two styles owns its words twice; nothing is to be decided."""
    before = table(CARS[0], CARS[0])
    np.testing.assert_array_equal(
        disambiguate(before, ["auto", "auto"], POOLED, 0.3).weight, before.weight
    )


def test_pictures_without_a_concept_keep_their_weights_and_claim_nothing():
    before = table(*CARS)
    changed = disambiguate(before, [None, "taxi", "race"], POOLED, 0.3)
    share = chances([cosine("car", name) for name in ("taxi", "racing car")], 0.3)
    expected = [1.0, 0.1, 1.0, 0.1 * 2 * share[0], 1.0, 0.1 * 2 * share[1]]
    np.testing.assert_allclose(changed.weight, expected, rtol=1e-5)


def test_the_heaviest_caption_of_each_language_is_a_name_and_the_nearest_name_counts():
    pictures = ({"taxi": 1.0, "automobile": 0.2, "car": 0.1}, {"racing car": 1.0, "car": 0.1})
    keys = ["taxi", "race"]
    changed = disambiguate(table(*pictures, second=("automobile",)), keys, POOLED, 0.3)
    share = chances([cosine("car", "automobile"), cosine("car", "racing car")], 0.3)
    assert changed.weight[2] == pytest.approx(0.1 * 2 * share[0], rel=1e-5)
    changed = disambiguate(table(*pictures), keys, POOLED, 0.3)
    share = chances([cosine("car", "taxi"), cosine("car", "racing car")], 0.3)
    assert changed.weight[2] == pytest.approx(0.1 * 2 * share[0], rel=1e-5)


def test_no_word_outgrows_the_heaviest_caption_of_its_picture():
    """The name of one concept is a keyword of another: it leaves there, and stays as it is here."""
    pictures = ({"car": 1.0, "automobile": 0.9}, {"racing car": 1.0, "car": 0.8})
    changed = disambiguate(table(*pictures), ["auto", "race"], POOLED, 0.01)
    np.testing.assert_allclose(changed.weight, [1.0, 0.9, 1.0, 1e-6], atol=1e-5)


def test_no_word_grows_more_than_fourfold():
    names = ("automobile", "taxi", "racing car")
    # Six concepts share "wheels", one of them much nearer than the others.
    pictures = [{names[i % 3]: 1.0, "wheels": 0.1} for i in range(6)]
    keys = [f"{names[i % 3]} {i}" for i in range(6)]
    changed = disambiguate(table(*pictures), keys, POOLED, 0.3)
    share = chances([cosine("wheels", names[i % 3]) for i in range(6)], 0.3)
    np.testing.assert_allclose(changed.weight[1::2], [0.1 * 4 * s for s in share], rtol=1e-5)


def test_a_hopeless_word_keeps_a_trace():
    """A weight of zero would make a picture with that one caption unlearnable."""
    pictures = ({"automobile": 1.0, "car": 0.1}, {"racing car": 1.0, "car": 0.1})
    changed = disambiguate(table(*pictures), ["auto", "race"], POOLED, 0.001)
    assert changed.weight[1] == pytest.approx(0.2, rel=1e-4)
    assert changed.weight[3] == np.float32(1e-6)


@pytest.fixture
def two_reds(tmp_path):
    """Two concepts whose names are "red" and "blue"; both have the caption "a red flag"."""
    writer = StoreWriter(tmp_path / "two", 16, "two")
    for number, name in enumerate(("red", "blue")):
        captions = [Caption(name), Caption("a red flag", weight=0.1)]
        picture = np.full((16, 16, 3), 90 * number, np.uint8)
        writer.add(picture, captions, {"id": name, "concept": name})
    writer.finish()
    return str(tmp_path / "two")


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_a_recipe_switches_it_on(recipe, two_reds, temperature):
    session = open_session(recipe(data={"store": two_reds, "disambiguate": temperature}))
    before = session.pictures.captions.weight.copy()
    table = encode_captions(session)
    disambiguate_captions(session, table)
    after = session.pictures.captions.weight
    if not temperature:
        np.testing.assert_array_equal(after, before)
        return
    pooled = session.encoder.encode(["a red flag", "red", "blue"]).pooled
    cosines = torch.nn.functional.cosine_similarity(pooled[:1], pooled[1:])
    share = chances(cosines.tolist(), temperature)
    np.testing.assert_allclose(after, before * [1, 2 * share[0], 1, 2 * share[1]], rtol=1e-4)


def test_a_run_learns_from_the_shared_out_words(recipe, two_reds, tmp_path):
    def weights(temperature):
        data = {"store": two_reds, "disambiguate": temperature}
        out = tmp_path / f"run{temperature}"
        return train(recipe({"steps": 8}, data=data), out, quiet=True).read_bytes()

    from safetensors.torch import load

    one, other = load(weights(0.0)), load(weights(0.01))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_without_concepts_there_is_nothing_to_decide(recipe, tmp_path):
    writer = StoreWriter(tmp_path / "bare", 16, "bare")
    writer.add(np.zeros((16, 16, 3), np.uint8), [Caption("red")], {"id": "0"})
    writer.finish()
    session = open_session(recipe(data={"store": str(tmp_path / "bare"), "disambiguate": 0.01}))
    with pytest.raises(RecipeError, match=r"data\.disambiguate: no picture has a 'concept'"):
        disambiguate_captions(session, encode_captions(session))
