from __future__ import annotations

import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import training_tiny as tiny
from limner.cli import build_app
from waiting import wait_until


@pytest.fixture
def file(tree: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def invoke(*words: object):
    return CliRunner().invoke(build_app(), ["train", *map(str, words)])


def test_dry_run_prints_everything_and_writes_nothing(file, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    result = invoke(file, "train.lr=5e-4", "--dry-run", "--minutes", "3", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    shown = yaml.safe_load(result.stdout)
    assert shown["train"]["lr"] == 5e-4
    assert (shown["train"]["minutes"], shown["train"]["steps"]) == (3, None)
    assert shown["train"]["betas"] == [0.9, 0.99]
    assert shown["model"]["text_dim"] == 8
    assert "parameters, 24 pictures, 12 captions" in result.stdout.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before
    # The printed recipe is a recipe.
    file.write_text(result.stdout)
    assert yaml.safe_load(invoke(file, "--dry-run").stdout) == shown


def test_train_prints_where_the_model_is(file, tmp_path):
    result = invoke(file, "--out", tmp_path / "run", "--steps", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "run" / "model.safetensors")
    assert Path(result.stdout.strip()).exists()
    assert "parameters on 24 pictures" in result.stderr
    silent = invoke(file, "--out", tmp_path / "run", "--steps", "2", "--resume", "--quiet")
    assert (silent.exit_code, silent.stdout, silent.stderr) == (0, "", "")
    assert logging.getLogger("limner").isEnabledFor(logging.WARNING), "quiet is for the one run"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.lrr=1"], "unknown key 'train.lrr'; did you mean 'train.lr'?"),
        (["data.store=/none", "--out", "never"], "data.store: no store at /none"),
        (
            ["--minutes", "-1", "--out", "never"],
            "a budget of minutes or steps must be more than nothing",
        ),
        (["--steps", "2"], "name the folder of the run: --out RUN"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(file, words, message):
    result = invoke(file, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("never").exists()


def test_a_folder_whose_name_is_not_utf8_is_refused(file, tmp_path):
    result = invoke(file, "--out", f"{tmp_path}/run\udce9", "--steps", "2")
    assert result.exit_code == 2 and "is not UTF-8" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_resume_and_exits_130(file, tmp_path, number, commands):
    out = tmp_path / "run"
    words = [commands / "python", tiny.__file__, "train", str(file), "--out", str(out)]
    process = subprocess.Popen(
        [*words, "--steps", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log = out / "log.jsonl"

    def trains() -> bool:
        assert process.poll() is None
        return log.exists() and log.read_bytes().count(b"\n") >= 2

    wait_until(trains)
    os.kill(process.pid, number)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert stdout.strip() == str(out / "model.safetensors")
    assert "to resume, give the same command and --resume" in stderr
    assert invoke(file, "--out", out, "--steps", "30", "--resume", "--quiet").exit_code == 0
