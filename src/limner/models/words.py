"""Tuning the text encoder: a language model trained along with the family it conditions.

A :class:`TunedModel` wraps any family and encodes each batch's captions by a copy of the text
encoder's network. The losses of one optimizer group, the family's ``text_group``, train it at a
rate of its own: all of its weights (``full``), or a low-rank change (``lora``). The trained
weights are in the model file under ``text_encoder.``; everything else comes from the encoder's own
place.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import FunctionType
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limner.errors import ModelFileError, UsageError
from limner.models.base import Batch, Model, ParameterGroup
from limner.models.image_model import ImageModel
from limner.models.lora import add_lora
from limner.models.settings import FrozenConfig
from limner.tensorfile import TEXT_PREFIX
from limner.text.base import TextEncoder, TextFeatures
from limner.text.cache import uncached
from limner.text.hub import HubEncoder


class Tuning(FrozenConfig):
    """How a text encoder is tuned; it travels inside the model file."""

    kind: Literal["lora", "full"]
    rank: int = Field(8, ge=1, le=1024, description="of the low-rank change (lora)")


def hub_encoder(encoder: TextEncoder) -> HubEncoder:
    """The transformers encoder behind an encoder, without its cache.

    Raises:
        UsageError: it is of another kind, which has no weights to tune.
    """
    inner = uncached(encoder)
    if not isinstance(inner, HubEncoder):
        raise UsageError(
            f"the text encoder {encoder.spec!r} cannot be tuned; only hf: encoders can, "
            "or leave it frozen"
        )
    return inner


class TunedEncoder(nn.Module):
    """A text encoder whose network starts as another's and has weights of its own.

    It is a :class:`~limner.text.base.TextEncoder`, and a module whose parameters are trained.
    It is always in eval mode: dropout would change the features in training but not in sampling.

    Args:
        base: gives tokenizer, layer and pooling, and the weights to begin with.
        tuning: which of them are trained.
    """

    def __init__(self, base: HubEncoder, tuning: Tuning) -> None:
        super().__init__()
        self.tuning, self._base = tuning, base
        self.dim, self.spec = base.dim, base.spec
        self.network: nn.Module = copy.deepcopy(base.network)
        if tuning.kind == "lora":
            add_lora(self.network, tuning.rank)
        else:
            self.network.requires_grad_(True)
        self._hashed: tuple[Hashable, str] | None = None
        self._rest_unused()
        self.names = [n for n, p in self.network.named_parameters() if p.requires_grad]

    def _rest_unused(self) -> None:
        """Freeze the parameters that no feature depends on (poolers, later layers)."""
        with torch.enable_grad():
            features = self.read(["a", "a b"])
            (features.tokens.sum() + features.pooled.sum()).backward()  # type: ignore[no-untyped-call]
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter.requires_grad and parameter.grad is not None)
            parameter.grad = None

    @property
    def learned(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name."""
        return {name: self.network.get_parameter(name) for name in self.names}

    @property
    def fingerprint(self) -> str:
        """Of the original encoder and of the trained weights; hashed once for each change."""
        state = tuple((p.data_ptr(), p._version) for p in self.learned.values())
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = state, self._hash()
        return self._hashed[1]

    def _hash(self) -> str:
        digest = hashlib.sha256(f"{self._base.fingerprint}/{self.tuning}".encode())
        for name, value in self.learned.items():
            digest.update(name.encode())
            whole = value.detach().float().cpu().contiguous()
            digest.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def train(self, mode: bool = True) -> TunedEncoder:
        """Stay in eval mode whatever is asked."""
        return super().train(False)

    def read(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts on the network's device, with gradients.

        Raises:
            PromptError: a text is refused.
        """
        return self._base.read(texts, self.network)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of B texts, on the CPU."""
        return self.read(texts).to("cpu")

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor], where: object) -> None:
        """Load trained weights, by the names of :attr:`learned`.

        Raises:
            ModelFileError: they do not fit this network; ``where`` names their file.
        """
        mine = self.learned
        if mine.keys() != tensors.keys() or any(mine[n].shape != tensors[n].shape for n in mine):
            raise ModelFileError(
                f"the tuned text encoder in {where} does not fit {self.spec!r} tuned by "
                f"{self.tuning.kind}; use the encoder and tuning it was trained with"
            )
        for name, parameter in mine.items():
            parameter.copy_(tensors[name])


def open_tuned(
    base: TextEncoder, tuning: Mapping[str, Any], tensors: Mapping[str, Tensor], where: object
) -> TunedEncoder:
    """The tuned text encoder of a model file, frozen.

    Args:
        base: what the file's ``encoder`` names.
        tuning: the file's ``tuning``.
        tensors: of :func:`limner.modelfile.read_words`.
        where: the file, for messages.

    Raises:
        ModelFileError: the tensors do not fit the encoder.
        UsageError: the encoder has no weights to tune.
    """
    encoder = TunedEncoder(hub_encoder(base), Tuning.model_validate(tuning))
    encoder.take(tensors, where)
    return encoder.requires_grad_(False)


class TunedModel(Model):
    """A family and the text encoder that is tuned along with it, trained as one model.

    Its ``state_dict`` is the family's own with the tuned weights beside it, so that its file is
    the file of that family.

    Args:
        model: the family.
        text: the encoder.
        lr: the encoder's full learning rate.
        max_tokens: vectors kept of one caption.
    """

    def __init__(self, model: Model, text: TunedEncoder, lr: float, max_tokens: int) -> None:
        super().__init__()
        self.model, self.text, self.lr, self.max_tokens = model, text, lr, max_tokens
        self.config = model.config

    @property
    def reached(self) -> str:
        """The optimizer group whose losses train the text encoder."""
        return self.model.text_group or next(iter(self.model.optimizer_groups))

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        """The family's optimizer groups, one of them with the text encoder's weights."""
        groups = dict(self.model.optimizer_groups)
        apart = list(self.text.learned.values())
        groups[self.reached] = replace(groups[self.reached], apart=apart, apart_lr=self.lr)
        return groups

    def grown(self, size: int) -> Model:
        """The family for another size, with the same text encoder."""
        return tune(self.model.grown(size), self.text, self.lr, self.max_tokens)

    @torch.no_grad()
    def understand(self, batch: Batch) -> Batch:
        """The batch with its captions' features by the current encoder."""
        return replace(batch, text=self._read(batch), lengths=None)

    def _read(self, batch: Batch) -> TextFeatures:
        features = self.text.read(batch.captions)
        features = features.padded(min(features.tokens.shape[1], self.max_tokens))
        return features.to(batch.images.device)

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """The family's figures, with features by the current encoder."""
        return self.model.figures(self.understand(batch))

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """The family's losses on the captions' features by the current encoder."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and group == self.reached):
            text = self._read(batch)
        return self.model.losses(replace(batch, text=text, lengths=None), group)

    def state_dict(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """The family's tensors, and the tuned ones under ``text_encoder.``."""
        mine = {f"{TEXT_PREFIX}{n}": p.detach() for n, p in self.text.learned.items()}
        return {**self.model.state_dict(*args, **kwargs), **mine}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load what :meth:`state_dict` gave.

        Raises:
            RuntimeError: the family's part does not fit.
            ModelFileError: the text encoder's does not.
        """
        rest = {n: t for n, t in state_dict.items() if not n.startswith(TEXT_PREFIX)}
        mine = {n.removeprefix(TEXT_PREFIX): state_dict[n] for n in state_dict if n not in rest}
        self.text.take(mine, "the state to be loaded")
        return self.model.load_state_dict(rest, strict, assign)


def tune(model: Model, text: TunedEncoder, lr: float, max_tokens: int) -> TunedModel:
    """Put a :class:`TunedModel` around a family.

    Whatever the family offers and the wrapper does not replace is the family's own: its class
    attributes are copied, its methods and properties are looked up in it. Arguments are those of
    :class:`TunedModel`.
    """
    kept = {*dir(nn.Module), *vars(TunedModel)}
    offered = {name for name in dir(type(model)) if not name.startswith("_")} - kept
    members = {name: inspect.getattr_static(type(model), name) for name in offered}
    computed = (property, staticmethod, classmethod, FunctionType, cached_property)
    facts = {n: _inner(n) if isinstance(m, computed) else m for n, m in members.items()}
    draws = (ImageModel,) if isinstance(model, ImageModel) else ()
    kind: type[TunedModel] = type(f"Tuned{type(model).__name__}", (TunedModel, *draws), facts)
    return kind(model, text, lr, max_tokens)


def _inner(name: str) -> property:
    """The family's own method or property of that name."""
    return property(
        lambda self: getattr(self.model, name),
        lambda self, value: setattr(self.model, name, value),
    )


def tuning_of(model: Model) -> dict[str, Any]:
    """The tuning that goes into the model file; empty where the encoder was not tuned."""
    return model.text.tuning.model_dump() if isinstance(model, TunedModel) else {}


def reader_of(model: Model, encoder: TextEncoder) -> TextEncoder:
    """The text encoder of a model: its own tuned one, or the given one."""
    return model.text if isinstance(model, TunedModel) else encoder
