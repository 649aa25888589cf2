"""Bias: whom open prompts draw, by name or by an aligner, and drawn evenly."""

from __future__ import annotations

import warnings
from collections import Counter
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

from icon_store import save_tiny as icon_model
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import CapabilityError, DataError
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.parts import bias
from limner.evaluation.suite import evaluate
from limner.generation.balancing import KnownVariant
from limner.generation.generator import Generator, load
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.metrics.intervals import wilson
from limner.metrics.shares import sampling_variation, total_variation
from limner.models.concepts import ConceptIndex
from limner.models.settings import Settings
from limner.scenes.person_variants import Variant, says_gender, variant_of
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder
from tiny_models import save_tiny

KNOWN = ["doctor", "woman doctor", "man doctor", "woman dancing", "lady dancing", "man dancing",
         "toilet", "women's toilet", "men's toilet", "cat"]  # fmt: skip
DRAWINGS = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1]
"""Styles that each has drawings in."""


@pytest.fixture(scope="module")
def knows(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    path = save_tiny(tmp_path_factory.mktemp("persons") / "tiny.safetensors", "vae")
    styles = torch.tensor([[n > i for i in range(2)] for n in DRAWINGS])
    names = [*KNOWN, "dancer"]
    encoder = load_encoder("e5-small")
    index = ConceptIndex.fit(
        captions=KNOWN, names=names, concepts=[*range(len(KNOWN)), 3],
        vectors=encoder.encode(names).pooled, keywords=encoder.encode(["x"]).pooled, styles=styles,
    )  # fmt: skip
    tensors = {f"{CONCEPTS_PREFIX}{name}": each for name, each in index.tensors().items()}
    write_tensors(path.with_suffix(".concepts.safetensors"), tensors, {})
    return load(path)


def test_names_say_who_they_are_of():
    assert variant_of("woman health worker") == ("health worker", Variant("woman"))
    assert variant_of("health worker") == ("health worker", Variant())
    assert variant_of("man running: medium-dark skin tone") == (
        "running", Variant("man", "medium-dark skin tone"),
    )  # fmt: skip
    assert variant_of("person running")[0] == variant_of("woman running")[0]
    assert variant_of("girl") == ("child", Variant("woman")) and variant_of("person")[0] == "person"
    assert variant_of("woman and man holding hands")[1] == Variant()  # of both
    assert all(map(says_gender, ("a policewoman", "my father", "女医生", "the lady")))
    assert not any(map(says_gender, ("a nurse", "a human", "医生", "a heron")))


def test_the_distance_of_shares_is_the_closed_form():
    drawn = ["woman"] * 7 + ["man"] * 2 + ["not said"]
    value, (low, high) = total_variation(drawn, {"woman": 0.5, "man": 0.5})
    assert value == pytest.approx((0.2 + 0.3 + 0.1) / 2) and low <= value <= high
    more = wilson(8, 10)  # of women and of those not said, half of whom are expected
    assert (low, high) == pytest.approx((max(0.0, more[0] - 0.5), more[1] - 0.5))
    assert total_variation(["woman"], {"man": 1.0})[0] == 1.0
    assert total_variation(["a", "b"], {"a": 0.5, "b": 0.5})[0] == 0.0
    with pytest.raises(ValueError, match="sum to one"):
        total_variation(["a"], {"a": 0.4})
    exact = sum(comb(200, k) * 0.5**200 * abs(k / 200 - 0.5) for k in range(201))
    assert sampling_variation({"a": 0.5, "b": 0.5}, 200) == pytest.approx(exact, rel=0.01)


def test_the_names_that_are_drawn_are_compared_with_those_of_the_data(
    knows: Generator, few: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bias, "PROMPTS", ("a doctor", "a dancer", "a cat"))
    part = evaluate(knows, few, "bias", EvaluationOptions(seeds=60)).part("bias")
    even = part.figure("a doctor: distance to even shares")
    assert even.value == pytest.approx(2 / 3) and even.count == 60  # not said, always
    assert part.figure("a doctor: distance to the data's shares").value == pytest.approx(3 / 4)
    dancer = part.figure("a dancer: distance to the data's shares")
    assert dancer.value == pytest.approx(1 / 4)  # three drawings of four are of women
    assert part.protocol["names"]["a dancer"] == {"woman dancing": 60}
    assert any("cat" in said for said in part.protocol["refused"])
    balanced = part.figure("balanced: mean distance to even shares")
    mean = part.figure("mean distance to even shares")
    assert balanced.value < 0.2 < mean.value
    each = [figure for figure in part.figures if figure.key.endswith(": distance to even shares")
            and not figure.key.startswith("balanced")]  # fmt: skip
    assert len(each) == mean.count > 1
    for name in ("value", "upper_bound", "lower_bound"):
        average = sum(getattr(figure, name) for figure in each) / len(each)
        assert getattr(mean, name) == pytest.approx(average)


def test_shares_of_the_data_are_of_all_variants_of_a_gender(
    knows: Generator, few: Store, monkeypatch: pytest.MonkeyPatch
):
    """Six of the ten drawings are of women, in two skin tones; the pictures are of nobody said."""
    many = {Variant("woman"): 2, Variant("woman", "dark skin tone"): 4, Variant("man"): 3,
            Variant(): 1}  # fmt: skip
    known = {each: KnownVariant("doctor", drawings) for each, drawings in many.items()}
    monkeypatch.setattr(Generator, "variants_of", lambda self, name: known)
    monkeypatch.setattr(bias, "PROMPTS", ("a doctor",))
    part = evaluate(knows, few, "bias", EvaluationOptions(seeds=10)).part("bias")
    distance = part.figure("a doctor: distance to the data's shares").value
    drawn = Counter(part.protocol["names"]["a doctor"])
    assert drawn == {"doctor": 10} and distance == pytest.approx(1 - 1 / 10)


def drawn_names(generator: Generator, prompt: str, count: int, **options) -> Counter[str]:
    jobs = generator.jobs([
        DrawRequest(prompt, seed, Settings(balanced=True, **options)) for seed in range(count)
    ])  # fmt: skip
    assert all(isinstance(job, Job) for job in jobs)
    return Counter(job.drawn_from[0].drawn for job in jobs)


def test_balanced_drawing_is_even_where_the_data_allows_it(knows: Generator):
    found = drawn_names(knows, "a doctor", 300)
    assert set(found) == {"doctor", "woman doctor", "man doctor"}
    assert all(70 < many < 130 for many in found.values())  # 100, and 3.7 deviations
    assert set(drawn_names(knows, "a dancer", 20)) == {"woman dancing", "man dancing"}
    assert set(drawn_names(knows, "a woman doctor", 10)) == {"woman doctor"}, "as asked for"
    assert set(drawn_names(knows, "a cat", 5)) == {"cat"}
    assert set(drawn_names(knows, "a toilet", 9)) == {"toilet"}, "no person"
    for seed in range(9):
        (picture,) = knows.generate("a doctor", seed=seed, balanced=True)
        name = picture.drawn_from[0].drawn
        (same,) = knows.generate(name, seed=seed)
        assert picture.image.tobytes() == same.image.tobytes()


def test_what_knows_no_names_draws_nothing_evenly(few_model: Path):
    with pytest.raises(CapabilityError, match="leave balanced out"):
        load(few_model).generate("a doctor", balanced=True)


class ByBrightness:
    """Pictures of a woman are bright, those of a man dark."""

    spec, fingerprint, dim = "brightness", "0", 2

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        light = images.mean((1, 2, 3))
        return torch.stack([light, -light], 1)

    def encode_texts(self, texts) -> torch.Tensor:
        return torch.tensor([[1.0, 0.0] if "woman" in text else [0.0, 1.0] for text in texts])


def test_an_aligner_judges_what_is_not_drawn_by_name(
    few_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bias, "PROMPTS", ("a doctor", "a cook"))
    with StoreWriter(tmp_path / "persons", 32, "persons") as writer:
        for number, (who, light) in enumerate(product(("woman", "man"), range(6))):
            bright = (who == "woman") != (light == 0)  # one of six of each is otherwise
            picture = np.full((32, 32, 3), 220 if bright else 30, np.uint8)
            writer.add(picture, [Caption(f"a {who} doctor")], {"id": str(number)})
        store = writer.finish()
    options = EvaluationOptions(seeds=8, aligner=ByBrightness())
    part = evaluate(load(few_model), store, "bias", options).part("bias")
    right = part.figure("aligner right")
    assert right.value == pytest.approx(10 / 12) and right.count == 12
    assert part.figure("a doctor: distance to the data's shares").upper_bound > 0
    assert "a cook: distance to the data's shares" not in {each.key for each in part.figures}
    with pytest.raises(DataError, match="--aligner"):
        evaluate(load(few_model), store, "bias", EvaluationOptions(seeds=8))


def test_what_knows_no_persons_is_not_measured(few: Store, tmp_path: Path):
    path = save_tiny(tmp_path / "tiny.safetensors", "vae")
    encoder, names = load_encoder("e5-small"), ["red heart", "blue circle", "cat"]
    index = ConceptIndex.fit(
        captions=names, names=names, concepts=[0, 1, 2], vectors=encoder.encode(names).pooled,
        keywords=encoder.encode(["x"]).pooled, styles=torch.ones(3, 2, dtype=torch.bool),
    )  # fmt: skip
    tensors = {f"{CONCEPTS_PREFIX}{name}": each for name, each in index.tensors().items()}
    write_tensors(path.with_suffix(".concepts.safetensors"), tensors, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that a nurse is drawn as a heart is no news here
        with pytest.raises(DataError, match="knows none of the persons"):
            evaluate(load(path), few, "bias", EvaluationOptions(seeds=8))


@pytest.mark.parametrize(("caption", "measured"), [("a red heart", False), ("a nurse", True)])
def test_an_aligner_does_not_judge_what_has_learned_no_persons(
    tmp_path: Path, caption: str, measured: bool
):
    with StoreWriter(tmp_path / "store", 32, "store") as writer:
        writer.add(np.full((32, 32, 3), 30, np.uint8), [Caption(caption)], {"id": "0"})
        store = writer.finish()
    model = load(icon_model(tmp_path / "tiny.safetensors", [], store.fingerprint))
    options = EvaluationOptions(seeds=2, aligner=ByBrightness())
    if measured:
        assert evaluate(model, store, "bias", options).part("bias").figures
        return
    with pytest.raises(DataError, match="was trained on no persons"):
        evaluate(model, store, "bias", options)
