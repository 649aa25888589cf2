"""The base class of all model families, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from itertools import chain
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limner.errors import CapabilityError, UsageError, first_line
from limner.models.settings import Capability, FrozenConfig
from limner.text.base import TensorRows, TextFeatures
from limner.vision.base import ImageFeatures


class FusionConfig(FrozenConfig):
    """How text features and picture features become one condition (:mod:`limner.models.fusion`)."""

    kind: Literal["text", "concat", "cross", "joint"] = Field(
        "text", description="text: no picture features; the others take them when there are any"
    )
    image_dim: int = Field(0, ge=0, description="width of the picture features; 0 for kind text")
    max_tokens: int = Field(16, ge=1, le=1024, description="picture tokens used")
    depth: int = Field(2, ge=1, le=16, description="blocks of the cross and joint transformers")
    heads: int = Field(4, ge=1, le=64, description="attention heads of those blocks")
    drop: float = Field(0.1, ge=0, lt=1, description="chance of learning without the picture")

    @model_validator(mode="after")
    def _fits(self) -> FusionConfig:
        if (self.kind == "text") != (self.image_dim == 0):
            raise ValueError("'image_dim' is 0 for kind 'text' and the features' width otherwise")
        return self


class ModelConfig(FrozenConfig):
    """Base class of the families' configurations; stored in the model file."""

    size: int = Field(64, ge=8, le=1024, description="picture side in pixels")
    text_dim: int = Field(384, ge=1, description="width of the text encoder's vectors")
    styles: tuple[str, ...] = Field((), description="names of the styles the model can draw")
    fusion: FusionConfig = Field(
        default=FusionConfig(), description="how picture features join the text's"
    )


@dataclass(frozen=True)
class Parses(TensorRows):
    """Labels of the pieces of B captions of scenes (:mod:`limner.scenes.labels`).

    Attributes:
        kinds: ``(B, L)`` int64, :class:`limner.scenes.labels.Kind` of each piece; all -1
            if the caption could not be parsed.
        counts: ``(B, L)`` int64, how many of each thing; 0 for other pieces.
        sizes: ``(B, L)`` int64, index into :data:`limner.scenes.labels.SIZES`.
        tints: ``(B, L)`` int64, index into :data:`limner.scenes.labels.TINTS`.
        relations: ``(B,)`` int64, 0 for none, else 1 + index into ``RELATIONS``.
        background: ``(B, 3)`` float32, its colour in [0, 1]; -1 for white.
    """

    kinds: Tensor
    counts: Tensor
    sizes: Tensor
    tints: Tensor
    relations: Tensor
    background: Tensor

    def padded(self, length: int) -> Parses:
        """Truncate or pad the axis of pieces to ``length``."""
        extra = max(0, length - self.kinds.shape[1])
        parts = {
            name: nn.functional.pad(getattr(self, name)[:, :length], (0, extra))
            for name in ("kinds", "counts", "sizes", "tints")
        }
        return replace(self, **parts)


@dataclass(frozen=True)
class Batch:
    """A batch of training data.

    Attributes:
        images: ``(B, 3, H, W)`` float32 in [-1, 1].
        text: features of one caption per picture.
        styles: ``(B,)`` int64 index into ``config.styles``, -1 where unknown.
        generator: the only source of randomness a loss may use (on the images' device).
        progress: share of the run's budget already spent, in [0, 1].
        captions: the B captions behind ``text``.
        languages: their language codes, or empty.
        indices: ``(B,)`` int64 rows of the training set, as keys for caching results per picture;
            None when pictures are augmented.
        picture: features of one reference picture per picture, or None.
        parses: what the pieces of the captions are, for a family that ``reads_scenes``, or None.
        lengths: ``(B,)`` int64 on the CPU, number of tokens of each row by ``text.mask``,
            which saves a synchronisation with the device; None if unknown.
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
    lengths: Tensor | None = None


@dataclass(frozen=True)
class ParameterGroup:
    """The parameters of one optimizer, and its differences from the recipe.

    Attributes:
        parameters: parameters whose learning rate is the recipe's times ``lr_scale``.
        lr_scale: factor on the recipe's learning rate.
        betas: the betas of Adam; None for the recipe's.
        apart: further parameters of the same optimizer, with peak learning rate ``apart_lr``.
        apart_lr: their learning rate, instead of the recipe's.
    """

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    betas: tuple[float, float] | None = None
    apart: list[nn.Parameter] = field(default_factory=list)
    apart_lr: float = 0.0

    @property
    def every(self) -> list[nn.Parameter]:
        """All parameters of the optimizer."""
        return [*self.parameters, *self.apart]


class Model(nn.Module, ABC):
    """Base class of model families.

    A subclass sets ``capabilities``, implements ``losses``, and is registered with
    :func:`register`. Its constructor takes its validated config and nothing else.
    """

    family: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    capabilities: ClassVar[frozenset[Capability]]
    staged_losses: ClassVar[frozenset[str]] = frozenset()
    """Names of losses that appear later in a run, so that a recipe can set their weights."""
    text_group: ClassVar[str | None] = None
    """The optimizer group whose losses also train the text encoder, if it is trained; None for
    the first."""
    reads_text: ClassVar[bool] = True
    """Whether the losses depend on ``batch.text``; otherwise no text encoder can be trained."""
    reads_scenes: ClassVar[bool] = False
    """Whether the losses read ``batch.parses``."""

    config: ModelConfig

    @property
    def nbytes(self) -> int:
        """Bytes of parameters and buffers in memory."""
        return sum(each.nbytes for each in chain(self.parameters(), self.buffers()))

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        """Optimizer groups by name; each is stepped once per training step, in this order."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return {"model": ParameterGroup(trainable)}

    def prepare(self, text: TextFeatures) -> None:
        """Initialise buffers from features of a sample of the captions, before step 0."""

    def prepare_pictures(self, images: Tensor) -> None:
        """Initialise buffers from some training pictures ``(B, 3, H, W)``, before step 0."""

    def state_from(self, other: Model) -> dict[str, Tensor]:
        """The state dict of a trained model of this family, to initialise this one.

        Families whose tensor shapes depend on the data adapt it to this model's shapes.
        """
        return dict(other.state_dict())

    def remember(self, batches: Iterable[Batch]) -> None:
        """Fill buffers from all training pictures, each once and in order, before step 0.

        Args:
            batches: can be iterated more than once.
        """

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log beside the losses whenever samples are drawn; without gradients."""
        return {}

    def reads_words(self, progress: float) -> bool:
        """Whether the losses have depended on text up to ``progress`` of the budget."""
        return True

    def grown(self, size: int) -> Model:
        """This model at another image size, on the same device, for progressive growing.

        Weights and buffers of equal shape are copied, the others are newly initialised. Families
        that can transfer more override this.

        Raises:
            pydantic.ValidationError: the configuration does not allow that size.
        """
        config = type(self.config).model_validate({**self.config.model_dump(), "size": size})
        other = type(self)(config)
        mine, theirs = self.state_dict(), other.state_dict()
        fits = {n: v for n, v in mine.items() if n in theirs and theirs[n].shape == v.shape}
        other.load_state_dict(fits, strict=False)
        return other.to(next(self.parameters()).device)

    def understand(self, batch: Batch) -> Batch:
        """The batch with this model's text features, without gradients.

        Only models that train their own text encoder replace the features of the batch.
        """
        return batch

    @abstractmethod
    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """Named, unweighted scalar losses of one optimizer group."""

    def log_likelihood(
        self, images: Tensor, text: TextFeatures, styles: Tensor | None = None
    ) -> Tensor:
        """Log p(picture | text) of B pairs, ``(B,)`` float32 in nats, or a bound of it.

        Args:
            images: ``(B, 3, S, S)`` float32 in [-1, 1].
            text: features of B texts.
            styles: ``(B,)`` int64, -1 or None where unknown.

        Raises:
            CapabilityError: the family has no likelihood.
        """
        raise self.cannot(Capability.LIKELIHOOD)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range.

        Raises:
            CapabilityError: the family does not encode pictures.
        """
        raise self.cannot(Capability.RECONSTRUCT)

    def cannot(self, capability: Capability) -> CapabilityError:
        """An error that names this family and those with the capability."""
        able = families_with(capability)
        return CapabilityError(
            f"the {self.family} family cannot do '{capability}'; use a model of: {able}"
        )


def families_with(capability: Capability) -> str:
    """Names of the families with a capability, comma-separated."""
    return ", ".join(n for n, kind in families().items() if capability in kind.capabilities)


FAMILIES: dict[str, type[Model]] = {}
_MODULES = ("vae", "flow", "gan", "ar", "aligner", "captioner", "planner", "restorer")
_ENTRY_POINTS = "limner.families"
_M = TypeVar("_M", bound=type[Model])


def register(name: str, config_class: type[ModelConfig]) -> Callable[[_M], _M]:
    """Class decorator that adds a family to the registry.

    Raises:
        TypeError: the class is no Model, or its config no ModelConfig.
        ValueError: the name is taken.
    """

    def sign(cls: _M) -> _M:
        if not (isinstance(cls, type) and issubclass(cls, Model)):
            raise TypeError(f"{cls!r} is not a Model")
        if not issubclass(config_class, ModelConfig):
            raise TypeError(f"{config_class!r} is not a ModelConfig")
        if name in FAMILIES:
            raise ValueError(f"family {name!r} is already registered by {FAMILIES[name]!r}")
        cls.family, cls.config_class = name, config_class
        FAMILIES[name] = cls
        return cls

    return sign


def families() -> dict[str, type[Model]]:
    """All registered families by name.

    Modules in the entry point group ``limner.families`` of installed packages are imported, so
    that they register theirs.

    Raises:
        UsageError: such a module cannot be imported.
    """
    for module in _MODULES:
        import_module(f"limner.models.{module}")
    _import_installed()
    return dict(sorted(FAMILIES.items()))


@cache
def _import_installed() -> None:
    for point in entry_points(group=_ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:
            raise UsageError(
                f"the family {point.name!r} of an installed package cannot be imported from "
                f"{point.value}: {first_line(error)}; correct it, or uninstall the package"
            ) from error


def build(family: str, config: dict[str, Any] | ModelConfig) -> Model:
    """A freshly initialised model.

    Raises:
        UsageError: the family is unknown.
        pydantic.ValidationError: the configuration does not fit the family.
    """
    known = families()
    if family not in known:
        raise UsageError(
            f"there is no family {family!r}; choose one of: {', '.join(known)}, or install the "
            "package that has it"
        )
    cls = known[family]
    if not isinstance(config, ModelConfig):
        config = cls.config_class.model_validate(config)
    return cls(config)
