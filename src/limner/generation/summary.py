"""What can be told of a model file without building the model."""

from __future__ import annotations

import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from limner.errors import ModelFileError


def count_parameters(path: Path) -> int:
    """How many numbers a model file holds, from its header alone.

    Raises:
        ModelFileError: the file is not whole safetensors.
    """
    try:
        with safe_open(path, framework="pt") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
