"""The one loop: it trains every family, and knows none of them."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import limner
from limner.errors import RecipeError, TrainingError
from limner.modelfile import ModelInfo, save_model
from limner.models.base import Batch
from limner.text.bulk import FeatureTable
from limner.training import checkpoint
from limner.training.checkpoint import RunState, load_checkpoint, save_checkpoint
from limner.training.data import Feeder, rows_of
from limner.training.ema import Ema
from limner.training.flops import Costs, count
from limner.training.grid import draw_grid, write_picture
from limner.training.machine import (
    autocast,
    choose_device,
    compile_parts,
    hardware,
    stop_signals,
)
from limner.training.optim import PlayerOptimizer, Players
from limner.training.recipe import HARMLESS, Recipe, changed_keys
from limner.training.schedule import Plan, rate_factor
from limner.training.session import (
    Session,
    caption_sample,
    describe,
    encode_captions,
    open_session,
    share_out_words,
)
from limner.training.trackers import JsonLog, Meter, TensorBoard, Window

MODEL_NAME = "model.safetensors"
LOG_NAME = "log.jsonl"


def train(
    recipe: Recipe,
    out: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Train a model, or go on training it.

    Args:
        recipe: what to learn; :func:`limner.training.recipe.load_recipe` gives one.
        out: the run's folder: checkpoint, model, log, samples.
        minutes: budget in minutes of training, over all resumes; replaces the recipe's budget.
        steps: budget in steps; replaces the recipe's. With both, whichever ends first.
        resume: go on from the checkpoint in ``out``.
        quiet: show nothing but errors.

    Returns:
        ``out/model.safetensors``: the averaged weights with everything needed to use them.

    Raises:
        RecipeError: the recipe cannot be honoured, or is not the one of the run to be resumed.
        TrainingError: the run diverged, or its folder cannot be written.
        ModelFileError: a checkpoint cannot be read or written.
    """
    from limner.cli.progress import progress

    recipe = with_budget(recipe, minutes, steps)
    found = (out / checkpoint.NAME).exists()
    if found and not resume:
        raise TrainingError(f"{out} already holds a run; pass --resume, or name another folder")
    if resume and not out.is_dir():
        raise TrainingError(f"there is no run in {out}, so there is nothing to resume")
    session = open_session(recipe)
    state = load_checkpoint(out / checkpoint.NAME) if found else None
    if state:
        check_same(session, state[0], out)
    else:
        _make_folder(out)
    with progress(100.0, "reading captions", quiet, unit="%") as reading:
        table = encode_captions(
            session, lambda done, total: reading.advance(100 * done / total - reading.done)
        )
    share_out_words(session, table)
    with progress(100.0, "training", quiet, unit="%") as meter:
        run = Run(session, table, out, meter)
        try:
            run.start(state)
            return run.go()
        finally:
            run.close()


def with_budget(recipe: Recipe, minutes: float | None, steps: int | None) -> Recipe:
    """The recipe with another budget, where one is given.

    Raises:
        RecipeError: the budget is not positive.
    """
    if minutes is None and steps is None:
        return recipe
    if not all(value is None or (value > 0 and math.isfinite(value)) for value in (minutes, steps)):
        raise RecipeError("a budget of minutes or steps must be more than nothing")
    budget = recipe.train.model_copy(update={"minutes": minutes, "steps": steps})
    changed = recipe.model_copy(update={"train": budget})
    changed._source = recipe.source
    return changed


class Run:
    """One run in one folder.

    Args:
        session: the resolved recipe and its parts.
        table: features of the session's captions.
        out: the run's folder.
        meter: shows the run to a person.
    """

    def __init__(self, session: Session, table: FeatureTable, out: Path, meter: Meter) -> None:
        self.session, self.table, self.out, self.meter = session, table, out, meter
        self.recipe = session.recipe
        self.section = session.recipe.train
        self.device = choose_device(self.section.device)
        self.state = RunState(
            recipe=self.recipe.model_dump(mode="json"),
            data=session.pictures.fingerprint,
            encoder=session.encoder.fingerprint,
        )
        self._parameters = session.parameter_count
        self._shown = 0.0
        self.window = Window(self.device)
        self._last = (0.0, 0.0)
        self._closing: list[Any] = []

    # -- setting up ---------------------------------------------------------------------------

    def start(self, found: tuple[RunState, dict[str, Tensor]] | None) -> None:
        """Prepare everything up to the first step, fresh or from a checkpoint."""
        model, section, table = self.session.model, self.section, self.table
        if not found and not self.session.fitted:
            model.prepare(caption_sample(self.session, table))
        layout = section.channels_last and any(p.ndim == 4 for p in model.parameters())
        self.model = model.to(self.device)
        if layout:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.train()
        self.players = Players(self.model.players)
        self.ema = Ema(self.model, section.ema)
        self.optimizers = {
            name: PlayerOptimizer(name, group, section)
            for name, group in self.players.groups.items()
        }
        seconds = None if section.minutes is None else section.minutes * 60
        self.plan = Plan(section.steps, seconds)
        if found:
            self._restore(*found, steps=section.steps, seconds=seconds)
        self.feeder = Feeder(
            self.session.pictures, table, self.recipe.data,
            batch_size=section.batch_size, seed=section.seed,
            device=self.device, channels_last=layout,
        )  # fmt: skip
        self._closing.append(self.feeder)
        self.costs = self._count()
        if section.compile:
            compile_parts(self.model)
        self._open_trackers(resumed=found is not None)

    def _restore(
        self,
        state: RunState,
        tensors: dict[str, Tensor],
        *,
        steps: int | None,
        seconds: float | None,
    ) -> None:
        path = self.out / checkpoint.NAME
        checkpoint.copy_into(self.model, checkpoint.under(tensors, "model."), path)
        checkpoint.copy_into(self.ema.model, checkpoint.under(tensors, "ema."), path)
        for optimizer in self.optimizers.values():
            optimizer.restore(checkpoint.under(tensors, "optimizer."))
        self.state = replace(state, recipe=self.state.recipe)
        self.window.restore(state.window)
        self.plan = Plan.restore(state.plan)
        self.plan.rebudget(steps, seconds, state.step, state.elapsed)

    def _count(self) -> Costs:
        costs = count(self.model, self.feeder.batch(0, ahead=False))
        known = costs.losses | self.model.staged_losses
        unknown = sorted(set(self.recipe.weights) - known)
        if unknown:
            raise RecipeError(
                f"{self.recipe.source}: weights.{unknown[0]}: the {self.recipe.family} family "
                f"has no such loss; it has: {', '.join(sorted(known))}"
            )
        return costs

    def _open_trackers(self, resumed: bool) -> None:
        step = self.state.step
        self.log = JsonLog(self.out / LOG_NAME, step if resumed else None)
        events = self.out / "tensorboard" if self.section.tensorboard else None
        self.board = TensorBoard(events, step, self.meter)
        self._closing += [self.log, self.board]
        parameters, machine = self._parameters, hardware(self.device)
        self.log.write(
            {
                "event": "resume" if resumed else "start",
                "step": step,
                "parameters": parameters,
                "recipe": self.state.recipe,
                "clock": {"hardware": machine, **self._versions()},
            }
        )
        self.meter.note(
            f"{'resuming' if resumed else 'training'} {self.recipe.family} of "
            f"{parameters:,} parameters on {len(self.session.pictures):,} pictures, "
            f"{self.session.pictures.size} px, on {machine}, "
            f"{self.costs.per_picture(0.0) / 1e9:.2f} GFLOP a picture"
        )

    # -- the loop -----------------------------------------------------------------------------

    def go(self) -> Path:
        """Train until the budget is spent or somebody asks to stop; the model's path."""
        state, section = self.state, self.section
        began, before = time.monotonic(), state.elapsed
        saved = sampled = before
        self._lap = (state.step, before)
        self._shown = self._share()
        self.plan.begin(state.step, before)
        with stop_signals() as stopped:
            while not self.plan.done(state.step, state.elapsed) and not stopped.is_set():
                self.update(state.step)
                state.step += 1
                state.pictures += section.batch_size
                state.elapsed = before + time.monotonic() - began
                self._replan()
                if state.step % section.log_every == 0:
                    self._log()
                if state.elapsed - sampled >= section.sample_every_minutes * 60:
                    self._sample()
                    sampled = state.elapsed
                if state.elapsed - saved >= section.checkpoint_every_minutes * 60:
                    self._save()
                    saved = state.elapsed
            if not stopped.is_set() and self.window:
                self._log()
            path = self._save()
            if stopped.is_set():
                self.meter.note(
                    f"stopped at step {state.step}; go on with: the same command and --resume"
                )
            else:
                self._sample()
        return path

    def update(self, step: int) -> None:
        """One update of every player, from a batch that depends on the step alone."""
        progress = self.plan.progress(step)
        batch = replace(self.feeder.batch(step), progress=progress)
        factor = rate_factor(self.section.schedule, self.section.warmup_steps, step, progress)
        figures: dict[str, Tensor] = {}
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, (name, optimizer) in enumerate(self.optimizers.items()):
            self.players.only(name)
            for part in range(self.section.accumulate):
                losses = self._losses(batch, name, (step, number, part))
                for key, value in losses.items():
                    share = value.detach().double() / self.section.accumulate
                    figures[f"loss/{key}"] = figures.get(f"loss/{key}", 0) + share
                weighted = self._weighted(losses) / self.section.accumulate
                weighted.backward()  # type: ignore[no-untyped-call]
                total += weighted.detach()
            figures[f"norm/{name}"] = optimizer.step(factor).double()
        figures["total"] = total
        self._last = (progress, factor)
        self.ema.update(self.model, step)
        self.window.add(figures)
        if self.device.type == "cpu":
            self._check_finite()

    def _losses(self, batch: Batch, player: str, where: tuple[int, int, int]) -> dict[str, Tensor]:
        """Named losses of one micro-batch; its chances depend on ``where`` alone."""
        accumulate = self.section.accumulate
        if accumulate > 1:
            size = len(batch.images) // accumulate
            rows = slice(where[2] * size, (where[2] + 1) * size)
            batch = rows_of(batch, rows)
        seeds = np.random.SeedSequence([self.section.seed, *where]).generate_state(2, np.uint64)
        batch.generator.manual_seed(int(seeds[0] >> np.uint64(1)))
        torch.manual_seed(int(seeds[1] >> np.uint64(1)))  # for layers such as dropout
        with autocast(self.section.precision, self.device):
            return self.model.losses(batch, player)

    def _weighted(self, losses: dict[str, Tensor]) -> Tensor:
        weights = self.recipe.weights
        return torch.stack([weights.get(k, 1.0) * v.float() for k, v in losses.items()]).sum()

    # -- figures ------------------------------------------------------------------------------

    def _check_finite(self) -> None:
        if self.window.finite:
            return
        good = (self.out / checkpoint.NAME).exists()
        raise TrainingError(
            f"the loss is no longer a number at step {self.state.step}; lower train.lr or "
            f"train.clip_norm"
            + (f"; the last good state is in {self.out / checkpoint.NAME}" if good else "")
        )

    def _log(self) -> None:
        self._check_finite()
        state, means = self.state, self.window.means()
        progress, factor = self._last
        steps, seconds = state.step - self._lap[0], state.elapsed - self._lap[1]
        self._lap = (state.step, state.elapsed)
        speed = steps * self.section.batch_size / max(seconds, 1e-9)
        left = self._seconds_left(speed)
        record = {
            "step": state.step,
            "progress": progress,
            "lr": self.section.lr * factor,
            "pictures": state.pictures,
            "total": means["total"],
            "loss": {k[5:]: v for k, v in means.items() if k.startswith("loss/")},
            "norm": {k[5:]: v for k, v in means.items() if k.startswith("norm/")},
            "clock": {
                "seconds": round(state.elapsed, 3),
                "pictures_per_second": round(speed, 2),
                "gflops": round(speed * self.costs.per_picture(progress) / 1e9, 2),
                "seconds_left": None if left is None else round(left, 1),
            },
        }
        self.log.write(record)
        self.board.scalars(record)
        share = self._share()
        self.meter.advance(
            100 * max(0.0, share - self._shown),
            step=state.step,
            loss=means["total"],
            lr=record["lr"],
            **{"pictures/s": round(speed, 1)},
        )
        self._shown = max(share, self._shown)

    def _share(self) -> float:
        """Share of the budget that is spent, by the clock where the clock decides."""
        if self.plan.seconds is not None:
            return min(1.0, self.state.elapsed / self.plan.seconds)
        return self.plan.progress(self.state.step)

    def _seconds_left(self, speed: float) -> float | None:
        if self.plan.total is None:
            return None
        return (self.plan.total - self.state.step) * self.section.batch_size / max(speed, 1e-9)

    def _replan(self) -> None:
        segment = self.plan.measure(self.state.step, self.state.elapsed)
        if segment is not None:
            self.log.write({"event": "plan", "step": self.state.step, "plan": segment.__dict__})

    # -- what is written ----------------------------------------------------------------------

    def _sample(self) -> None:
        if not self.recipe.prompts:
            return
        features = self.session.encoder.encode(self.recipe.prompts)
        features = features.padded(min(features.tokens.shape[1], self.recipe.text.max_tokens))
        pixels = draw_grid(self.ema.model, features, self.device)
        write_picture(self.out / "samples" / f"{self.state.step:06d}.png", pixels)
        self.board.picture("samples", pixels, self.state.step)

    def _save(self) -> Path:
        """Write the checkpoint, then the model; neither from a state that has diverged."""
        self._check_finite()
        self.state.plan = self.plan.state()
        self.state.window = self.window.state()
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.model.state_dict().items()}
        for optimizer in self.optimizers.values():
            tensors |= {f"optimizer.{n}": t for n, t in optimizer.state().items()}
        save_checkpoint(self.out / checkpoint.NAME, self.state, tensors)
        path = self.out / MODEL_NAME
        save_model(path, self.ema.model, self._info())
        return path

    def _info(self) -> ModelInfo:
        state, session = self.state, self.session
        speed = state.pictures / max(state.elapsed, 1e-9)
        gflops = speed * self.costs.per_picture(self.plan.progress(state.step)) / 1e9
        return ModelInfo(
            family=self.recipe.family,
            config=self.ema.model.config.model_dump(mode="json"),
            encoder=session.encoder.spec,
            encoder_fingerprint=session.encoder.fingerprint,
            data=describe(session),
            licences=session.licences,
            training={
                "recipe": state.recipe,
                "steps": state.step,
                "pictures": state.pictures,
                "minutes": round(state.elapsed / 60, 3),
                "parameters": self._parameters,
                "hardware": hardware(self.device),
                "gflops": round(gflops, 2),
                "finished": self.plan.done(state.step, state.elapsed),
                **self._versions(),
            },
        )

    def _versions(self) -> dict[str, str]:
        return {"limner": limner.__version__, "torch": torch.__version__}

    def close(self) -> None:
        """Close what is open."""
        for thing in reversed(self._closing):
            thing.close()


def check_same(session: Session, state: RunState, out: Path) -> None:
    """Refuse to go on with what the run was not started with.

    Raises:
        RecipeError: naming the key that has changed.
    """
    source = session.recipe.source
    now = session.recipe.model_dump(mode="json")
    changed = [key for key in changed_keys(state.recipe, now) if key not in HARMLESS]
    if changed:
        raise RecipeError(
            f"{source}: {changed[0]} is not what the run in {out} was started with; "
            f"put it back, or start anew with another --out"
        )
    for what, old, new in (
        ("data.store", state.data, session.pictures.fingerprint),
        ("text.encoder", state.encoder, session.encoder.fingerprint),
    ):
        if old != new:
            raise RecipeError(
                f"{source}: {what} is no longer what the run in {out} was started with "
                f"(fingerprint {new}, not {old})"
            )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot make the folder {out}: {error.strerror or error}") from error
