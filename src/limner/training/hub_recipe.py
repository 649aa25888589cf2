"""What a LoRA of a pipeline of the hub is trained from: the keys after ``limner train hub:ID``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from limner.errors import RecipeError
from limner.training.explain import explain
from limner.training.overrides import apply_override
from limner.training.recipe import (
    DataSection,
    Fraction,
    Positive,
    ScheduleSection,
    Section,
    StopSection,
    TrainSection,
)

ATTENTION = [
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
]  # fmt: skip
"""Names of the linear maps of attention in the denoisers of diffusers."""


class LoraSection(Section):
    """The low-rank change (Hu et al. 2021, arXiv:2106.09685), with alpha equal to the rank."""

    short = "rank"

    rank: int = Field(8, ge=1, le=1024, description="of the matrices")
    targets: list[str] = Field(ATTENTION, min_length=1, description="names of the maps changed")
    checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, more time"
    )


class LoraTrainSection(Section):
    """Budget, optimizer and intervals; the names are those of :class:`TrainSection`."""

    minutes: Positive | None = None
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(4, ge=1)
    lr: Positive = 1e-4
    warmup_steps: int = Field(0, ge=0)
    schedule: ScheduleSection = ScheduleSection(kind="constant")
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    clip_norm: Positive | None = 1.0
    seed: int = Field(0, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    stop: StopSection | None = None
    checkpoint_every_minutes: Positive = 5.0
    sample_every: int = Field(250, ge=1, description="steps between two sheets of samples")
    sample_steps: int | None = Field(
        None, ge=1, le=1000, description="of a sample; none: the pipeline's own number"
    )
    log_every: int = Field(20, ge=1, description="steps in one line of the log")

    @property
    def optimizer_section(self) -> TrainSection:
        """What :class:`limner.training.optim.GroupOptimizer` reads."""
        return TrainSection(
            lr=self.lr, weight_decay=self.weight_decay, betas=self.betas, clip_norm=self.clip_norm
        )


class LoraRecipe(Section):
    """Everything that decides the result of a run.

    Attributes:
        model: the spec of the pipeline; ``?size=N`` in it is the side that pictures are brought to.
        data: the pictures; flips, augmentation and disambiguation are not for these runs, because
            every picture is encoded once.
        lora: what is learned.
        train: how.
        prompts: drawn every ``train.sample_every`` steps; None for captions of the data, an empty
            list for no samples.
    """

    model: str
    data: DataSection
    lora: LoraSection = LoraSection()
    train: LoraTrainSection = LoraTrainSection()
    prompts: list[str] | None = None

    _source: str = PrivateAttr("recipe")

    @property
    def validation(self) -> StopSection:
        """How held-out pictures are used."""
        return self.train.stop or StopSection(patience=None)

    @property
    def source(self) -> str:
        """The spec as it was given, for messages."""
        return self._source


def lora_recipe(
    spec: str, overrides: Sequence[str], minutes: float | None = None, steps: int | None = None
) -> LoraRecipe:
    """The recipe that a command line gives.

    Args:
        spec: of the model, ``hub:ID``.
        overrides: ``key=value``, as for :func:`limner.training.recipe.load_recipe`.
        minutes: budget; with ``steps`` it replaces that of the keys.
        steps: budget.

    Raises:
        RecipeError: a key is unknown, missing or has a wrong value, or there is no budget.
    """
    tree: dict[str, Any] = {"model": spec}
    for override in overrides:
        apply_override(tree, override, spec)
    if "data" not in tree:
        raise RecipeError(f"{spec}: say which pictures it learns from: data.store=STORE")
    if minutes is not None or steps is not None:
        budget = {"minutes": minutes, "steps": steps}
        tree["train"] = {**tree.get("train", {}), **budget}
    try:
        recipe = LoraRecipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{spec}: {explain(error, LoraRecipe)}") from error
    recipe._source = spec
    data = recipe.data
    unfit = {
        "flip": data.flip, "augment": data.augment.active, "disambiguate": data.disambiguate,
    }  # fmt: skip
    for name, given in unfit.items():
        if given:
            raise RecipeError(
                f"{spec}: data.{name} is not for the LoRA of a pipeline, whose pictures are "
                "encoded once; leave it out"
            )
    stop = recipe.train.stop
    if stop is not None and not data.holdout.share:
        raise RecipeError(f"{spec}: train.stop needs held-out pictures; give data.holdout")
    if stop is not None and stop.metric != "loss":
        raise RecipeError(
            f"{spec}: train.stop.metric: a LoRA is measured by its loss on held-out pictures; say "
            f"loss, not {stop.metric!r}"
        )
    if recipe.train.minutes is None and recipe.train.steps is None:
        raise RecipeError(f"{spec}: say how long it learns: --steps N or --minutes M")
    return recipe
