"""Validation as a part of one run: when it is due, what was found, and whether it ends the run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from limner.errors import RecipeError
from limner.models.base import Model
from limner.text.bulk import FeatureTable
from limner.training.checkpoint import RunState
from limner.training.data import Pictures, hold_out
from limner.training.guard import QualityGuard
from limner.training.processes import ProcessGroup
from limner.training.run_folder import BEST_NAME
from limner.training.validation import EarlyStopping, Validator, find_metric

if TYPE_CHECKING:
    from limner.training.session import Session


@dataclass(frozen=True)
class Validation:
    """What one validation found.

    Attributes:
        figures: values by name; empty in all processes but 0.
        best: whether the metric of the recipe is better than ever before.
    """

    figures: dict[str, float]
    best: bool = False


class RunValidation:
    """Measures the averaged weights of one run on held-out pictures, and says when to end the run.

    Two things may end it: the metric no longer improves (``train.stop``), or it became worse than
    at the start by more than a run that learns from votes allows (``preferences.guard``).

    Args:
        session: the resolved recipe and its parts; it loses the pictures that are held out.
        group: the processes of the run; process 0 measures, and tells the others.

    Attributes:
        pictures: those held out; None without any: then nothing is ever measured.
        stopping: the best value so far, and how long ago that was.
        guard: the guard of a run that learns from votes; None in other runs.

    Raises:
        RecipeError: early stopping is asked for without held-out pictures, or the metric is
            unknown or none of the family's.
    """

    def __init__(self, session: Session, group: ProcessGroup) -> None:
        recipe = session.recipe
        self._recipe, self._section, self._group = recipe, recipe.validation, group
        self._higher = find_metric(self._section.metric, session.model, recipe).higher
        self._validator: Validator | None = None
        self.pictures = _held_out(session)
        self.stopping, self.guard = EarlyStopping(), QualityGuard.of(recipe.preferences)

    def open(
        self, table: FeatureTable, device: torch.device, opened: ExitStack, *, channels_last: bool
    ) -> None:
        """Open the held-out pictures, in process 0.

        Args:
            table: features of their captions.
            device: where they are measured.
            opened: closes what is opened here.
            channels_last: memory layout of the pictures.
        """
        if self.pictures is None or not self._group.is_main:
            return
        self._validator = Validator(
            self.pictures, table, self._recipe, device, channels_last=channels_last
        )
        opened.callback(self._validator.loader.close)

    def restore(self, state: RunState) -> None:
        """Continue from what a checkpoint holds."""
        self.stopping = EarlyStopping(**state.watch)
        if self.guard is not None and state.guard:
            self.guard = QualityGuard(**state.guard)

    def store(self, state: RunState) -> None:
        """Put everything that :meth:`restore` needs into the state of the run."""
        state.watch = asdict(self.stopping)
        state.guard = {} if self.guard is None else self.guard.state()

    def begin(self, average: Model, step: int) -> Validation | None:
        """Prepare the guard, if there is one: it compares with the model before the first step.

        Args:
            average: the averaged weights.
            step: updates done.

        Returns:
            What was measured; None where nothing had to be.
        """
        if self.guard is None:
            return None
        found = None
        if self.guard.start is None:
            value, found = self._measure(average, 0.0)
            self.guard.check(value, step, higher=self._higher)
        self.guard.keep(average)
        return found

    def validate(
        self, average: Model, state: RunState, progress: float, *, last: bool = False
    ) -> Validation | None:
        """Measure the averaged weights if it is time to; None if it is not.

        Args:
            average: the averaged weights; they become the last good ones where the guard says so.
            state: of the run.
            progress: share of the budget spent.
            last: whether the run ends here; then it is time unless it was just done.
        """
        if self.pictures is None:
            return None
        step, elapsed = state.step, state.elapsed
        if not self.stopping.due(self._section, step, progress, elapsed, last=last):
            return None
        value, found = self._measure(average, progress)
        self.stopping.validated(self._section, step, progress, elapsed)
        best = self.stopping.improved(value, step, higher=self._higher, least=self._section.least)
        if self.guard is not None:
            self.guard.guarded(average, value, step, higher=self._higher)
        return Validation(found.figures, best)

    def _measure(self, average: Model, progress: float) -> tuple[float, Validation]:
        """The value of the recipe's metric, in every process, and all figures."""
        figures = self._validator.measure(average, progress) if self._validator else {}
        [value] = self._group.broadcast_values([figures.get(self._section.metric, 0.0)])
        return value, Validation(figures)

    @property
    def ends(self) -> bool:
        """Whether the run is to end before its budget is spent."""
        fell = self.guard is not None and self.guard.fell
        return fell or self.stopping.should_stop(self._section)

    @property
    def why(self) -> str:
        """Why the run ends early, and which model is left."""
        metric = f"{self._section.metric} on held-out pictures"
        if self.guard is not None and self.guard.fell:
            return (
                f"{metric} became worse than {self.guard.start:.4g} by more than "
                f"{self.guard.most:.0%}; the model is that of step {self.guard.step}"
            )
        best = self.stopping.best
        value = "never a number" if best is None else f"{best:.4g}"
        return (
            f"{metric} was best at step {self.stopping.best_step}, {value}; "
            f"that model is {BEST_NAME}"
        )


def _held_out(session: Session) -> Pictures | None:
    """Split off the held-out pictures, where the recipe asks for it."""
    recipe = session.recipe
    if recipe.data.holdout.share:
        wanted = recipe.data.holdout
        session.pictures, held = hold_out(session.pictures, wanted, recipe.source)
        return held
    if recipe.train.stop is not None:
        problem = "train.stop needs held-out pictures; give data.holdout"
        raise RecipeError(f"{recipe.source}: {problem}")
    return None
