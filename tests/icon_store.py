"""A tiny icon store of made-up drawings, and a tiny model file, both written by limner itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.modelfile import save_model
from limner.modelinfo import ModelInfo
from limner.models.base import build
from limner.text import load_encoder

STYLES = ("alpha", "beta", "gamma")
SIZE = 64


def drawing(concept: int, style: int) -> np.ndarray:
    """One concept by one hand: blocks of the concept's colours, shifted and tinted by the hand."""
    rng = np.random.default_rng([11, concept])
    blocks = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    blocks[rng.random((5, 5)) < 0.4] = 255
    side = 50 - 2 * style
    patch = np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST))
    canvas = np.full((SIZE, SIZE, 3), 255, np.uint8)
    canvas[6 + style : 6 + style + side, 5 : 5 + side] = patch
    return np.clip(canvas.astype(int) - 6 * style, 0, 255).astype(np.uint8)


def make_store(path: Path, keys: Sequence[str], *, told: bool = True) -> Store:
    """Every key in every style; ``told=False`` leaves out what the metadata should tell."""
    with StoreWriter(path, SIZE, "made-up", licences={"made-up": "CC0-1.0"}) as writer:
        for n, key in enumerate(keys):
            for s, style in enumerate(STYLES):
                about = {"concept": key.lower(), "style": style} if told else {}
                writer.add(
                    drawing(n, s), [Caption(f"thing {n}")], {"id": f"{key}-{style}", **about}
                )
        return writer.finish()


def save_tiny(path: Path, keys: Sequence[str], fingerprint: str) -> Path:
    """A vae of a few thousand random weights behind the real text encoder."""
    torch.manual_seed(0)
    config = {
        "size": 32, "text_dim": 384, "styles": STYLES, "decoder": (16, 8), "encoder": (8, 16),
        "blocks": 1, "latent_channels": 4, "text_rank": 32, "prior_width": 32, "prior_depth": 1,
    }  # fmt: skip
    model = build("vae", config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder = load_encoder("e5-small", cache=False)
    info = ModelInfo(
        family="vae",
        config=model.config.model_dump(mode="json"),
        encoder=encoder.spec,
        encoder_fingerprint=encoder.fingerprint,
        data={"fingerprint": fingerprint},
        concepts={"keys": list(keys)},
    )
    save_model(path, model, info, "float16")
    return path
