"""A model is one file: safetensors weights with everything needed to use them as JSON metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from limner.errors import LimnerError, ModelFileError
from limner.modelinfo import METADATA_KEY, ModelInfo, read_info
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
            ``int8`` see :func:`limner.quantisation.quantise`. A tuned text encoder keeps its
            dtype, because its fingerprint is a hash of the exact bits.
        words: tensors of a tuned text encoder (:func:`read_words`), unless ``model`` contains
            them.
        concepts: the index of the concepts that the model knows.

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
    write_tensors(path, tensors, {METADATA_KEY: info.model_dump_json()})


def write_info(path: Path, info: ModelInfo, out: Path | None = None) -> None:
    """Rewrite the metadata of a model file; its weights keep their bits.

    Args:
        path: the model file.
        info: the new metadata.
        out: the file to write; None to replace ``path``.

    Raises:
        ModelFileError: the file cannot be read or written; it is left unchanged.
    """
    try:
        tensors = load_file(path, device="cpu")
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"cannot read the weights of {path}: {error}") from error
    metadata = {**read_metadata(path), METADATA_KEY: info.model_dump_json()}
    write_tensors(out or path, tensors, metadata)


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
    """The tensors of the tuned text encoder in a model file; empty if it was not tuned.

    Raises:
        ModelFileError: the file cannot be read.
    """
    return read_prefixed(path, TEXT_PREFIX)


def read_concepts(path: Path) -> ConceptIndex | None:
    """The index of the concepts that a model knows; None if there is none.

    It is stored in the model file or, for a model trained without one, in a file beside it:
    ``NAME.concepts.safetensors`` beside ``NAME.safetensors``.

    Raises:
        ModelFileError: it cannot be read.
    """
    beside = path.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = read_prefixed(path, CONCEPTS_PREFIX)
    if not tensors and beside.is_file():
        tensors = read_prefixed(beside, CONCEPTS_PREFIX)
    return ConceptIndex.from_tensors(tensors) if tensors else None
