"""A training recipe: everything that decides what a run learns, checked before it starts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from limner.errors import RecipeError
from limner.text import DEFAULT_ENCODER

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Augment(Section):
    """Modest changes of a picture, drawn anew every time it is shown."""

    shift_px: int = Field(
        default=0, ge=0, le=64, description="largest shift along each axis, pixels"
    )
    scale: float = Field(default=0.0, ge=0, le=0.5, description="largest relative zoom, in or out")
    hue: float = Field(default=0.0, ge=0, le=180, description="largest turn of the hue, degrees")
    saturation: float = Field(
        default=0.0, ge=0, le=1, description="largest relative change of saturation"
    )
    brightness: float = Field(
        default=0.0, ge=0, le=1, description="largest relative change of brightness"
    )

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(value != 0 for value in self.model_dump().values())


class DataSection(Section):
    """Which pictures are learnt from."""

    store: str | list[str]
    size: int | None = Field(
        default=None, ge=8, le=1024, description="side, pixels; none: the store's own"
    )
    filters: dict[str, list[str]] = Field(
        default={}, description="metadata key -> values kept, e.g. style, concept, group"
    )
    languages: list[str] = Field(default=[], description="caption languages kept; empty: all")
    captions: int | None = Field(
        default=None, ge=1, description="heaviest captions kept of one picture; none: all of them"
    )
    disambiguate: float = Field(
        default=0.0,
        ge=0,
        description="cosine temperature at which the text encoder decides which concept a shared "
        "caption means (needs 'concept' in the store's metadata); 0: off",
    )
    flip: bool = Field(default=False, description="mirror half of the pictures left to right")
    augment: Augment = Augment()

    @property
    def stores(self) -> list[str]:
        """The paths, as a list."""
        return [self.store] if isinstance(self.store, str) else list(self.store)

    @field_validator("store")
    @classmethod
    def _some_store(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("name at least one store")
        return value


class TextSection(Section):
    """Who reads the captions."""

    encoder: str = DEFAULT_ENCODER
    max_tokens: int = Field(
        default=16, ge=1, le=512, description="text vectors kept for one caption"
    )


class Schedule(Section):
    """How the learning rate falls; every shape reaches ``final`` at the end of the budget."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    decay_fraction: float = Field(
        default=0.4, gt=0, le=1, description="wsd: share of the budget in decay"
    )
    final: float = Field(
        default=0.0, ge=0, le=1, description="last rate, as a share of the full rate"
    )


class EmaSection(Section):
    """The running average of the weights, which is what is saved and sampled."""

    decay: float | None = Field(default=None, ge=0, lt=1, description="share kept in each step")
    half_life: float | None = Field(
        default=None, gt=0, description="steps after which half is forgotten"
    )
    warmup: Share = Field(
        default=0.1,
        description="early on the half-life is at most this share of the steps done; 0: off",
    )

    @model_validator(mode="after")
    def _one(self) -> EmaSection:
        if self.decay is not None and self.half_life is not None:
            raise ValueError("give 'decay' or 'half_life', not both")
        if self.decay is None and self.half_life is None:
            self.half_life = 500.0
        return self


class TrainSection(Section):
    """How long and how fast."""

    minutes: Positive | None = None
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1)
    accumulate: int = Field(default=1, ge=1, description="micro-batches a batch is split into")
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: Positive = 1e-3
    muon_lr: Positive = Field(
        default=0.02, description="muon: rate of the matrices; lr is the others'"
    )
    warmup_steps: int = Field(default=100, ge=0)
    schedule: Schedule = Schedule()
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[Share, Share] = (0.9, 0.99)
    clip_norm: Positive | None = 1.0
    ema: EmaSection = EmaSection()
    seed: int = Field(default=0, ge=0, lt=2**63)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    channels_last: bool = Field(
        default=True, description="memory layout of 4-D weights and pictures"
    )
    threads: int | None = Field(default=None, ge=1)
    checkpoint_every_minutes: Positive = 5.0
    sample_every_minutes: Positive = 5.0
    tensorboard: bool = Field(default=True, description="write events where it is installed")
    log_every: int = Field(default=20, ge=1, description="steps in one line of the log")

    @field_validator("schedule", mode="before")
    @classmethod
    def _short_schedule(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("ema", mode="before")
    @classmethod
    def _short_ema(cls, value: Any) -> Any:
        return {"decay": value} if isinstance(value, float) else value

    @model_validator(mode="after")
    def _divisible(self) -> TrainSection:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"'batch_size' ({self.batch_size}) must be a multiple of "
                f"'accumulate' ({self.accumulate})"
            )
        return self


class Recipe(Section):
    """Everything that decides what a run learns.

    Attributes:
        family: name in the registry of families.
        model: the family's own configuration; ``size``, ``text_dim`` and ``styles`` are filled
            in from the data and the encoder.
        data: which pictures.
        text: which text encoder.
        train: budget, optimiser, precision, intervals.
        weights: factor of each named loss; 1 where not given.
        prompts: drawn every so often, to look at.
        init: a model file whose weights the run starts from; ``shipped`` for the one inside the
            package.
        init_parts: names of the parts taken from it, such as ``encoder``; empty: all that fit.
    """

    family: str
    model: dict[str, Any] = {}
    data: DataSection
    text: TextSection = TextSection()
    train: TrainSection = TrainSection()
    weights: dict[str, float] = {}
    prompts: list[str] = []
    init: str | None = None
    init_parts: list[str] = []

    _source: str = PrivateAttr("recipe")

    @property
    def source(self) -> str:
        """The file the recipe was read from, for messages."""
        return self._source

    @field_validator("family")
    @classmethod
    def _known_family(cls, value: str) -> str:
        from limner.models.base import families

        known = families()
        if value not in known:
            raise ValueError(f"there is no family {value!r}{_suggest(value, known)}")
        return value


class _Loader(yaml.SafeLoader):
    """YAML as people write it: ``1e-3`` is a number, and a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change some of its keys.

    Args:
        path: a YAML file.
        overrides: ``key=value`` with dots between levels, e.g. ``train.lr=3e-4``; the value is
            YAML, so ``[a, b]``, ``true`` and ``null`` mean what they say.

    Raises:
        RecipeError: the file cannot be read, or a key is unknown or has a wrong value; the
            message names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"cannot read the recipe {path}: {reason}") from error
    tree = _parse(text, str(path))
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} is not a recipe: it should hold keys such as family and data")
    for override in overrides:
        _apply(tree, override, str(path))
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


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise RecipeError(f"{where} is not valid YAML{line}: {problem}") from error


def read_overrides(overrides: Sequence[str], source: str) -> dict[str, Any]:
    """``key=value`` texts as one tree, read as :func:`load_recipe` reads its own.

    Raises:
        RecipeError: one is no override or its value no YAML; the message names ``source``.
    """
    tree: dict[str, Any] = {}
    for override in overrides:
        _apply(tree, override, source)
    return tree


def _apply(tree: dict[str, Any], override: str, source: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(f"{source}: {override!r} is not an override; write key=value")
    node = tree
    for depth, part in enumerate(parts[:-1]):
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            if ".".join(parts[: depth + 1]) not in {"train.schedule", "train.ema"}:
                raise RecipeError(f"{source}: {key}: {part!r} holds a value, not keys")
            child = node[part] = {"kind" if part == "schedule" else "decay": child}
        node = child
    node[parts[-1]] = _parse(text, f"the override {override!r}")


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """The first problem of a validation, in one sentence that starts with the key.

    Args:
        error: what pydantic found.
        model: what was being validated, to suggest the key that was meant.
        prefix: put before the key, e.g. ``"model."``.
    """
    # An unknown key explains more than the "missing" or "wrong type" it may have caused.
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    first = problems[0]
    key = prefix + ".".join(str(part) for part in first["loc"] if not _is_branch(part))
    if first["type"] == "extra_forbidden":
        name, parent = str(first["loc"][-1]), _descend(model, first["loc"][:-1])
        known = list(parent.model_fields) if parent is not None else []
        folder = key[: len(key) - len(name)]
        return f"unknown key {key!r}{_suggest(name, known, folder)}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    message = message[0].lower() + message[1:].replace("Input", "it")
    given = repr(first["input"])
    return f"{key}: {message.replace('input', 'it', 1)}, not {given[:80]}"


def _is_branch(part: int | str) -> bool:
    # pydantic adds the name of the union's branch to the location of an error inside it.
    return isinstance(part, str) and (part in {"str", "int", "float"} or part.startswith("list["))


def _descend(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    here: type[BaseModel] | None = model
    for part in loc:
        if here is None or part not in here.model_fields:
            return None
        here = _model_in(here.model_fields[str(part)].annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Union, UnionType}:
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None


def _suggest(name: str, known: Sequence[str] | Mapping[str, Any], folder: str = "") -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"; did you mean {folder + close[0]!r}?"
    return f"; choose from: {', '.join(known)}" if known else ""


# Keys that change how long, how fast or how talkatively a run goes, not what one step does.
HARMLESS = frozenset(
    {
        "data.store",
        "prompts",
        "train.minutes",
        "train.steps",
        "train.device",
        "train.threads",
        "train.compile",
        "train.checkpoint_every_minutes",
        "train.sample_every_minutes",
        "train.log_every",
        "train.tensorboard",
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
