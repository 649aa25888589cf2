"""Which file is meant: a model file, a run folder, or a model inside the package."""

from __future__ import annotations

from contextlib import suppress
from importlib import resources
from pathlib import Path

from limner.arguments import check_type
from limner.errors import ModelFileError
from limner.hub import is_hub

SHIPPED = "shipped"
"""The spec of the default model inside the package."""
SHIPPED_MODEL = "limner-drawings-256.safetensors"
SHIPPED_ALIGNER = "limner-aligner-64.safetensors"
SHIPPED_CAPTIONER = "limner-captioner-64.safetensors"
SHIPPED_PLANNER = "limner-planner.safetensors"
SHIPPED_RESTORER = "limner-restorer.safetensors"
RUN_MODEL = "model.safetensors"
"""The model file of a run folder."""


def shipped_folder() -> Path:
    """The folder of the models inside the package."""
    return Path(str(resources.files("limner.weights")))


def shipped_models() -> list[Path]:
    """The models inside the package that draw, the default one first."""
    return [path for path in [shipped_folder() / SHIPPED_MODEL] if path.is_file()]


def find_model(spec: str | Path | None = None, default: str = SHIPPED_MODEL) -> Path:
    """The model file that a spec means.

    Args:
        spec: a model file; a run folder, which holds ``model.safetensors``; :data:`SHIPPED` or
            None for the ``default``; or the name of another model inside the package, with or
            without ``limner-`` before it and ``.safetensors`` after it, such as ``icons-64``. What
            is there on disk comes first.
        default: name of a file inside the package.

    Raises:
        ModelFileError: there is no such file.
    """
    if spec is None or spec == SHIPPED:
        path = shipped_folder() / default
        if not path.is_file():
            raise ModelFileError(
                f"this copy of limner has no {default}; name a model file, or train one with "
                f"'limner train'"
            )
        return path
    check_type("model", spec, (str, Path), "a model file, a run folder or a name")
    if is_hub(spec):
        raise ModelFileError(
            f"{spec} is a model of the hub, which draws and can be evaluated and served; this "
            "takes a model of limner's own"
        )
    path = Path(spec)
    with suppress(OSError, ValueError):  # a name that no file can have
        if path.is_dir():
            path /= RUN_MODEL
        if path.is_file():
            return path
    inside = {file.name: file for file in shipped_folder().glob("*.safetensors")}
    for name in (str(spec), f"{spec}.safetensors", f"limner-{spec}.safetensors"):
        if name in inside:
            return inside[name]
    raise ModelFileError(
        f"there is no model file {path}; name a file, the folder of a run, or one of: "
        f"{', '.join([SHIPPED, *sorted(inside)])}"
    )


def spec_of(path: Path, default: str) -> str:
    """A spec that means the same file from any folder as ``path``, found with that ``default``."""
    return SHIPPED if path == shipped_folder() / default else str(path.absolute())
