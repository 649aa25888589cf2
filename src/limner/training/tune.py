"""Hyper-parameter search: many short runs, the hopeless ones ended early, all of it resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError, MissingExtraError, RecipeError, TrainingError, UsageError
from limner.files import whole_file, write_json
from limner.training.overrides import write_value
from limner.training.recipe import Recipe, make_recipe, with_budget
from limner.training.spaces import Space, overridden

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
BEST = "best.yaml"
SUMMARY = "trials.json"
_NAME = "limner"
_HELD_OUT = 0.1
_SHARES = 100
"""A trial's values are filed under hundredths of its budget, so that any two compare."""


@dataclass(frozen=True)
class Outcome:
    """What a search has found.

    Attributes:
        metric: what was compared, on held-out pictures.
        trials: number, state, value, seconds and settings of each, in order.
        best: number of the best trial; None where none has ended well.
        recipe: the best trial's recipe file; None where there is none.
    """

    metric: str
    trials: list[dict[str, Any]]
    best: int | None
    recipe: Path | None


class _EnoughError(Exception):
    """The search's time is over."""


class _Follower:
    """Tells the pruner what a trial's held-out pictures said, and the trial when to end."""

    def __init__(self, trial: optuna.Trial, metric: str, deadline: float, higher: bool) -> None:
        self.trial, self.metric, self.deadline, self.higher = trial, metric, deadline, higher
        self.best: float | None = None
        self.pruned = self.late = False
        self._marks: set[int] = set()

    def looked(self, progress: float, found: dict[str, float]) -> None:
        value, mark = found[self.metric], round(progress * _SHARES)
        if not math.isfinite(value):
            return
        better = max if self.higher else min
        self.best = value if self.best is None else better(self.best, value)
        if mark not in self._marks:
            self._marks.add(mark)
            self.trial.report(value, mark)
            self.pruned = progress < 1 and self.trial.should_prune()

    def enough(self) -> bool:
        self.late = time.monotonic() >= self.deadline
        return self.pruned or self.late


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

    Every trial is a run with the recipe's own budget in ``out/trials/0000``, ...; Optuna's
    tree-structured Parzen estimator proposes its values and the median rule ends it where it lags
    behind the others at the same share of its budget. What is compared is the best value of
    ``train.stop.metric`` (``loss`` where there is no ``train.stop``) on held-out pictures; a tenth
    is held out where the recipe says nothing.

    Args:
        recipe: what to begin from.
        spaces: what may change.
        out: folder of the search.
        minutes: of the whole search, over all resumes; no trial begins that would not end in time,
            but the first.
        trials: most trials, over all resumes.
        resume: go on with the search in ``out``.
        note: is told one line about every trial.

    Raises:
        MissingExtraError: optuna is not installed.
        UsageError: the budget is nothing.
        RecipeError: a key that is to be searched is not there.
        TrainingError: the folder holds a search and ``resume`` is off, or another search.
    """
    if not (minutes > 0 and math.isfinite(minutes)) or (trials is not None and trials < 1):
        raise UsageError("--minutes and --trials must be more than nothing")
    search = _Search(_ready(recipe), spaces, out, note, resume=resume)
    end = time.monotonic() + minutes * 60 - search.spent
    try:
        while trials is None or len(search.study.trials) < trials:
            search.one(end)
    except _EnoughError:
        pass
    return search.finish()


def _ready(recipe: Recipe) -> Recipe:
    """With held-out pictures to compare by, and a budget."""
    train, data = recipe.train, recipe.data
    if train.minutes is None and train.steps is None:
        raise RecipeError(f"{recipe.source}: train: give a trial's budget, 'minutes' or 'steps'")
    if not data.holdout.share:
        holdout = data.holdout.model_copy(update={"share": _HELD_OUT})
        changed = recipe.model_copy(update={"data": data.model_copy(update={"holdout": holdout})})
        changed._source = recipe.source
        return changed
    return recipe


class _Search:
    """A study in a folder."""

    def __init__(
        self,
        recipe: Recipe,
        spaces: Sequence[Space],
        out: Path,
        note: Callable[[str], None],
        *,
        resume: bool,
    ) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "tune", "searching") from error
        from limner.training.holdout import METRICS

        self.optuna, self.recipe, self.spaces, self.out, self.note = (
            optuna, recipe, spaces, out, note
        )  # fmt: skip
        self.tree = recipe.model_dump(mode="json")
        self.metric = recipe.train.stop.metric if recipe.train.stop else "loss"
        known = METRICS.get(self.metric)
        self.higher = known is not None and known.higher
        for space in spaces:
            for value in space.choices or (_plain(space, space.low), _plain(space, space.high)):
                self.changed({space.key: value})
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = self._open(resume)
        self.spent = sum(_seconds(trial) for trial in self.study.trials)

    def _open(self, resume: bool) -> optuna.Study:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        path = self.out / JOURNAL
        if path.exists() != resume:
            raise TrainingError(
                f"there is no search in {self.out} to resume" if resume else
                f"{self.out} already holds a search; pass --resume, or name another folder"
            )  # fmt: skip
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(path.name + ".lock")
            lock.unlink(missing_ok=True)
            backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
            study = self.optuna.create_study(
                storage=JournalStorage(backend), study_name=_NAME, load_if_exists=True,
                direction="maximize" if self.higher else "minimize",
                sampler=self.optuna.samplers.TPESampler(seed=self.recipe.train.seed),
                pruner=self.optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=15),
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"cannot open the search in {path}: {error}") from error
        self._check_same(study)
        for trial in study.trials:
            if trial.state == self.optuna.trial.TrialState.RUNNING:
                study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        return study

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
        """The recipe with some keys changed.

        Raises:
            RecipeError: a key is unknown or its value does not fit.
        """
        tree = self.tree
        for key, value in values.items():
            tree = overridden(tree, key, value)
        return make_recipe(tree, self.recipe.source)

    def one(self, end: float) -> None:
        """One trial, if there is time for it.

        Raises:
            _EnoughError: there is none.
        """
        from limner.training.loop import train

        states = self.optuna.trial.TrialState
        needed = self._needed()
        if time.monotonic() + (needed if self.study.trials else 0) >= end:
            raise _EnoughError
        trial = self.study.ask()
        values = {space.key: space.suggest(trial) for space in self.spaces}
        follower = _Follower(trial, self.metric, end, self.higher)
        folder = self.out / "trials" / f"{trial.number:04d}"
        try:
            train(
                _within(self.changed(values), end), folder, quiet=True, watcher=follower,
                resume=False,
            )  # fmt: skip
            failure = None if follower.best is not None else "nothing was measured in time"
        except (LimnerError, RuntimeError) as error:
            failure = next(iter(str(error).splitlines()), type(error).__name__)
        except BaseException:
            self.study.tell(trial, state=states.FAIL)
            raise
        if failure is not None:
            trial.set_user_attr("failure", failure)
            self.study.tell(trial, state=states.FAIL)
        elif follower.pruned or follower.late:
            trial.set_user_attr("best", follower.best)
            self.study.tell(trial, state=states.PRUNED)
        else:
            self.study.tell(trial, follower.best)
        self.note(_line(self._row(self.study.trials[trial.number]), self.metric))

    def _needed(self) -> float:
        """Seconds that a trial takes."""
        if self.recipe.train.minutes is not None:
            return self.recipe.train.minutes * 60
        done = [_seconds(t) for t in self.study.trials if t.state.name == "COMPLETE"]
        return max(done, default=0.0)

    def _row(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        settings = {
            space.key: space.choices[trial.params[space.key]] if space.choices
            else trial.params[space.key]
            for space in self.spaces if space.key in trial.params
        }  # fmt: skip
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
        """Write what was found."""
        rows = [self._row(trial) for trial in self.study.trials]
        ended = [row for row in rows if row["state"] == "complete"]
        best = None
        if ended:
            pick = max if self.higher else min
            best = pick(ended, key=lambda row: row["value"])
        write_json(
            self.out / SUMMARY, {"metric": self.metric, "trials": rows}, TrainingError
        )  # fmt: skip
        if best is None:
            return Outcome(self.metric, rows, None, None)
        recipe = self.changed(best["settings"]).model_dump(mode="json")
        text = write_value(recipe)
        path = self.out / BEST
        about = f"# trial {best['trial']} of limner tune: {self.metric} {best['value']:.6g}\n"
        with whole_file(path, TrainingError) as part:
            part.write_text(about + text, encoding="utf-8")
        return Outcome(self.metric, rows, best["trial"], path)


def _within(recipe: Recipe, end: float) -> Recipe:
    """A budget of minutes, cut to the time that is left."""
    if recipe.train.minutes is None:
        return recipe
    left = max(1e-3, (end - time.monotonic()) / 60)
    return with_budget(recipe, min(recipe.train.minutes, left), recipe.train.steps)


def _plain(space: Space, value: float) -> float:
    return int(value) if space.whole else value


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
    """The trials, best first, as lines of text."""
    worst = math.inf
    rows = sorted(
        outcome.trials,
        key=lambda row: (row["trial"] != outcome.best, row["state"] != "complete",
                         worst if row["value"] is None else row["value"]),
    )  # fmt: skip
    return [_line(row, outcome.metric) for row in rows]
