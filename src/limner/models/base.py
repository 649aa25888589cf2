"""The contract every generator family obeys, and the registry they sign."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from itertools import chain
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from limner.errors import CapabilityError, UsageError
from limner.memory import RecentlyUsed
from limner.models import latent_search
from limner.models.rows import KnownPixels, Rows, SampleRequest, tiles
from limner.models.settings import Capability, FrozenConfig, Settings, capability_of, find_style
from limner.models.token_maps import gradient_maps
from limner.text.base import TensorRows, TextFeatures
from limner.threads import side_by_side
from limner.vision.base import ImageFeatures

__all__ = [
    "Batch", "Capability", "FusionConfig", "ImageModel", "Model", "ModelConfig", "OneShotModel",
    "ParameterGroup", "Parses", "Rows", "SampleRequest", "build", "families", "generators",
    "image_noise", "register",
]  # fmt: skip

_CPU_USES, _GPU_USES, _LARGEST_TILE = 8, 2048, 64
_TILES_AT_ONCE = 4


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
    """What every family's configuration holds; it travels inside the model file."""

    size: int = Field(64, ge=8, le=1024, description="picture side in pixels")
    text_dim: int = Field(384, ge=1, description="width of the text encoder's vectors")
    styles: tuple[str, ...] = Field((), description="names of the styles the model can draw")
    fusion: FusionConfig = Field(
        default=FusionConfig(), description="how picture features join the text's"
    )


@dataclass(frozen=True)
class Parses(TensorRows):
    """What the pieces of B captions of scenes are (:mod:`limner.scenes.labels`).

    Attributes:
        kinds: ``(B, L)`` int64, :class:`limner.scenes.labels.Kind` of each piece; -1 throughout
            where the caption could not be parsed.
        counts: ``(B, L)`` int64, how many of each thing; 0 for other pieces.
        sizes: ``(B, L)`` int64, index into :data:`limner.scenes.labels.SIZES`.
        tints: ``(B, L)`` int64, index into :data:`limner.scenes.labels.TINTS`.
        relations: ``(B,)`` int64, 0 for none, else 1 + index into ``RELATIONS``.
        background: ``(B, 3)`` float32, its colour in [0, 1]; -1 where it is white.
    """

    kinds: Tensor
    counts: Tensor
    sizes: Tensor
    tints: Tensor
    relations: Tensor
    background: Tensor

    def padded(self, length: int) -> Parses:
        """The same with the axis of pieces cut or filled up to ``length``."""
        extra = max(0, length - self.kinds.shape[1])
        parts = {
            name: nn.functional.pad(getattr(self, name)[:, :length], (0, extra))
            for name in ("kinds", "counts", "sizes", "tints")
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
        seeds: that the pictures were drawn from, where a model has drawn them.
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
    seeds: Sequence[int] = ()


@dataclass(frozen=True)
class ParameterGroup:
    """The parameters of one optimizer, and how it differs from the recipe's.

    Attributes:
        parameters: that learn at the recipe's rate times ``lr_scale``.
        lr_scale: factor of the recipe's rate.
        betas: of Adam; None for the recipe's.
        apart: more parameters of the same optimizer, which learn at the full rate ``apart_lr``.
        apart_lr: rate of those, instead of the recipe's.
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
    """A family of networks that the loop trains.

    A subclass sets ``capabilities``, gives ``losses``, and registers itself with
    :func:`register`. Its constructor takes its validated config and nothing else.
    """

    family: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    capabilities: ClassVar[frozenset[Capability]]
    staged_losses: ClassVar[frozenset[str]] = frozenset()
    """Losses that only appear later in a run, so that a recipe may weight them from the start."""
    text_group: ClassVar[str | None] = None
    """The optimizer group whose losses train a text encoder that is tuned along with the model;
    None for the first."""
    reads_text: ClassVar[bool] = True
    """Whether the losses read ``batch.text``; one that does not cannot train a text encoder."""
    reads_scenes: ClassVar[bool] = False
    """Whether the losses read ``batch.parses``."""

    config: ModelConfig

    @property
    def nbytes(self) -> int:
        """Of its parameters and buffers in memory."""
        return sum(each.nbytes for each in chain(self.parameters(), self.buffers()))

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        """One optimizer each, stepped in this order in every training step."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return {"model": ParameterGroup(trainable)}

    def prepare(self, text: TextFeatures) -> None:
        """Fit buffers to the features of (a sample of) the training captions, before step 0."""

    def prepare_pictures(self, images: Tensor) -> None:
        """Fit buffers to some training pictures ``(B, 3, H, W)``, before step 0."""

    def state_from(self, other: Model) -> dict[str, Tensor]:
        """The state of a trained model of this family that this one starts from.

        A family whose shape follows from its data gives it this model's shape.
        """
        return dict(other.state_dict())

    def remember(self, batches: Iterable[Batch]) -> None:
        """Fill buffers from every training picture, each once and in order, before step 0.

        Args:
            batches: can be gone through more than once.
        """

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalars worth logging beside the losses when samples are drawn; no gradients."""
        return {}

    def reads_words(self, progress: float) -> bool:
        """Whether the losses have depended on text yet, at ``progress`` of the budget."""
        return True

    def grown(self, size: int) -> Model:
        """This model for pictures of another size, on the same device; the loop grows runs by it.

        Weights and buffers that both sizes have in the same shape are copied, the others are
        initialised. A family that can carry over more overrides this.

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

        Only a model with a text encoder of its own replaces those that the batch brings.
        """
        return batch

    @abstractmethod
    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """Named, unweighted scalar losses of one optimizer group."""

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
        raise self.cannot(Capability.LIKELIHOOD)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range.

        Raises:
            CapabilityError: the family does not encode pictures.
        """
        raise self.cannot(Capability.RECONSTRUCT)

    def cannot(self, capability: Capability) -> CapabilityError:
        """The error that names the family and those that can."""
        able = _able(capability)
        return CapabilityError(
            f"the {self.family} family cannot do '{capability}'; use a model of: {able}"
        )


class ImageModel(Model):
    """A family that draws pictures, some network evaluations after another.

    A subclass gives :meth:`start_rows`, :meth:`evaluate` and :meth:`show`, which always get exactly
    :attr:`tile` rows whose tensors have equal shapes (:meth:`text_shapes`, :meth:`shapes`), and
    whose rows must not depend on each other. Then a picture has the same bits whatever is drawn
    beside it. Everybody else calls :meth:`begin`, :meth:`advance`, :meth:`preview` and
    :meth:`sample`, which take any number of rows.
    """

    informs: ClassVar[bool] = True
    """Whether it has :meth:`word_information` and its :meth:`token_maps` are of attention; else
    they are of gradients."""

    @property
    def draws_training_pictures(self) -> bool:
        """Whether it draws what single training pictures show, so that two seeds may draw the same.

        Then a thing is drawn in the styles alone that training pictures of it have.
        """
        return False

    def drawn_styles(self, text: TextFeatures, styles: Sequence[int]) -> list[int]:
        """The style that each of B texts is drawn in, asked for in some style; -1 for any.

        Another only where the model :attr:`draws_training_pictures` and has none in that style.
        """
        return list(styles)

    def examples(self, style: int, count: int) -> Tensor:
        """At most ``count`` training pictures of a style, ``(N, 3, S, S)`` in [-1, 1].

        None where the model does not keep them.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size)

    def exemplars_of(self, text: TextFeatures, most: int) -> tuple[Tensor, list[int]]:
        """Training pictures of the caption nearest to a text, and the style of each; -1 for none.

        Args:
            text: features of one text.
            most: pictures at most.

        Returns:
            ``(N, 3, S, S)`` in [-1, 1], and N numbers; none where the model keeps no pictures.
        """
        return torch.zeros(0, 3, self.config.size, self.config.size), []

    def preference_losses(
        self, better: Batch, worse: Batch, reference: Model, group: str
    ) -> dict[str, Tensor]:
        """Named, unweighted losses of B pictures that are liked, and for each one that is not.

        Unless a family has an error of single pictures to compare, these are its own losses of the
        liked ones. As those come the more often the more they are liked, that is reward-weighted
        regression (Peters and Schaal 2007; of pictures: Lee et al. 2023, arXiv:2302.12192, eq. 2).

        Args:
            better: with the seeds they were drawn from.
            worse: the same.
            reference: the moving average of this model's weights, without gradients.
            group: the optimizer group.
        """
        return {f"liked_{name}": loss for name, loss in self.losses(better, group).items()}

    @property
    def colourful_styles(self) -> Tensor | None:
        """The styles whose ink has more colour than black, ``(S,)`` bool; None if not known."""
        return None

    @cached_property
    def _some_weight(self) -> nn.Parameter:
        """One that says where the model is; looking for it takes time."""
        return next(self.parameters())

    @property
    def positions(self) -> int:
        """How often an evaluation uses a typical weight for one picture; see :attr:`tile`."""
        return 4096

    @property
    def tile(self) -> int:
        """Pictures per call of the network when drawing, 1 or more.

        Kernels round differently in batches of different shape, so every call has this many rows,
        the last repeated where there are fewer. Unless it is set, it is the power of two, at most
        64, by which an evaluation uses each weight often enough (:attr:`positions` times a picture)
        to hide the time of reading it from memory: about 8 times on a CPU, by measurement, and 2048
        times on a GPU, by estimate. No larger, as a single picture costs as much as a full tile.
        """
        chosen = self.__dict__.get("_tile")
        if chosen is not None:
            return int(chosen)
        cpu = self._some_weight.device.type == "cpu"
        wanted = max(1.0, (_CPU_USES if cpu else _GPU_USES) / self.positions)
        return int(min(_LARGEST_TILE, 2 ** math.ceil(math.log2(wanted))))

    @tile.setter
    def tile(self, size: int | None) -> None:
        if size is not None and not 1 <= size <= 1024:
            raise UsageError(f"tile = {size} is refused: 1 to 1024 pictures are drawn at a time")
        self.__dict__["_tile"] = size

    def draws_alike(self, rows: Rows, threads: int) -> bool:
        """Whether one thread of the CPU gives a tile the same bits as so many do.

        Then tiles are evaluated side by side, a thread each.

        Args:
            rows: of a tile.
            threads: that torch uses, 2 or more.
        """
        return False

    # -- what a family gives ------------------------------------------------------------------

    @abstractmethod
    def start_rows(self, request: SampleRequest) -> Rows:
        """Rows before their first network evaluation; the words are read here."""

    @abstractmethod
    def evaluate(self, rows: Rows) -> Rows:
        """The rows after one network evaluation; none of them is finished before."""

    @abstractmethod
    def show(self, rows: Rows) -> Tensor:
        """What is known of the pictures, ``(B, 3, H, W)``; of finished rows the pictures."""

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """How much each text token adds to each place of pictures, ``(B, L, h, w)`` of at least 0.

        L is the length of the request's token axis; tokens that the model does not read have zeros.
        Sizes h and w are the family's own.

        Args:
            request: what the pictures are drawn from.
            images: the pictures, ``(B, 3, S, S)`` in [-1, 1], drawn by the model or by others; a
                family whose maps are gradients takes its own instead.

        Raises:
            CapabilityError: the family has no such maps.
        """
        raise self.cannot(Capability.EXPLAIN)

    def word_information(
        self, request: SampleRequest, others: TextFeatures, images: Tensor
    ) -> Tensor:
        """How much better each place of a picture is predicted by its text than by others.

        Args:
            request: what one picture is drawn from.
            others: features of W texts, such as the same without a word each.
            images: the picture, ``(1, 3, S, S)`` in [-1, 1].

        Returns:
            ``(W, h, w)``, below 0 where the other text predicts it better. Sizes h and w and the
            unit are the family's own.

        Raises:
            CapabilityError: the family predicts no given picture.
        """
        raise self.cannot(Capability.EXPLAIN)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """Of each picture what the shapes in :meth:`start_rows` depend on."""
        return [None] * len(request)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Of each row what the shapes in :meth:`evaluate` depend on."""
        return [None] * len(rows)

    # -- what everybody calls -----------------------------------------------------------------

    def check(self, request: SampleRequest) -> None:
        """Refuse what this family cannot do, and values that do not fit the model.

        Raises:
            CapabilityError: naming the option that was given and the families that take it.
            UsageError: no pictures asked for, a style the model does not have, or text or picture
                features of another width.
        """
        if Capability.GENERATE not in self.capabilities:
            raise self.cannot(Capability.GENERATE)
        if not len(request):
            raise UsageError("a request for no pictures cannot be drawn; give at least one prompt")
        for settings in set(request.rows):
            self.check_settings(settings)
        if request.negative is not None:
            self._check_option("negative")
        if request.picture is not None:
            self._check_option("reference")
        if request.known is not None:
            self._check_known(request.known, changed=all(request.restyled))
        elif any(each.strength is not None for each in request.rows):
            raise UsageError("a strength says how far a picture is changed, and there is none")
        text_dim = self.config.text_dim
        for what, features, wanted in (
            ("text vectors", request.text, text_dim),
            ("text vectors", request.negative, text_dim),
            ("picture features", request.picture, self.config.fusion.image_dim),
        ):
            if features is not None and (width := features.pooled.shape[1]) != wanted:
                raise UsageError(
                    f"this model takes {what} of {wanted} numbers, not {width}; "
                    "use the encoder it was trained with"
                )

    def check_settings(self, settings: Settings) -> None:
        """Refuse options that this family does not take, and values that do not fit the model.

        Raises:
            CapabilityError: naming the option that was given and the families that take it.
            UsageError: the model does not have that style.
        """
        for option in settings.given:
            self._check_option(option)
        if settings.style is not None:
            find_style(settings.style, self.config.styles)

    def _check_known(self, known: KnownPixels, *, changed: bool) -> None:
        if not changed and Capability.INPAINT not in self.capabilities:
            raise self.cannot(Capability.INPAINT)
        side = self.config.size
        if known.images.shape[1:] != (3, side, side) or known.hole.shape[2:] != (side, side):
            raise UsageError(f"this model inpaints pictures of {side} x {side} pixels")

    def _check_option(self, option: str) -> None:
        capability = capability_of(option)
        if capability is not None and capability not in self.capabilities:
            raise CapabilityError(
                f"the {self.family} family does not take '{option}'; leave it out, or use a model "
                f"of: {_able(capability)}"
            )

    @torch.inference_mode()
    def begin(self, request: SampleRequest) -> Rows:
        """B pictures before their first network evaluation; :meth:`check` may refuse them."""
        self.check(request)
        return self._tiled(self.text_shapes(request), lambda part: self.start_rows(request[part]))

    @torch.inference_mode()
    def advance(self, rows: Rows) -> Rows:
        """The rows after one network evaluation of each that is not finished; order kept."""
        active = [row for row, finished in enumerate(rows.finished.tolist()) if not finished]
        shapes = self.shapes(rows)
        if len(active) == len(rows) == self.tile and len(set(shapes)) == 1:
            return self.evaluate(rows)
        if not active:
            return rows
        moved = self._tiled(
            [shapes[row] for row in active],
            lambda part: self.evaluate(rows[[active[i] for i in part]]),
        )
        ended = rows.finished.nonzero()[:, 0].tolist()
        return _in_order([rows[ended], moved], [*ended, *active]) if ended else moved

    def _tiled(self, keys: Sequence[Hashable], work: Callable[[list[int]], Rows]) -> Rows:
        """What ``work`` makes of tiles of rows with equal keys, in the order of the keys."""
        parts: list[Rows] = []
        order: list[int] = []
        for part, own in tiles(keys, self.tile):
            found = work(part)
            parts.append(found if len(own) == len(found) else found[: len(own)])
            order += own
        return _in_order(parts, order)

    @torch.inference_mode()
    def preview(self, rows: Rows) -> Tensor:
        """What the network predicts on the way, ``(B, 3, H, W)`` float32 in [-1, 1].

        Of finished rows these are the pictures; before the first network evaluation all is grey.
        """
        parts = [
            self.show(rows[index])[: len(own)] for index, own in tiles([0] * len(rows), self.tile)
        ]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).float().clamp(-1, 1)

    @torch.inference_mode()
    def sample(self, request: SampleRequest) -> Tensor:
        """Draw B pictures, ``(B, 3, H, W)`` float32 in [-1, 1]; :meth:`check` may refuse them."""
        self.check(request)
        found: dict[int, Tensor] = {}
        size = self.tile
        for first in range(0, len(request), _TILES_AT_ONCE * size):
            some = range(first, min(first + _TILES_AT_ONCE * size, len(request)))
            begun = self.begin(request[some])
            keys = list(zip(self.shapes(begun), begun.total.tolist(), strict=True))
            for index, own in tiles(keys, size):
                rows = begun[index]
                while not bool(rows.finished.all()):
                    rows = self.advance(rows)
                pictures = self.preview(rows)
                found |= {some[row]: pictures[i] for i, row in enumerate(own)}
        return torch.stack([found[i] for i in range(len(request))])


class OneShotModel(ImageModel):
    """A family that draws with one network evaluation, and inpaints with many."""

    informs = False
    search_steps: ClassVar[int] = 100
    """Network evaluations in which a picture is inpainted, see
    :mod:`limner.models.latent_search`."""

    @abstractmethod
    def latents(self, request: SampleRequest) -> Tensor:
        """What the network draws each picture from, ``(B, ...)``: the words, style and noise."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)``, unbounded, of what :meth:`latents` gives."""

    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Gradient times input of each token at each pixel of what the request draws."""
        request = request.to(self._device)

        def draw(tokens: Tensor) -> Tensor:
            text = replace(request.text, tokens=tokens)
            return self.decode(self.latents(replace(request, text=text))).clamp(-1, 1)

        with torch.inference_mode(False), torch.enable_grad():
            return gradient_maps(draw, request.text.tokens.clone())

    def search_start(self, request: SampleRequest) -> dict[str, Tensor]:
        """Where the search for B latents begins, ``code (B, ...)``, and what else they depend on.

        The coordinates of the code are independent, of mean 0 and variance 1, if no pixel is known.
        For a family that can inpaint.
        """
        raise self.cannot(Capability.INPAINT)

    def searched_latents(self, code: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The latents of coordinates, differentiable; the state is that of :meth:`search_start`."""
        raise self.cannot(Capability.INPAINT)

    def text_shapes(self, request: SampleRequest) -> list[Hashable]:
        """Whether each is made by changing a picture."""
        return list(request.restyled)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Whether they are searched, and the side of what is known of their pictures."""
        return [("code" in rows.state, rows.state["picture"].shape[-1])] * len(rows)

    def start_rows(self, request: SampleRequest) -> Rows:
        """The latents, and grey pictures; of pictures to be inpainted the beginning of a search.

        So of pictures to be changed, where the family cannot encode them.
        """
        latents = None
        if request.known is not None:
            latents = self.changed_latents(request) if request.restyled[0] else None
            if latents is None:
                return self._start_search(request, request.known.to(self._device))
        latents = self.latents(request) if latents is None else latents
        grey = latents.new_zeros(len(request), 3, 1, 1)  # of every pixel, until there are others
        return Rows.begun(request, [1] * len(request), {"latents": latents, "picture": grey})

    def changed_latents(self, request: SampleRequest) -> Tensor | None:
        """The latents of pictures, moved by their strengths to those that the words draw.

        None where the family has to search for them.
        """
        return None

    def _start_search(self, request: SampleRequest, known: KnownPixels) -> Rows:
        state = self.search_start(request)
        noise = image_noise(request.seeds, tuple(state["code"].shape[1:]), self._device)
        changed = request.restyled[0]  # as all rows of a tile
        state |= latent_search.start(state["code"], request.to(self._device).seen)
        state |= {
            "images": known.images, "hole": known.hole & (not changed), "noise": noise,
            "strength": request.strengths.flatten().to(noise) * changed,
        }  # fmt: skip
        return Rows.begun(request, [self.search_steps] * len(request), state)

    @torch.inference_mode()
    def interpolate(
        self, first: SampleRequest, second: SampleRequest, shares: Sequence[float]
    ) -> Tensor:
        """Pictures on the straight way between the latents of one request and another.

        Args:
            first: B pictures.
            second: B others.
            shares: S numbers in [0, 1], how much of the second.

        Returns:
            ``(B, S, 3, H, W)`` in [-1, 1].

        Raises:
            UsageError: a request does not fit the model.
            CapabilityError: a request asks for what the family cannot do.
        """
        for request in (first, second):
            self.check(request)
        found = []
        for row in range(len(first)):
            ends = self.latents(first[[row]]), self.latents(second[[row]])
            found += [self.decode(torch.lerp(*ends, share)) for share in shares]
        pictures = torch.cat(found).float().clamp(-1, 1)
        return pictures.view(len(first), len(shares), *pictures.shape[1:])

    def remember_pictures(self, most_bytes: int) -> None:
        """Decode latents once that come again: for a model whose weights change no more.

        It saves time where a model :attr:`draws_training_pictures`, and changes no bits; only where
        the :attr:`tile` is one.

        Args:
            most_bytes: of the pictures that are kept, ``12 S^2`` each; the last ones used stay.
        """
        self.__dict__["_pictures"] = RecentlyUsed[bytes, Tensor](most_bytes, lambda x: x.nbytes)

    def evaluate(self, rows: Rows) -> Rows:
        """The pictures, or those that a step of the search leads to."""
        if "code" in rows.state:
            return self._searched(rows)
        latents = rows.state["latents"]
        kept: RecentlyUsed[bytes, Tensor] | None = self.__dict__.get("_pictures")
        if kept is None or len(latents) > 1:
            return rows.stepped(picture=self.decode(latents))
        key = latents.cpu().numpy().tobytes()
        picture = kept.get(key)
        if picture is None:
            picture = self.decode(latents)
            kept.put(key, picture)
        return rows.stepped(picture=picture)

    def _searched(self, rows: Rows) -> Rows:
        with torch.inference_mode(False):  # whose tensors autograd does not take
            state = {name: value.clone() for name, value in rows.state.items()}

        def decode(code: Tensor) -> Tensor:
            return self.decode(self.searched_latents(code, state))

        new = latent_search.step(state, rows.done, decode)
        last = (rows.done + 1 == rows.total).to(self._device) & (state["strength"] > 0)
        if bool(last.any()):  # on from the picture, to what the seed draws
            code = latent_search.towards(new["best"], state["noise"], state["strength"])
            new["picture"] = torch.where(last.view(-1, 1, 1, 1), decode(code), new["picture"])
        return rows.stepped(**new)

    @property
    def _device(self) -> torch.device:
        return self._some_weight.device

    @torch.inference_mode()
    def draws_alike(self, rows: Rows, threads: int) -> bool:
        """By a picture that is drawn twice, once for each tile size and number of threads."""
        if "code" in rows.state or rows.state["latents"].device.type != "cpu":
            return False
        known: dict[tuple[int, int], bool] = self.__dict__.setdefault("_alike", {})
        key = self.tile, threads
        if key not in known:
            some = rows.state["latents"][[0] * self.tile]
            alone = side_by_side(threads).submit(torch.inference_mode()(self.decode), some)
            known[key] = torch.equal(self.decode(some), alone.result())
        return known[key]

    def show(self, rows: Rows) -> Tensor:
        """The pictures, grey where they are not drawn yet."""
        side = self.config.size
        return rows.state["picture"].expand(-1, -1, side, side)


def _in_order(parts: Sequence[Rows], order: Sequence[int]) -> Rows:
    """The rows of all parts, where row i of them belongs at place ``order[i]``."""
    rows = Rows.join(parts)
    if list(order) == list(range(len(order))):
        return rows
    place = {row: i for i, row in enumerate(order)}
    return rows[[place[i] for i in range(len(order))]]


def _able(capability: Capability) -> str:
    return ", ".join(n for n, kind in families().items() if capability in kind.capabilities)


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


FAMILIES: dict[str, type[Model]] = {}
_MODULES = ("vae", "flow", "gan", "ar", "aligner", "captioner", "planner", "restorer")
_M = TypeVar("_M", bound=type[Model])


def register(name: str, config_class: type[ModelConfig]) -> Callable[[_M], _M]:
    """Sign a family into the registry, where it is defined.

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
    """Every registered family by name: those that draw, and those that read pictures."""
    for module in _MODULES:
        import_module(f"limner.models.{module}")
    return dict(sorted(FAMILIES.items()))


def generators() -> dict[str, type[ImageModel]]:
    """The families that draw, by name."""
    return {name: kind for name, kind in families().items() if issubclass(kind, ImageModel)}


def build(family: str, config: dict[str, Any] | ModelConfig) -> Model:
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
