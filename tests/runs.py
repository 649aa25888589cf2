"""What tests of whole runs share."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import training_tiny as tiny
from limner.cli import main
from limner.training.recipe import Recipe
from limner.training.run_log import RunLog
from preloaded import Forked

_KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import training_tiny
from limner.cli import main
from runs import after_lines

with after_lines({count}, lambda: os.kill(os.getpid(), signal.SIGKILL), {event!r}):
    main()
"""


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


@contextmanager
def after_lines(count: int, act: Callable[[], object], *kinds: str | None) -> Iterator[None]:
    """Do something as soon as a run of this process has logged so many lines.

    Args:
        count: of lines.
        act: is done, in the thread that trains.
        kinds: of events whose lines count, None for lines of figures; all where none is named.
    """
    write, logged = RunLog.write, 0

    def writes(log: RunLog, event: str | None, **values: Any) -> None:
        nonlocal logged
        write(log, event, **values)
        if not kinds or event in kinds:
            logged += 1
            if logged == count:
                act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLog, "write", writes)
        yield


def killed_after(commands: Path, recipe: Recipe, out: Path, event: str | None, count: int) -> None:
    """Begin a run in another process, which dies once its log has so many lines of a kind."""
    python, _, *words = command(commands, recipe, out)
    tests = str(Path(__file__).parent)
    process = Forked(
        [python, "-c", _KILLED.format(tests=tests, count=count, event=event), *words]
    )  # fmt: skip
    assert process.wait() == -signal.SIGKILL
    assert len(records(out, event)) == count


def run_limner(*words: object) -> None:
    """Run a command line in this process; it must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["limner", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
