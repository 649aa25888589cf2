"""The four families on Fashion-MNIST at equal minutes: FID and its kin, accuracy, coverage, speed.

``limner bench --run fashion`` trains ``recipes/{vae,flow,gan,ar}-fashion.yaml`` through the code of
``limner compare``: ten minutes of two cores for each, spent as twenty minutes of one thread, two
recipes at a time. A run that was stopped goes on. The environment changes it:
``LIMNER_FASHION_MINUTES``, ``LIMNER_FASHION_THREADS``, ``LIMNER_FASHION_AT_ONCE``,
``LIMNER_FASHION_SAMPLES``, ``LIMNER_FASHION_FAMILIES`` (``vae,gan``), ``LIMNER_FASHION_OUT``
(folder of runs and report), ``LIMNER_FASHION`` and ``LIMNER_FASHION_TEST`` (packed stores).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from limner.data.pack import PackOptions
from limner.data.pictures import Cleaning
from limner.data.store import Store
from limner.datasets.fashion import pack_fashion
from limner.evaluation.comparison import (
    Comparison,
    ComparisonOptions,
    ModelScores,
    compare,
)
from limner.evaluation.runs import TrainingBudget
from limner.text.disk import default_cache_dir

FAMILIES = ("vae", "flow", "gan", "ar")
ROOT = Path(__file__).resolve().parent.parent
SIZE = 28
ACCURACY_BEST, ACCURACY_EVERY = 0.90, 0.80
TIMES_REAL = 3.0
GAN_COVERAGE = 0.5


def clothes(split: Literal["train", "test"]) -> Store:
    """The packed pictures of a split, of our own making where the environment names none."""
    named = os.environ.get("LIMNER_FASHION" if split == "train" else "LIMNER_FASHION_TEST")
    path = Path(named) if named else default_cache_dir() / "stores" / f"fashion-{split}-{SIZE}"
    if named or path.is_dir():
        return Store.open(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return pack_fashion(path, PackOptions(cleaning=Cleaning(size=SIZE)), split=split)


def setting(name: str, default: str) -> str:
    """A setting from the environment."""
    return os.environ.get(f"LIMNER_FASHION_{name}", default)


def folder() -> Path:
    """Where runs and report go."""
    return Path(setting("OUT", str(ROOT / "runs" / "fashion")))


def options(store: Store, test: Store) -> ComparisonOptions:
    """What is compared, as the environment has it."""
    budget = TrainingBudget(
        minutes=float(setting("MINUTES", "20")),
        threads=int(setting("THREADS", "1")),
        at_once=int(setting("AT_ONCE", "2")),
    )
    return ComparisonOptions(
        data=store.path,
        out=folder(),
        budget=budget,
        samples=int(setting("SAMPLES", "10000")),
        features="fashion",
        holdout=test.path,
        command="limner bench --run fashion",
    )


BETTER = {
    "concept_top5": "higher", "concept_top1": "higher", "fid": "lower", "kid": "lower",
    "accuracy": "higher", "precision": "higher", "recall": "higher", "density": "higher",
    "coverage": "higher", "diversity": "higher", "nearest": "higher", "memorised": "lower",
}  # fmt: skip
UNITS = {
    "parameters": "", "pictures": "", "minutes": "min", "cpu_seconds": "s",
    "pictures_per_second": "/s", "ms_1": "ms", "ms_64": "ms",
    "training_mb": "MB", "sampling_mb": "MB",
}  # fmt: skip


def scores_of(
    entry: ModelScores, name: str, goals: Mapping[str, float | None] | None = None
) -> dict[str, Any]:
    """How real one model's pictures are: those of BETTER that were measured, named after it."""
    return {
        f"{name}: {key}": {"value": value, "goal": (goals or {}).get(key), "better": better}
        for key, better in BETTER.items()
        if (value := entry.scores.get(key)) is not None
    }


def facts_of(entry: ModelScores, name: str) -> dict[str, Any]:
    """What one model is and costs: those of UNITS that are known, named after it."""
    return {
        f"{name}: {key}": {"value": entry.facts[key], "unit": unit}
        for key, unit in UNITS.items()
        if key in entry.facts
    }


def figures_of(entry: ModelScores, result: Comparison) -> dict[str, Any]:
    """One model's figures; goals for those of ours that have one."""
    ours = entry.name.removesuffix("-fashion")
    goals = {"accuracy": ACCURACY_EVERY if ours in FAMILIES else None}
    if ours == "gan":
        goals["coverage"] = GAN_COVERAGE
    over = entry.scores["fid"] / result.upper_bound["fid"]
    times = {f"{ours}: FID over that of real pictures": {"value": over, "unit": "x"}}
    return scores_of(entry, ours, goals) | times | facts_of(entry, ours)


def summary(result: Comparison) -> dict[str, Any]:
    """The best of ours, what unseen real pictures score, and what noise does."""
    ours = [e for e in result.models if e.name.removesuffix("-fashion") in FAMILIES]
    best = min(ours, key=lambda entry: entry.scores["fid"])
    most = max(entry.scores.get("accuracy", 0.0) for entry in ours)
    return {
        "best FID over that of real pictures": {
            "value": best.scores["fid"] / result.upper_bound["fid"],
            "goal": TIMES_REAL,
            "unit": "x",
            "family": best.family,
        },
        "best accuracy": {"value": most, "goal": ACCURACY_BEST, "better": "higher"},
        "real: fid": {"value": result.upper_bound["fid"]},
        "real: accuracy": {"value": result.upper_bound["accuracy"], "better": "higher"},
        "real: coverage": {"value": result.upper_bound["coverage"], "better": "higher"},
        "noise: fid": {"value": result.lower_bound["fid"]},
    }


def run() -> dict[str, Any]:
    """Train, draw, measure; the report with its pictures is in the folder of the runs."""
    wanted = setting("FAMILIES", ",".join(FAMILIES)).split(",")
    recipes = [ROOT / "recipes" / f"{name.strip()}-fashion.yaml" for name in wanted]
    result = compare(recipes, options(clothes("train"), clothes("test")))
    figures = summary(result)
    for entry in result.models:
        figures |= figures_of(entry, result)
    return {
        "figures": figures,
        "headline": "best FID over that of real pictures",
        "statement": result.headline(),
        "protocol": result.protocol,
        "budget": result.budget,
    }
