"""Training a LoRA of a pipeline of the hub on a store: ``limner train hub:ID``."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.data.sampler import ShuffledIndices
from limner.errors import CapabilityError, RecipeError, TrainingError, UsageError
from limner.files import locked, make_folder, remove_parts, whole_file
from limner.generation.backends.pipelines import PipelineModel
from limner.generation.backends.source import HubSource
from limner.generation.files import write_image
from limner.logs import only_errors
from limner.models.base import ParameterGroup
from limner.models.layers import sent
from limner.progress import Meter, progress
from limner.training import checkpoint
from limner.training.checkpoint import RunState, load_checkpoint, save_checkpoint
from limner.training.data import Pictures, hold_out, open_pictures
from limner.training.hub_checks import HeldOutLoss, default_prompts, draw_samples
from limner.training.hub_recipe import LoraRecipe
from limner.training.machine import autocast, hardware, stop_signals, training_device
from limner.training.optim import GroupOptimizer
from limner.training.pipeline_losses import PipelineLoss, check_trainable
from limner.training.recipe import HARMLESS, changed_keys
from limner.training.run_folder import LOCK_NAME, check_folder
from limner.training.run_log import RunLog
from limner.training.schedule import BudgetSchedule, rate_factor
from limner.training.validation import EarlyStopping
from limner.vision.pixels import to_tensor

WEIGHTS, BEST = "pytorch_lora_weights.safetensors", "best_lora_weights.safetensors"
"""What a run writes: the last adapter under the name that diffusers looks for, and the best one by
the held-out pictures."""
_CHANGEABLE = HARMLESS | {"model", "train.sample_every", "train.sample_steps"}
"""What may be another when a run is resumed; of the model its hash is compared."""
_ENCODED_AT_ONCE = 8
_ADAPTER, _TRIED = "default", "a picture"


class LoraRun(NamedTuple):
    """What a run has come to.

    Attributes:
        path: of the LoRA file.
        finished: whether the budget is spent; else a signal stopped it.
    """

    path: Path
    finished: bool


def train_lora(
    recipe: LoraRecipe, out: str | Path, *, resume: bool = False, quiet: bool = False
) -> LoraRun:
    """Train a LoRA of a text-to-image pipeline, or resume its training.

    Every picture is encoded once; the autoencoder and the text encoders stay as they are. Where
    pictures are held out (``data.holdout``), the loss on them is measured, and the best adapter
    kept. Samples go to ``samples/`` in the run folder.

    Args:
        recipe: what to train and how; see :func:`limner.training.hub_recipe.lora_recipe`.
        out: the run folder: checkpoint, LoRA file, log.
        resume: continue from the checkpoint in ``out``, exactly.
        quiet: show nothing but errors.

    Raises:
        RecipeError: the recipe does not fit the data, or is not that of the run to be resumed.
        CapabilityError: the pipeline is of a family that is not trained here.
        ModelFileError: the pipeline or the checkpoint cannot be read.
        TrainingError: the run diverged, or its folder is in use or holds another run.
        MissingExtraError: a package of the extra ``hub`` is missing.
    """
    out, source = Path(out), HubSource.parse(recipe.model)
    check_folder(out, resume=resume)
    if source.lora is not None:
        raise UsageError(f"{recipe.source}: a LoRA is trained of the model alone; leave lora out")
    if not source.is_pipeline:
        raise CapabilityError(f"{source.name} is no pipeline of diffusers; LoRAs are of those")
    pictures = open_pictures(recipe.data, recipe.source)
    device = training_device(recipe.train.device)
    # to have parts moved to the device and back, as low memory has it, is for drawing
    model = PipelineModel(replace(source, low_memory=False)).eval()
    check_trainable(model)
    model.load(str(device))
    losses = PipelineLoss(model)
    losses.condition(_TRIED)  # a size that cannot be is found before anything is written
    make_folder(out, TrainingError)
    with locked(out / LOCK_NAME, TrainingError, f"the run folder {out}"):
        check_folder(out, resume=resume)  # another process may have written until now
        remove_parts(out)
        remove_parts(out / "samples")
        found = load_checkpoint(out / checkpoint.NAME) if resume else None
        held: Pictures | None = None
        if recipe.data.holdout.share:
            pictures, held = hold_out(pictures, recipe.data.holdout, recipe.source)
            held = held.select(np.arange(min(len(held), recipe.validation.pictures)))
        count = len(pictures) + (0 if held is None else len(held))
        with progress(count, "encoding", quiet, "pictures") as bar:
            latents = _encoded(losses, pictures, bar)
            unseen = None if held is None else (held, _encoded(losses, held, bar))
        with progress(100.0, "training", quiet, unit="%") as meter:
            return _Run(
                recipe, losses, pictures, latents, unseen, device=device, out=out, meter=meter,
                found=found,
            ).fit()  # fmt: skip


def _encoded(losses: PipelineLoss, pictures: Pictures, bar: Meter) -> Tensor:
    """The latents of all pictures, ``(N, ...)`` on the CPU, at the side that the pipeline draws."""
    side, found = losses.model.config.size, []
    for start in range(0, len(pictures), _ENCODED_AT_ONCE):
        index = np.arange(start, min(start + _ENCODED_AT_ONCE, len(pictures)))
        images = to_tensor(pictures.batch(index))
        factor = images.shape[-1] // pictures.size
        if factor > 1:
            images = F.avg_pool2d(images, factor)
        if images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
        found.append(losses.latents(images.clamp(-1, 1)).cpu())
        bar.advance(len(index))
    return torch.cat(found)


class _Run:
    """One run in one folder.

    Args:
        recipe: of the run.
        losses: of the pipeline, which gets the adapter.
        pictures: that it learns from.
        latents: of these.
        unseen: pictures that are held out, and their latents; None for none.
        device: where it learns.
        out: the run folder.
        meter: shows the progress.
        found: the checkpoint to resume from; None for a fresh run.
    """

    def __init__(
        self,
        recipe: LoraRecipe,
        losses: PipelineLoss,
        pictures: Pictures,
        latents: Tensor,
        unseen: tuple[Pictures, Tensor] | None,
        *,
        device: torch.device,
        out: Path,
        meter: Meter,
        found: tuple[RunState, dict[str, Tensor]] | None,
    ) -> None:
        self.recipe, self.losses, self.pictures = recipe, losses, pictures
        self.latents, self.device, self.out, self.meter = latents, device, out, meter
        section = self.section = recipe.train
        self.state = RunState(
            recipe=recipe.model_dump(mode="json"), data=pictures.fingerprint,
            encoder=losses.model.source.hash,
        )  # fmt: skip
        self.order = ShuffledIndices(len(pictures), section.batch_size, section.seed)
        self.learned = _add_adapter(losses, recipe)
        group = ParameterGroup(list(self.learned.values()))
        self.optimizer = GroupOptimizer("lora", group, section.optimizer_section)
        self.schedule = BudgetSchedule(
            section.steps, None if section.minutes is None else section.minutes * 60
        )
        self.early_stopping = EarlyStopping()
        self.held_out: HeldOutLoss | None = None
        if unseen is not None:
            self.held_out = HeldOutLoss(losses, *unseen, section.batch_size, device)
        self.prompts = recipe.prompts
        if self.prompts is None:
            self.prompts = default_prompts(pictures if unseen is None else unseen[0])
        self._last = (0.0, 0.0)
        if found is not None:
            self._restore(*found)
        self.log = RunLog(out, self.state, device, resumed=found is not None)
        count = sum(each.numel() for each in group.parameters)
        self.log.write(
            "resume" if found else "start", parameters=count, recipe=self.state.recipe,
            clock={"hardware": hardware(device)},
        )  # fmt: skip
        meter.note(
            f"{'resuming' if found else 'training'} a LoRA of {count:,} parameters of "
            f"{losses.model.source.name} on {len(pictures):,} pictures, "
            f"{0 if unseen is None else len(unseen[1]):,} held out, {losses.model.config.size} px, "
            f"on {hardware(device)}"
        )

    def _restore(self, state: RunState, tensors: dict[str, Tensor]) -> None:
        now = self.state
        then = LoraRecipe.model_validate(state.recipe).model_dump(mode="json")
        changed = [k for k in changed_keys(then, now.recipe) if k not in _CHANGEABLE]
        whole = {"data.store": (state.data, now.data), "model": (state.encoder, now.encoder)}
        changed += [name for name, (old, new) in whole.items() if old != new]
        if changed:
            raise RecipeError(
                f"{self.recipe.source}: {changed[0]} is not what the run in {self.out} was started "
                "with; put it back, or start anew with another --out"
            )
        weights = checkpoint.under(tensors, "lora.")
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(weights[name])
        self.optimizer.restore(checkpoint.under(tensors, "optimizer."))
        self.early_stopping = EarlyStopping(**state.watch)
        budget = self.schedule.steps, self.schedule.seconds
        self.schedule = BudgetSchedule.restore(state.plan)
        self.schedule.rebudget(*budget, state.step, state.elapsed)
        self.state = replace(state, recipe=now.recipe)

    def fit(self) -> LoraRun:
        """Train until the budget is spent or a signal asks to stop."""
        state, section = self.state, self.section
        began, before = time.monotonic(), state.elapsed
        saved = before
        self.schedule.begin(state.step, before)
        try:
            with stop_signals() as asked:
                while not self._finished and not asked.is_set():
                    self._update(state.step)
                    state.step += 1
                    state.pictures += section.batch_size
                    state.elapsed = before + time.monotonic() - began
                    self.schedule.measure(state.step, state.elapsed)
                    if state.step % section.log_every == 0:
                        self._log()
                    self._validate()
                    if state.step % section.sample_every == 0 and not self._finished:
                        self._sample()
                    if state.elapsed - saved >= section.checkpoint_every_minutes * 60:
                        self._save()
                        saved = state.elapsed
                if self._finished:
                    if self.log.means:
                        self._log()
                    self._validate(last=True)
                path = self._save()
                if self._finished:
                    self._sample()
        finally:
            self.log.close()
        if self.early_stopping.should_stop(self.recipe.validation):
            self.meter.note(
                f"ended early at step {state.step}: the loss on held-out pictures was best at step "
                f"{self.early_stopping.best_step}; that adapter is {BEST}"
            )
        if not self._finished:
            self.meter.note(
                f"stopped at step {state.step}; to resume, give the same command and --resume"
            )
        return LoraRun(path, self._finished)

    @property
    def _finished(self) -> bool:
        done = self.schedule.done(self.state.step, self.state.elapsed)
        return done or self.early_stopping.should_stop(self.recipe.validation)

    def _update(self, step: int) -> None:
        """One step; all of its randomness is a function of seed and step."""
        index = self.order.at(step)
        seeds = np.random.SeedSequence([self.section.seed, step]).generate_state(2, np.uint64)
        chances = np.random.default_rng(seeds[1]).random(len(index))
        table = self.pictures.captions
        captions = [table.texts[number] for number in table.choose(index, chances)[0].tolist()]
        generator = torch.Generator().manual_seed(int(seeds[0] >> np.uint64(1)))
        torch.manual_seed(int(seeds[1] >> np.uint64(1)))  # for layers such as dropout
        latents = sent(self.latents[torch.from_numpy(index)], self.device).float()
        with autocast("auto", self.device):
            loss = self.losses.loss(latents, captions, generator)
        for parameter in self.optimizer.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        share = self.schedule.progress(step)
        factor = rate_factor(self.section.schedule, self.section.warmup_steps, step, share)
        norm = self.optimizer.step(factor)
        self._last = (share, factor)
        self.log.add({"loss/mse": loss.detach().double(), "norm/lora": norm.double()})
        if self.device.type == "cpu":
            self._check_finite()

    def _check_finite(self) -> None:
        if not self.log.means.finite:
            raise TrainingError(
                f"the loss is no longer a number at step {self.state.step}; lower train.lr"
            )

    def _log(self) -> None:
        self._check_finite()
        spent, factor = self._last
        loss, speed = self.log.line(
            self.schedule, batch_size=self.section.batch_size, progress=spent,
            lr=self.section.lr * factor, total="loss/mse", kinds=("loss", "norm"),
        )  # fmt: skip
        share = self.schedule.share(self.state.step, self.state.elapsed)
        self.meter.advance(
            100 * share - self.meter.done, step=self.state.step, loss=loss,
            **{"pictures/s": round(speed, 2)},
        )  # fmt: skip

    def _validate(self, *, last: bool = False) -> None:
        """Measure the loss on held-out pictures where it is due; keep the best adapter.

        At the end of a run (``last``) it is due unless it was just done.
        """
        state, stopping, section = self.state, self.early_stopping, self.recipe.validation
        share = self.schedule.progress(state.step)
        due = stopping.due(section, state.step, share, state.elapsed, last=last)
        if self.held_out is None or not due:
            return
        figures = self.held_out.measure()
        stopping.validated(section, state.step, share, state.elapsed)
        better = stopping.improved(figures["loss"], state.step, higher=False, least=section.least)
        self.log.write("held_out", held_out=figures)
        if better:
            write_lora(self.losses, self.out / BEST)

    def _sample(self) -> None:
        """Draw the sheet of prompts with the adapter as it is now."""
        if not self.prompts:
            return
        sheet = draw_samples(self.losses, self.prompts, self.section.sample_steps, self.device)
        if sheet is not None:
            write_image(sheet, self.out / "samples" / f"{self.state.step:06d}.png", {})

    def _save(self) -> Path:
        """Write the checkpoint, then the LoRA file; neither from a state that has diverged."""
        self._check_finite()
        self.state.plan, self.state.window = self.schedule.state(), self.log.means.state()
        self.state.watch = asdict(self.early_stopping)
        tensors: dict[str, Tensor] = {f"lora.{name}": each for name, each in self.learned.items()}
        tensors |= {f"optimizer.{name}": each for name, each in self.optimizer.state().items()}
        save_checkpoint(self.out / checkpoint.NAME, self.state, tensors)
        return write_lora(self.losses, self.out / WEIGHTS)


def _add_adapter(losses: PipelineLoss, recipe: LoraRecipe) -> dict[str, torch.nn.Parameter]:
    """Give the denoiser an adapter that changes nothing yet; its parameters in float32, by name.

    Raises:
        RecipeError: the denoiser has none of the maps that are to be changed.
    """
    from peft import LoraConfig

    section, denoiser = recipe.lora, losses.denoiser
    config = LoraConfig(
        r=section.rank, lora_alpha=section.rank, init_lora_weights="gaussian",
        target_modules=list(section.targets),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)
        try:
            with only_errors("diffusers"):
                denoiser.add_adapter(config, adapter_name=_ADAPTER)
        except ValueError as error:
            raise RecipeError(
                f"{recipe.source}: lora.targets: {losses.model.source.name} has no map of these "
                f"names: {', '.join(section.targets)}"
            ) from error
    if section.checkpointing:
        denoiser.enable_gradient_checkpointing()
    denoiser.train()
    found = {name: each for name, each in denoiser.named_parameters() if each.requires_grad}
    for parameter in found.values():
        parameter.data = parameter.data.float()
    return found


def write_lora(losses: PipelineLoss, path: Path) -> Path:
    """Write the adapter as diffusers does; ``path`` keeps the previous one until it is whole.

    Raises:
        TrainingError: it cannot be written.
    """
    from peft.utils import get_peft_model_state_dict

    weights = get_peft_model_state_dict(losses.denoiser, adapter_name=_ADAPTER)
    with whole_file(path, TrainingError) as part, only_errors("diffusers"):
        type(losses.pipeline).save_lora_weights(
            part.parent, **{f"{losses.part}_lora_layers": weights}, weight_name=part.name
        )
    return path
