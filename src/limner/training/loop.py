"""The one loop: it trains every family, and knows none of them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.errors import RecipeError, TrainingError, UsageError
from limner.files import make_folder
from limner.modelfile import save_model
from limner.models.base import Batch, Capability, ImageModel
from limner.models.words import reader_of
from limner.text.bulk import FeatureTable
from limner.training import checkpoint
from limner.training.balance import open_balance
from limner.training.checkpoint import RunState, check_same, load_checkpoint, save_checkpoint
from limner.training.data import Feeder, rows_of
from limner.training.ema import Ema
from limner.training.flops import Costs, count
from limner.training.growth import Growth, carry_over, grow_average
from limner.training.machine import (
    autocast,
    choose_device,
    compile_parts,
    compiled,
    keep_freed_memory,
    stop_signals,
)
from limner.training.optim import PlayerOptimizer, Players
from limner.training.processes import Crowd, join, launch, launched
from limner.training.recipe import Recipe, with_budget
from limner.training.reporting import Pace, announce, model_info, open_logs
from limner.training.samples import draw_grid, write_picture
from limner.training.schedule import Plan, rate_factor
from limner.training.session import (
    Session,
    caption_sample,
    encode_captions,
    look_at_references,
    open_session,
    parse_scenes,
    share_out_words,
)
from limner.training.trackers import Meter, Window
from limner.training.validation import Looks, Watch, Watcher
from limner.training.watch import CollapseWatch

MODEL_NAME = "model.safetensors"


def train(
    recipe: Recipe,
    out: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    quiet: bool = False,
    processes: int = 1,
    watcher: Watcher | None = None,
) -> Path:
    """Train a model, or go on training it.

    Args:
        recipe: what to learn; :func:`limner.training.recipe.load_recipe` gives one.
        out: the run's folder: checkpoint, model, log, samples.
        minutes: budget in minutes of training, over all resumes; replaces the recipe's budget.
        steps: budget in steps; replaces the recipe's. With both, whichever ends first.
        resume: go on from the checkpoint in ``out``.
        quiet: show nothing but errors.
        processes: how many to start on this machine; inside of what a launcher such as
            ``accelerate launch`` has started, those are used.
        watcher: follows the run.

    Returns:
        ``out/model.safetensors``: the averaged weights with everything needed to use them.

    Raises:
        RecipeError: the recipe cannot be honoured, or is not the one of the run to be resumed.
        TrainingError: the run diverged, its folder cannot be written, or a process was lost.
        ModelFileError: a checkpoint cannot be read or written.
        MissingExtraError: a package that the recipe asks for is not installed.
        UsageError: ``processes`` is below 1, or not what a launcher has started.
    """
    there = launched()
    if processes < 1 or (there > 1 and processes not in {1, there}):
        raise UsageError(f"--processes {processes} does not fit: a launcher has started {there}")
    recipe = with_budget(recipe, minutes, steps)
    if processes > there:
        return launch(processes, train, recipe, out, resume=resume, quiet=quiet)
    crowd = join(recipe.train.device)
    try:
        return _train(recipe, out, crowd, watcher, resume=resume, quiet=quiet or not crowd.leads)
    finally:
        crowd.close()


def _train(
    recipe: Recipe, out: Path, crowd: Crowd, watcher: Watcher | None, *, resume: bool, quiet: bool
) -> Path:
    from limner.progress import progress

    found = (out / checkpoint.NAME).exists()
    if found and not resume:
        raise TrainingError(f"{out} already holds a run; pass --resume, or name another folder")
    if resume and not out.is_dir():
        raise TrainingError(f"there is no run in {out}, so there is nothing to resume")
    session = open_session(recipe)
    state = load_checkpoint(out / checkpoint.NAME) if found else None
    crowd.wait()
    if state:
        check_same(session, state[0], out)
    else:
        make_folder(out, TrainingError)
    if not crowd.leads:
        crowd.wait()  # the first process fills the cache of encoded captions, the others read it
    with progress(100.0, "reading captions", quiet, unit="%") as reading:
        table = encode_captions(
            session, lambda done, total: reading.advance(100 * done / total - reading.done)
        )
    if crowd.leads:
        crowd.wait()
    share_out_words(session, table)
    parse_scenes(session)
    if session.image_encoder is not None:
        with progress(100.0, "looking at references", quiet, unit="%") as looking:
            look_at_references(
                session, lambda done, total: looking.advance(100 * done / total - looking.done)
            )
    with progress(100.0, "training", quiet, unit="%") as meter:
        run = Run(session, table, out, meter, crowd=crowd, watcher=watcher)
        try:
            run.start(state)
            return run.go()
        finally:
            run.close()


class Run:
    """One run in one folder.

    Args:
        session: the resolved recipe and its parts.
        table: features of the session's captions.
        out: the run's folder.
        meter: shows the run to a person.
        crowd: the processes that share the work.
        watcher: follows the run.
    """

    def __init__(
        self,
        session: Session,
        table: FeatureTable,
        out: Path,
        meter: Meter,
        *,
        crowd: Crowd | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.session, self.table, self.out, self.meter = session, table, out, meter
        self.crowd, self.watcher = crowd or Crowd(), watcher
        self.recipe = session.recipe
        self.section = session.recipe.train
        self.device = choose_device(self.section.device)
        keep_freed_memory()
        self.parts, self.mine = self.crowd.parts(self.section.accumulate)
        self.state = RunState(
            recipe=self.recipe.model_dump(mode="json"),
            data=session.pictures.fingerprint,
            encoder=session.encoder.fingerprint,
            image_encoder=session.image_encoder.fingerprint if session.image_encoder else "",
        )
        self.looks = Looks(session)
        self.collapse = CollapseWatch()
        self.window = Window(self.device)
        self._last = (0.0, 0.0)
        self._closing: list[Any] = []
        self._check()

    # -- setting up ---------------------------------------------------------------------------

    def _check(self) -> None:
        source, size = self.recipe.source, self.section.batch_size
        if size % self.parts:
            raise RecipeError(
                f"{source}: train.batch_size: {size} pictures cannot be cut in {self.parts} equal "
                f"parts for {self.crowd.count} processes and accumulate {self.section.accumulate}"
            )

    def start(self, found: tuple[RunState, dict[str, Tensor]] | None) -> None:
        """Prepare everything up to the first step, fresh or from a checkpoint."""
        model, section, table, pictures = (
            self.session.model, self.section, self.table, self.session.pictures
        )  # fmt: skip
        fresh = not found and not self.session.fitted
        if fresh:
            model.prepare(caption_sample(self.session, table))
        self.layout = section.channels_last and any(p.ndim == 4 for p in model.parameters())
        self.growth = Growth(self.recipe, pictures.size, pictures.stores[0].size)
        phase = found[0].phase if found else 0
        self._install(self.growth.at(model, phase).to(self.device))
        self.ema = Ema(self.model, section.ema)
        seconds = None if section.minutes is None else section.minutes * 60
        self.plan = Plan(section.steps, seconds)
        if found:
            self._restore(*found, steps=section.steps, seconds=seconds)
        self.feeder = Feeder(
            replace(pictures, size=self.model.config.size), table, self.recipe.data,
            batch_size=section.batch_size, seed=section.seed,
            device=self.device, channels_last=self.layout,
        )  # fmt: skip
        self._closing.append(self.feeder)
        self.looks.open(self)
        self._closing.append(self.looks)
        if fresh:
            self.model.prepare_pictures(self.feeder.batch(0, ahead=False).images)
        self.crowd.follow([*self.model.parameters(), *self._buffers()])
        self.costs = self._count()
        if section.compile:
            compile_parts(self.model)
        self.log, self.board = open_logs(
            self.recipe, self.out, self.state.step, self.meter,
            resumed=found is not None, leads=self.crowd.leads,
        )  # fmt: skip
        self._closing += [self.log, self.board]
        announce(self, resumed=found is not None)

    def _install(self, model: ImageModel) -> None:
        """Make a model the one that learns, with fresh optimisers and factors of its losses."""
        self.model = self._laid_out(model).train()
        self.players = Players(self.model.players)
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        self.parameter_count = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.optimizers, self.balances = {}, {}
        for name, group in self.players.groups.items():
            self.optimizers[name] = PlayerOptimizer(name, group, self.section)
            mine = {names[p]: p for p in group.every if p in names}
            self.balances[name] = open_balance(
                self.section.balance, self.recipe.weights, name, mine
            )

    def _laid_out(self, model: ImageModel) -> ImageModel:
        if self.layout:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def _buffers(self) -> list[Tensor]:
        return [b for b in self.model.buffers() if b.is_floating_point()]

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
        for player, factors in state.balance.items():
            self.balances[player].restore(factors)
        self.looks.watch = Watch(**state.watch)
        self.state = replace(state, recipe=self.state.recipe)
        self.window.restore(state.window)
        self.plan = Plan.restore(state.plan)
        self.plan.rebudget(steps, seconds, state.step, state.elapsed)

    def _count(self) -> Costs:
        costs = count(self.model, self.feeder.batch(self.state.step, ahead=False))
        known = costs.losses | self.model.staged_losses
        unknown = sorted(set(self.recipe.weights) - known)
        if unknown:
            raise RecipeError(
                f"{self.recipe.source}: weights.{unknown[0]}: the {self.recipe.family} family "
                f"has no such loss; it has: {', '.join(sorted(known))}"
            )
        return costs

    # -- the loop -----------------------------------------------------------------------------

    def go(self) -> Path:
        """Train until the budget is spent or somebody asks to stop; the model's path."""
        state, section = self.state, self.section
        began, before = time.monotonic(), state.elapsed
        saved = sampled = before
        self.pace = Pace(self)
        self.plan.begin(state.step, before)
        with stop_signals() as asked:
            stopped = False
            while not self.over() and not stopped:
                self._grow()
                with compiled(section.compile):
                    self.update(state.step)
                state.step += 1
                state.pictures += section.batch_size
                stopped = self._tick(before + time.monotonic() - began, asked)
                self._replan()
                if state.step % section.log_every == 0:
                    self._log()
                self.looks.take(self)
                if state.elapsed - sampled >= section.sample_every_minutes * 60:
                    self._sample()
                    sampled = state.elapsed
                if state.elapsed - saved >= section.checkpoint_every_minutes * 60:
                    self._save()
                    saved = state.elapsed
            return self._end(stopped)

    def _end(self, stopped: bool) -> Path:
        if not stopped:
            if self.window:
                self._log()
            self.looks.take(self, last=True)
        path = self._save()
        step = self.state.step
        if stopped:
            self.meter.note(f"stopped at step {step}; go on with: the same command and --resume")
            return path
        if self.looks.over():
            self.meter.note(f"ended early at step {step}: {self.looks.why()}")
        self._sample()
        return path

    def over(self) -> bool:
        """Whether the budget, or the patience, is spent."""
        state = self.state
        return self.plan.done(state.step, state.elapsed) or self.looks.over()

    def _tick(self, elapsed: float, asked: threading.Event) -> bool:
        """Set the clock, the same in every process; whether any of them was asked to stop."""
        wanted = asked.is_set() or (self.watcher is not None and self.watcher.enough())
        if self.crowd.count == 1:
            self.state.elapsed = elapsed
            return wanted
        said = [elapsed if self.crowd.leads else 0.0, float(wanted)]
        told = torch.tensor(said, dtype=torch.float64, device=self.device)
        self.crowd.add([told])
        self.state.elapsed = float(told[0])
        return bool(told[1])

    def _grow(self) -> None:
        """Go on at the next size where it is due, with all that carries over."""
        due = self.growth.due(self.plan.progress(self.state.step))
        while self.state.phase < due:
            self.state.phase += 1
            before, old, factors = self.model, self.optimizers, self.balances
            self._install(self.growth.grow(before, self.state.phase))
            carry_over(before, self.model, old, self.optimizers)
            for player in self.balances.keys() & factors.keys():
                self.balances[player].carry_over(factors[player])
            grow_average(self.growth, self.ema, self.state.phase)
            self.ema.model = self._laid_out(self.ema.model)
            size = self.model.config.size
            self.feeder.pictures = replace(self.feeder.pictures, size=size)
            self.looks.watch.forget()
            self.costs = self._count()
            if self.section.compile:
                compile_parts(self.model)
            self.plan.begin(self.state.step, self.state.elapsed)
            self.log.write({"event": "grow", "step": self.state.step, "size": size,
                            "parameters": self.parameter_count})  # fmt: skip
            self.meter.note(f"step {self.state.step}: pictures of {size} px from here on")

    def update(self, step: int) -> None:
        """One update of every player, from a batch that depends on the step alone."""
        progress = self.plan.progress(step)
        batch = replace(self.feeder.batch(step), progress=progress)
        factor = rate_factor(self.section.schedule, self.section.warmup_steps, step, progress)
        figures: dict[str, Tensor | float] = {}
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, (name, optimizer) in enumerate(self.optimizers.items()):
            self.players.only(name)
            balance, means = self.balances[name], dict[str, Tensor]()
            for part in self.mine:
                losses = self._losses(batch, name, (step, number, part))
                for key, value in losses.items():
                    share = value.detach().double() / self.parts
                    means[key] = means.get(key, 0) + share
                weighted = balance.weighted(losses, step, 1 / self.parts) / self.parts
                weighted.backward()  # type: ignore[no-untyped-call]
                total += weighted.detach()
            self.crowd.add_gradients(optimizer.parameters)
            self.crowd.add(list(means.values()))
            for key, value in means.items():
                figures[f"loss/{key}"] = figures.get(f"loss/{key}", 0) + value
                figures[f"weight/{key}"] = balance.factor(key)
            if balance.learns:
                balance.learn({key: float(value) for key, value in means.items()}, step, self.crowd)
            figures[f"norm/{name}"] = optimizer.step(factor).double()
        self.crowd.add([total])
        self.crowd.follow(self._buffers())
        figures["total"] = total
        self._last = (progress, factor)
        self.ema.update(self.model, step)
        self.window.add(figures)
        if self.device.type == "cpu":
            self._check_finite()

    def _losses(self, batch: Batch, player: str, where: tuple[int, int, int]) -> dict[str, Tensor]:
        """Named losses of one micro-batch; its chances depend on ``where`` alone."""
        if self.parts > 1:
            size = len(batch.images) // self.parts
            rows = slice(where[2] * size, (where[2] + 1) * size)
            batch = rows_of(batch, rows)
        seeds = np.random.SeedSequence([self.section.seed, *where]).generate_state(2, np.uint64)
        batch.generator.manual_seed(int(seeds[0] >> np.uint64(1)))
        torch.manual_seed(int(seeds[1] >> np.uint64(1)))  # for layers such as dropout
        with autocast(self.section.precision, self.device):
            return self.model.losses(batch, player)

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
        self.pace.line(self.window.means(), *self._last)

    def share(self) -> float:
        """Share of the budget that is spent, by the clock where the clock decides."""
        if self.plan.seconds is not None:
            return min(1.0, self.state.elapsed / self.plan.seconds)
        return self.plan.progress(self.state.step)

    def _replan(self) -> None:
        segment = self.plan.measure(self.state.step, self.state.elapsed)
        if segment is not None:
            self.log.write({"event": "plan", "step": self.state.step, "plan": segment.__dict__})

    # -- what is written ----------------------------------------------------------------------

    def _sample(self) -> None:
        if not self.crowd.leads:
            return
        self._log_figures()
        if Capability.GENERATE not in self.model.capabilities:
            return
        self.collapse.report(self)
        if not self.recipe.prompts:
            return
        reader = reader_of(self.ema.model, self.session.encoder)
        features = reader.encode(self.recipe.prompts)
        features = features.padded(min(features.tokens.shape[1], self.recipe.text.max_tokens))
        pixels = draw_grid(self.ema.model, features, self.device)
        write_picture(self.out / "samples" / f"{self.state.step:06d}.png", pixels)
        self.board.picture("samples", pixels, self.state.step)

    def _log_figures(self) -> None:
        found = self.ema.model.figures(self.feeder.batch(self.state.step, ahead=False))
        if found:
            figures = {name: value.item() for name, value in found.items()}
            record = {"event": "figures", "step": self.state.step, "figures": figures}
            self.log.write(record)
            self.board.scalars(record)

    def _save(self) -> Path:
        """Write the checkpoint, then the model; neither from a state that has diverged."""
        self._check_finite()
        path = self.out / MODEL_NAME
        if not self.crowd.leads:
            return path
        self.state.plan, self.state.window = self.plan.state(), self.window.state()
        self.state.watch = self.looks.watch.state()
        self.state.balance = {name: factors.state() for name, factors in self.balances.items()}
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.model.state_dict().items()}
        for optimizer in self.optimizers.values():
            tensors |= {f"optimizer.{n}": t for n, t in optimizer.state().items()}
        save_checkpoint(self.out / checkpoint.NAME, self.state, tensors)
        save_model(path, self.ema.model, model_info(self))
        return path

    def close(self) -> None:
        """Close what is open."""
        for thing in reversed(self._closing):
            thing.close()
