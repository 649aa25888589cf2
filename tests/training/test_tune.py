from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from limner.cli import build_app
from limner.errors import RecipeError, TrainingError, UsageError
from limner.files import locked
from limner.training.recipe import load_recipe
from limner.training.tune import JOURNAL, LOCK, Outcome, read_space, read_spaces, table, tune
from limner.training.validation import METRICS, metric
from optional_modules import needed
from runs import after_lines

needed("optuna")

SPACES = ["train.lr=log:1e-5..1e-1", "model.width=[2, 4]"]


@pytest.fixture
def short(recipe):
    data = {**recipe().data.model_dump(), "holdout": 0.3, "augment": {}}
    settings = {"steps": 6, "schedule": "constant", "warmup_steps": 0, "ema": 0.0, "accumulate": 1}
    stop = {"metric": "loss/pixels", "patience": None, "every": 0.34}
    return recipe({**settings, "stop": stop}, data=data)


def test_a_search_finds_goes_on_and_writes_a_recipe(short, tmp_path):
    out, lines = tmp_path / "search", []
    first = tune(short, read_spaces(SPACES), out, minutes=5, trials=3, note=lines.append)
    assert [row["trial"] for row in first.trials] == [0, 1, 2]
    assert len(lines) == 3
    with pytest.raises(TrainingError, match="already holds a search; pass --resume"):
        tune(short, read_spaces(SPACES), out, minutes=5)
    with pytest.raises(TrainingError, match="begun with other space values"):
        tune(short, read_spaces(SPACES[:1]), out, minutes=5, resume=True)
    found = tune(short, read_spaces(SPACES), out, minutes=5, trials=6, resume=True)
    assert found.trials[:3] == first.trials
    assert len(found.trials) == 6
    ended = {row["trial"]: row["value"] for row in found.trials if row["state"] == "complete"}
    assert found.best == min(ended, key=ended.__getitem__)
    # What was compared is what the run's own log says.
    log = out / "trials" / f"{found.best:04d}" / "log.jsonl"
    looks = [json.loads(line) for line in log.read_text().splitlines() if '"held_out"' in line]
    values = [look["held_out"]["loss/pixels"] for look in looks if look.get("event") == "held_out"]
    assert min(values) == ended[found.best]
    best = load_recipe(found.recipe)
    settings = found.trials[found.best]["settings"]
    assert best.train.lr == settings["train.lr"]
    assert best.model["width"] == settings["model.width"]
    assert json.loads((out / "trials.json").read_text())["trials"] == found.trials


def test_hopeless_trials_end_early(short, tmp_path):
    # Rates of nearly nothing and of something; whoever lags at two thirds is pruned.
    spaces = read_spaces(["train.lr=[1e-9, 5e-2]"])
    found = tune(short, spaces, tmp_path / "s", minutes=5, trials=12)
    states = {row["state"] for row in found.trials}
    assert states == {"complete", "pruned"}
    pruned = [row for row in found.trials if row["state"] == "pruned"]
    assert {row["settings"]["train.lr"] for row in pruned} == {1e-9}
    assert found.trials[found.best]["settings"]["train.lr"] == 5e-2


def test_a_failing_trial_is_recorded_and_the_rest_goes_on(short, tmp_path):
    spaces = read_spaces(["model.poison=[0.3, 2.0]"])
    found = tune(short, spaces, tmp_path / "s", minutes=5, trials=5)
    by_poison = {row["settings"]["model.poison"]: row for row in found.trials}
    assert by_poison[0.3]["state"] == "fail"
    assert "no longer a number" in by_poison[0.3]["failure"]
    assert found.trials[found.best]["settings"]["model.poison"] == 2.0


def test_minutes_are_kept(short, tmp_path):
    long = short.model_copy(update={"train": short.train.model_copy(update={"steps": 10**6})})
    found = tune(long, read_spaces(SPACES), tmp_path / "s", minutes=0.05)
    assert len(found.trials) == 1
    assert found.trials[0]["state"] != "complete"


def test_the_first_trial_is_run_even_where_no_time_is_left_for_it(short, tmp_path):
    found = tune(short, read_spaces(SPACES), tmp_path / "s", minutes=1e-12)
    assert [row["trial"] for row in found.trials] == [0]


def test_the_command(short, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump(short.model_dump(mode="json")))
    out = tmp_path / "search"
    words = ["tune", file, "train.steps=3", "--space", SPACES[0], "--minutes", 5, "--trials", 2,
             "--out", out]  # fmt: skip
    result = CliRunner().invoke(build_app(), [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert Path(result.stdout.splitlines()[-1]) == out / "best.yaml"
    assert result.stdout.count("loss/pixels") == 2
    trained = CliRunner().invoke(
        build_app(), ["train", str(out / "best.yaml"), "--out", str(tmp_path / "r"), "--quiet"]
    )
    assert trained.exit_code == 0, trained.output


def test_a_search_without_a_completed_trial_is_an_error(short, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump(short.model_dump(mode="json")))
    out = tmp_path / "search"
    words = ["tune", file, "--space", "model.poison=[0.1, 0.2]", "--trials", 2, "--out", out,
             "--quiet"]  # fmt: skip
    result = CliRunner().invoke(build_app(), [str(word) for word in words])
    assert result.exit_code == 2
    assert "no trial was completed" in result.stderr
    assert "no longer a number" in result.stderr
    assert len(json.loads((out / "trials.json").read_text())["trials"]) == 2
    assert not (out / "best.yaml").exists()


@pytest.mark.parametrize("higher", [False, True])
def test_the_table_has_the_best_first_in_either_direction(higher):
    rows = [
        {"trial": n, "state": state, "value": value, "seconds": 1.0, "settings": {}}
        for n, (state, value) in enumerate(
            [("complete", 2.0), ("fail", None), ("complete", 3.0), ("pruned", 9.0),
             ("complete", 1.0), ("pruned", 0.5)]
        )
    ]  # fmt: skip
    shown = table(Outcome("m", higher, rows, 2 if higher else 4, None))
    order = [int(line.split()[1]) for line in shown]
    assert order == ([2, 0, 4, 3, 5, 1] if higher else [4, 0, 2, 5, 3, 1])


def test_higher_is_better_where_the_metric_says_so(short, tmp_path):
    @metric("tests-rate", higher=True)
    def rate(found):
        return float(sum(p.abs().sum() for p in found.model.parameters()))

    try:
        stop = short.train.stop.model_copy(update={"metric": "tests-rate"})
        section = short.train.model_copy(update={"stop": stop})
        changed = short.model_copy(update={"train": section})
        found = tune(changed, read_spaces(["train.lr=[1e-6, 0.5]"]), tmp_path / "s", minutes=5,
                     trials=4)  # fmt: skip
        values = [row["value"] for row in found.trials if row["state"] == "complete"]
        assert found.trials[found.best]["value"] == max(values) > min(values)
    finally:
        del METRICS["tests-rate"]


def test_two_searches_do_not_share_a_folder(short, tmp_path):
    out = tmp_path / "s"
    out.mkdir()
    lock = out / f"{JOURNAL}.lock"
    lock.write_text("of a search at work")
    refused = pytest.raises(TrainingError, match=rf"in use by process {os.getpid()} on")
    with locked(out / LOCK, TrainingError, "the search"), refused:
        tune(short, read_spaces(SPACES), out, minutes=5, trials=1)
    assert lock.exists()
    tune(short, read_spaces(SPACES), out, minutes=5, trials=1)


def test_ctrl_c_ends_the_search_which_can_be_resumed(short, tmp_path):
    out = tmp_path / "s"
    long = short.model_copy(update={"train": short.train.model_copy(update={"steps": 10**5})})

    with after_lines(2, lambda: signal.raise_signal(signal.SIGINT)):
        found = tune(long, read_spaces(SPACES), out, minutes=5, trials=3)
    assert [(row["state"], row["failure"]) for row in found.trials] == [
        ("fail", "it was interrupted")
    ]
    assert found.best is None
    assert (out / "trials" / "0000" / "model.safetensors").exists()


def test_spaces():
    lr = read_space("train.lr=log:1e-4..1e-2")
    assert (lr.key, lr.low, lr.high, lr.log) == ("train.lr", 1e-4, 1e-2, True)
    width = read_space("model.width = 8..64")
    assert (width.low, width.high, width.log) == (8, 64, False)
    assert isinstance(width.low, int) and isinstance(width.high, int)
    assert read_space("train.optimizer=[adamw, muon]").choices == ("adamw", "muon")
    assert read_space("train.ema=0.5..0.9").high == 0.9


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "say what to search"),
        (["train.lr"], "write key=low..high"),
        (["train.lr=3"], "give low..high"),
        (["train.lr=[3]"], "give low..high"),
        (["train.lr=2..1"], "the range must rise"),
        (["train.lr=log:0..1"], "from above 0"),
        (["train.lr=a..b"], "'a' is no number"),
        (["a=1..2", "a=1..3"], "a is given twice"),
    ],
)
def test_bad_spaces_are_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        read_spaces(texts)


def test_keys_that_are_not_there_are_refused_at_once(short, tmp_path):
    with pytest.raises(RecipeError, match=r"unknown key 'train.lrr'; did you mean"):
        tune(short, read_spaces(["train.lrr=1..2"]), tmp_path / "s", minutes=1)
    assert not (tmp_path / "s").exists()
