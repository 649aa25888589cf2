"""Figures of a benchmark from the parts of an evaluation's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.evaluation.report import PartResult, Report


def part_figures(part: PartResult, goals: Mapping[str, float]) -> dict[str, Any]:
    """Every figure of a part with its interval, and a row for each of its bounds.

    Args:
        part: of a report.
        goals: key of a figure -> goal.
    """
    found: dict[str, Any] = {}
    for figure in part.figures:
        low, high = figure.interval or (None, None)
        found[figure.key] = {
            "value": figure.value, "low": low, "high": high, "goal": goals.get(figure.key),
            "better": figure.direction or "higher",
        }  # fmt: skip
        for name, bound in (
            ("upper bound", figure.upper_bound),
            ("lower bound", figure.lower_bound),
            (part.baseline, figure.baseline),
        ):
            if bound is not None:
                better = "higher" if name == "upper bound" else "lower"
                found[f"{figure.key}, {name}"] = {"value": bound, "better": better}
    return found


def part_result(report: Report, part: PartResult, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What a benchmark returns of a part: its figures, and what they are of."""
    return {
        "figures": figures,
        "headline": part.headline,
        "model": report.model,
        "model_hash": report.model_hash,
        "judge": part.judge,
    }
