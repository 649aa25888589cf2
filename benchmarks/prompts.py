"""What the shipped model makes of free prompts: are the things in the picture, and is it readable?

The real drawings are icons packed from npm, kept in limner's cache; ``LIMNER_DRAWINGS`` names
another store and ``LIMNER_OPENMOJI`` one of openmoji's, which no model is trained on. The first
hundred pictures go to ``benchmarks/sheets/prompts.png``, to be looked at.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from _figures import part_figures, part_result
from evaluate import icons, packed
from limner.data.store import Store
from limner.datasets.icons import IconOptions
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load

FOUND_GOALS = {"en": 0.9, "zh": 0.8, "es": 0.8}
"""Of what is found in true pictures of the same things."""
READABLE_GOAL = 0.95
"""Of the share of readable true pictures."""
SECONDS_GOAL = 360
SHEET = Path(__file__).with_name("sheets") / "prompts.png"


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    named = os.environ.get("LIMNER_DRAWINGS")
    store = Store.open(named) if named else icons()
    unseen = packed("LIMNER_OPENMOJI", "openmoji-64", IconOptions(sets=("openmoji",)))
    options = EvaluationOptions(holdout=unseen, command="limner bench --run prompts")
    report = evaluate(load(), store, "prompts", options)
    part = report.part("prompts")
    goals = {f"{lang}: things found of upper bound": goal for lang, goal in FOUND_GOALS.items()}
    figures = part_figures(part, goals | {"all: readable of upper bound": READABLE_GOAL})
    figures["seconds for the whole measurement"] = {
        "value": report.seconds, "unit": "s", "goal": SECONDS_GOAL, "better": "lower",
    }  # fmt: skip
    SHEET.parent.mkdir(exist_ok=True)
    SHEET.write_bytes(base64.b64decode(part.sheets[0].png))
    return part_result(report, part, figures) | part.protocol
