"""Reading models in the hub's format through transformers: text encoders and image encoders."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import DataError, MissingExtraError
from limner.logs import only_errors

if TYPE_CHECKING:
    from torch import nn


HUB = "hub:"
"""Begins a spec of a model of the hub that draws (:mod:`limner.generation.backends`)."""


def is_hub(spec: str | Path | None) -> bool:
    """Whether a model's spec means one of the hub: ``hub:…``, or a pipeline's folder."""
    if spec is None or str(spec).startswith(HUB):
        return spec is not None
    with suppress(OSError, ValueError):  # a name that no file can have
        return Path(str(spec).partition("?")[0], "model_index.json").is_file()
    return False


@cache
def without_broken_torchvision() -> None:
    """Hide a torchvision that cannot be imported, which transformers and diffusers would try."""
    if "torchvision" not in sys.modules and importlib.util.find_spec("torchvision"):
        try:
            import torchvision  # noqa: F401
        except Exception:  # such as one that was built for another torch
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            sys.modules["torchvision"] = None  # type: ignore[assignment]


def import_transformers(purpose: str) -> Any:
    """The transformers package; ``purpose`` is what it is needed for, for the message.

    Raises:
        MissingExtraError: it is not installed.
    """
    without_broken_torchvision()
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "hub", purpose) from error
    return transformers


def without_bars(*others: Any) -> None:
    """Leave out the progress bars of loading where stderr is no terminal.

    Args:
        others: libraries besides transformers that have such.
    """
    if not sys.stderr.isatty():
        for each in (import_transformers("a model of the hub"), *others):
            each.utils.logging.disable_progress_bar()


def pretrained(kind: Any, path_or_id: str, **options: Any) -> Any:
    """A model of a transformers class in float32; only safetensors are read, and no code is run."""
    import torch

    return kind.from_pretrained(
        path_or_id, trust_remote_code=False, use_safetensors=True, dtype=torch.float32, **options
    )


@contextmanager
def reading(what: str, path_or_id: str) -> Iterator[None]:
    """Read a model without transformers' log messages; a failure becomes one sentence.

    Raises:
        DataError: the block failed to read the ``what`` (a kind of model) from ``path_or_id``.
    """
    try:
        with only_errors("transformers"):
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise DataError(
            f"the {what} {path_or_id!r} cannot be loaded ({first}); give a folder in the "
            f"hub's format with safetensors weights, or a hub id while online"
        ) from error


def hash_weights(network: nn.Module) -> hashlib._Hash:
    """A SHA-256 of the names and values of a network's tensors, to which more can be added."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        whole = tensor.detach().cpu().contiguous()
        digest.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest
