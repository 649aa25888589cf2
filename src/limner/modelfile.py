"""A model is one file: safetensors weights with everything needed to use them as JSON metadata."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

import limner
from limner.errors import LimnerError, ModelFileError
from limner.models.base import Model, build
from limner.models.concepts import ConceptIndex
from limner.quantisation import dequantise, quantise
from limner.tensorfile import (
    CONCEPTS_PREFIX,
    TEXT_PREFIX,
    read_metadata,
    read_prefixed,
    write_tensors,
)

FORMAT = 1
_METADATA_KEY = "limner"


class ModelInfo(BaseModel):
    """The description of a model in its file.

    Attributes:
        format: version of this layout.
        limner: version of limner that wrote the file.
        family: name in the registry of families.
        config: the family's validated configuration.
        encoder: spec of the text encoder that the model was trained with.
        encoder_fingerprint: of that encoder at training time.
        tuning: how the text encoder was tuned along with the model
            (:class:`limner.models.words.Tuning`); its tensors are in the file. Empty where it was
            not tuned.
        image_encoder: spec of the encoder of reference pictures; empty where there is none.
        image_encoder_fingerprint: that encoder's fingerprint at training time.
        data: store fingerprint, counts and name.
        licences: of the data the weights were trained on, ``source -> licence``.
        training: recipe, hardware, minutes, steps, pictures trained on.
        quality: measured figures, with the command that measured them.
        concepts: concepts that the model was trained on: ``keys``, and ``language -> names`` in the
            order of the keys.
        limits: what the model cannot do, one sentence each.
        scenes: whether prompts of several things are by default composed of single drawings; for
            models that draw one thing on white.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    limner: str = limner.__version__
    family: str
    config: dict[str, Any]
    encoder: str
    encoder_fingerprint: str
    tuning: dict[str, Any] = Field(default_factory=dict)
    image_encoder: str = ""
    image_encoder_fingerprint: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Any] = Field(default_factory=dict)
    concepts: dict[str, list[str]] = Field(default_factory=dict)
    limits: list[str] = Field(default_factory=list)
    scenes: bool = False

    def trained_on(self, fingerprint: str, name: str = "", sources: Collection[str] = ()) -> bool:
        """Whether a store is among the data that the model was trained on.

        That is a store of the same fingerprint as one that the data name, or as what was made of
        them all. Where a name is given, it is also a store of the same name and made from sources
        that the model's licences name: the same command with other versions of its sources.

        Args:
            fingerprint: of the store.
            name: of the store; empty to compare fingerprints only.
            sources: of the store, the keys of its licences.
        """
        stores = self.data.get("stores") or {}
        if fingerprint in {self.data.get("fingerprint"), *stores.values()}:
            return True
        return name in stores and bool(sources) and set(sources) <= set(self.licences)

    def licence_of(self, style: str) -> str | None:
        """Licence and author of the set that a style is named after; None if not known.

        Styles are named as their sets, whose parts may have a word more: *mdi-outline* of *mdi*.
        """
        sources = {source.rpartition("/")[2]: source for source in self.licences}
        named = [name for name in sources if f"{style}-".startswith(f"{name}-")]
        return self.licences[sources[max(named, key=len)]] if named else None

    @property
    def attributions(self) -> list[str]:
        """A line for each source of the training data: what, by whom, under which licence."""
        found = []
        for source, said in self.licences.items():
            match = re.fullmatch(r"(.+?) \((.+)\)", said)
            found.append(f"{source} by {match[2]}, {match[1]}" if match else f"{source}, {said}")
        return found


def save_model(
    path: Path,
    model: Model,
    info: ModelInfo,
    dtype: Literal["float32", "float16", "int8"] = "float32",
    words: Mapping[str, torch.Tensor] | None = None,
    *,
    concepts: ConceptIndex | None = None,
) -> None:
    """Write a model atomically: a temporary name beside ``path``, then a rename.

    Args:
        path: ends in ``.safetensors``.
        model: its ``state_dict`` is written.
        info: its ``family`` and ``config`` must describe ``model``.
        dtype: how floating-point weights are stored; they are float32 again once loaded. For
            ``int8`` see :func:`limner.quantisation.quantise`. Those of a tuned text encoder stay
            as they are, as its fingerprint is of their very bits.
        words: tensors of a tuned text encoder (:func:`read_words`), where ``model`` does not
            contain them.
        concepts: the index of what the model knows.

    Raises:
        ModelFileError: the file cannot be written, or a weight is not a finite number in ``dtype``.
    """
    weights = model.state_dict()
    tensors = {name: weights.pop(name) for name in list(weights) if name.startswith(TEXT_PREFIX)}
    if dtype == "int8":
        tensors |= quantise(weights)
    else:
        kind = getattr(torch, dtype)
        tensors |= {k: v.to(kind) if v.is_floating_point() else v for k, v in weights.items()}
    tensors |= {f"{TEXT_PREFIX}{name}": value for name, value in (words or {}).items()}
    known = {} if concepts is None else concepts.tensors()
    tensors |= {f"{CONCEPTS_PREFIX}{name}": value for name, value in known.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if name := _not_finite(tensors):
        raise ModelFileError(
            f"{path} was not written: {name} has values that are not finite numbers in {dtype}"
        )
    write_tensors(path, tensors, {_METADATA_KEY: info.model_dump_json()})


def read_info(path: Path) -> ModelInfo:
    """The description of a model in its file.

    Raises:
        ModelFileError: the file is missing, foreign, damaged or written by a newer limner.
    """
    text = read_metadata(path).get(_METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path} was not written by limner (its metadata has no {_METADATA_KEY!r} entry)"
        )
    try:
        info = ModelInfo.model_validate_json(text)
    except ValidationError as error:
        raise ModelFileError(
            f"{path} has damaged or newer metadata ({error.errors()[0]['msg']}); "
            f"this is limner {limner.__version__}"
        ) from error
    if info.format > FORMAT:
        raise ModelFileError(
            f"{path} is of format {info.format}, this limner reads up to {FORMAT}; upgrade limner"
        )
    return info


def load_model(path: Path, device: str = "cpu") -> tuple[Model, ModelInfo]:
    """Read a model: float32, in eval mode, on ``device``.

    Raises:
        ModelFileError: the file cannot be read, its weights do not fit its configuration, or one
            of them is not a finite number.
    """
    info = read_info(path)
    try:
        model = build(info.family, info.config)
        tensors = load_file(path, device="cpu")
        beside = (TEXT_PREFIX, CONCEPTS_PREFIX)
        tensors = dequantise({k: v for k, v in tensors.items() if not k.startswith(beside)})
        wanted = model.state_dict()
        model.load_state_dict(
            {k: v.to(wanted[k].dtype) if k in wanted else v for k, v in tensors.items()}
        )
    except (ValidationError, RuntimeError, SafetensorError, LimnerError) as error:
        first = str(error).splitlines()[0]
        raise ModelFileError(
            f"{path} cannot be loaded as a {info.family} model: {first}"
        ) from error
    if name := _not_finite(tensors):
        raise ModelFileError(
            f"{path} cannot be used: {name} has values that are not finite numbers, so the file is "
            f"damaged or its training diverged"
        )
    return model.to(device).eval(), info


def _not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The name of a tensor with a value that is NaN or infinite; None where there is none."""
    return next((name for name, t in tensors.items() if not bool(t.isfinite().all())), None)


def read_words(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the tuned text encoder in a model file; none where it was not tuned.

    Raises:
        ModelFileError: the file cannot be read.
    """
    return read_prefixed(path, TEXT_PREFIX)


def read_concepts(path: Path) -> ConceptIndex | None:
    """The index of the concepts that a model knows; None where there is none.

    It is in the model file, or for a model that was trained without one in a file beside it:
    ``NAME.concepts.safetensors`` beside ``NAME.safetensors``.

    Raises:
        ModelFileError: it cannot be read.
    """
    beside = path.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = read_prefixed(path, CONCEPTS_PREFIX)
    if not tensors and beside.is_file():
        tensors = read_prefixed(beside, CONCEPTS_PREFIX)
    return ConceptIndex.from_tensors(tensors) if tensors else None
