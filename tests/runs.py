"""What tests of whole runs share."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import training_tiny as tiny
from limner.cli import main
from limner.training.recipe import Recipe
from preloaded import Forked


def records(out: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Lines of the log, those of one kind of event or the plain ones, less what the clock said."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k != "clock"}
        for line in lines
        if line.get("event") == event
    ]


def same(one: Path, other: Path, name: str = "model.safetensors") -> bool:
    a, b = load_file(one / name), load_file(other / name)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def command(commands: Path, recipe: Recipe, out: Path, *words: str) -> list[str]:
    """The words that train a recipe of the tiny family, by a ``python`` of that folder."""
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    python = str(commands / "python")
    return [python, tiny.__file__, "train", str(file), "--out", str(out), "--quiet", *words]


def killed_after(commands: Path, recipe: Recipe, out: Path, event: str | None, count: int) -> None:
    """Begin a run in another process, and kill it once the log has so many lines of a kind."""
    process = Forked(command(commands, recipe, out))
    end = time.monotonic() + 100
    while not (out / "log.jsonl").exists() or len(records(out, event)) < count:
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def run_limner(*words: object) -> None:
    """Run a command line in this process; it must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["limner", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
