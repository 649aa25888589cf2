"""What benchmarks do with recipes: read one of ``recipes/``, change it, train the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.data.store import Store
from limner.errors import DataError, TrainingError
from limner.evaluation.runs import TrainingBudget, comparison_runs, train_all
from limner.files import whole_file
from limner.training.overrides import read_value, write_value

FOLDER = Path(__file__).resolve().parent.parent / "recipes"


def read(name: str) -> dict[str, Any]:
    """A recipe as it is written.

    Args:
        name: of the file, without ``.yaml``.
    """
    path = FOLDER / f"{name}.yaml"
    tree: dict[str, Any] = read_value(path.read_text(encoding="utf-8"), str(path))
    return tree


def train(name: str, tree: dict[str, Any], store: Store, out: Path, budget: TrainingBudget) -> Path:
    """Train a recipe, or go on with it; the model's file.

    Args:
        name: of the run.
        tree: the recipe, which is written to ``out/NAME.yaml``.
        store: what it learns from.
        out: the run is ``out/runs/NAME``.
        budget: how long.

    Raises:
        TrainingError: it failed.
    """
    path = out / f"{name}.yaml"
    with whole_file(path, DataError) as part:
        part.write_text(write_value(tree), encoding="utf-8")
    runs = comparison_runs([path], out)
    failed = train_all(runs, store, out, budget)
    if failed:
        raise TrainingError(f"{name}: {failed[name]}")
    return runs[0].model
