"""The smallest configuration of every family that still has all its parts."""

from __future__ import annotations

from typing import Any, Literal

from limner.models.autoencoder import AutoencoderConfig
from limner.models.base import ModelConfig

# fmt: off
_TINY: dict[str, dict[str, Any]] = {
    "AlignerConfig": {
        "size": 16, "text_dim": 16, "widths": (4, 8), "looks": 2, "flat": 2, "embed_dim": 8,
        "hidden": 16, "text_rank": 8, "queries": 2, "max_tokens": 4,
    },
    "ARConfig": {
        "size": 8, "text_dim": 16, "patch": 2, "levels": 4, "patch_width": 4, "dim": 16, "depth": 2,
        "heads": 2, "kv_heads": 1, "text_width": 8, "max_tokens": 4, "caption_drop": 0.5,
        "guidance": 2.0,
    },
    "CaptionerConfig": {
        "size": 16, "text_dim": 16, "languages": ("en", "zh"), "widths": (4, 8), "looks": 1,
        "flat": 2, "inner": 16, "told": 2, "dim": 16, "depth": 2, "heads": 2, "longest": 12,
        "common": 8, "text_rank": 8,
    },
    "FlowConfig": {
        "size": 16, "text_dim": 16, "patch": 8, "dim": 32, "depth": 2, "heads": 2,
        "seam_channels": 4, "text_width": 16, "max_tokens": 6, "steps": 3, "caption_drop": 0.5,
    },
    "GANConfig": {
        "size": 16, "text_dim": 8, "widths": (8, 8), "critic_widths": (8, 8), "group": 4,
        "noise_dim": 4, "condition_dim": 8, "code_dim": 8, "embed_dim": 8, "text_rank": 4,
        "queries": 2, "max_tokens": 4,
    },
    "PlannerConfig": {
        "size": 16, "text_dim": 16, "width": 16, "depth": 1, "heads": 2, "text_rank": 8,
        "max_tokens": 5,
    },
    "RestorerConfig": {
        "size": 16, "text_dim": 16, "width": 4, "blocks": (1, 1), "condition": 8, "estimator": 4,
        "crop": 16, "text_rank": 8, "queries": 2, "max_tokens": 4,
    },
    "VAEConfig": {
        "size": 16, "text_dim": 8, "decoder": (8, 4), "encoder": (4, 8), "blocks": 1,
        "latent_channels": 4, "text_rank": 4, "queries": 2, "max_tokens": 4, "prior_width": 16,
        "prior_depth": 1, "modes": 2, "mode_rank": 4,
    },
}
# fmt: on


def tiny_config(kind: type[ModelConfig], styles: tuple[str, ...] = (), **changed: Any) -> Any:
    """A tiny configuration of a family's kind, with some fields changed."""
    return kind.model_validate({"styles": styles, **_TINY[kind.__name__], **changed})


def tiny_autoencoder(bottleneck: Literal["kl", "fsq"] = "kl", size: int = 16) -> AutoencoderConfig:
    """A tiny configuration of an autoencoder."""
    latents = {"levels": (4, 3)} if bottleneck == "fsq" else {"latent_channels": 4}
    shape = {"decoder": (8, 4), "encoder": (4, 8), "blocks": 1}
    return AutoencoderConfig.model_validate(
        {"size": size, "bottleneck": bottleneck, **shape, **latents}
    )
