"""Hyper-parameter search: many short runs, the worse ones pruned, resumable."""

from __future__ import annotations

import copy
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import (
    LimnerError,
    MissingExtraError,
    RecipeError,
    TrainingError,
    UsageError,
    first_line,
)
from limner.files import locked, make_folder, write_json, write_text
from limner.training.overrides import read_value, set_key, write_value
from limner.training.recipe import Recipe, make_recipe, with_budget

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
BEST = "best.yaml"
SUMMARY = "trials.json"
LOCK = ".lock"
_NAME = "limner"
_HELD_OUT = 0.1
_SHARES = 100
"""A trial's values are numbered by hundredths of its budget, so that those of any two compare."""
_RANGE = re.compile(r"^(log:)?\s*([^\s.]\S*?)\s*\.\.\s*(\S+)$")


@dataclass(frozen=True)
class Space:
    """The values that one key may take.

    Attributes:
        key: dotted, as in an override.
        text: as it was written.
        choices: of a list; empty for a range.
        low: least value of a range, whose values are integers where both ends are.
        high: largest value of a range.
        log: whether a range is searched on a logarithmic scale.
    """

    key: str
    text: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value that optuna suggests for a trial."""
        if self.choices:
            # By number: optuna keeps plain values only, and a choice may be a list.
            number = trial.suggest_categorical(self.key, list(range(len(self.choices))))
            return self.choices[number]
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)


def read_space(text: str) -> Space:
    """Read ``key=1e-4..1e-2``, ``key=log:1e-4..1e-2``, ``key=16..64`` or ``key=[64, 128]``.

    A range between two integers holds integers only; ``log:`` searches on a logarithmic scale.

    Raises:
        UsageError: it is none of these.
    """
    key, equals, values = text.partition("=")
    key, values = key.strip(), values.strip()
    if not equals or not key or not all(key.split(".")):
        raise UsageError(f"--space {text!r}: write key=low..high, key=log:low..high or key=[a, b]")
    found = _RANGE.match(values)
    if found:
        return _range(key, text, found)
    choices = read_value(values, f"--space {text!r}")
    if not isinstance(choices, list) or len(choices) < 2:
        raise UsageError(f"--space {text!r}: give low..high, log:low..high or a list of values")
    return Space(key, text, tuple(choices))


def _range(key: str, text: str, found: re.Match[str]) -> Space:
    low, high = (read_value(found[n], f"--space {text!r}") for n in (2, 3))
    log = found[1] is not None
    for value in (low, high):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise UsageError(f"--space {text!r}: {value!r} is no number for the end of a range")
    if low >= high or (log and low <= 0):
        raise UsageError(
            f"--space {text!r}: the range must rise" + (" from above 0 for log:" if log else "")
        )
    return Space(key, text, (), low, high, log)


def read_spaces(texts: Sequence[str]) -> list[Space]:
    """Read several spaces, each of another key.

    Raises:
        UsageError: one cannot be read, a key comes twice, or there is none.
    """
    spaces = [read_space(text) for text in texts]
    if not spaces:
        raise UsageError("say what to search: --space train.lr=log:1e-4..1e-2")
    keys = [space.key for space in spaces]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise UsageError(f"--space: {twice} is given twice")
    return spaces


@dataclass(frozen=True)
class Outcome:
    """What a search has found.

    Attributes:
        metric: by which the trials were compared, on held-out pictures.
        higher: whether higher values of the metric are better.
        trials: number, state, value, seconds and settings of each, in order.
        best: number of the best trial; None where none was completed.
        recipe: the best trial's recipe file; None where there is none.
    """

    metric: str
    higher: bool
    trials: list[dict[str, Any]]
    best: int | None
    recipe: Path | None


@dataclass
class _TrialObserver:
    """Reports the validations of a trial to the pruner, and ends the trial when it is pruned."""

    trial: optuna.Trial
    metric: str
    deadline: float
    higher: bool
    best: float | None = None
    pruned: bool = False
    late: bool = False
    stopped: bool = False
    marks: set[int] = field(default_factory=set)

    def validated(self, progress: float, figures: dict[str, float]) -> None:
        value, mark = figures[self.metric], round(progress * _SHARES)
        if not math.isfinite(value):
            return
        better = max if self.higher else min
        self.best = value if self.best is None else better(self.best, value)
        if mark not in self.marks:
            self.marks.add(mark)
            self.trial.report(value, mark)
            self.pruned = progress < 1 and self.trial.should_prune()

    def should_stop(self) -> bool:
        self.late = time.monotonic() >= self.deadline
        return self.pruned or self.late

    def interrupted(self) -> None:
        self.stopped = True


def tune(
    recipe: Recipe,
    spaces: Sequence[Space],
    out: Path,
    *,
    minutes: float,
    trials: int | None = None,
    resume: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Search a recipe's keys for the best value of a held-out metric.

    Every trial is a run with the recipe's own budget in ``out/trials/0000``, ... Optuna's
    tree-structured Parzen estimator proposes the values, and its median rule prunes. Trials are
    compared by their best value of ``train.stop.metric``, ``loss`` where there is none.

    Args:
        recipe: the recipe whose keys are searched; a tenth is held out where it holds none out.
        spaces: values of these keys.
        out: folder of the search.
        minutes: of the whole search, over all resumes; after the first, no trial is started that
            would not end in time.
        trials: most trials, over all resumes.
        resume: continue the search in ``out``.
        note: called with one line about every trial.

    Raises:
        MissingExtraError: optuna is not installed.
        UsageError: ``minutes`` or ``trials`` is not positive.
        RecipeError: a key that is to be searched does not exist.
        TrainingError: the folder holds a search and ``resume`` is off, holds another search, or is
            used by another process.
    """
    if not (minutes > 0 and math.isfinite(minutes)) or (trials is not None and trials < 1):
        raise UsageError("--minutes and --trials must be more than nothing")
    search = _Search(_ready(recipe), spaces, out, note)
    search.check_folder(resume)
    make_folder(out, TrainingError)
    with locked(out / LOCK, TrainingError, f"the search in {out}"):
        search.open(resume)
        end = time.monotonic() + minutes * 60 - search.spent
        going = True
        while going and (trials is None or len(search.study.trials) < trials):
            going = search.run_trial(end)
        return search.finish()


def _ready(recipe: Recipe) -> Recipe:
    """The recipe with held-out pictures; refuses one without a budget."""
    train, data = recipe.train, recipe.data
    if train.minutes is None and train.steps is None:
        raise RecipeError(f"{recipe.source}: train: give a trial's budget, 'minutes' or 'steps'")
    if not data.holdout.share:
        holdout = data.holdout.model_copy(update={"share": _HELD_OUT})
        data = data.model_copy(update={"holdout": holdout})
    return recipe.model_copy(update={"data": data})


class _Search:
    """A study of Optuna in a folder; its methods raise the errors that :func:`tune` names."""

    study: optuna.Study

    def __init__(
        self, recipe: Recipe, spaces: Sequence[Space], out: Path, note: Callable[[str], None]
    ) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "tune", "searching") from error
        from limner.training.validation import METRICS

        self.optuna, self.recipe, self.spaces, self.out, self.note = (
            optuna, recipe, spaces, out, note
        )  # fmt: skip
        self.tree = recipe.model_dump(mode="json")
        self.metric = recipe.train.stop.metric if recipe.train.stop else "loss"
        known = METRICS.get(self.metric)
        self.higher = known is not None and known.higher
        for space in spaces:
            for value in space.choices or (space.low, space.high):
                self.changed({space.key: value})
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def check_folder(self, resume: bool) -> None:
        """Refuse to start over a search, and to resume where there is none."""
        if (self.out / JOURNAL).exists() != resume:
            raise TrainingError(
                f"there is no search in {self.out} to resume; leave --resume out to start one"
                if resume else
                f"{self.out} already holds a search; pass --resume, or name another folder"
            )  # fmt: skip

    def open(self, resume: bool) -> None:
        """Create or open the study; the caller holds the lock of the folder."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        self.check_folder(resume)
        path = self.out / JOURNAL
        try:
            # Optuna's own lock outlives a killed process; nobody else can hold it under ours.
            path.with_name(path.name + ".lock").unlink(missing_ok=True)
            backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
            self.study = self.optuna.create_study(
                storage=JournalStorage(backend), study_name=_NAME, load_if_exists=True,
                direction="maximize" if self.higher else "minimize",
                sampler=self.optuna.samplers.TPESampler(seed=self.recipe.train.seed),
                pruner=self.optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=15),
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"cannot open the search in {path}: {error}") from error
        self._check_same(self.study)
        for trial in self.study.trials:
            if trial.state == self.optuna.trial.TrialState.RUNNING:
                self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        self.spent = sum(_seconds(trial) for trial in self.study.trials)

    def _check_same(self, study: optuna.Study) -> None:
        about = {
            "recipe": json.dumps(self.tree, sort_keys=True),
            "spaces": [space.text for space in self.spaces],
        }
        for key, value in about.items():
            if study.user_attrs.setdefault(key, value) != value:
                raise TrainingError(
                    f"the search in {self.out} was begun with other {key.rstrip('s')} values; "
                    f"put them back, or name another folder"
                )
            study.set_user_attr(key, value)

    def changed(self, values: dict[str, Any]) -> Recipe:
        """The recipe with some keys changed."""
        tree = copy.deepcopy(self.tree)
        for key, value in values.items():
            set_key(tree, key, value, self.recipe.source)
        return make_recipe(tree, self.recipe.source)

    def run_trial(self, end: float) -> bool:
        """Run one trial, if there is time for it; whether the search goes on after it."""
        from limner.training.loop import train

        states = self.optuna.trial.TrialState
        if self.study.trials and time.monotonic() + self._needed() >= end:
            return False
        trial = self.study.ask()
        values = {space.key: space.suggest(trial) for space in self.spaces}
        observer = _TrialObserver(trial, self.metric, end, self.higher)
        folder = self.out / "trials" / f"{trial.number:04d}"
        try:
            train(_within(self.changed(values), end), folder, quiet=True, observer=observer)
            failure = None if observer.best is not None else "nothing was measured in time"
        except (LimnerError, RuntimeError) as error:
            failure = first_line(error)
        except BaseException:
            self.study.tell(trial, state=states.FAIL)
            raise
        if observer.stopped:
            failure = "it was interrupted"
        if failure is not None:
            trial.set_user_attr("failure", failure)
            self.study.tell(trial, state=states.FAIL)
        elif observer.pruned or observer.late:
            trial.set_user_attr("best", observer.best)
            self.study.tell(trial, state=states.PRUNED)
        else:
            self.study.tell(trial, observer.best)
        self.note(_line(self._row(self.study.trials[trial.number]), self.metric))
        return not observer.stopped

    def _needed(self) -> float:
        """Seconds that a trial takes; 0 for the first, which is run in any case."""
        if self.recipe.train.minutes is not None:
            return self.recipe.train.minutes * 60 if self.study.trials else 0.0
        done = [_seconds(t) for t in self.study.trials if t.state.name == "COMPLETE"]
        return max(done, default=0.0)

    def _row(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        settings = dict(trial.params)
        for space in self.spaces:
            if space.choices and space.key in settings:
                settings[space.key] = space.choices[settings[space.key]]
        row = {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.user_attrs.get("best", trial.value),
            "seconds": round(_seconds(trial), 1),
            "settings": settings,
        }
        failure = trial.user_attrs.get("failure")
        return row if failure is None else {**row, "failure": failure}

    def finish(self) -> Outcome:
        """Write ``trials.json`` and, where a trial was completed, ``best.yaml``."""
        rows = [self._row(trial) for trial in self.study.trials]
        write_json(self.out / SUMMARY, {"metric": self.metric, "trials": rows}, TrainingError)
        ended = [row for row in rows if row["state"] == "complete"]
        if not ended:
            return Outcome(self.metric, self.higher, rows, None, None)
        best = (max if self.higher else min)(ended, key=lambda row: row["value"])
        about = f"# trial {best['trial']} of limner tune: {self.metric} {best['value']:.6g}\n"
        text = about + write_value(self.changed(best["settings"]).model_dump(mode="json"))
        path = write_text(self.out / BEST, text, TrainingError)
        return Outcome(self.metric, self.higher, rows, best["trial"], path)


def _within(recipe: Recipe, end: float) -> Recipe:
    """The recipe with its budget of minutes cut to the time that is left."""
    if recipe.train.minutes is None:
        return recipe
    left = max(1e-3, (end - time.monotonic()) / 60)
    return with_budget(recipe, min(recipe.train.minutes, left), recipe.train.steps)


def _seconds(trial: optuna.trial.FrozenTrial) -> float:
    if trial.datetime_start is None or trial.datetime_complete is None:
        return 0.0
    return (trial.datetime_complete - trial.datetime_start).total_seconds()


def _line(row: dict[str, Any], metric: str) -> str:
    settings = ", ".join(f"{key}={_short(value)}" for key, value in row["settings"].items())
    value = "" if row["value"] is None else f"{metric} {row['value']:.5g}, "
    why = f": {row['failure']}" if "failure" in row else ""
    return f"trial {row['trial']} {row['state']}, {value}{row['seconds']:.0f} s: {settings}{why}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(outcome: Outcome) -> list[str]:
    """The trials, best first, as lines of text: completed ones by value, then the others."""
    sign = -1 if outcome.higher else 1
    rows = sorted(
        outcome.trials,
        key=lambda row: (row["trial"] != outcome.best, row["state"] != "complete",
                         math.inf if row["value"] is None else sign * row["value"]),
    )  # fmt: skip
    return [_line(row, outcome.metric) for row in rows]
