"""The folder of a run: which file is which, and whether a run may begin or go on there."""

from __future__ import annotations

from pathlib import Path

from limner.errors import TrainingError
from limner.shipped import RUN_MODEL
from limner.training import checkpoint

BEST_NAME = "best.safetensors"
LOCK_NAME = ".lock"


def check_folder(out: Path, *, resume: bool) -> None:
    """Refuse to start over a run, and to resume where there is none.

    Raises:
        TrainingError: the folder's name cannot be read, or it holds a run, or a model without one.
    """
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:
        raise TrainingError(
            f"the name {str(out)!r} is not UTF-8, and models in it could not be read; name another "
            f"folder"
        ) from error
    found = (out / checkpoint.NAME).exists()
    if resume and not found:
        raise TrainingError(
            f"there is no run in {out} to resume: it has no {checkpoint.NAME}; leave --resume out "
            f"to start anew"
        )
    if found and not resume:
        raise TrainingError(f"{out} already holds a run; pass --resume, or name another folder")
    for name in () if found else (RUN_MODEL, BEST_NAME):
        if (out / name).exists():
            raise TrainingError(
                f"{out / name} is a trained model, and there is no checkpoint to resume; name "
                f"another folder, or move the model away"
            )
