"""Runs that die at each change of a file, and within files: what is there is whole, and goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("resource")

from crashes import killed_at, stopped_within
from limner.modelfile import load_model
from limner.training import checkpoint
from limner.training.loop import train
from limner.training.recipe import Recipe
from runs import records, same

STEPS = 2
SHORT = {"steps": STEPS, "warmup_steps": 1, "log_every": 1, "checkpoint_every_minutes": 1e-9}
Kill = Callable[[Callable[[], object]], bool]


def check_after(recipe: Recipe, whole: Path, out: Path, kill: Kill) -> bool:
    """Train until death, then on: nothing is torn, and the end is that of a run without it.

    Returns:
        Whether the run died.
    """
    dead = kill(lambda: train(recipe, out, quiet=True))
    saved = out / checkpoint.NAME
    if saved.exists():
        assert 0 < checkpoint.load_checkpoint(saved)[0].step <= STEPS
    for model in out.glob("*model.safetensors"):
        assert saved.exists()
        load_model(model)
    train(recipe, out, resume=saved.exists(), quiet=True)
    assert same(out, whole) and records(out) == records(whole)
    assert sorted(each.name for each in out.iterdir()) == sorted(
        each.name for each in whole.iterdir()
    )
    shutil.rmtree(out)
    return dead


@pytest.fixture
def short(recipe) -> Recipe:
    return recipe(SHORT)


@pytest.fixture
def whole(short, tmp_path) -> Path:
    return train(short, tmp_path / "whole", quiet=True).parent


def test_a_run_killed_at_any_change_of_a_file_is_resumed_exactly(short, whole, tmp_path):
    changes = next(
        change
        for change in count()
        if not check_after(short, whole, tmp_path / "killed", partial(killed_at, change))
    )
    assert changes > 10 * STEPS


@pytest.mark.parametrize("size", [0, 40, 1000, 20_000])
def test_a_run_stopped_within_a_file_is_resumed_exactly(short, whole, tmp_path, size):
    assert check_after(short, whole, tmp_path / "killed", partial(stopped_within, size))
