"""Options chosen by measured quality and speed, and defaults that a model file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.store import Store
from limner.errors import CapabilityError, DataError, ModelFileError, UsageError
from limner.evaluation.drawing import draw_batches
from limner.generation.generator import load
from limner.generation.records import read_record
from limner.generation.replay import redraw, same_pixels
from limner.generation.requests import DrawRequest
from limner.improve.calibration import Calibration, Calibrator, Measured, choose
from limner.metrics.features import load_features
from limner.metrics.frechet import FrechetScore
from limner.modelfile import write_info
from limner.modelinfo import read_info
from limner.models.settings import Settings
from tiny_models import save_tiny


def measured(frechet: float, ms: float = 10.0, **more: Any) -> Measured:
    facts = {"precision": 0.5, "recall": 0.5, "win_rate": 0.7, "settings": {}, **more}
    return Measured(frechet=frechet, milliseconds=ms, **facts)


@pytest.mark.parametrize(
    ("tried", "taken"),
    [
        ([measured(1.0), measured(0.9)], 1),
        ([measured(1.0), measured(0.99)], 0),  # no more than chance
        ([measured(1.0), measured(1.01, 5.0)], 1),  # as good, and twice as fast
        ([measured(1.0), measured(1.01, 9.5)], 0),
        ([measured(1.0), measured(0.9, recall=0.4)], 0),
        ([measured(1.0), measured(0.9, win_rate=0.6)], 0),
        ([measured(1.0), measured(0.9, win_rate=None)], 1),
        ([measured(1.0), measured(0.8, 40.0), measured(0.81, 20.0), measured(0.9, 1.0)], 2),
        ([measured(1.0), measured(float("nan"))], 0),
    ],
)  # fmt: skip
def test_what_is_chosen(tried: list[Measured], taken: int):
    assert choose(tried, tried[0]) == taken


@pytest.mark.parametrize(
    ("after", "helps"),
    [
        (measured(0.9), True), (measured(1.01), False), (measured(1.01, 5.0), True),
        (measured(1.1, 1.0), False), (measured(0.9, win_rate=0.6), False),
        (measured(0.9, recall=0.3), False),
    ],
)  # fmt: skip
def test_the_other_half_decides_whether_it_helps(after: Measured, helps: bool):
    facts = dict.fromkeys(("model", "model_hash", "family", "store", "store_fingerprint"), "")
    found = Calibration(
        **facts, judge="", aligner="", trained_on_store=False, samples=64, trials=(),
        defaults={"guidance": 2.0}, before=measured(1.0), after=after,
    )  # fmt: skip
    assert found.helps is helps
    assert found.gain == pytest.approx(1 - after.frechet)
    assert not found.model_copy(update={"defaults": {}}).helps


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("flow") / "flow.safetensors", "flow", size=16)


@pytest.fixture(scope="module")
def calibrator(flow: Path, many: Store) -> Calibrator:
    return Calibrator(load(flow), many, samples=32)


def test_figures_are_those_of_the_evaluation(calibrator: Calibrator):
    half = calibrator._choosing
    found = calibrator._measure({"guidance": 3.0}, half)
    score = FrechetScore(half.gaussian, load_features("judge"))
    requests = [
        DrawRequest(prompt, seed, Settings(guidance=3.0))
        for seed, prompt in enumerate(half.prompts)
    ]
    for images, _ in draw_batches(calibrator.generator, requests):
        score.update(images)
    assert found.frechet == pytest.approx(score.compute()["fid"], rel=1e-6)
    assert found.win_rate is None and found.settings == {"guidance": 3.0}
    assert found.milliseconds > 0 and len(half.prompts) == 32


def test_the_halves_share_no_picture(calibrator: Calibrator):
    one, other = calibrator._choosing, calibrator._measuring
    seen = {tuple(row) for row in one.manifold.features.tolist()}
    assert seen.isdisjoint(tuple(row) for row in other.manifold.features.tolist())
    assert one.first_seed != other.first_seed


def test_what_is_tried_is_what_the_family_takes(calibrator: Calibrator):
    assert calibrator.options() == ["guidance", "steps"]
    with pytest.raises(CapabilityError, match="temperature"):
        calibrator.options(["temperature"])


def test_defaults_of_the_file_are_taken_recorded_and_drawn_again(flow: Path, tmp_path: Path):
    path = tmp_path / "own.safetensors"
    info = read_info(flow)
    write_info(flow, info.model_copy(update={"defaults": {"guidance": 4.0, "steps": 3}}), path)
    before, after = load(flow), load(path)
    (asked,) = before.generate("a cat", seed=5, guidance=4.0, steps=3)
    (found,) = after.generate("a cat", seed=5)
    assert found.image.tobytes() == asked.image.tobytes()
    assert (found.settings.guidance, found.settings.steps) == (4.0, 3)
    (other,) = after.generate("a cat", seed=5, guidance=1.0, steps=2)
    (plain,) = before.generate("a cat", seed=5, guidance=1.0, steps=2)
    assert other.image.tobytes() == plain.image.tobytes()
    file = found.save(tmp_path / "cat.png")
    assert read_record(file).settings.steps == 3
    assert same_pixels(file, redraw(file, path).image)
    assert "guidance 4" in CliRunner().invoke(build_app(), ["info", str(path)]).stdout
    for wrong in ({"truncation": 0.5}, {"guidance": 99.0}, {"size": 64}):
        write_info(flow, info.model_copy(update={"defaults": wrong}), path)
        with pytest.raises(ModelFileError, match="damaged or newer defaults"):
            load(path)


def test_what_cannot_be_calibrated_is_one_sentence(flow: Path, many: Store, few: Store):
    generator = load(flow)
    with pytest.raises(DataError, match="calibrating takes 48 or more"):
        Calibrator(generator, few)
    with pytest.raises(UsageError, match="too few to measure"):
        Calibrator(generator, many, samples=3)


def test_the_command(tiny_model: Path, many: Store, tmp_path: Path):
    out, page = tmp_path / "new.safetensors", tmp_path / "page.html"
    before = tiny_model.read_bytes()
    arguments = ["calibrate", str(tiny_model), "--data", str(many.path), "--samples", "24",
                 "--json", "--aligner", "none", "--options", "temperature", "--quiet"]  # fmt: skip
    done = CliRunner().invoke(build_app(), [*arguments, "--out", str(out), "--html", str(page)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (trial,) = found["trials"]
    assert trial["option"] == "temperature" and found["samples"] == 24
    values = {each["settings"].get("temperature") for each in trial["tried"]}
    assert {None, 0.5, 0.7} < values
    taken = trial["tried"][trial["chosen"]]["settings"]
    assert found["defaults"] == taken
    assert out.exists() == found["helps"] and tiny_model.read_bytes() == before
    if found["helps"]:
        assert read_info(out).defaults == taken
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") >= 2 and "Fréchet" in html
    for more, words in (
        (["--write", "--out", str(out)], "give one"),
        (["--options", "guidance"], "guidance"),
        (["--options", "colour"], "cannot be calibrated"),
    ):
        wrong = CliRunner().invoke(build_app(), [*arguments, *more])
        assert wrong.exit_code == 2 and words in wrong.stderr, wrong.output
