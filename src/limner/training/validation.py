"""Looks at the held-out pictures during a run, and when they end it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from limner.errors import RecipeError
from limner.modelfile import save_model
from limner.training.data import Pictures
from limner.training.holdout import HeldOut, find_metric, split
from limner.training.recipe import StopSection
from limner.training.reporting import model_info

if TYPE_CHECKING:
    from limner.training.loop import Run
    from limner.training.session import Session

BEST_NAME = "best.safetensors"


class Watcher(Protocol):
    """Whoever follows a run from outside, such as a search."""

    def looked(self, progress: float, found: dict[str, float]) -> None:
        """Hear what the held-out pictures said, and how much of the budget is spent."""
        ...

    def enough(self) -> bool:
        """Whether the run shall end now; asked after every step."""
        ...


@dataclass
class Watch:
    """What the looks so far have shown.

    Attributes:
        best: best value of the metric; None before the first look.
        best_step: step it was seen at.
        bad: looks since then.
        marks: shares of the budget looked at.
        seconds: training time of the last look.
        last: step of the last look, -1 before it.
    """

    best: float | None = None
    best_step: int = 0
    bad: int = 0
    marks: int = 0
    seconds: float = 0.0
    last: int = -1

    def due(self, section: StopSection, step: int, progress: float, elapsed: float) -> bool:
        """Whether to look after ``step`` updates."""
        if progress < section.after:
            return False
        if section.every_steps is not None:
            return step % section.every_steps == 0
        if section.every_minutes is not None:
            return elapsed - self.seconds >= section.every_minutes * 60
        # The tiny share added: 20 times 0.05 must reach 1.
        return math.floor(progress / section.every + 1e-9) > self.marks

    def looked(self, section: StopSection, step: int, progress: float, elapsed: float) -> None:
        """Remember that a look was taken."""
        self.last, self.seconds = step, elapsed
        self.marks = math.floor(progress / section.every + 1e-9)

    def better(self, value: float, step: int, *, higher: bool, least: float) -> bool:
        """Take in a value of the metric; whether it is the best so far."""
        gain = math.inf
        if self.best is not None:
            gain = (value - self.best) if higher else (self.best - value)
        if math.isfinite(value) and gain > least:
            self.best, self.best_step, self.bad = value, step, 0
            return True
        self.bad += 1
        return False

    def forget(self) -> None:
        """Begin to compare anew: what is measured is no longer the same."""
        self.best, self.bad = None, 0

    def over(self, section: StopSection) -> bool:
        """Whether patience is at its end."""
        return section.patience is not None and self.bad >= section.patience

    def state(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return asdict(self)


class Looks:
    """The looks of one run.

    Args:
        session: its pictures lose those that are held out.

    Raises:
        RecipeError: nothing is held out though the recipe wants to stop by it, or it names a
            metric that is not there.
    """

    def __init__(self, session: Session) -> None:
        recipe = session.recipe
        self.section = recipe.train.stop or StopSection(patience=None)
        self.keeps_best = recipe.train.stop is not None
        self.watch = Watch()
        self.pictures: Pictures | None = None
        self.held: HeldOut | None = None
        if recipe.data.holdout.share:
            session.pictures, self.pictures = split(
                session.pictures, recipe.data.holdout, recipe.source
            )
        elif self.keeps_best:
            raise RecipeError(
                f"{recipe.source}: train.stop needs held-out pictures; give data.holdout"
            )
        self.higher = find_metric(self.section.metric, session.model, recipe.source).higher

    def open(self, run: Run) -> None:
        """Prepare the held-out batches, in the process that looks."""
        if self.pictures is not None and run.crowd.leads:
            self.held = HeldOut(
                self.pictures, run.table, run.recipe, run.device, channels_last=run.layout
            )

    def over(self) -> bool:
        """Whether patience is at its end."""
        return self.watch.over(self.section)

    def take(self, run: Run, *, last: bool = False) -> None:
        """Take a look where one is due: measure the averaged weights, keep them if the best.

        Args:
            run: as it stands.
            last: the run is at its end; look unless that was just done.
        """
        if self.pictures is None:
            return
        state, watch, section = run.state, self.watch, self.section
        step, progress = state.step, run.plan.progress(state.step)
        due = watch.last != step if last else watch.due(section, step, progress, state.elapsed)
        if not due:
            return
        found: dict[str, float] = {}
        if self.held is not None:
            found = self.held.measure(run.ema.model, run.model.config.size, progress)
        [value] = run.crowd.agree([found.get(section.metric, 0.0)])
        watch.looked(section, step, progress, state.elapsed)
        best = watch.better(value, step, higher=self.higher, least=section.least)
        record = {"event": "held_out", "step": step, "held_out": found}
        run.log.write(record)
        run.board.scalars(record)
        if best and self.keeps_best and run.crowd.leads:
            save_model(run.out / BEST_NAME, run.ema.model, model_info(run, held_out=found))
        if run.watcher is not None:
            run.watcher.looked(run.share(), found)

    def why(self) -> str:
        """One sentence on an early end."""
        best = "never a number" if self.watch.best is None else f"{self.watch.best:.4g}"
        return (
            f"{self.section.metric} on held-out pictures was best at step "
            f"{self.watch.best_step}, {best}; that model is {BEST_NAME}"
        )

    def close(self) -> None:
        """End the feeder's thread."""
        if self.held is not None:
            self.held.close()
