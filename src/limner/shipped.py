"""The models inside the package that read: where they are, and what asks for them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from limner.errors import ModelFileError

SHIPPED = "shipped"
"""The spec of a model inside the package."""
SHIPPED_ALIGNER = "limner-aligner-64.safetensors"
SHIPPED_CAPTIONER = "limner-captioner-64.safetensors"
SHIPPED_PLANNER = "limner-planner.safetensors"


def shipped_or(spec: str | Path | None, name: str) -> tuple[Path, str]:
    """The file that a spec of ours means, and the spec in full.

    Args:
        spec: a path; :data:`SHIPPED` or None for a file inside the package.
        name: of that file.

    Raises:
        ModelFileError: this copy of limner has no such file.
    """
    if spec is not None and spec != SHIPPED:
        return Path(spec), str(spec)
    path = Path(str(resources.files("limner.weights"))) / name
    if not path.is_file():
        raise ModelFileError(f"this copy of limner ships no {name}; name a model file instead")
    return path, SHIPPED
