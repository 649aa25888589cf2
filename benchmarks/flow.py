"""How long the flow takes to draw and how large it is, by preset, with random weights.

Each preset draws one picture of 64 px of one caption at its default steps and guidance; speed does
not depend on what the weights have learned. The presets take turns, so that all see the same
machine.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

PRESETS = ("3m", "8m", "25m")
ROUNDS = 12
PROMPT = "a red heart"


def run() -> dict[str, Any]:
    """Median ms of sampling one picture and millions of parameters, by preset."""
    import torch

    from limner.models.base import build
    from limner.models.image_model import ImageModel
    from limner.models.rows import SampleRequest
    from limner.text import load_encoder

    text = load_encoder("e5-small").encode([PROMPT])
    models: dict[str, ImageModel] = {}
    for preset in PRESETS:
        torch.manual_seed(0)
        model = build("flow", {"preset": preset, "text_dim": text.pooled.shape[1]}).eval()
        model.network.unembed.reset_parameters()  # zero at the start, which may be quick
        models[preset] = model
    times: dict[str, list[float]] = {preset: [] for preset in PRESETS}
    for seed in range(ROUNDS + 1):
        for preset, model in models.items():
            started = time.perf_counter()
            model.sample(SampleRequest(text, [seed]))
            times[preset].append(1000 * (time.perf_counter() - started))
    figures: dict[str, Any] = {}
    for preset, model in models.items():
        size = sum(p.numel() for p in model.parameters()) / 1e6
        figures[f"{preset}: parameters"] = {"value": round(size, 2), "unit": "M", "better": "lower"}
        figures[f"{preset}: sampling one picture"] = {
            "value": round(statistics.median(times[preset][1:]), 1),  # the first warms up
            "unit": "ms",
            "better": "lower",
        }
    config = models[PRESETS[0]].config.model_dump(include={"steps", "sampler", "guidance", "size"})
    return {"figures": figures, "threads": torch.get_num_threads(), **config}
