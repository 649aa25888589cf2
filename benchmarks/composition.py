"""Whether the shipped model composes: GenEval's six tasks in small, with a judge of our own.

Held-out combinations stand apart. Upper bound: the true pictures; lower bound: the model's pictures
against other prompts; baseline: the training scene with the nearest caption (retrieval).
``LIMNER_ICONS`` and ``LIMNER_SCENES`` name packed stores; they are made where none are named.
"""

from __future__ import annotations

import os
from typing import Any

from _figures import part_figures, part_result
from evaluate import icons
from limner.data.store import Store
from limner.datasets.scenes import compose_store
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.scenes.scene import TASKS
from limner.text.disk import default_cache_dir

GOALS = {"en held out: overall": 0.85, "zh held out: overall": 0.83}
SCENES = 20_000


def scenes(store: Store) -> Store:
    """The training scenes that ``LIMNER_SCENES`` names, or those of seed 0 in limner's cache."""
    named = os.environ.get("LIMNER_SCENES")
    if named:
        return Store.open(named)
    path = default_cache_dir() / "stores" / f"scenes-{store.fingerprint}"
    return Store.open(path) if path.is_dir() else compose_store(store, path, count=SCENES)


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store = icons()
    options = EvaluationOptions(scenes=scenes(store), command="limner bench --run composition")
    report = evaluate(load(), store, "composition", options)
    part = report.part("composition")
    figures = part_figures(part, GOALS)
    above: dict[str, int] = {}
    for figure in part.figures:
        group, _, task = figure.key.partition(": ")
        if task != "overall":
            better = figure.baseline is not None and figure.value > figure.baseline
            above[group] = above.get(group, 0) + better
    for group, count in above.items():
        figures[f"{group}: tasks above retrieval"] = {
            "value": count, "unit": "tasks", "better": "higher",
            "goal": len(TASKS) if group.endswith("held out") else None,
        }  # fmt: skip
    figures["seconds for the whole measurement"] = {"value": report.seconds, "unit": "s"}
    return part_result(report, part, figures) | part.protocol
