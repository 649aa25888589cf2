"""Concept recall of the shipped model, in English and Chinese, as a share of its ceiling.

The real icons are packed from npm on the first run and kept in limner's cache.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from limner.data.store import Store
from limner.datasets.icons import IconOptions, pack_icons
from limner.datasets.npm import cache_folder
from limner.datasets.recolour import recolour_store
from limner.evaluation.recall import Options, evaluate
from limner.evaluation.report import EvaluationReport
from limner.generation.generator import load

GOALS = {"en": 0.60, "zh": 0.45}
CONCEPTS_GOAL = 300
COPIES_GOAL = 0.01


def icons() -> Store:
    """The icon store that ``LIMNER_ICONS`` names, or one of our own making."""
    return packed("LIMNER_ICONS", "icons-64", IconOptions(size=64))


def packed(variable: str, name: str, options: IconOptions) -> Store:
    """The store that a variable of the environment names; else one packed into limner's cache."""
    named = os.environ.get(variable)
    path = Path(named) if named else cache_folder() / "stores" / name
    if named or path.is_dir():
        return Store.open(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return pack_icons(path, options)


def colours(store: Store) -> Store:
    """The same things in other colours, beside the icons; the shipped model learned from both."""
    path = store.path.with_name(f"{store.path.name}-colours")
    return Store.open(path) if path.is_dir() else recolour_store(store, path)


def figures_of(report: EvaluationReport) -> dict[str, Any]:
    """Figures with goals where there are any, all shares in [0, 1]."""
    figures: dict[str, Any] = {}
    for language, goal in GOALS.items():
        for claimed in (True, False):
            group = report.group(language, claimed)
            name = f"{language} {'claimed' if claimed else 'not claimed'}"
            if group is None:
                if claimed:
                    figures[f"{name}: top-5 of ceiling"] = more(None, goal)
                continue
            share = group.of_ceiling["top5"]
            figures[f"{name}: top-5 of ceiling"] = more(share, goal if claimed else None)
            figures[f"{name}: concepts"] = more(
                group.prompts, CONCEPTS_GOAL if claimed else None, "concepts"
            )
            for side in ("recall", "ceiling", "floor"):
                recall = getattr(group, side)
                for top in ("top1", "top5"):
                    measured = getattr(recall, top)
                    figures[f"{name}: {side} {top}"] = more(measured.value, None) | {
                        "low": measured.low,
                        "high": measured.high,
                    }
    figures["copies among new things"] = less(report.copies["copy_rate"], COPIES_GOAL)
    figures["new things"] = {"value": int(report.copies["count"]), "unit": "prompts"}
    figures["seconds for the whole evaluation"] = {
        "value": report.seconds,
        "unit": "s",
        "goal": 120 if len(report.seeds) == 1 else None,
        "better": "lower",
    }
    return figures


def more(value: float | None, goal: float | None, unit: str = "") -> dict[str, Any]:
    """A figure of which more is better; None where there was nothing to measure."""
    return {"value": value, "unit": unit, "goal": goal, "better": "higher"}


def less(value: float, goal: float) -> dict[str, Any]:
    """A share of which less is better."""
    return {"value": value, "unit": "", "goal": goal, "better": "lower"}


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    store, options = icons(), Options(tuple(GOALS), command="limner bench --run evaluate")
    report = evaluate(load(), store, options, also=[colours(store)])
    return {
        "figures": figures_of(report),
        "model": report.model,
        "model_hash": report.model_hash,
        "judge": report.judge_hash,
        "prompts": report.prompts_hash,
        "store": report.store_fingerprint,
        "seeds": list(report.seeds),
    }
