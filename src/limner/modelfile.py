"""A model is one file: safetensors weights with everything needed to use them as JSON metadata."""

from __future__ import annotations

import hashlib
import json
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

import limner
from limner.errors import LimnerError, ModelFileError
from limner.files import whole_file
from limner.models.base import ImageModel, build

FORMAT = 1
TEXT_PREFIX = "text_encoder."
"""Begins the names of a tuned text encoder's tensors, which lie beside the model's own."""
_METADATA_KEY = "limner"
_MAX_HEADER_BYTES = 100_000_000


class ModelInfo(BaseModel):
    """What a model file says of itself.

    Attributes:
        format: version of this layout.
        limner: version of limner that wrote the file.
        family: name in the registry of families.
        config: the family's validated configuration.
        encoder: spec of the text encoder the model was trained with.
        encoder_fingerprint: that encoder's fingerprint at training time.
        tuning: how the text encoder was tuned along with the model
            (:class:`limner.models.words.Tuning`); its tensors are in the file. Empty: it was not.
        image_encoder: spec of the encoder of reference pictures; empty where there is none.
        image_encoder_fingerprint: that encoder's fingerprint at training time.
        data: store fingerprint, counts and name.
        licences: of the data the weights were trained on, ``source -> licence``.
        training: recipe, hardware, minutes, steps, pictures seen.
        quality: measured figures, with the command that measured them.
        concepts: what the model claims to know: ``keys``, and ``language -> names`` in that order.
        limits: what it cannot do, one sentence each.
        scenes: whether prompts of several things are planned, drawn thing by thing and put
            together unless somebody says otherwise; for models that draw one thing on white.
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


def save_model(
    path: Path,
    model: ImageModel,
    info: ModelInfo,
    dtype: Literal["float32", "float16"] = "float32",
    words: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model atomically: a temporary name beside ``path``, then a rename.

    Args:
        path: ends in ``.safetensors``.
        model: its ``state_dict`` is what is written.
        info: its ``family`` and ``config`` must describe ``model``.
        dtype: how floating-point weights are stored; they are float32 again once loaded. Those of
            a tuned text encoder stay as they are, as its fingerprint is of their very bits.
        words: tensors of a tuned text encoder, of :func:`read_words`, where ``model`` does not
            bring them along.

    Raises:
        ModelFileError: the file cannot be written.
    """
    kind = getattr(torch, dtype)
    tensors = {
        name: value.to(kind)
        if value.is_floating_point() and not name.startswith(TEXT_PREFIX)
        else value
        for name, value in model.state_dict().items()
    }
    tensors |= {f"{TEXT_PREFIX}{name}": value for name, value in (words or {}).items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_tensors(path, tensors, {_METADATA_KEY: info.model_dump_json()})


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file so that ``path`` is either the old file or the whole new one.

    Raises:
        ModelFileError: the folder cannot be made, or the disk is full.
    """
    with whole_file(path, ModelFileError, sync=True) as part:
        part.unlink(missing_ok=True)
        part.touch()
        usual = stat.S_IMODE(part.stat().st_mode)  # 0o666 less the umask
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        part.chmod(usual)  # safetensors makes its files 0600


def read_metadata(path: Path) -> dict[str, str]:
    """The string metadata of a safetensors file, read without touching its weights.

    Raises:
        ModelFileError: the file is missing or not safetensors.
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(8)
            length = struct.unpack("<Q", raw)[0] if len(raw) == 8 else 0
            if not 0 < length <= min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise ModelFileError(f"{path} is not a safetensors file, or it is cut short")
            header = json.loads(handle.read(length))
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a safetensors file: {error}") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


def read_info(path: Path) -> ModelInfo:
    """What a model file says of itself.

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


def load_model(path: Path, device: str = "cpu") -> tuple[ImageModel, ModelInfo]:
    """Read a model, ready to sample: float32, in eval mode, on ``device``.

    Raises:
        ModelFileError: the file cannot be read, or its weights do not fit its configuration.
    """
    info = read_info(path)
    try:
        model = build(info.family, info.config)
        tensors = load_file(path, device="cpu")
        tensors = {k: v for k, v in tensors.items() if not k.startswith(TEXT_PREFIX)}
        wanted = model.state_dict()
        model.load_state_dict(
            {k: v.to(wanted[k].dtype) if k in wanted else v for k, v in tensors.items()}
        )
    except (ValidationError, RuntimeError, SafetensorError, LimnerError) as error:
        first = str(error).splitlines()[0]
        raise ModelFileError(
            f"{path} cannot be loaded as a {info.family} model: {first}"
        ) from error
    return model.to(device).eval(), info


def read_words(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the tuned text encoder in a model file; none where it was not tuned.

    Raises:
        ModelFileError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            mine = [name for name in file.keys() if name.startswith(TEXT_PREFIX)]  # noqa: SIM118
            return {name.removeprefix(TEXT_PREFIX): file.get_tensor(name) for name in mine}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"cannot read {path}: {error}") from error


def model_hash(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256.

    Raises:
        ModelFileError: the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
