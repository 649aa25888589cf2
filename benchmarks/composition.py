"""Whether the shipped model composes: GenEval's six tasks in small, with a judge of our own.

Held-out combinations stand apart; beside the model are the true pictures (ceiling), its pictures
against other prompts (floor), and the nearest training scene by caption (retrieval).
``LIMNER_ICONS`` and ``LIMNER_SCENES`` name packed stores; they are made where none are named.
"""

from __future__ import annotations

import os
from typing import Any

from evaluate import icons
from limner.data.store import Store
from limner.datasets.npm import cache_folder
from limner.datasets.scenes import compose_store
from limner.evaluation.composition import (
    SIDES,
    CompositionReport,
    GroupComposition,
    measure_composition,
)
from limner.generation.generator import load

GOAL = 0.35
"""Of all held-out combinations, for a model that learned on a CPU."""
SCENES = 20_000


def scenes(store: Store) -> Store:
    """The training scenes that ``LIMNER_SCENES`` names, or those of seed 0 in limner's cache."""
    named = os.environ.get("LIMNER_SCENES")
    if named:
        return Store.open(named)
    path = cache_folder() / "stores" / f"scenes-{store.fingerprint}"
    return Store.open(path) if path.is_dir() else compose_store(store, path, count=SCENES)


def figures_of(report: CompositionReport) -> dict[str, Any]:
    """Figures with goals where there are any, all shares in [0, 1]."""
    figures: dict[str, Any] = {}
    for group in report.groups:
        figures |= _figures(group)
    figures["seconds for the whole measurement"] = {"value": report.seconds, "unit": "s"}
    return figures


def _figures(group: GroupComposition) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for side in SIDES:
        better = {"floor": "lower", "retrieval": "lower"}.get(side, "higher")
        for task, share in getattr(group, side).items():
            goal = GOAL if (side, task, group.held_out) == ("drawn", "overall", True) else None
            figures[f"{group.name}, {side}: {task}"] = {
                "value": share.value, "low": share.low, "high": share.high,
                "goal": goal, "better": better,
            }  # fmt: skip
    figures[f"{group.name}: tasks above retrieval"] = {
        "value": len(group.above_retrieval), "unit": "tasks", "better": "higher",
        "goal": len(group.drawn) - 1 if group.held_out else None,
    }  # fmt: skip
    return figures


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store = icons()
    searched = scenes(store)
    report = measure_composition(load(), store, searched, command="limner bench --run composition")
    return {
        "figures": figures_of(report),
        "model": report.model,
        "model_hash": report.model_hash,
        "judge": report.judge_hash,
        "prompts": report.prompts_hash,
        "pictures per prompt": report.pictures_per_prompt,
        "icons": report.icons_fingerprint,
        "scenes": report.scenes_fingerprint,
        "searched by": report.retrieval_encoder,
    }
