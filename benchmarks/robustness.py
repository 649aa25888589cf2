"""How far pictures of the shipped model move when prompts are misspelt or said otherwise.

The real icons are packed from npm on the first run and kept in limner's cache.
"""

from __future__ import annotations

from typing import Any

from _figures import part_figures, part_result
from evaluate import icons
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load
from limner.reading.aligner import load_aligner

LANGUAGES = ("en", "zh", "es")
RECOGNISED_GOAL = 0.9


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    options = EvaluationOptions(
        languages=LANGUAGES, aligner=load_aligner(), command="limner bench --run robustness"
    )
    report = evaluate(load(), icons(), "robustness", options)
    part = report.part("robustness")
    goals = {
        figure.key: RECOGNISED_GOAL
        for figure in part.figures if figure.key.endswith("still recognised")
    }  # fmt: skip
    figures = part_figures(part, goals)
    return part_result(report, part, figures) | part.protocol
