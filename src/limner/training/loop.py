"""The training loop: one for every family, with no branch for any of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import limner
from limner.arguments import check_type
from limner.errors import TrainingError, UsageError
from limner.files import locked, make_folder, remove_parts
from limner.generation.generator import Generator
from limner.modelfile import save_model
from limner.modelinfo import ModelInfo
from limner.models.base import Batch, Model
from limner.models.image_model import ImageModel
from limner.models.settings import Capability
from limner.models.words import reader_of, tuning_of
from limner.progress import Meter, progress
from limner.shipped import RUN_MODEL
from limner.text.bulk import FeatureTable
from limner.training import checkpoint
from limner.training.checkpoint import RunState, check_same, load_checkpoint, save_checkpoint
from limner.training.data import BatchLoader, Pictures, rows_of
from limner.training.ema import Ema
from limner.training.flops import Costs, count
from limner.training.growing import ProgressiveGrowing, carry_over
from limner.training.logs import numbers
from limner.training.loss_weighting import KINDS, LossWeighting
from limner.training.machine import (
    autocast,
    compile_parts,
    compiled,
    hardware,
    keep_freed_memory,
    stop_signals,
    training_device,
)
from limner.training.optim import GroupOptimizer, OptimizerGroups
from limner.training.processes import ProcessGroup, RunObserver, SharedClock, join, launch, launched
from limner.training.recipe import Recipe, with_budget
from limner.training.run_folder import BEST_NAME, LOCK_NAME, check_folder
from limner.training.run_log import RunLog
from limner.training.run_validation import RunValidation
from limner.training.samples import RunSamples
from limner.training.schedule import BudgetSchedule, rate_factor
from limner.training.session import (
    Session,
    caption_sample,
    describe,
    disambiguate_captions,
    encode_captions,
    encode_references,
    index_of_additions,
    open_session,
    parse_scenes,
)
from limner.training.trackers import open_trackers

_LAST = 1 - 1e-9  # the last moment of a run still belongs to its last stage
_SAY_SECONDS = 10.0


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    quiet: bool = False,
    processes: int = 1,
    observer: RunObserver | None = None,
) -> Path:
    """Train a model, or resume its training.

    Args:
        recipe: what to train and how; :func:`limner.training.recipe.load_recipe` reads one.
        out: the run folder: checkpoint, model, log, samples.
        minutes: budget in minutes of training, over all resumes; replaces the recipe's budget.
        steps: budget in steps; replaces the recipe's. With both, whichever ends first.
        resume: continue from the checkpoint in ``out``.
        quiet: show nothing but errors and warnings.
        processes: how many to start on this machine; inside of what a launcher such as
            ``accelerate launch`` has started, those are used.
        observer: follows the run.

    Returns:
        ``out/model.safetensors``: the averaged weights with everything needed to use them.

    Raises:
        RecipeError: the recipe cannot be followed, or is not that of the run to be resumed.
        TrainingError: the run diverged, its folder is in use, holds another run or cannot be
            written, or a process was lost.
        ModelFileError: a checkpoint cannot be read or written.
        MissingExtraError: a package that the recipe needs is not installed.
        UsageError: ``processes`` is below 1, or not what a launcher has started.
    """
    check_type("recipe", recipe, Recipe, 'load_recipe("vae-64") of limner.training')
    there = launched()
    if processes < 1 or (there > 1 and processes not in {1, there}):
        raise UsageError(f"--processes {processes} does not fit: a launcher has started {there}")
    recipe, out = with_budget(recipe, minutes, steps), Path(out)
    if processes > there:
        options = {"resume": resume, "quiet": quiet}
        return launch(processes, train, recipe, out, observer=observer, **options)
    with closing(join(recipe.train.device)) as group:
        quiet = quiet or not group.is_main
        return _train(recipe, out, group, observer, resume=resume, quiet=quiet)


def _train(
    recipe: Recipe,
    out: Path,
    group: ProcessGroup,
    observer: RunObserver | None,
    *,
    resume: bool,
    quiet: bool,
) -> Path:
    check_folder(out, resume=resume)
    session = open_session(recipe)
    with ExitStack() as stack:
        if group.is_main:
            make_folder(out, TrainingError)
            stack.enter_context(locked(out / LOCK_NAME, TrainingError, f"the run folder {out}"))
            check_folder(out, resume=resume)  # another process may have written until now
            remove_parts(out)
            remove_parts(out / "samples")
        group.barrier()
        found = load_checkpoint(out / checkpoint.NAME) if resume else None
        if found:
            check_same(session, found[0], out)
        if not group.is_main:
            group.barrier()  # process 0 fills the cache of encoded captions, the others read it
        with progress(None, "encoding", quiet, unit="captions") as reading:
            table = encode_captions(session, reading.reach)
        if group.is_main:
            group.barrier()
        disambiguate_captions(session, table)
        parse_scenes(session)
        session.concepts = index_of_additions(session)
        if session.image_encoder is not None:
            with progress(None, "encoding", quiet, unit="references") as looking:
                encode_references(session, looking.reach)
        meter = stack.enter_context(progress(100.0, "training", quiet, unit="%"))
        trainer = Trainer(session, table, out, meter, group=group, found=found, opened=stack)
        return trainer.fit(observer)


class Trainer:
    """One run in one folder: the model that is trained, and everything that belongs to it.

    Args:
        session: the resolved recipe and its parts; it loses the pictures that are held out.
        table: features of the session's captions.
        out: the run folder.
        meter: shows the progress.
        group: the processes that share the work.
        found: the checkpoint to resume from; None for a fresh run.
        opened: closes the files and threads that the run opens.

    Raises:
        RecipeError: the recipe does not fit the data, the model or the processes.
    """

    def __init__(
        self,
        session: Session,
        table: FeatureTable,
        out: Path,
        meter: Meter,
        *,
        group: ProcessGroup | None = None,
        found: tuple[RunState, dict[str, Tensor]] | None = None,
        opened: ExitStack | None = None,
    ) -> None:
        self.session, self.out, self.meter = session, out, meter
        self.group = group or ProcessGroup()
        self.recipe, self.section = session.recipe, session.recipe.train
        self.device = training_device(self.section.device)
        keep_freed_memory()
        self.parts, self.mine = self.group.micro_batches(self.section.accumulate)
        self._check_batch_size()
        self.state = _state_of(session)
        self.validation = RunValidation(session, self.group)

        # The model, for pictures of the size of the run's phase.
        model, pictures = session.model, session.pictures
        fresh = found is None and not session.fitted
        if fresh:
            model.prepare(caption_sample(session, table))
        self.channels_last = self.section.channels_last and any(
            p.ndim == 4 for p in model.parameters()
        )
        self.growing = ProgressiveGrowing(self.recipe, pictures.size, pictures.stores[0].size)
        self._install(self.growing.at(model, found[0].phase if found else 0).to(self.device))
        self.ema = Ema(self.model, self.section.ema)
        self.reference = deepcopy(self.ema.model) if session.voted is not None else self.model
        seconds = None if self.section.minutes is None else self.section.minutes * 60
        self.schedule = BudgetSchedule(self.section.steps, seconds)
        if found:
            self._restore(*found)

        # What it is trained on, and where figures go.
        stack = opened or ExitStack()
        self.loader = self._open_loader(pictures, table, stack)
        self.validation.open(table, self.device, stack, channels_last=self.channels_last)
        if found is None:
            self._show_pictures(fresh)
        self.group.broadcast([*self.model.parameters(), *self._buffers()])
        self.costs = self._count()
        if self.section.compile:
            compile_parts(self.model)
        self.log = self._open_log(stack, resumed=found is not None)
        self.samples = RunSamples(out, self.recipe.prompts, self.loader, self.log)
        self._last = (0.0, 0.0)
        self.clock = SharedClock(self.group, self.device, self.state.step, self.state.elapsed)
        self._shown = self.share()
        self._announce(resumed=found is not None)

    # -- setting up ---------------------------------------------------------------------------

    def _open_loader(
        self, pictures: Pictures, table: FeatureTable, opened: ExitStack
    ) -> BatchLoader:
        """What gives the batches of the run."""
        loader = BatchLoader(
            replace(pictures, size=self.model.config.size), table, self.recipe.data,
            batch_size=self.section.batch_size, seed=self.section.seed,
            device=self.device, channels_last=self.channels_last,
        )  # fmt: skip
        opened.callback(loader.close)
        return loader

    def _open_log(self, opened: ExitStack, *, resumed: bool) -> RunLog:
        """The log and the trackers, which process 0 writes."""
        main, step = self.group.is_main, self.state.step
        log = RunLog(self.out if main else None, self.state, self.device, resumed=resumed)
        opened.callback(log.close)
        if main:
            log.follow(open_trackers(self.section.trackers, self.out, step, self.recipe))
        return log

    def _show_pictures(self, fresh: bool) -> None:
        """Let a model that begins this run fit its buffers to the pictures, and keep them."""
        if fresh:
            self.model.prepare_pictures(self.loader.batch(0, ahead=False).images)
        if not self.session.remembered:
            with autocast(self.section.precision, self.device):
                self.model.remember(_EveryPicture(self))

    def _check_batch_size(self) -> None:
        if self.section.batch_size % self.parts:
            raise self.recipe.error(
                "train.batch_size",
                f"{self.section.batch_size} pictures cannot be cut in {self.parts} equal parts for "
                f"{self.group.size} processes and accumulate {self.section.accumulate}",
            )

    def _install(self, model: Model) -> None:
        """Make a model the one that is trained, with fresh optimizers and loss weighting."""
        self.model = self._laid_out(model).train()
        self.groups = OptimizerGroups(self.model.optimizer_groups)
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        self.parameter_count = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.optimizers: dict[str, GroupOptimizer] = {}
        self.weightings: dict[str, LossWeighting] = {}
        for name, group in self.groups.groups.items():
            self.optimizers[name] = GroupOptimizer(name, group, self.section)
            mine = {names[p]: p for p in group.every if p in names}
            balance = self.section.balance
            self.weightings[name] = KINDS[balance.kind](balance, self.recipe.weights, name, mine)

    def _laid_out(self, model: Model) -> Model:
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def _buffers(self) -> list[Tensor]:
        return [b for b in self.model.buffers() if b.is_floating_point()]

    def _restore(self, state: RunState, tensors: dict[str, Tensor]) -> None:
        """Set everything that a checkpoint holds."""
        path = self.out / checkpoint.NAME
        checkpoint.copy_into(self.model, checkpoint.under(tensors, "model."), path)
        checkpoint.copy_into(self.ema.model, checkpoint.under(tensors, "ema."), path)
        for optimizer in self.optimizers.values():
            optimizer.restore(checkpoint.under(tensors, "optimizer."))
        for name, factors in state.balance.items():
            self.weightings[name].restore(factors)
        self.validation.restore(state)
        budget = self.schedule.steps, self.schedule.seconds
        self.schedule = BudgetSchedule.restore(state.plan)
        self.schedule.rebudget(*budget, state.step, state.elapsed)
        self.state = replace(state, recipe=self.state.recipe)

    def _count(self) -> Costs:
        """Operations of a step; refuses weights of losses that the family does not report."""
        costs = count(self.model, self.loader.batch(self.state.step, ahead=False))
        known = costs.losses | self.model.staged_losses
        if self.session.voted is not None:
            known |= {"preference", *(f"liked_{name}" for name in known)}
        unknown = sorted(set(self.recipe.weights) - known)
        if unknown:
            has = f"has no such loss; it has: {', '.join(sorted(known))}"
            family = self.recipe.family
            raise self.recipe.error(f"weights.{unknown[0]}", f"the {family} family {has}")
        return costs

    def _announce(self, *, resumed: bool) -> None:
        """The first record of the log, and a line for people."""
        machine = hardware(self.device)
        if self.group.size > 1:
            machine = f"{self.group.size} processes of {machine}"
        self.log.write(
            "resume" if resumed else "start",
            parameters=self.parameter_count,
            recipe=self.state.recipe,
            clock={"hardware": machine, **_versions()},
        )
        pictures = f"{len(self.session.pictures):,} pictures"
        if self.validation.pictures:
            pictures += f", {len(self.validation.pictures):,} held out"
        self.meter.note(
            f"{'resuming' if resumed else 'training'} {self.recipe.family} of "
            f"{self.parameter_count:,} parameters on {pictures}, "
            f"{self.model.config.size} px, on {machine}, "
            f"{self.costs.per_picture(0.0) / 1e9:.2f} GFLOP a picture"
        )

    # -- the loop -----------------------------------------------------------------------------

    def fit(self, observer: RunObserver | None = None) -> Path:
        """Train until the budget is spent or a signal asks to stop; the path of the model."""
        state, section, group = self.state, self.section, self.group
        began, before = time.monotonic(), state.elapsed
        saved = sampled = before
        self.schedule.begin(state.step, before)
        if begun := self.validation.begin(self.ema.model, state.step):
            self.log.write("held_out", track=True, held_out=begun.figures)
        with stop_signals() as asked:
            stopped = wanted = False
            while not self.finished() and not stopped:
                self._grow()
                with compiled(section.compile):
                    self.update(state.step)
                state.step += 1
                state.pictures += section.batch_size
                wanted = wanted or asked.is_set()
                wanted = wanted or (observer is not None and observer.should_stop())
                logs = state.step % section.log_every == 0
                if logs or self.clock.due(state.step) or self.finished():
                    mine = before + time.monotonic() - began
                    state.elapsed, stopped = self.clock.agree(state.step, mine, wanted)
                    segment = self.schedule.measure(state.step, state.elapsed)
                    if segment is not None:
                        self.log.write("plan", plan=segment.__dict__)
                if logs:
                    self._log()
                self._validate(observer)
                if state.elapsed - sampled >= section.sample_every_minutes * 60:
                    self._sample()
                    sampled = state.elapsed
                if state.elapsed - saved >= section.checkpoint_every_minutes * 60:
                    self.save()
                    saved = state.elapsed
            stopped = stopped and not self.finished()
            if not stopped:
                if self.log.means:
                    self._log()
                self._validate(observer, last=True)
            path = self.save()
            if stopped:
                if observer is not None and asked.is_set() and group.is_main:
                    observer.interrupted()
                self.meter.note(
                    f"stopped at step {state.step}; to resume, give the same command and --resume"
                )
                return path
            if self.validation.ends:
                self.meter.note(f"ended early at step {state.step}: {self.validation.why}")
            self._sample()
            return path

    def update(self, step: int) -> None:
        """One step: update every optimizer group from the batch of the step, then the average."""
        progress = self.schedule.progress(step)
        batch = replace(self.loader.batch(step), progress=progress)
        factor = rate_factor(self.section.schedule, self.section.warmup_steps, step, progress)
        factor *= self.recipe.rate
        figures: dict[str, Tensor | float] = {}
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, (name, optimizer) in enumerate(self.optimizers.items()):
            self.groups.only(name)
            weighting, means = self.weightings[name], dict[str, Tensor]()
            for part in self.mine:
                losses = self._losses(batch, name, (step, number, part))
                for key, value in losses.items():
                    means[key] = means.get(key, 0) + value.detach().double() / self.parts
                weighted = weighting.weighted(losses, step, 1 / self.parts) / self.parts
                weighted.backward()  # type: ignore[no-untyped-call]
                total += weighted.detach()
            self.group.all_reduce_gradients(optimizer.parameters)
            self.group.all_reduce(list(means.values()))
            for key, value in means.items():
                figures[f"loss/{key}"] = figures.get(f"loss/{key}", 0) + value
                figures[f"weight/{key}"] = weighting.factor(key)
            if weighting.learns:
                fetched = numbers(list(means.values()))
                weighting.learn(dict(zip(means, fetched, strict=True)), self.group)
            figures[f"norm/{name}"] = optimizer.step(factor).double()
        self.group.all_reduce([total])
        self.group.broadcast(self._buffers())
        figures["total"] = total
        self._last = (progress, factor)
        self.ema.update(self.model, step)
        self.log.add(figures)
        if self.device.type == "cpu":
            self._check_finite()

    def _losses(self, batch: Batch, group: str, where: tuple[int, int, int]) -> dict[str, Tensor]:
        """Named losses of one micro-batch; their randomness depends on seed and ``where`` alone."""
        if self.parts > 1:
            size = len(batch.images) // self.parts
            batch = rows_of(batch, slice(where[2] * size, (where[2] + 1) * size))
        seeds = np.random.SeedSequence([self.section.seed, *where]).generate_state(2, np.uint64)
        batch.generator.manual_seed(int(seeds[0] >> np.uint64(1)))
        torch.manual_seed(int(seeds[1] >> np.uint64(1)))  # for layers such as dropout
        with autocast(self.section.precision, self.device):
            losses = self.model.losses(batch, group)
            voted = self.session.voted
            if voted is not None:
                assert isinstance(self.model, ImageModel)
                step, _, part = where
                better, worse = voted.pairs(step, part, self.parts, self.section.seed, batch)
                losses |= self.model.preference_losses(better, worse, self.reference, group)
            return losses

    def _grow(self) -> None:
        """Continue at the next picture size where it is due, with every weight that fits."""
        due = self.growing.due(self.schedule.progress(self.state.step))
        while self.state.phase < due:
            self.state.phase += 1
            before, optimizers, weightings = self.model, self.optimizers, self.weightings
            self._install(self.growing.grow(before, self.state.phase))
            carry_over(before, self.model, optimizers, self.optimizers)
            for name in self.weightings.keys() & weightings.keys():
                self.weightings[name].carry_over(weightings[name])
            average = self.growing.grow(self.ema.model, self.state.phase)
            self.ema.model = self._laid_out(average.eval().requires_grad_(False))
            size = self.model.config.size
            self.loader.pictures = replace(self.loader.pictures, size=size)
            self.validation.stopping.reset()
            self.costs = self._count()
            if self.section.compile:
                compile_parts(self.model)
            self.schedule.begin(self.state.step, self.state.elapsed)
            self.log.write("grow", size=size, parameters=self.parameter_count)
            self.meter.note(f"step {self.state.step}: pictures of {size} px from here on")

    def finished(self) -> bool:
        """Whether the budget is spent, or validation no longer improves."""
        state = self.state
        return self.schedule.done(state.step, state.elapsed) or self.validation.ends

    def share(self) -> float:
        """Share of the budget that is spent, by the clock where the budget has minutes."""
        return self.schedule.share(self.state.step, self.state.elapsed)

    def _validate(self, observer: RunObserver | None, *, last: bool = False) -> None:
        """Validate where it is due; keep the best model, and tell the observer."""
        progress = self.schedule.progress(self.state.step)
        found = self.validation.validate(self.ema.model, self.state, progress, last=last)
        if found is None:
            return
        self.log.write("held_out", track=True, held_out=found.figures)
        if self.group.is_main:
            if found.best and self.section.stop is not None:
                save_model(self.out / BEST_NAME, self.ema.model, self.info(held_out=found.figures))
            if observer is not None:
                observer.validated(self.share(), found.figures)

    # -- figures ------------------------------------------------------------------------------

    def _check_finite(self) -> None:
        if self.log.means.finite:
            return
        good = self.out / checkpoint.NAME
        raise TrainingError(
            f"the loss is no longer a number at step {self.state.step}; lower train.lr or "
            f"train.clip_norm" + (f"; the last good state is in {good}" if good.exists() else "")
        )

    def _log(self) -> None:
        """Log the means of the figures since the last line, with the speed since then."""
        self._check_finite()
        progress, factor = self._last
        lr, share = self.section.lr * factor, self.share()
        loss, speed = self.log.line(
            self.schedule, batch_size=self.section.batch_size, progress=progress, lr=lr,
            total="total", kinds=("loss", "weight", "norm"),
            operations=self.costs.per_picture(progress),
        )  # fmt: skip
        self.meter.advance(
            100 * max(0.0, share - self._shown),
            step=self.state.step,
            loss=loss,
            lr=lr,
            **{"pictures/s": round(speed, 1)},
        )
        self._shown = max(share, self._shown)

    # -- what is written ----------------------------------------------------------------------

    def _sample(self) -> None:
        """Log the family's own figures; draw the sheet of prompts; check for mode collapse."""
        if not self.group.is_main:
            return
        step, progress = self.state.step, self.schedule.progress(self.state.step)
        found = self.ema.model.figures(self.loader.batch(step, ahead=False))
        if found:
            figures = {name: value.item() for name, value in found.items()}
            self.log.write("figures", track=True, figures=figures)
        if Capability.GENERATE not in self.model.capabilities:
            return
        # Draws with the averaged weights as they are now.
        encoder = reader_of(self.ema.model, self.session.encoder)
        generator = Generator(self.ema.model, self.info(), encoder, device=self.device)
        reads_words = self.model.reads_words(min(progress, _LAST))
        self.samples.draw(generator, step, progress, reads_words=reads_words)

    def save(self) -> Path:
        """Write the checkpoint, then the model; neither from a state that has diverged."""
        self._check_finite()
        path = self.out / RUN_MODEL
        if not self.group.is_main:
            return path
        self.state.plan, self.state.window = self.schedule.state(), self.log.means.state()
        self.validation.store(self.state)
        self.state.balance = {name: factors.state() for name, factors in self.weightings.items()}
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"ema.{n}": t for n, t in self.ema.model.state_dict().items()}
        for optimizer in self.optimizers.values():
            tensors |= {f"optimizer.{n}": t for n, t in optimizer.state().items()}
        save_checkpoint(self.out / checkpoint.NAME, self.state, tensors)
        save_model(path, self.ema.model, self.info(), concepts=self.session.concepts)
        return path

    def info(self, **training: Any) -> ModelInfo:
        """What the model file says of the run as it stands.

        Args:
            training: more entries of the file's ``training``.
        """
        state, session = self.state, self.session
        speed = state.pictures / max(state.elapsed, 1e-9)
        operations = self.costs.per_picture(self.schedule.progress(state.step))
        many = {"processes": self.group.size} if self.group.size > 1 else {}
        return ModelInfo(
            family=self.recipe.family,
            config=self.ema.model.config.model_dump(mode="json"),
            encoder=session.encoder.spec,
            encoder_fingerprint=reader_of(self.ema.model, session.encoder).fingerprint,
            tuning=tuning_of(self.ema.model),
            image_encoder=session.image_encoder.spec if session.image_encoder else "",
            image_encoder_fingerprint=state.image_encoder,
            data=describe(session),
            licences=session.licences,
            concepts=session.base.concepts if session.base and session.adds else {},
            scenes=session.base.scenes if session.base and session.adds else False,
            training={
                "recipe": state.recipe,
                "steps": state.step,
                "pictures": state.pictures,
                "minutes": round(state.elapsed / 60, 3),
                "parameters": self.parameter_count,
                "hardware": hardware(self.device),
                "gflops": round(speed * operations / 1e9, 2),
                "finished": self.finished(),
                **many,
                **training,
                **_versions(),
            },
        )


class _EveryPicture:
    """All training pictures, in order, as often as they are gone through; says how far it is."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __iter__(self) -> Iterator[Batch]:
        done, said = 0, time.monotonic()
        every = len(self._trainer.session.pictures)
        for batch in self._trainer.loader.every():
            yield batch
            done += len(batch.images)
            if time.monotonic() - said >= _SAY_SECONDS:
                said = time.monotonic()
                self._trainer.meter.note(f"reading pictures: {done:,}/{every:,}")


def _state_of(session: Session) -> RunState:
    """The state of a run before its first step."""
    return RunState(
        recipe=session.recipe.model_dump(mode="json"),
        data=session.pictures.fingerprint,
        encoder=session.encoder.fingerprint,
        image_encoder=session.image_encoder.fingerprint if session.image_encoder else "",
    )


def _versions() -> dict[str, str]:
    return {"limner": limner.__version__, "torch": torch.__version__}
