"""Safetensors files with string metadata: written whole, read without running anything in them."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from limner.errors import ModelFileError
from limner.files import temporary_name, whole_file

if TYPE_CHECKING:
    import torch

_MAX_HEADER_BYTES = 100_000_000
TEXT_PREFIX = "text_encoder."
"""Prefix of the names of a tuned text encoder's tensors in a model file."""
CONCEPTS_PREFIX = "concepts."
"""Prefix of the names of the tensors of the index of known concepts in a model file."""


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file so that ``path`` is either the old file or the whole new one.

    Raises:
        ModelFileError: the folder cannot be made, or the disk is full.
    """
    from safetensors.torch import save_file  # with torch, which those who only read do not need

    # Where safetensors is killed, a temporary file of its own stays beside what it writes.
    folder = temporary_name(path)
    with whole_file(path, ModelFileError, sync=True) as part:
        usual = stat.S_IMODE(part.stat().st_mode)  # 0o666 less the umask
        folder.mkdir()
        try:
            save_file(tensors, folder / part.name, metadata=metadata)
            (folder / part.name).replace(part)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
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


def file_hash(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256.

    Raises:
        ModelFileError: the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error


def count_parameters(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header alone.

    Raises:
        ModelFileError: the file is not whole safetensors.
    """
    try:
        with safe_open(path, framework="np") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error


def read_prefixed(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names.

    Raises:
        ModelFileError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            mine = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in mine}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"cannot read {path}: {error}") from error
