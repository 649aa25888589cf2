"""A run's state in one file: whole or not there, exact, and never pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from limner.errors import ModelFileError
from limner.modelfile import read_metadata, write_tensors

NAME = "checkpoint.safetensors"
FORMAT = 1
_KEY = "limner.checkpoint"


@dataclass
class RunState:
    """What a run needs to go on, besides its tensors.

    Attributes:
        recipe: the resolved recipe, dumped.
        data: fingerprint of the pictures and captions.
        encoder: fingerprint of the text encoder.
        step: updates done.
        elapsed: seconds of training, over all resumes.
        pictures: pictures seen.
        plan: :meth:`limner.training.schedule.Plan.state`.
        window: sums of the losses since the last line of the log, and their count.
    """

    recipe: dict[str, Any]
    data: str
    encoder: str
    step: int = 0
    elapsed: float = 0.0
    pictures: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    window: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, state: RunState, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint; ``path`` keeps the previous one until the new one is whole.

    Raises:
        ModelFileError: it cannot be written.
    """
    owned: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if value.data_ptr() in seen:  # tied weights: safetensors wants every name to own its bytes
            value = value.clone()
        seen.add(value.data_ptr())
        owned[name] = value
    metadata = json.dumps({"format": FORMAT, **state.__dict__})
    write_tensors(path, owned, {_KEY: metadata})


def load_checkpoint(path: Path) -> tuple[RunState, dict[str, Tensor]]:
    """Read what :func:`save_checkpoint` wrote; the tensors are on the CPU.

    Raises:
        ModelFileError: missing, foreign, damaged or of a newer format.
    """
    text = read_metadata(path).get(_KEY)
    if text is None:
        raise ModelFileError(f"{path} is not a checkpoint of limner train")
    try:
        values = json.loads(text)
        number = values.pop("format")
        if number > FORMAT:
            raise ModelFileError(f"{path} is of format {number}; upgrade limner to resume it")
        return RunState(**values), load_file(path)
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is damaged ({error}); start again without --resume"
        ) from error


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@torch.no_grad()
def copy_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy weights in place, keeping the module's own memory layout and device.

    Raises:
        ModelFileError: a tensor is missing, unknown or of another shape.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path} does not fit the recipe's model: {problem}") from error
