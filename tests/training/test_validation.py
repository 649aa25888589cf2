from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limner.errors import RecipeError
from limner.modelfile import load_model
from limner.models.base import Batch
from limner.training.data import hold_out, open_pictures
from limner.training.loop import train
from limner.training.recipe import HoldoutSection, StopSection
from limner.training.validation import METRICS, EarlyStopping, ValidationPass, metric
from runs import killed_after, records, same


@pytest.fixture
def pictures(recipe):
    return open_pictures(recipe().data, "test.yaml")


def test_concepts_or_pictures_are_kept_apart(pictures):
    learnt, held = hold_out(pictures, HoldoutSection(share=0.25, by="concept"), "r")
    assert len(learnt) + len(held) == len(pictures)
    assert len(set(held.concepts())) == 1
    assert not set(held.concepts()) & set(learnt.concepts())
    learnt, held = hold_out(pictures, HoldoutSection(share=0.25), "r")  # four concepts: too few
    assert len(held) == 6
    places = {*zip(learnt.owner.tolist(), learnt.rows.tolist(), strict=True)}
    assert not places & {*zip(held.owner.tolist(), held.rows.tolist(), strict=True)}
    again = hold_out(pictures, HoldoutSection(share=0.25), "r")[1]
    assert np.array_equal(again.rows, held.rows)
    more = hold_out(pictures, HoldoutSection(share=0.5), "r")[1]
    assert set(held.rows.tolist()) < set(more.rows.tolist())


def test_captions_stay_with_their_pictures(pictures):
    learnt, held = hold_out(pictures, HoldoutSection(share=0.3), "r")
    for part in (learnt, held):
        assert part.captions.texts is pictures.captions.texts
        for number, (row, concept) in enumerate(zip(part.rows, part.concepts(), strict=True)):
            first, last = part.captions.offsets[number : number + 2]
            mine = [part.captions.texts[i] for i in part.captions.text_index[first:last]]
            assert mine == [concept, f"a {concept} flag", f"{concept}o"], row


def test_what_cannot_be_kept_apart_is_refused(pictures, recipe, tmp_path):
    with pytest.raises(RecipeError, match=r"data\.holdout: a share of 0\.99 of 4"):
        hold_out(pictures, HoldoutSection(share=0.99, by="concept"), "r")
    with pytest.raises(RecipeError, match=r"train\.stop needs held-out pictures"):
        train(recipe({"stop": {}}), tmp_path / "a", quiet=True)
    data = {**recipe().data.model_dump(), "holdout": 0.3}
    with pytest.raises(RecipeError, match=r"stop\.metric: there is no 'fidd'; choose from: .*loss"):
        train(recipe({"stop": {"metric": "fidd"}}, data=data), tmp_path / "b", quiet=True)
    with pytest.raises(RecipeError, match=r"the family cannot be measured by 'psnr'"):
        train(recipe({"stop": {"metric": "psnr"}}, data=data), tmp_path / "c", quiet=True)


def test_a_run_ends_when_nothing_gets_better_and_keeps_its_best(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    data = {**recipe().data.model_dump(), "holdout": 0.3, "augment": {}, "flip": False}
    stop = {"metric": "loss/pixels", "patience": 2, "every_steps": 3, "least": 0.02}
    settings = {"lr": 0.05, "steps": 900, "stop": stop, "schedule": "constant", "ema": 0.0}
    train(recipe(settings, data=data), out)
    looks = records(out, "held_out")
    values = [look["held_out"]["loss/pixels"] for look in looks]
    assert len(looks) < 300
    assert [look["step"] for look in looks] == [3 * (n + 1) for n in range(len(looks))]
    best = None
    bad = 0
    for value in values:  # patience, by hand
        assert bad < 2
        if best is None or value < best - 0.02:
            best, bad = value, 0
        else:
            bad += 1
    assert bad == 2
    info = load_model(out / "best.safetensors")[1]
    assert info.training["held_out"]["loss/pixels"] == best
    assert info.training["steps"] == 3 * (values.index(best) + 1)
    assert f"best at step {info.training['steps']}" in " ".join(capsys.readouterr().err.split())
    assert load_model(out / "model.safetensors")[1].training["finished"]
    assert set(looks[0]["held_out"]) == {"loss", "loss/pixels", "loss/fool", "loss/critic"}
    # The same run again stays ended; more patience goes on.
    train(recipe(settings, data=data), out, resume=True, quiet=True)
    assert records(out, "held_out") == looks
    settings["stop"] = {**stop, "patience": 3}
    train(recipe(settings, data=data), out, resume=True, quiet=True)
    assert len(records(out, "held_out")) > len(looks)


def test_resume_is_exact_with_held_out_pictures(recipe, tmp_path, commands):
    data = {**recipe().data.model_dump(), "holdout": {"share": 0.25, "by": "concept"}}
    settings = {"stop": {"every": 0.1, "patience": 50}, "steps": 20}
    train(recipe(settings, data=data), tmp_path / "whole", quiet=True)
    assert [r["step"] for r in records(tmp_path / "whole", "held_out")] == list(range(2, 21, 2))
    killed = tmp_path / "killed"
    often = settings | {"checkpoint_every_minutes": 1e-6}
    killed_after(commands, recipe(often, data=data), killed, "held_out", 3)
    train(recipe(settings, data=data), killed, resume=True, quiet=True)
    assert same(killed, tmp_path / "whole")
    assert same(killed, tmp_path / "whole", "best.safetensors")
    assert records(killed, "held_out") == records(tmp_path / "whole", "held_out")


def test_looking_changes_nothing_of_what_is_learnt(recipe, tmp_path):
    data = {**recipe().data.model_dump(), "holdout": 0.3}
    for name, every in (("often", 0.1), ("once", 1.0)):
        settings = {"steps": 10, "stop": {"every": every, "patience": None}}
        train(recipe(settings, data=data), tmp_path / name, quiet=True)
    assert same(tmp_path / "often", tmp_path / "once")


def test_other_metrics_sign_up_by_name(recipe, tmp_path):
    @metric("tests-brightness", higher=True)
    def brightness(found):
        return float(torch.cat([batch.images for batch in found.batches]).mean())

    try:
        data = {**recipe().data.model_dump(), "holdout": 0.3}
        stop = {"metric": "tests-brightness", "every": 0.5}
        train(recipe({"steps": 4, "stop": stop}, data=data), tmp_path / "run", quiet=True)
        values = [r["held_out"]["tests-brightness"] for r in records(tmp_path / "run", "held_out")]
        assert len(values) == 2
        assert values[0] == values[1]  # the same pictures, without augmentation
        with pytest.raises(ValueError, match="already"):
            metric("tests-brightness")(brightness)
    finally:
        del METRICS["tests-brightness"]


def test_figures_are_means_over_pictures_however_they_are_batched():
    """PSNR is 10 log10(2^2 / mse) of all of them; a likelihood is per number of a picture."""
    images = torch.linspace(-1, 1, 7 * 3 * 4 * 4).view(7, 3, 4, 4)

    class Fixed:
        def reconstruct(self, some):
            return 0.5 * some

        def log_likelihood(self, some, text, styles):
            return some.sum((1, 2, 3))

    found = []
    for sizes in ([7], [5, 2], [1, 3, 3]):
        batches = [
            Batch(part, None, torch.full((len(part),), -1), torch.Generator())
            for part in images.split(sizes)
        ]
        seen = ValidationPass(Fixed(), batches, {"a": 2.0, "b": 3.0}, {"b": 0.5})
        found.append([METRICS[name].measure(seen) for name in ("psnr", "likelihood", "loss")])
    mse = (0.5 * images).square().mean().item()
    for values in found:
        wanted = [10 * math.log10(4 / mse), images.mean().item(), 2 + 1.5]
        assert values == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_when_to_look():
    section, watch = StopSection(every=0.25, after=0.5), EarlyStopping()
    due = [n for n in range(1, 101) if watch.due(section, n, n / 100, 0.0)
           and watch.validated(section, n, n / 100, 0.0) is None]  # fmt: skip
    assert due == [50, 75, 100]
    minutes = StopSection(every_minutes=0.5)
    assert not EarlyStopping(seconds=10).due(minutes, 1, 0.0, 39.9)
    assert EarlyStopping(seconds=10).due(minutes, 1, 0.0, 40.0)
