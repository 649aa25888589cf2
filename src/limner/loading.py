"""Reading a model file together with the text encoder that the model was trained with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from limner.arguments import check_type
from limner.errors import ModelFileError, UsageError
from limner.modelfile import load_model, read_words
from limner.modelinfo import ModelInfo
from limner.models.base import Model, families
from limner.models.settings import Capability
from limner.models.words import open_tuned
from limner.text import load_encoder
from limner.text.base import TextEncoder
from limner.text.cache import CachedEncoder


class EncoderChangedWarning(UserWarning):
    """The text encoder no longer gives the features the model was trained on."""


@dataclass(frozen=True)
class LoadedModel:
    """A model file in memory.

    Attributes:
        path: of the file.
        model: in eval mode, on ``device``.
        info: what the file says of the model.
        encoder: the text encoder that the model was trained with, tuned as the file says.
        device: as torch names it.
    """

    path: Path
    model: Model
    info: ModelInfo
    encoder: TextEncoder
    device: str


def choose_device(device: str) -> str:
    """The torch device, checked by making a tensor on it.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …, or ``"auto"``: CUDA if there is a usable
            GPU, else the CPU.

    Raises:
        UsageError: it cannot be used on this machine.
    """
    check_type("device", device, str, "'cpu', 'cuda', 'cuda:1' or 'auto'")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used here: {first}") from error
    if kind == "meta":
        raise UsageError("device 'meta' holds no numbers, so no model can run on it")
    return device


def load_with_encoder(
    path: Path, *, device: str = "cpu", threads: int | None = None
) -> LoadedModel:
    """Read a model and the text encoder that it was trained with.

    Args:
        path: a model file; see :func:`limner.shipped.find_model`.
        device: see :func:`choose_device`.
        threads: CPU threads of the text encoder; None for its own choice.

    Raises:
        ModelFileError: the file is missing, foreign, damaged or too new, or its text encoder does
            not fit.
        UsageError: the device cannot be used.
        MissingExtraError: the text encoder needs a package that is not installed.

    Warns:
        EncoderChangedWarning: the encoder gives other features than the model was trained with.
    """
    device = choose_device(device)
    model, info = load_model(path, device)
    encoder = load_encoder(info.encoder, device=device, threads=threads)
    if info.tuning:
        encoder = CachedEncoder(open_tuned(encoder, info.tuning, read_words(path), path))
    if encoder.dim != model.config.text_dim:
        raise ModelFileError(
            f"{path} needs text vectors of width {model.config.text_dim}, but its encoder "
            f"{info.encoder!r} gives {encoder.dim}"
        )
    if encoder.fingerprint != info.encoder_fingerprint:
        warn_changed("text", info.encoder, path, info.encoder_fingerprint, encoder.fingerprint)
    return LoadedModel(path, model, info, encoder, device)


def load_capable(
    path: Path, capability: Capability, action: str, *, device: str = "cpu"
) -> LoadedModel:
    """Read a model that must be able to do something, and its text encoder.

    ``action`` is what such a model does, for the message, such as ``captions pictures``.

    Raises:
        UsageError: the model does not have the capability.
        ModelFileError: see :func:`load_with_encoder`.
    """
    found = load_with_encoder(path, device=device)
    if capability not in found.model.capabilities:
        able = next(n for n, kind in families().items() if capability in kind.capabilities)
        raise UsageError(
            f"{path} is of the {found.info.family} family, none that {action}; "
            f"train one with 'limner train {able}-64'"
        )
    return found


def warn_changed(kind: str, spec: str, path: Path, then: str, now: str) -> None:
    """Warn that a ``text`` or ``image`` encoder has changed since a model was trained."""
    warnings.warn(
        f"the {kind} encoder {spec!r} has changed since {path.name} was trained "
        f"({then} then, {now} now); pictures may not fit what they are drawn after",
        EncoderChangedWarning,
        stacklevel=3,
    )
