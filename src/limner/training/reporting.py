"""What a run says of itself: lines of the log, and the card of the model it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import limner
from limner.modelfile import ModelInfo
from limner.models.words import reader_of, tuning_of
from limner.training.machine import hardware
from limner.training.recipe import Recipe
from limner.training.session import describe
from limner.training.trackers import JsonLog, Meter, NoLog, Trackers, open_trackers

if TYPE_CHECKING:
    from limner.training.loop import Run

LOG_NAME = "log.jsonl"


def open_logs(
    recipe: Recipe, out: Path, step: int, meter: Meter, *, resumed: bool, leads: bool
) -> tuple[JsonLog | NoLog, Trackers]:
    """The log and the trackers of a run; silent ones for a process that does not lead."""
    if not leads:
        return NoLog(), Trackers([])
    log = JsonLog(out / LOG_NAME, step if resumed else None)
    return log, open_trackers(recipe.train.trackers, out, step, meter, recipe)


def versions() -> dict[str, str]:
    """Of limner and torch."""
    return {"limner": limner.__version__, "torch": torch.__version__}


def announce(run: Run, resumed: bool) -> None:
    """The first line of the log and of the screen."""
    machine, count = hardware(run.device), run.crowd.count
    if count > 1:
        machine = f"{count} processes of {machine}"
    run.log.write(
        {
            "event": "resume" if resumed else "start",
            "step": run.state.step,
            "parameters": run.parameter_count,
            "recipe": run.state.recipe,
            "clock": {"hardware": machine, **versions()},
        }
    )
    apart = run.looks.pictures
    held = f", {len(apart):,} held out" if apart else ""
    run.meter.note(
        f"{'resuming' if resumed else 'training'} {run.recipe.family} of "
        f"{run.parameter_count:,} parameters on {len(run.session.pictures):,} pictures{held}, "
        f"{run.model.config.size} px, on {machine}, "
        f"{run.costs.per_picture(0.0) / 1e9:.2f} GFLOP a picture"
    )


def under(means: dict[str, float], prefix: str) -> dict[str, float]:
    """The figures whose names begin with ``prefix/``, without it."""
    return {k.removeprefix(f"{prefix}/"): v for k, v in means.items() if k.startswith(f"{prefix}/")}


class Pace:
    """Turns means of figures into lines of the log, with the speed since the line before."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lap = (run.state.step, run.state.elapsed)
        self._shown = run.share()

    def line(self, means: dict[str, float], progress: float, factor: float) -> None:
        """Write a line, and show it."""
        run, state = self.run, self.run.state
        steps, seconds = state.step - self._lap[0], state.elapsed - self._lap[1]
        self._lap = (state.step, state.elapsed)
        speed = steps * run.section.batch_size / max(seconds, 1e-9)
        left = self._seconds_left(speed)
        record: dict[str, Any] = {
            "step": state.step,
            "progress": progress,
            "lr": run.section.lr * factor,
            "pictures": state.pictures,
            "total": means["total"],
            "loss": under(means, "loss"),
            "weight": under(means, "weight"),
            "norm": under(means, "norm"),
            "clock": {
                "seconds": round(state.elapsed, 3),
                "pictures_per_second": round(speed, 2),
                "gflops": round(speed * run.costs.per_picture(progress) / 1e9, 2),
                "seconds_left": None if left is None else round(left, 1),
            },
        }
        run.log.write(record)
        run.board.scalars(record)
        share = run.share()
        run.meter.advance(
            100 * max(0.0, share - self._shown),
            step=state.step,
            loss=means["total"],
            lr=record["lr"],
            **{"pictures/s": round(speed, 1)},
        )
        self._shown = max(share, self._shown)

    def _seconds_left(self, speed: float) -> float | None:
        plan = self.run.plan
        if plan.total is None:
            return None
        return (plan.total - self.run.state.step) * self.run.section.batch_size / max(speed, 1e-9)


def model_info(run: Run, **training: Any) -> ModelInfo:
    """What the model file of a run says of itself.

    Args:
        run: as it stands.
        training: more to say of the training.
    """
    state, session = run.state, run.session
    speed = state.pictures / max(state.elapsed, 1e-9)
    gflops = speed * run.costs.per_picture(run.plan.progress(state.step)) / 1e9
    many = {"processes": run.crowd.count} if run.crowd.count > 1 else {}
    return ModelInfo(
        family=run.recipe.family,
        config=run.ema.model.config.model_dump(mode="json"),
        encoder=session.encoder.spec,
        encoder_fingerprint=reader_of(run.ema.model, session.encoder).fingerprint,
        tuning=tuning_of(run.ema.model),
        image_encoder=session.image_encoder.spec if session.image_encoder else "",
        image_encoder_fingerprint=run.state.image_encoder,
        data=describe(session),
        licences=session.licences,
        training={
            "recipe": state.recipe,
            "steps": state.step,
            "pictures": state.pictures,
            "minutes": round(state.elapsed / 60, 3),
            "parameters": run.parameter_count,
            "hardware": hardware(run.device),
            "gflops": round(gflops, 2),
            "finished": run.over(),
            **many,
            **training,
            **versions(),
        },
    )
