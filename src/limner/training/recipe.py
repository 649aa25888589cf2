"""A training recipe: everything that decides the result of a run, checked before it starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from limner.data.selection import Selection
from limner.errors import LimnerError, RecipeError
from limner.text import DEFAULT_ENCODER
from limner.training.explain import explain, suggest
from limner.training.overrides import apply_override, read_value
from limner.training.shipped import find_recipe

MIN_SIZE, MAX_SIZE = 8, 1024
"""Sides of pictures that a model may have, pixels, as in ``ModelConfig.size``."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of a recipe; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    short: ClassVar[str | None] = None
    """The key that a single value sets where the section is expected."""

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        plain = isinstance(value, int | float | str) and not isinstance(value, bool)
        return {cls.short: value} if cls.short and plain else value


class AugmentSection(Section):
    """Random changes of a picture, different every time it is used."""

    shift_px: int = Field(0, ge=0, le=64, description="largest shift along each axis, pixels")
    scale: float = Field(0.0, ge=0, le=0.5, description="largest relative zoom, in or out")
    hue: float = Field(0.0, ge=0, le=180, description="largest turn of the hue, degrees")
    saturation: float = Field(0.0, ge=0, le=1, description="largest relative change of saturation")
    brightness: float = Field(0.0, ge=0, le=1, description="largest relative change of brightness")
    turn: float = Field(0.0, ge=0, le=180, description="largest turn about the centre, degrees")
    stretch: float = Field(
        0.0, ge=0, le=0.5, description="largest relative change of width over height"
    )
    warp: float = Field(
        0.0, ge=0, le=0.1, description="largest displacement of an elastic "
        "distortion, share of the side",
    )  # fmt: skip
    outline: float = Field(
        0.0, ge=0, le=1, description="share of pictures whose edges are drawn dark"
    )
    grey: float = Field(0.0, ge=0, le=1, description="share of pictures turned to grey")

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(value != 0 for value in self.model_dump().values())


class HoldoutSection(Section):
    """Held-out pictures: not trained on, but used for validation."""

    short = "share"

    share: float = Field(0.0, ge=0, lt=1, description="of the pictures; 0: none")
    by: Literal["auto", "concept", "picture"] = Field(
        "auto",
        description="hold out whole concepts or single pictures; auto: concepts where the data has "
        "a hundred or more of them",
    )


class DataSection(Section):
    """The training pictures and their captions."""

    store: str | list[str]
    size: int | None = Field(
        None, ge=MIN_SIZE, le=MAX_SIZE, description="side, pixels; none: the store's own"
    )
    filters: dict[str, list[str]] = Field(
        {}, description="metadata key -> values kept, e.g. style, concept, group"
    )
    languages: list[str] = Field([], description="caption languages kept; empty: all")
    captions: int | None = Field(
        None, ge=1, description="heaviest captions kept of one picture; none: all of them"
    )
    disambiguate: float = Field(
        0.0,
        ge=0,
        description="temperature of the softmax over cosines by which the text encoder decides "
        "which concept a shared caption means (needs 'concept' in the metadata); 0: off",
    )
    flip: bool = Field(False, description="mirror half of the pictures left to right")
    augment: AugmentSection = AugmentSection()
    holdout: HoldoutSection = HoldoutSection()

    @property
    def stores(self) -> list[str]:
        """Paths of the stores, as a list."""
        return [self.store] if isinstance(self.store, str) else list(self.store)

    @property
    def selection(self) -> Selection:
        """What of the stores is kept."""
        return Selection(self.filters, self.languages)

    @field_validator("store")
    @classmethod
    def _some_store(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("name at least one store")
        return value


class TextSection(Section):
    """The text encoder."""

    encoder: str = DEFAULT_ENCODER
    max_tokens: int = Field(16, ge=1, le=512, description="text vectors kept for one caption")
    tune: Literal["frozen", "lora", "full"] = Field(
        "frozen",
        description="what of an hf: encoder is trained: nothing, a low-rank change, all of it",
    )
    lr: Positive = Field(1e-5, description="the encoder's own full learning rate")
    rank: int = Field(8, ge=1, le=1024, description="of the low-rank change")


class ImageSection(Section):
    """The encoder of reference pictures, and which picture is used as a reference."""

    encoder: str = Field(description="spec of limner.image_encoders.load_image_encoder")
    reference: Literal["concept", "self", "random"] = Field(
        "concept",
        description="another picture of the concept, in another style where there is one; the "
        "picture itself; any other picture",
    )


class ScheduleSection(Section):
    """Decay of the learning rate; every kind but constant reaches ``final`` at the end."""

    short = "kind"

    kind: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    decay_fraction: float = Field(0.4, gt=0, le=1, description="wsd: share of the budget in decay")
    final: float = Field(0.0, ge=0, le=1, description="last rate, as a share of the full rate")


class EmaSection(Section):
    """The moving average of the weights, which is what is saved and drawn with."""

    short = "decay"  # 0: nothing of the earlier weights is kept, so there is no averaging

    decay: float | None = Field(
        None, ge=0, lt=1, description="share kept in each step; 0: no averaging"
    )
    half_life: float | None = Field(
        None, gt=0, description="steps in which the weight of old values halves"
    )
    warmup: Fraction = Field(
        0.1,
        description="early on the half-life is at most this share of the steps done; 0: off",
    )

    @model_validator(mode="after")
    def _one(self) -> EmaSection:
        if self.decay is not None and self.half_life is not None:
            raise ValueError("give 'decay' or 'half_life', not both")
        if self.decay is None and self.half_life is None:
            self.half_life = 500.0
        return self


class LossWeightingSection(Section):
    """Loss weighting: whether factors are learned; the recipe's ``weights`` are their base."""

    short = "kind"

    kind: Literal["fixed", "uncertainty", "gradnorm"] = "fixed"
    lr: Positive = Field(0.025, description="learning rate of the factors")
    limit: float = Field(1000.0, gt=1, description="largest factor; its inverse is the smallest")
    alpha: float = Field(
        1.5, ge=0, description="gradnorm: how much a loss that decreases slowly is favoured"
    )
    shared: list[str] = Field(
        [],
        description="gradnorm: parts of the model whose gradients are compared; empty: the last "
        "weight that all losses of an optimizer group depend on",
    )
    every: int = Field(1, ge=1, description="gradnorm: steps between two comparisons")


class GrowPhase(Section):
    """A phase of progressive growing, at a smaller size."""

    size: int = Field(ge=MIN_SIZE, le=MAX_SIZE, description="side, pixels")
    until: float = Field(gt=0, lt=1, description="share of the budget at which the next one begins")


class StopSection(Section):
    """Validation on held-out pictures, and early stopping by it."""

    metric: str = Field(
        "loss", description="loss, loss/NAME, or a name from training.validation.METRICS"
    )
    patience: int | None = Field(
        5, ge=1, description="validations without a gain before the end; none: never"
    )
    least: float = Field(0.0, ge=0, description="smallest gain that counts as better")
    after: Fraction = Field(0.0, description="share of the budget before the first")
    every: float = Field(0.05, gt=0, le=1, description="share of the budget between two")
    every_steps: int | None = Field(None, ge=1, description="steps instead of a share")
    every_minutes: Positive | None = Field(None, description="minutes instead of a share")
    pictures: int = Field(512, ge=1, description="most held-out pictures used")

    @model_validator(mode="after")
    def _one(self) -> StopSection:
        if self.every_steps is not None and self.every_minutes is not None:
            raise ValueError("give 'every_steps' or 'every_minutes', not both")
        return self


class PreferencesSection(Section):
    """Votes on drawn pictures, which a trained model is changed by."""

    short = "file"

    file: str = Field(description="votes, JSON Lines (limner feedback export)")
    user: str | None = Field(None, description="whose; none: everybody's")
    batch_size: int = Field(16, ge=1, description="pairs of pictures in a step")
    rate: Positive = Field(
        0.15, description="factor of the recipe's learning rates, which are of a first training"
    )
    temperature: Positive = Field(
        0.5, description="pictures are learned in proportion to exp(mean vote / temperature)"
    )
    guard: Fraction = Field(
        0.1, description="share of its first value by which train.stop.metric may become worse"
    )


class TrainSection(Section):
    """Budget, optimizer, precision and intervals."""

    minutes: Positive | None = None
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(64, ge=1)
    accumulate: int = Field(1, ge=1, description="micro-batches a batch is split into")
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: Positive = 1e-3
    muon_lr: Positive = Field(0.02, description="muon: rate of the matrices; lr is the others'")
    warmup_steps: int = Field(100, ge=0)
    schedule: ScheduleSection = ScheduleSection()
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    clip_norm: Positive | None = 1.0
    ema: EmaSection = EmaSection()
    balance: LossWeightingSection = LossWeightingSection()
    grow: list[GrowPhase] = Field([], description="smaller sizes to begin with")
    stop: StopSection | None = None
    seed: int = Field(0, ge=0, lt=2**63)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    channels_last: bool = Field(True, description="memory layout of 4-D weights and pictures")
    threads: int | None = Field(None, ge=1)
    checkpoint_every_minutes: Positive = 5.0
    sample_every_minutes: Positive = 5.0
    trackers: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        ["tensorboard"],
        description="where figures go besides the log; tensorboard where it is installed",
    )
    log_every: int = Field(20, ge=1, description="steps in one line of the log")

    @model_validator(mode="before")
    @classmethod
    def _short_trackers(cls, values: Any) -> Any:
        """``tensorboard: false`` is short for a list of trackers without it."""
        if not isinstance(values, Mapping) or "tensorboard" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "tensorboard"}
        named = rest.get("trackers", [])
        if not isinstance(values["tensorboard"], bool) or not isinstance(named, list):
            raise ValueError("'tensorboard' is true or false, 'trackers' a list of names")
        others = [name for name in named if name != "tensorboard"]
        return {**rest, "trackers": ["tensorboard", *others] if values["tensorboard"] else others}

    @field_validator("grow")
    @classmethod
    def _rising(cls, value: list[GrowPhase]) -> list[GrowPhase]:
        for before, after in pairwise(value):
            if after.size <= before.size or after.until <= before.until:
                raise ValueError("sizes and 'until' must rise from phase to phase")
        return value

    @model_validator(mode="after")
    def _divisible(self) -> TrainSection:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"'batch_size' ({self.batch_size}) must be a multiple of "
                f"'accumulate' ({self.accumulate})"
            )
        return self


class Recipe(Section):
    """Everything that decides the result of a run.

    Attributes:
        family: name in the registry of families.
        model: the family's own configuration; ``size``, ``text_dim`` and ``styles`` are filled
            in from the data and the encoder.
        data: the training pictures.
        text: the text encoder, and whether it is tuned along with the model.
        image: reference pictures, for a model whose ``fusion`` takes them.
        autoencoder: a trained vae model file, whose latents the family generates; it is copied
            into the model.
        train: budget, optimizer, precision, intervals.
        weights: factor of each named loss; 1 where not given.
        prompts: drawn every ``train.sample_every_minutes``.
        init: a model file whose weights the run starts from; ``shipped`` for the one inside the
            package.
        init_parts: names of the parts taken from it, such as ``encoder``; empty: all that fit.
        preferences: votes on drawn pictures that are learned from beside the training pictures.
    """

    family: str
    model: dict[str, Any] = {}
    data: DataSection
    text: TextSection = TextSection()
    image: ImageSection | None = None
    autoencoder: str | None = None
    train: TrainSection = TrainSection()
    weights: dict[str, float] = {}
    prompts: list[str] = []
    init: str | None = None
    init_parts: list[str] = []
    preferences: PreferencesSection | None = None

    _source: str = PrivateAttr("recipe")

    @property
    def validation(self) -> StopSection:
        """How held-out pictures are used.

        Where votes are learned from it is ``match`` that is measured, unless the recipe says what.
        """
        if self.train.stop is not None:
            return self.train.stop
        if self.preferences is not None:
            return StopSection(metric="match", patience=None, every=0.1, pictures=64)
        return StopSection(patience=None)

    @property
    def rate(self) -> float:
        """Factor of all learning rates: that of ``preferences`` where votes are learned from."""
        return 1.0 if self.preferences is None else self.preferences.rate

    @property
    def source(self) -> str:
        """The file the recipe was read from, for messages."""
        return self._source

    def error(self, key: str, problem: object) -> RecipeError:
        """What is wrong with a key, in one sentence that names the file."""
        return RecipeError(f"{self.source}: {key}: {problem}")

    @contextmanager
    def explained(self, key: str) -> Iterator[None]:
        """Turn a failure of the block into the error of the key that caused it.

        Raises:
            RecipeError: for any other ``LimnerError``.
        """
        try:
            yield
        except LimnerError as error:
            raise self.error(key, error) from error

    @field_validator("family")
    @classmethod
    def _known_family(cls, value: str) -> str:
        from limner.models.base import families

        known = families()
        if value not in known:
            raise ValueError(f"there is no family {value!r}{suggest(value, known)}")
        return value


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
    return recipe.model_copy(update={"train": budget})


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change some of its keys.

    Args:
        path: a YAML file, or the name of a recipe that comes with limner, such as ``quickstart``.
        overrides: ``key=value`` with dots between levels, e.g. ``train.lr=3e-4``; the value is
            YAML, so ``[a, b]``, ``true`` and ``null`` mean what they say.

    Raises:
        RecipeError: the file cannot be read, or a key is unknown or has a wrong value; the
            message names the file and the key.
    """
    path = find_recipe(Path(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"cannot read the recipe {path}: {reason}") from error
    tree = read_value(text, str(path))
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} is not a recipe: it should hold keys such as family and data")
    for override in overrides:
        apply_override(tree, override, str(path))
    return make_recipe(tree, str(path))


def make_recipe(tree: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A recipe from plain values.

    Raises:
        RecipeError: naming ``source`` and the key at fault.
    """
    try:
        recipe = Recipe.model_validate(dict(tree))
    except ValidationError as error:
        raise RecipeError(f"{source}: {explain(error, Recipe)}") from error
    recipe._source = source
    return recipe


# Keys that change the length, the speed or the reporting of a run, not what one step computes.
HARMLESS = frozenset(
    {
        "data.store",
        "preferences.file",
        "prompts",
        "train.minutes",
        "train.steps",
        "train.device",
        "train.threads",
        "train.compile",
        "train.checkpoint_every_minutes",
        "train.sample_every_minutes",
        "train.log_every",
        "train.trackers",
        "train.stop.patience",
    }
)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the keys whose values differ between two dumped recipes."""
    changed = []
    for name in sorted({*old, *new}):
        a, b, key = old.get(name), new.get(name), prefix + name
        if isinstance(a, Mapping) and isinstance(b, Mapping) and key != "weights":
            changed += changed_keys(a, b, key + ".")
        elif a != b:
            changed.append(key)
    return changed
