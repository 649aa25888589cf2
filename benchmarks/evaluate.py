"""Concept recall of the shipped model, in English and Chinese, over what real icons reach.

The real icons are packed from npm on the first run and kept in limner's cache.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from _figures import part_figures, part_result
from limner.data.store import Store
from limner.datasets.icons import IconOptions, pack_icons
from limner.datasets.recolour import recolour_store
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.text.disk import default_cache_dir

GOALS = {"en": 0.60, "zh": 0.45}
CONCEPTS_GOAL = 300
COPIES_GOAL = 0.01
SECONDS_GOAL = 120


def icons() -> Store:
    """The icon store that ``LIMNER_ICONS`` names, or one of our own making."""
    return packed("LIMNER_ICONS", "icons-64", IconOptions(size=64))


def packed(variable: str, name: str, options: IconOptions) -> Store:
    """The store that a variable of the environment names; else one packed into limner's cache."""
    named = os.environ.get(variable)
    path = Path(named) if named else default_cache_dir() / "stores" / name
    if named or path.is_dir():
        return Store.open(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return pack_icons(path, options)


def colours(store: Store) -> Store:
    """The same things in other colours, beside the icons; the shipped model learned from both."""
    path = store.path.with_name(f"{store.path.name}-colours-{store.fingerprint}")
    return Store.open(path) if path.is_dir() else recolour_store(store, path)


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store = icons()
    options = EvaluationOptions(
        languages=tuple(GOALS), also=[colours(store)], command="limner bench --run evaluate"
    )
    report = evaluate(load(), store, "recall", options)
    part = report.part("recall")
    goals = {f"{lang} claimed: top5 of upper bound": goal for lang, goal in GOALS.items()}
    figures = part_figures(part, goals | {"memorised": COPIES_GOAL})
    for figure in part.figures:
        group, _, key = figure.key.partition(": ")
        if key == "top1":
            figures[f"{group}: concepts"] = {
                "value": figure.count, "unit": "concepts", "better": "higher",
                "goal": None if group.endswith("not claimed") else CONCEPTS_GOAL,
            }  # fmt: skip
    figures["new things"] = {"value": part.figure("memorised").count, "unit": "prompts"}
    figures["seconds for the whole evaluation"] = {
        "value": report.seconds, "unit": "s", "goal": SECONDS_GOAL, "better": "lower",
    }  # fmt: skip
    return part_result(report, part, figures) | {
        "prompts": part.protocol["prompts"],
        "store": report.store_fingerprint,
        "trained_on_store": report.trained_on_store,
    }
