"""Robustness: what perturbs prompts, and how far pictures move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rapidfuzz.distance import OSA

from icon_store import make_store
from limner.data.store import Store
from limner.errors import DataError
from limner.evaluation.concept_prompts import load_prompts
from limner.evaluation.drawing import draw_batches
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.parts.recall import assign_styles, icon_gallery
from limner.evaluation.perturbations import KINDS
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.generation.requests import DrawRequest
from limner.metrics.judge import load_judge
from limner.metrics.perceptual import perceptual_distance
from limner.models.settings import Settings

KEYS = {"e": "wrsd", "t": "ryfg", "a": "qsz", "o": "ipkl", "m": "njk"}
"""Neighbours of some letters on a keyboard, or more: rows are shifted by half a key."""


@pytest.mark.parametrize("kind", ["neighbouring key", "swapped letters", "dropped letter"])
def test_a_misspelling_is_one_edit_of_a_long_word(kind: str):
    perturbed = {KINDS[kind]("a red tomato", number) for number in range(40)}
    assert len(perturbed) > 4
    for text in perturbed:
        assert text.startswith("a red ") and OSA.distance("a red tomato", text) == 1
        changed = text.split()[-1]
        if kind == "swapped letters":
            assert sorted(changed) == sorted("tomato") and changed != "tomato"
        elif kind == "dropped letter":
            assert len(changed) == 5
        else:
            old, new = next(
                pair for pair in zip("tomato", changed, strict=True) if pair[0] != pair[1]
            )
            assert new in KEYS[old]
    assert KINDS[kind]("a red tomato", 3) == KINDS[kind]("a red tomato", 3)
    assert KINDS[kind]("西瓜", 3) == "西瓜" and KINDS[kind]("an ox", 3) == "an ox"


def test_other_ways_keep_the_words():
    said = {kind: change("a red apple", 0) for kind, change in KINDS.items()}
    assert said["capitals"] == "A RED APPLE" and said["title case"] == "A Red Apple"
    assert said["word order"] == "apple red" and KINDS["word order"]("a cat", 0) == "a cat"
    assert "a red apple" in said["paraphrase"] and said["paraphrase"] != "a red apple"


class ByLight:
    """Pictures are as light as they are, and every text is of light."""

    spec, fingerprint, dim = "light", "0", 1

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None]

    def encode_texts(self, texts) -> torch.Tensor:
        return torch.ones(len(texts), 1)


def test_figures_are_those_of_pictures_drawn_with_the_same_seed(few: Store, few_model):
    generator = load(few_model)
    options = EvaluationOptions(
        languages=("en", "zh"), perturbed=3, command="a test", aligner=ByLight()
    )
    part = evaluate(generator, few, "robustness", options).part("robustness")
    kinds = {figure.key.partition(": ")[0] for figure in part.figures}
    assert {"capitals", "in zh"} <= kinds <= {*KINDS, "in zh"} and "in en" not in kinds
    assert part.protocol["perturbed"] == 3

    texts, plan = {}, few_plan(generator, few)
    for number, prompt, target, _ in plan:
        texts[number] = (prompt.texts["en"], prompt.texts["zh"], target.style)
    pictures = [
        torch.cat([
            images for images, _ in draw_batches(generator, [
                DrawRequest(each[which], number, Settings(style=each[2]))
                for number, each in texts.items()
            ])
        ])
        for which in (0, 1)
    ]  # fmt: skip
    moved = perceptual_distance(*pictures, load_judge().layers)
    figure = part.figure("in zh: distance")
    assert figure.value == pytest.approx(moved.mean().item(), rel=1e-5) and figure.value > 0
    others = perceptual_distance(pictures[0], pictures[0].roll(-1, 0), load_judge().layers)
    assert figure.lower_bound == pytest.approx(others.mean().item(), rel=1e-5)
    assert figure.direction == "lower" and figure.count == 3
    lighter = (pictures[1].mean() - pictures[0].mean()).item()
    figure = part.figure("in zh: change of score")
    assert figure.value == pytest.approx(lighter, abs=1e-5) and abs(lighter) > 1e-4
    assert figure.direction == "higher"


def few_plan(generator, store: Store):
    plan = assign_styles(load_prompts(), generator.styles, icon_gallery(store))
    chosen = sorted(np.random.default_rng(0).permutation(len(plan))[:3].tolist())
    return [plan[row] for row in chosen]


def test_a_store_without_concepts_is_refused(few_model, tmp_path):
    nameless = make_store(tmp_path / "nameless", ["1F34E"], told=False)
    with pytest.raises(DataError, match="which concept"):
        evaluate(load(few_model), nameless, "robustness")
