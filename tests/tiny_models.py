"""Tiny models of every real family, saved as real model files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from limner.modelfile import save_model
from limner.modelinfo import ModelInfo
from limner.models.base import build
from limner.text import load_encoder

STYLES = ("noto", "fluent-emoji-flat")
SIZE = 32
# fmt: off
TINY: dict[str, dict[str, Any]] = {
    # Small pictures: it draws every value of every pixel after the other.
    "ar": {"size": 8, "patch": 4, "levels": 8, "patch_width": 4, "dim": 32, "depth": 1, "heads": 2,
           "text_width": 16, "max_tokens": 4},
    "gan": {"widths": (16, 8), "critic_widths": (8, 8), "group": 4, "noise_dim": 8,
            "condition_dim": 16, "code_dim": 8, "embed_dim": 8, "text_rank": 32, "queries": 2},
    "flow": {"patch": 8, "dim": 16, "depth": 1, "heads": 2, "steps": 2, "seam_channels": 4},
    "vae": {"decoder": (16, 8), "encoder": (8, 16), "blocks": 1, "latent_channels": 4,
            "text_rank": 32, "prior_width": 32, "prior_depth": 1},
    "captioner": {"languages": ("en", "zh"), "widths": (4, 8), "dim": 16, "depth": 1, "heads": 2,
                  "longest": 8},
    "restorer": {"width": 4, "blocks": (1, 1), "condition": 8, "estimator": 4, "text_rank": 32,
                 "queries": 1, "max_tokens": 4},
    "planner": {"width": 8, "depth": 1, "heads": 2, "text_rank": 32, "max_tokens": 4},
    "aligner": {"widths": (4, 8), "embed_dim": 8, "hidden": 16, "text_rank": 32, "queries": 1},
}
# fmt: on


def save_tiny(
    path: Path, family: str = "flow", seed: int = 0, *, size: int | None = None, **info: Any
) -> Path:
    """A model of some tens of thousand random weights, none of them zero, behind real text."""
    config = {"size": SIZE, "text_dim": 384, "styles": STYLES, **TINY.get(family, {})}
    config |= {"size": size or config["size"]}
    torch.manual_seed(seed)
    model = build(family, config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder = load_encoder("e5-small", cache=False)
    facts: dict[str, Any] = {
        "family": family,
        "config": model.config.model_dump(mode="json"),
        "encoder": encoder.spec,
        "encoder_fingerprint": encoder.fingerprint,
        "licences": {"noto": "Apache-2.0"},
        "concepts": {"en": ["heart", "cat"], "zh": ["红心"]},
    }
    save_model(path, model, ModelInfo(**(facts | info)))
    return path
