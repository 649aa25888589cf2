"""Figures of a benchmark from the parts of an evaluation's report."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np

from limner.evaluation.report import PartResult, Report
from limner.metrics.intervals import wilson

ALARMS = (0.01, 0.02, 0.05, 0.1)
"""Shares of false alarms that recall is measured at."""


def curve_figures(right: np.ndarray, wrong: np.ndarray, name: str) -> dict[str, Any]:
    """How well scores tell wrong ones, at whatever threshold: the area under the ROC curve, points.

    The area is the chance that a wrong one has a greater score than a right one (a tie counts
    half), with the interval of Hanley and McNeil 1982 ("The meaning and use of the area under a
    receiver operating characteristic curve", equation 2).

    Args:
        right: ``(R,)`` scores of right ones.
        wrong: ``(W,)`` of wrong ones, which should be greater.
        name: what the keys begin with.
    """
    ranked = np.sort(right)
    below, upto = (np.searchsorted(ranked, wrong, side) for side in ("left", "right"))
    area, few, many = float((below + upto).mean() / 2 / len(right)), len(wrong), len(right)
    first, second = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    spread = area * (1 - area) + (few - 1) * first + (many - 1) * second
    reach = 1.96 * sqrt(max(spread, 0) / (few * many))
    found: dict[str, Any] = {f"{name}: area under the ROC curve": {
        "value": area, "low": area - reach, "high": min(area + reach, 1.0), "better": "higher",
    }}  # fmt: skip
    for part in ALARMS:
        hits = int((wrong > np.quantile(right, 1 - part)).sum())
        low, high = wilson(hits, few)
        found[f"{name}: recall at {part:.0%} false alarms"] = {
            "value": hits / few, "low": low, "high": high, "better": "higher",
        }  # fmt: skip
    return found


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
