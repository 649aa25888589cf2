"""How much eight seeds of one thing in one style differ, and what that costs in recall.

Distances are those of the judge's features, which took no part in training: the mean over pairs of
pictures of one prompt, over that of real icons of the same thing from different sets.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from evaluate import icons
from limner.evaluation.concept_prompts import load_prompts, prompts_hash
from limner.evaluation.drawing import draw_batches
from limner.evaluation.parts.recall import assign_styles, icon_gallery
from limner.generation.generator import load
from limner.generation.requests import DrawRequest
from limner.generation.variation import DEFAULT_VARIETY
from limner.metrics.recall import Target, recall_of
from limner.models.settings import Settings

THINGS, SEEDS = 60, 8
AMOUNTS = (0.0, DEFAULT_VARIETY, 0.7, 1.0)
DISTANCE_GOAL = 0.5


def spread(features: Tensor) -> float:
    """Mean distance of the pairs of ``(B, D)`` features."""
    return float(torch.pdist(features).mean())


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    generator, gallery = load(), icon_gallery(icons())
    plan = assign_styles(load_prompts(), generator.styles, gallery)
    plan = plan[:: len(plan) // THINGS][:THINGS]
    real = []
    for _, prompt, _, _ in plan:
        sets = [style for style in gallery.styles if gallery.has(prompt.key, style)]
        real.append(spread(gallery.icon_features([Target(prompt.key, style) for style in sets])))
    figures: dict[str, Any] = {}
    for amount in AMOUNTS:
        requests = [
            DrawRequest(prompt.texts["en"], seed, Settings(style=style, variety=amount))
            for _, prompt, _, style in plan for seed in range(SEEDS)
        ]  # fmt: skip
        drawn = torch.cat(
            [gallery.judge.features(images) for images, _ in draw_batches(generator, requests)]
        )
        targets = [target for _, _, target, _ in plan for _ in range(SEEDS)]
        apart = [spread(part) for part in drawn.split(SEEDS)]
        shares = [mine / theirs for mine, theirs in zip(apart, real, strict=True)]
        chosen = amount == DEFAULT_VARIETY
        name = f"variety {amount:g}" + (" (default)" if chosen else "")
        figures[f"{name}: distance of seeds over that of real icons"] = {
            "value": statistics.mean(shares), "unit": "", "better": "higher",
            "goal": DISTANCE_GOAL if chosen else None,
        }  # fmt: skip
        found = recall_of(gallery.ranks(drawn, targets))
        figures |= {
            f"{name}: {top}": {"value": value, "unit": "", "better": "higher"}
            for top, value in found.items()
        }
    figures["things"] = {"value": len(plan), "unit": ""}
    return {
        "headline": f"variety {DEFAULT_VARIETY:g} (default): distance of seeds over that of real "
        "icons",
        "figures": figures,
        "prompts": prompts_hash(),
    }
