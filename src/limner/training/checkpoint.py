"""The checkpoint of a run: one file, written whole or not at all, exact, never pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from limner.errors import ModelFileError, RecipeError
from limner.tensorfile import read_metadata, write_tensors
from limner.training.recipe import HARMLESS, changed_keys, make_recipe

if TYPE_CHECKING:
    from limner.training.session import Session

T = TypeVar("T")
NAME = "checkpoint.safetensors"
FORMAT = 1
_KEY = "limner.checkpoint"


@dataclass
class RunState:
    """What a run needs to be resumed, besides its tensors; the names are those in the file.

    Attributes:
        recipe: the resolved recipe, dumped.
        data: fingerprint of the pictures and captions.
        encoder: fingerprint of the text encoder.
        step: updates done.
        elapsed: seconds of training, over all resumes.
        pictures: pictures trained on, each as often as it was used.
        plan: :meth:`limner.training.schedule.BudgetSchedule.state`.
        window: sums of the losses since the last line of the log, and their count.
        phase: number of the phase of progressive growing.
        watch: the values of :class:`limner.training.validation.EarlyStopping`.
        balance: :meth:`limner.training.loss_weighting.LossWeighting.state` of every optimizer
            group.
        image_encoder: fingerprint of the encoder of reference pictures, or nothing.
        guard: the values of :class:`limner.training.guard.QualityGuard`, where votes are learned
            from.
    """

    recipe: dict[str, Any]
    data: str
    encoder: str
    step: int = 0
    elapsed: float = 0.0
    pictures: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    window: dict[str, Any] = field(default_factory=dict)
    phase: int = 0
    watch: dict[str, Any] = field(default_factory=dict)
    balance: dict[str, Any] = field(default_factory=dict)
    image_encoder: str = ""
    guard: dict[str, Any] = field(default_factory=dict)


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
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError, OSError,
    ) as error:  # fmt: skip
        raise ModelFileError(
            f"{path} is damaged ({error}); start again without --resume"
        ) from error


def under(values: dict[str, T], prefix: str) -> dict[str, T]:
    """The values whose names begin with ``prefix``, by the rest of their names."""
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


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


def check_same(session: Session, state: RunState, out: Path) -> None:
    """Refuse to resume a run with another recipe, data or encoder.

    Raises:
        RecipeError: naming the key that has changed.
    """
    source, sight = session.recipe.source, session.image_encoder
    now = session.recipe.model_dump(mode="json")
    changed = [key for key in changed_keys(_completed(state.recipe), now) if key not in HARMLESS]
    if changed:
        raise RecipeError(
            f"{source}: {changed[0]} is not what the run in {out} was started with; "
            f"put it back, or start anew with another --out"
        )
    for what, old, new in (
        ("data.store", state.data, session.pictures.fingerprint),
        ("text.encoder", state.encoder, session.encoder.fingerprint),
        ("image.encoder", state.image_encoder, sight.fingerprint if sight else ""),
    ):
        if old != new:
            raise RecipeError(
                f"{source}: {what} is no longer what the run in {out} was started with "
                f"(fingerprint {new}, not {old})"
            )


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as an earlier version wrote it, with the keys that were added since."""
    from limner.models.base import families

    try:
        full = make_recipe(recipe)
        config = families()[full.family].config_class.model_validate(full.model)
    except (RecipeError, ValidationError):
        return recipe
    return full.model_dump(mode="json") | {"model": config.model_dump(mode="json")}
