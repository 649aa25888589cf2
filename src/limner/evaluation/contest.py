"""The runs of a comparison: each recipe trained in a process of its own, for equal minutes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, LimnerError, TrainingError, UsageError
from limner.evaluation.speed import peak_mb
from limner.files import write_json
from limner.modelfile import read_info
from limner.shipped import find_model
from limner.training.checkpoint import NAME as CHECKPOINT
from limner.training.data import open_pictures
from limner.training.recipe import load_recipe
from limner.training.shipped import find_recipe

_POLL = 0.2


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison.

    Attributes:
        name: its own among all.
        recipe: what it is trained by; None for a model that is there already.
        model: its model file, once trained.
        log: the log of its training, which may not exist.
    """

    name: str
    recipe: Path | None
    model: Path
    log: Path


@dataclass
class Budget:
    """How long and how each recipe is trained.

    Attributes:
        minutes: of each, over all resumes; None for ``steps``.
        steps: of each; with both, whichever ends first.
        threads: of each process; None for the machine's own choice.
        at_once: recipes that train at the same time, so that they see the same machine and no
            core waits; 1 is one after the other.
        changes: ``key=value`` overrides of every recipe.
    """

    minutes: float | None = None
    steps: int | None = None
    threads: int | None = None
    at_once: int = 1
    changes: Sequence[str] = ()


@dataclass
class _Job:
    contestant: Contestant
    process: subprocess.Popen[bytes]
    record: Path
    log: Path
    peak: float = 0.0


def contestants(given: Sequence[Path], out: Path) -> list[Contestant]:
    """What the arguments of ``limner compare`` mean: recipes by path or name, or models.

    Raises:
        UsageError: nothing was given, or twice the same.
        RecipeError: there is no such recipe.
        ModelFileError: there is no such model.
    """
    if not given:
        raise UsageError("name at least one recipe or model to compare")
    found: list[Contestant] = []
    for path in given:
        if path.suffix == ".safetensors" or (path.is_dir() and (path / CHECKPOINT).is_file()):
            model = find_model(path)
            read_info(model)
            name = path.stem if model.stem != "model" else model.absolute().parent.name
            found.append(Contestant(name, None, model, model.parent / "log.jsonl"))
        else:
            recipe = find_recipe(path)
            run = out / "runs" / recipe.stem
            model = run / "model.safetensors"
            found.append(Contestant(recipe.stem, recipe, model, run / "log.jsonl"))
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two of what is compared are called {twice!r}; give them other names")
    return found


def overrides(store: Path, budget: Budget) -> list[str]:
    """What is changed in every recipe, so that all learn from the same pictures."""
    changed = [f"data.store={json.dumps(str(store.absolute()))}", *budget.changes]
    return changed + ([f"train.threads={budget.threads}"] if budget.threads else [])


def check_same_data(rivals: Sequence[Contestant], store: Store, budget: Budget) -> None:
    """Refuse recipes that would learn from other pictures or captions than each other.

    Raises:
        RecipeError: a recipe cannot be read, or its filters leave nothing of the store.
        UsageError: no budget is given, or two recipes keep different pictures or captions.
    """
    recipes = [each for each in rivals if each.recipe is not None]
    if recipes and budget.minutes is None and budget.steps is None:
        raise UsageError("say how long each recipe is trained: --minutes M")
    first: tuple[str, str] | None = None
    for each in recipes:
        assert each.recipe is not None
        recipe = load_recipe(each.recipe, overrides(store.path, budget))
        found = open_pictures(recipe.data, recipe.source).fingerprint
        if first is not None and found != first[1]:
            raise UsageError(
                f"{each.name} and {first[0]} would learn from different pictures or captions; make "
                f"'filters', 'languages' and 'captions' of their 'data' alike, or use --set"
            )
        first = first or (each.name, found)


def shared_selection(rivals: Sequence[Contestant], store: Store, budget: Budget) -> Selection:
    """What of the store all have learned from; all of it where they differ or nothing is left.

    Only what a model has learned to draw can be asked of it fairly.

    Raises:
        RecipeError: a recipe cannot be read.
        ModelFileError: a model cannot be read.
    """
    first, *others = [_selection(each, store, budget) for each in rivals]
    alike = all(each == first for each in others) and len(first.rows(store))
    return first if alike else Selection()


def _selection(rival: Contestant, store: Store, budget: Budget) -> Selection:
    if rival.recipe is not None:
        return load_recipe(rival.recipe, overrides(store.path, budget)).data.selection
    data = read_info(rival.model).training.get("recipe", {}).get("data", {})
    return Selection(data.get("filters", {}), data.get("languages", []))


def finished(rival: Contestant, budget: Budget) -> bool:
    """Whether a recipe's run is done and need not be trained again.

    Raises:
        UsageError: it was trained for longer than is asked now.
    """
    if rival.recipe is None:
        return True
    if not rival.model.is_file():
        return False
    training = read_info(rival.model).training
    then = training.get("recipe", {}).get("train", {})
    for key, wanted in (("minutes", budget.minutes), ("steps", budget.steps)):
        if wanted is not None and then.get(key) is not None and then[key] > wanted:
            raise UsageError(
                f"{rival.model.parent} was trained for {then[key]:g} {key}, more than the "
                f"{wanted:g} asked for now; name another --out"
            )
    same = (then.get("minutes"), then.get("steps")) == (budget.minutes, budget.steps)
    return bool(training.get("finished")) and same


def train_all(
    rivals: Sequence[Contestant],
    store: Store,
    out: Path,
    budget: Budget,
    advance: Callable[[float], Any] = lambda seconds: None,
) -> dict[str, str]:
    """Train every recipe that is not yet, resuming what was begun.

    Args:
        rivals: who.
        store: what they learn from.
        out: folder of the comparison; runs go to ``out/runs/NAME``.
        budget: how long.
        advance: called with seconds of training that have gone by.

    Returns:
        Name -> why its training failed.
    """
    waiting = [each for each in rivals if not finished(each, budget)]
    failed: dict[str, str] = {}
    running: list[_Job] = []
    try:
        while waiting or running:
            while waiting and len(running) < budget.at_once:
                running.append(_start(waiting.pop(0), store, out, budget))
            before = time.monotonic()
            time.sleep(_POLL)
            for job in list(running):
                if _ended(job):
                    running.remove(job)
                    if job.process.returncode:
                        failed[job.contestant.name] = _reason(job)
            advance((time.monotonic() - before) * max(1, len(running)))
    finally:
        for job in running:  # only when something went wrong: let them save what they have
            with contextlib.suppress(ProcessLookupError):
                job.process.send_signal(signal.SIGINT)
        for job in running:
            job.process.wait()
    for each in rivals:
        if each.recipe and each.name not in failed and not finished(each, budget):
            failed[each.name] = "its training was stopped before its end; run the same again"
    return failed


def _start(rival: Contestant, store: Store, out: Path, budget: Budget) -> _Job:
    run = rival.model.parent
    log = out / "runs" / f"{rival.name}.txt"
    command = [sys.executable, "-m", "limner", "train", str(rival.recipe)]
    command += [*overrides(store.path, budget), "--out", str(run), "--quiet"]
    if budget.minutes is not None:
        command += ["--minutes", str(budget.minutes)]
    if budget.steps is not None:
        command += ["--steps", str(budget.steps)]
    if (run / CHECKPOINT).is_file():
        command.append("--resume")
    environment = dict(os.environ)
    if budget.threads:
        environment["OMP_NUM_THREADS"] = str(budget.threads)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    except OSError as error:
        raise TrainingError(f"cannot start the training of {rival.name}: {error}") from error
    return _Job(rival, process, run.with_suffix(".json"), log)


def _ended(job: _Job) -> bool:
    """Whether a training has ended; then its peak memory is written down."""
    if job.process.poll() is None:
        job.peak = max(job.peak, peak_mb(job.process.pid))
        return False
    most = max(job.peak, training_facts(job.contestant).get("training_mb", 0.0))
    if most:
        write_json(job.record, {"training_mb": round(most, 1)}, DataError)
    return True


def training_facts(rival: Contestant) -> dict[str, float]:
    """What was noted of a training beside its log: ``training_mb``, its peak memory."""
    try:
        found: dict[str, float] = json.loads(
            rival.model.parent.with_suffix(".json").read_text(encoding="utf-8")
        )
    except (OSError, ValueError):
        return {}
    return found if rival.recipe is not None and isinstance(found, dict) else {}


def _reason(job: _Job) -> str:
    lines = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"it ended with code {job.process.returncode}"
    return said.removeprefix("limner: error: ")


def failure(error: LimnerError) -> str:
    """An error as one line."""
    return " ".join(str(error).split())
