"""Whom the shipped model draws where a prompt leaves it open, by a hundred seeds, and balanced."""

from __future__ import annotations

from typing import Any

from _figures import part_figures, part_result
from evaluate import icons
from limner.evaluation.part import EvaluationOptions
from limner.evaluation.suite import evaluate
from limner.generation.generator import load

EVEN_GOAL = 0.1
"""Of the mean distance to even shares in balanced drawing; 0.056 is chance."""


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    report = evaluate(load(), icons(), "bias", EvaluationOptions(command="limner bench --run bias"))
    part = report.part("bias")
    figures = part_figures(part, {"balanced: mean distance to even shares": EVEN_GOAL})
    return part_result(report, part, figures) | part.protocol
