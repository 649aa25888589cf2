"""The contract every generator family obeys, and the registry they sign."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from importlib import import_module
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from limner.errors import CapabilityError, UsageError
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures


class Capability(StrEnum):
    """What a family can be asked to do."""

    GENERATE = "generate"
    GUIDANCE = "guidance"
    STEPS = "steps"
    SIZE = "size"
    STYLE = "style"
    INPAINT = "inpaint"
    RESTYLE = "restyle"
    VARY = "vary"
    UPSCALE = "upscale"
    LIKELIHOOD = "likelihood"
    RECONSTRUCT = "reconstruct"
    REFERENCE = "reference"
    TEMPERATURE = "temperature"
    TOP_K = "top_k"
    TOP_P = "top_p"
    TRUNCATION = "truncation"
    ALIGN = "align"
    CAPTION = "caption"
    PLAN = "plan"


class FusionConfig(BaseModel):
    """How text features and picture features become one condition (:mod:`limner.models.fusion`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["text", "concat", "cross", "joint"] = Field(
        "text", description="text: no picture features; the others take them when there are any"
    )
    image_dim: int = Field(0, ge=0, description="width of the picture features; 0 for kind text")
    max_tokens: int = Field(16, ge=1, le=1024, description="picture tokens looked at")
    depth: int = Field(2, ge=1, le=16, description="blocks of the cross and joint transformers")
    heads: int = Field(4, ge=1, le=64, description="attention heads of those blocks")
    drop: float = Field(0.1, ge=0, lt=1, description="chance of learning without the picture")

    @model_validator(mode="after")
    def _fits(self) -> FusionConfig:
        if (self.kind == "text") != (self.image_dim == 0):
            raise ValueError("'image_dim' is 0 for kind 'text' and the features' width otherwise")
        return self


class ModelConfig(BaseModel):
    """What every family's configuration holds; it travels inside the model file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(64, ge=8, le=1024, description="picture side in pixels")
    text_dim: int = Field(384, ge=1, description="width of the text encoder's vectors")
    styles: tuple[str, ...] = Field((), description="names of the styles the model can draw")
    fusion: FusionConfig = Field(
        default=FusionConfig(), description="how picture features join the text's"
    )


@dataclass(frozen=True)
class Parses:
    """What the pieces of B captions of scenes are (:mod:`limner.scenes.labels`).

    Attributes:
        kinds: ``(B, L)`` int64, :class:`limner.scenes.labels.Kind` of each piece; -1 throughout
            where the caption could not be parsed.
        counts: ``(B, L)`` int64, how many of each thing; 0 for other pieces.
        sizes: ``(B, L)`` int64, index into :data:`limner.scenes.labels.SIZES`.
        paints: ``(B, L)`` int64, index into :data:`limner.scenes.labels.TINTS`.
        relations: ``(B,)`` int64, 0 for none, else 1 + index into ``RELATIONS``.
        ground: ``(B, 3)`` float32, the colour behind in [0, 1]; -1 where it is white.
    """

    kinds: Tensor
    counts: Tensor
    sizes: Tensor
    paints: Tensor
    relations: Tensor
    ground: Tensor

    def __getitem__(self, index: Tensor | slice | list[int]) -> Parses:
        """Those of some of the captions."""
        return Parses(*(getattr(self, each.name)[index] for each in fields(self)))

    def to(self, device: torch.device | str) -> Parses:
        """The same on another device."""
        return Parses(*(getattr(self, each.name).to(device) for each in fields(self)))

    def padded(self, length: int) -> Parses:
        """The same with the axis of pieces cut or filled up to ``length``."""
        extra = max(0, length - self.kinds.shape[1])
        parts = {
            name: nn.functional.pad(getattr(self, name)[:, :length], (0, extra))
            for name in ("kinds", "counts", "sizes", "paints")
        }
        return replace(self, **parts)


@dataclass(frozen=True)
class Batch:
    """What a family learns from in one step.

    Attributes:
        images: ``(B, 3, H, W)`` float32 in [-1, 1].
        text: features of one caption per picture.
        styles: ``(B,)`` int64 index into ``config.styles``, -1 where unknown.
        generator: the only source of randomness a loss may use (on the images' device).
        progress: share of the run's budget already spent, in [0, 1].
        captions: the B captions behind ``text``.
        languages: codes of the languages they are in, or nothing.
        indices: ``(B,)`` int64 rows of the training set, where equal rows hold equal pictures;
            None when pictures are augmented. A family may cache by it what it computes.
        picture: features of one reference picture per picture, or None.
        parses: what the pieces of the captions are, for a family that ``reads_scenes``, or None.
    """

    images: Tensor
    text: TextFeatures
    styles: Tensor
    generator: torch.Generator
    progress: float = 0.0
    captions: Sequence[str] = ()
    languages: Sequence[str] = ()
    indices: Tensor | None = None
    picture: ImageFeatures | None = None
    parses: Parses | None = None


@dataclass(frozen=True)
class SampleRequest:
    """What a family draws from.

    Attributes:
        text: features of B prompts.
        seeds: B integers in [0, 2**63); picture i depends on ``seeds[i]`` and ``text[i]`` alone.
        styles: ``(B,)`` int64, -1 to let the seed choose; None for -1 everywhere.
        steps: sampling steps; None for the family's default. Refused by one-shot families.
        guidance: classifier-free guidance scale; None for the family's default.
        size: picture side in pixels; None for the model's own.
        negative: features of B negative prompts, or None.
        picture: features of B reference pictures, or None.
        temperature: of what chance decides, as a factor of the family's own; None for its default.
        top_k: tokens that may be drawn at each step; None for the family's default, 0 for all.
        top_p: smallest mass of the likeliest tokens that may be drawn, in (0, 1].
        truncation: factor in (0, 1] that pulls the noise towards its mean.
    """

    text: TextFeatures
    seeds: Sequence[int]
    styles: Tensor | None = None
    steps: int | None = None
    guidance: float | None = None
    size: int | None = None
    negative: TextFeatures | None = None
    picture: ImageFeatures | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    truncation: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.seeds) != len(self.text):
            raise ValueError(f"{len(self.seeds)} seeds for {len(self.text)} prompts")

    def tile(self, start: int, length: int) -> SampleRequest:
        """Pictures ``start`` to ``start + length``, the last repeated to fill the tile."""
        index = [min(i, len(self.seeds) - 1) for i in range(start, start + length)]
        return replace(
            self,
            text=self.text[index],
            seeds=[self.seeds[i] for i in index],
            styles=None if self.styles is None else self.styles[index],
            negative=None if self.negative is None else self.negative[index],
            picture=None if self.picture is None else self.picture[index],
        )


@dataclass(frozen=True)
class ParameterGroup:
    """One player's parameters and how its optimiser differs from the recipe's.

    Attributes:
        parameters: that learn at the recipe's rate times ``lr_scale``.
        lr_scale: factor of the recipe's rate.
        betas: of Adam; None for the recipe's.
        apart: more parameters of the same player, which learn at the full rate ``apart_lr``.
        apart_lr: rate of those, instead of the recipe's.
    """

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    betas: tuple[float, float] | None = None
    apart: list[nn.Parameter] = field(default_factory=list)
    apart_lr: float = 0.0

    @property
    def every(self) -> list[nn.Parameter]:
        """All parameters of the player."""
        return [*self.parameters, *self.apart]


class ImageModel(nn.Module, ABC):
    """A family of generators.

    A subclass sets ``capabilities``, gives ``losses`` and ``draw``, and registers itself with
    :func:`register`. Its constructor takes its validated config and nothing else.
    """

    family: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    capabilities: ClassVar[frozenset[Capability]]
    staged_losses: ClassVar[frozenset[str]] = frozenset()
    """Losses that only appear later in a run, so that a recipe may weigh them from the start."""
    text_player: ClassVar[str | None] = None
    """The player whose losses reach a text encoder that learns along; None for the first."""
    reads_text: ClassVar[bool] = True
    """Whether the losses see ``batch.text``; one that does not cannot teach a text encoder."""
    reads_scenes: ClassVar[bool] = False
    """Whether the losses want ``batch.parses``."""
    tile: ClassVar[int] = 1
    """Pictures per kernel call when sampling: fixed, so that rounding never depends on the
    batch a picture happens to be in."""

    config: ModelConfig

    @property
    def players(self) -> dict[str, ParameterGroup]:
        """One optimiser each, trained in this order in every step."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return {"model": ParameterGroup(trainable)}

    def prepare(self, text: TextFeatures) -> None:
        """Fit buffers to the features of (a sample of) the training captions, before step 0."""

    def prepare_pictures(self, images: Tensor) -> None:
        """Fit buffers to some training pictures ``(B, 3, H, W)``, before step 0."""

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalars worth logging beside the losses when samples are drawn; no gradients."""
        return {}

    def reads_words(self, progress: float) -> bool:
        """Whether words have been learned from yet, when ``progress`` of the budget is spent."""
        return True

    def grown(self, size: int) -> ImageModel:
        """This model for pictures of another size, on the same device; the loop grows runs by it.

        Weights and buffers that both sizes have in the same shape are copied, the others start
        fresh. A family that can carry over more overrides this.

        Args:
            size: side in pixels.

        Raises:
            pydantic.ValidationError: the configuration does not go with that size.
        """
        config = type(self.config).model_validate({**self.config.model_dump(), "size": size})
        other = type(self)(config)
        mine, theirs = self.state_dict(), other.state_dict()
        fits = {n: v for n, v in mine.items() if n in theirs and theirs[n].shape == v.shape}
        other.load_state_dict(fits, strict=False)
        return other.to(next(self.parameters()).device)

    def understand(self, batch: Batch) -> Batch:
        """The batch with the text features that this model draws from, without gradients.

        Only a model that reads captions itself has others than the batch brings.
        """
        return batch

    @abstractmethod
    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Named, unweighted scalar losses of one player."""

    @abstractmethod
    def draw(self, request: SampleRequest) -> Tensor:
        """Draw one tile: ``(B, 3, H, W)`` float32 in [-1, 1]; B is always ``self.tile``."""

    def check(self, request: SampleRequest) -> None:
        """Refuse what this family cannot do, and values that do not fit the model.

        Raises:
            CapabilityError: naming the option and the family.
            UsageError: see :func:`check_values`.
        """
        if Capability.GENERATE not in self.capabilities:
            raise self._cannot(Capability.GENERATE)
        asked = {
            Capability.STEPS: request.steps is not None,
            Capability.GUIDANCE: request.guidance is not None or request.negative is not None,
            Capability.SIZE: request.size is not None and request.size != self.config.size,
            Capability.STYLE: request.styles is not None and bool((request.styles >= 0).any()),
            Capability.REFERENCE: request.picture is not None,
            Capability.TEMPERATURE: request.temperature is not None,
            Capability.TOP_K: request.top_k is not None,
            Capability.TOP_P: request.top_p is not None,
            Capability.TRUNCATION: request.truncation is not None,
        }
        for capability, wanted in asked.items():
            if wanted and capability not in self.capabilities:
                raise CapabilityError(
                    f"the {self.family} family does not take '{capability.value}'; "
                    f"leave that option out or use another model"
                )
        check_values(self.config, request)

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Tensor:
        """Draw B pictures, ``(B, 3, H, W)`` float32 in [-1, 1], in tiles of fixed shape.

        Raises:
            CapabilityError: the request asks for what the family cannot do.
            UsageError: a value in the request is out of range.
        """
        self.check(request)
        count = len(request.seeds)
        tiles = [self.draw(request.tile(i, self.tile)) for i in range(0, count, self.tile)]
        return torch.cat(tiles)[:count].float().clamp(-1, 1)

    def log_likelihood(
        self, images: Tensor, text: TextFeatures, styles: Tensor | None = None
    ) -> Tensor:
        """Log p(picture | text) of B pairs, ``(B,)`` float32 in nats; families say how exact.

        Args:
            images: ``(B, 3, S, S)`` float32 in [-1, 1].
            text: features of B texts.
            styles: ``(B,)`` int64, -1 or None where unknown.

        Raises:
            CapabilityError: the family has no likelihood.
        """
        raise self._cannot(Capability.LIKELIHOOD)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range.

        Raises:
            CapabilityError: the family does not encode pictures.
        """
        raise self._cannot(Capability.RECONSTRUCT)

    def _cannot(self, capability: Capability) -> CapabilityError:
        return CapabilityError(
            f"the {self.family} family cannot do '{capability.value}'; use another model"
        )


class Reader(ImageModel):
    """A family that reads pictures or words and draws nothing; trained by the same loop."""

    def draw(self, request: SampleRequest) -> Tensor:
        """Refuse.

        Raises:
            CapabilityError: always.
        """
        raise self._cannot(Capability.GENERATE)


def check_values(config: ModelConfig, request: SampleRequest) -> None:
    """Refuse values that fit no model of this configuration.

    Raises:
        UsageError: no pictures asked for; steps outside 1..1000, guidance outside 0..50,
            temperature outside 0..10, top_k below 0, top_p or truncation outside (0, 1], a style
            the model does not have, or text or picture features of another width.
    """
    if not request.seeds:
        raise UsageError("a request for no pictures cannot be drawn; give at least one prompt")
    if request.steps is not None and not 1 <= request.steps <= 1000:
        raise UsageError(f"steps must be 1 to 1000, not {request.steps}")
    if request.guidance is not None and not 0 <= request.guidance <= 50:
        raise UsageError(f"guidance must be 0 to 50, not {request.guidance}")
    if request.temperature is not None and not 0 <= request.temperature <= 10:
        raise UsageError(f"temperature must be 0 to 10, not {request.temperature}")
    if request.top_k is not None and request.top_k < 0:
        raise UsageError(f"top_k must be 0 (all) or more, not {request.top_k}")
    for name, share in (("top_p", request.top_p), ("truncation", request.truncation)):
        if share is not None and not 0 < share <= 1:
            raise UsageError(f"{name} must be above 0 and at most 1, not {share}")
    if request.picture is not None and request.picture.pooled.shape[1] != config.fusion.image_dim:
        raise UsageError(
            f"this model takes picture features of {config.fusion.image_dim} numbers, "
            f"not {request.picture.pooled.shape[1]}; use the encoder it was trained with"
        )
    if request.styles is not None and int(request.styles.max()) >= len(config.styles):
        known = ", ".join(f"{i} {name}" for i, name in enumerate(config.styles)) or "none"
        raise UsageError(f"there is no style {int(request.styles.max())}; there is: {known}")
    for text in filter(None, (request.text, request.negative)):
        width = text.pooled.shape[1]
        if width != config.text_dim:
            raise UsageError(
                f"this model takes text vectors of {config.text_dim} numbers, not {width}; "
                "use the encoder it was trained with"
            )


def image_noise(
    seeds: Sequence[int],
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
    stream: int = 0,
) -> Tensor:
    """Standard normal noise that belongs to the image: ``(B, *shape)`` float32.

    Row i depends on ``seeds[i]`` and ``stream`` alone, and is drawn on the CPU so that every
    device sees the same bits.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + stream) % (2**63))
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows).to(device)


FAMILIES: dict[str, type[ImageModel]] = {}
_MODULES = ("vae", "flow", "gan", "ar", "aligner", "captioner", "planner")
_M = TypeVar("_M", bound=type[ImageModel])


def register(name: str, config_class: type[ModelConfig]) -> Callable[[_M], _M]:
    """Sign a family into the registry, where it is defined.

    Raises:
        TypeError: the class is no ImageModel, or its config no ModelConfig.
        ValueError: the name is taken.
    """

    def sign(cls: _M) -> _M:
        if not (isinstance(cls, type) and issubclass(cls, ImageModel)):
            raise TypeError(f"{cls!r} is not an ImageModel")
        if not issubclass(config_class, ModelConfig):
            raise TypeError(f"{config_class!r} is not a ModelConfig")
        if name in FAMILIES:
            raise ValueError(f"family {name!r} is already registered by {FAMILIES[name]!r}")
        cls.family, cls.config_class = name, config_class
        FAMILIES[name] = cls
        return cls

    return sign


def families() -> dict[str, type[ImageModel]]:
    """Every registered family by name: those that draw, and those that read pictures."""
    for module in _MODULES:
        import_module(f"limner.models.{module}")
    return dict(sorted(FAMILIES.items()))


def generators() -> dict[str, type[ImageModel]]:
    """The families that draw, by name."""
    able = Capability.GENERATE
    return {name: family for name, family in families().items() if able in family.capabilities}


def build(family: str, config: dict[str, Any] | ModelConfig) -> ImageModel:
    """A freshly initialised model.

    Raises:
        UsageError: the family is unknown.
        pydantic.ValidationError: the configuration does not fit the family.
    """
    known = families()
    if family not in known:
        raise UsageError(f"there is no family {family!r}; choose one of: {', '.join(known)}")
    cls = known[family]
    if not isinstance(config, ModelConfig):
        config = cls.config_class.model_validate(config)
    return cls(config)
