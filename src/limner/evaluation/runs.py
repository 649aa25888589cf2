"""The trainings of a comparison: each recipe in a process of its own, under one budget.

A run belongs to the content it was trained from (:func:`run_key`). One of other content is never
reused: it is moved aside, and used again when that content is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError, TrainingError, UsageError
from limner.evaluation.part import recorded_selection
from limner.evaluation.speed import peak_mb
from limner.files import write_json
from limner.modelinfo import read_info
from limner.shipped import find_model
from limner.tensorfile import file_hash
from limner.text import load_encoder
from limner.training.checkpoint import NAME as CHECKPOINT
from limner.training.data import open_pictures
from limner.training.machine import stop_signals
from limner.training.recipe import Recipe, load_recipe
from limner.training.shipped import find_recipe

_POLL = 0.2


@dataclass(frozen=True)
class ComparisonRun:
    """One model of a comparison.

    Attributes:
        name: its own among all.
        group: name of what is compared; the runs of one recipe with several seeds share it.
        recipe: what it is trained by; None for a model that is there already.
        model: its model file, once trained.
        log: the log of its training, which may not exist.
        seed: number of the training seed, from 0.
    """

    name: str
    group: str
    recipe: Path | None
    model: Path
    log: Path
    seed: int = 0

    @property
    def record(self) -> Path:
        """The file with the recorded facts of the training, beside its folder."""
        folder = self.model.parent
        return folder.with_name(f"{folder.name}.json")


@dataclass(frozen=True)
class TrainingBudget:
    """How long and how each recipe is trained.

    Attributes:
        minutes: of each, over all resumes; None for ``steps``.
        steps: of each; with both, whichever ends first.
        threads: of each process; None for the machine's own choice.
        at_once: recipes that train at the same time; 1 is one after the other.
        changes: ``key=value`` overrides of every recipe.
        seeds: runs of each recipe, with the recipe's ``train.seed``, the next one, …
    """

    minutes: float | None = None
    steps: int | None = None
    threads: int | None = None
    at_once: int = 1
    changes: Sequence[str] = ()
    seeds: int = 1


@dataclass
class _TrainingProcess:
    run: ComparisonRun
    process: subprocess.Popen[bytes]
    log: Path
    peak: float = 0.0


def comparison_runs(
    given: Sequence[Path], out: Path, budget: TrainingBudget | None = None
) -> list[ComparisonRun]:
    """Parse the arguments of ``limner compare``: recipes by path or name, or models.

    Raises:
        UsageError: nothing was given, or twice the same.
        RecipeError: there is no such recipe.
        ModelFileError: there is no such model.
    """
    if not given:
        raise UsageError("name at least one recipe or model to compare")
    seeds = 1 if budget is None else budget.seeds
    if seeds < 1:
        raise UsageError(f"{seeds} seeds asked for; train each recipe at least once")
    found: list[ComparisonRun] = []
    for path in given:
        if path.suffix == ".safetensors" or (path.is_dir() and (path / CHECKPOINT).is_file()):
            model = find_model(path)
            read_info(model)
            name = path.stem if model.stem != "model" else model.absolute().parent.name
            found.append(ComparisonRun(name, name, None, model, model.parent / "log.jsonl"))
            continue
        recipe = find_recipe(path)
        for seed in range(seeds):
            name = recipe.stem + (f"-seed{seed}" if seed else "")
            folder = out / "runs" / name
            files = folder / "model.safetensors", folder / "log.jsonl"
            found.append(ComparisonRun(name, recipe.stem, recipe, *files, seed))
    (name, number), *_ = Counter(each.name for each in found).most_common()
    if number > 1:
        raise UsageError(f"two of what is compared are called {name!r}; give them other names")
    return found


def overrides(run: ComparisonRun, store: Path, budget: TrainingBudget) -> list[str]:
    """Overrides of a recipe that make all runs train on the same pictures."""
    changed = [f"data.store={json.dumps(str(store.absolute()))}", *budget.changes]
    if budget.threads:
        changed.append(f"train.threads={budget.threads}")
    if run.seed and run.recipe is not None:
        changed.append(f"train.seed={load_recipe(run.recipe, changed).train.seed + run.seed}")
    return changed


def _recipe(run: ComparisonRun, store: Path, budget: TrainingBudget) -> Recipe:
    assert run.recipe is not None
    return load_recipe(run.recipe, overrides(run, store, budget))


def check_same_data(runs: Sequence[ComparisonRun], store: Store, budget: TrainingBudget) -> None:
    """Refuse recipes that would be trained on different pictures or captions.

    Raises:
        RecipeError: a recipe cannot be read, or its filters leave nothing of the store.
        UsageError: no budget is given, or two recipes keep different pictures or captions.
    """
    recipes = [each for each in runs if each.recipe is not None and not each.seed]
    if recipes and budget.minutes is None and budget.steps is None:
        raise UsageError("say how long each recipe is trained: --minutes M")
    names: dict[str, str] = {}
    for each in recipes:
        recipe = _recipe(each, store.path, budget)
        names[open_pictures(recipe.data, recipe.source).fingerprint] = each.name
        if len(names) > 1:
            raise UsageError(
                f"{' and '.join(reversed(names.values()))} would learn from different pictures or "
                f"captions; make 'filters', 'languages' and 'captions' of their 'data' alike, or "
                f"use --set"
            )


def shared_selection(
    runs: Sequence[ComparisonRun], store: Store, budget: TrainingBudget
) -> Selection:
    """The part of the store that all are trained on; all of it where they differ.

    A model is only asked for what it was trained to draw.

    Raises:
        RecipeError: a recipe cannot be read.
        ModelFileError: a model cannot be read.
    """
    first, *others = (
        _recipe(each, store.path, budget).data.selection
        if each.recipe is not None
        else recorded_selection(read_info(each.model))
        for each in runs
    )
    alike = all(each == first for each in others) and len(first.rows(store))
    return first if alike else Selection()


def run_key(run: ComparisonRun, store: Store, budget: TrainingBudget) -> str:
    """A key that changes whenever the training of a recipe could give another model.

    Raises:
        RecipeError: the recipe cannot be read.
        ModelFileError: a file it starts from is missing.
    """
    recipe = _recipe(run, store.path, budget)
    content = recipe.model_dump(
        mode="json",
        exclude={"data": {"store"}, "init": True, "autoencoder": True},  # by their content
    )
    facts = [
        content,
        open_pictures(recipe.data, recipe.source).fingerprint,
        _encoder_fingerprint(recipe.text.encoder),
        _start_hashes(recipe),
        [budget.minutes, budget.steps],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _start_hashes(recipe: Recipe) -> list[str]:
    """Hashes of the model files that a recipe starts from."""
    found = []
    for key, path in (("init", recipe.init), ("autoencoder", recipe.autoencoder)):
        if path:
            with recipe.explained(key):
                found.append(file_hash(find_model(path)))
    return found


@lru_cache(maxsize=16)
def _encoder_fingerprint(spec: str) -> str:
    return load_encoder(spec).fingerprint


def claim_folder(run: ComparisonRun, key: str) -> str | None:
    """Claim a run's folder for a :func:`run_key`; a folder with another key is moved aside.

    Returns:
        A sentence where something was moved, else None.

    Raises:
        TrainingError: it cannot be moved.
    """
    folder, earlier = run.model.parent, training_facts(run).get("key", "unknown")
    note = None
    try:
        if folder.exists() and earlier != key:
            aside = _aside(folder, str(earlier))
            folder.rename(aside)
            if run.record.exists():
                run.record.rename(aside.with_name(f"{aside.name}.json"))
            note = f"{folder} was trained from another recipe, data or budget: kept as {aside.name}"
            kept = folder.with_name(f"{folder.name}.{key}")
            if kept.is_dir():
                kept.rename(folder)
                kept.with_name(f"{kept.name}.json").rename(run.record)
                note += "; the run of this one was still there"
        if training_facts(run).get("key") != key:
            write_json(run.record, {"key": key}, TrainingError)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be moved aside: {error.strerror or error}") from error
    return note


def _aside(folder: Path, key: str) -> Path:
    """A free name for a folder that is moved aside."""
    ends = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    names = (folder.with_name(f"{folder.name}.{key}{end}") for end in ends)
    return next(path for path in names if not path.exists())


def finished(run: ComparisonRun) -> bool:
    """Whether a run is complete; its key was checked by :func:`claim_folder`."""
    if run.recipe is None:
        return True
    return run.model.is_file() and bool(read_info(run.model).training.get("finished"))


def train_all(
    runs: Sequence[ComparisonRun],
    store: Store,
    out: Path,
    budget: TrainingBudget,
    *,
    advance: Callable[[float], Any] = lambda seconds: None,
    note: Callable[[str], Any] = lambda text: None,
) -> dict[str, str]:
    """Train every recipe that is not yet trained, resuming what was begun.

    Each training is a process group of its own, so that Ctrl-C on the terminal reaches this
    process alone, which passes it on once: the trainings save what they have and end.

    Args:
        runs: what is compared.
        store: what they are trained on.
        out: folder of the comparison; runs go to ``out/runs/NAME``.
        budget: how long.
        advance: called with seconds of training that have gone by.
        note: called with sentences for people.

    Returns:
        Name -> why its training failed.

    Raises:
        KeyboardInterrupt: it was stopped by SIGINT or SIGTERM.
    """
    for each in runs:
        if each.recipe is not None and (moved := claim_folder(each, run_key(each, store, budget))):
            note(moved)
    waiting = [each for each in runs if not finished(each)]
    failed: dict[str, str] = {}
    running: list[_TrainingProcess] = []
    with stop_signals() as stop:
        try:
            while (waiting or running) and not stop.is_set():
                while waiting and len(running) < budget.at_once:
                    running.append(_start(waiting.pop(0), store, out, budget))
                before = time.monotonic()
                stop.wait(_POLL)
                for job in list(running):
                    if _ended(job):
                        running.remove(job)
                        if job.process.returncode not in (0, 130):  # 130: stopped by a signal
                            failed[job.run.name] = _reason(job)
                advance((time.monotonic() - before) * max(1, len(running)))
        finally:
            _stop(running)
    if stop.is_set():
        raise KeyboardInterrupt
    for each in runs:
        if each.recipe and each.name not in failed and not finished(each):
            failed[each.name] = "its training was stopped before its end; run the same again"
    return failed


def _stop(running: Sequence[_TrainingProcess]) -> None:
    """Let trainings save what they have and end; a second signal kills them."""
    for job in running:
        with contextlib.suppress(ProcessLookupError):
            job.process.send_signal(signal.SIGINT)
    try:
        while not all(_ended(job) for job in running):
            time.sleep(_POLL)
    except KeyboardInterrupt:
        for job in running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(job.process.pid, signal.SIGKILL)
        raise


def _start(run: ComparisonRun, store: Store, out: Path, budget: TrainingBudget) -> _TrainingProcess:
    folder = run.model.parent
    log = out / "runs" / f"{run.name}.txt"
    command = [sys.executable, "-m", "limner", "train", str(run.recipe)]
    command += [*overrides(run, store.path, budget), "--out", str(folder), "--quiet"]
    for name, value in (("--minutes", budget.minutes), ("--steps", budget.steps)):
        command += [] if value is None else [name, str(value)]
    if (folder / CHECKPOINT).is_file():
        command.append("--resume")
    threads = {"OMP_NUM_THREADS": str(budget.threads)} if budget.threads else {}
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, env=os.environ | threads, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        why = error.strerror or error
        raise TrainingError(f"cannot start the training of {run.name}: {why}") from error
    return _TrainingProcess(run, process, log)


def _ended(job: _TrainingProcess) -> bool:
    """Whether a training has ended; then its memory and processor time are written down."""
    if job.process.returncode is not None:
        return True
    job.peak = max(job.peak, peak_mb(job.process.pid))
    pid, status, usage = os.wait4(job.process.pid, os.WNOHANG)
    if not pid:
        return False
    job.process.returncode = os.waitstatus_to_exitcode(status)
    facts = training_facts(job.run)
    used = usage.ru_utime + usage.ru_stime + facts.get("cpu_seconds", 0.0)
    facts["cpu_seconds"] = round(used, 1)
    if most := max(job.peak, facts.get("training_mb", 0.0)):
        facts["training_mb"] = round(most, 1)
    write_json(job.run.record, facts, DataError)
    return True


def training_facts(run: ComparisonRun) -> dict[str, Any]:
    """Recorded facts of a training: ``key``, ``training_mb``, ``cpu_seconds`` over all resumes."""
    if run.recipe is None:
        return {}
    try:
        found: dict[str, Any] = json.loads(run.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(job: _TrainingProcess) -> str:
    lines = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else f"it ended with code {job.process.returncode}"
    return last.removeprefix("limner: error: ")
