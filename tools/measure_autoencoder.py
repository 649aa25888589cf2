"""Measure an autoencoder on pictures of held-out concepts.

    python tools/measure_autoencoder.py MODEL --data STORE --share 0.02

Prints the mean PSNR of the reconstructions in dB, at the model's size and at half of it (both
pictures averaged over 2x2 pixels), over the concepts that a recipe's ``data.holdout`` of the same
share keeps apart in that store, and the time that decoding one picture takes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from limner.data.store import Store
from limner.modelfile import load_model
from limner.models.autoencoder import of
from limner.models.similarity import psnr
from limner.training.data import hold_out, open_pictures
from limner.training.recipe import DataSection, HoldoutSection
from limner.vision.pixels import to_tensor

BATCH = 32


@torch.inference_mode()
def measure(model: Path, data: Path, share: float) -> dict[str, float]:
    """PSNR at both sizes, the number of pictures and concepts, and milliseconds to decode one."""
    autoencoder = of(load_model(model)[0]).eval()
    store = Store.open(data)
    section = HoldoutSection(share=share, by="concept")
    held = hold_out(open_pictures(DataSection(store=str(data)), str(data)), section, str(data))[1]
    rows = held.rows.tolist()
    full, half, seconds = [], [], 0.0
    for start in range(0, len(rows), BATCH):
        images = to_tensor(store.batch(rows[start : start + BATCH]))
        latents = autoencoder.encode(images)
        began = time.perf_counter()
        drawn = autoencoder.decode(latents).clamp(-1, 1)
        seconds += time.perf_counter() - began
        full.append(psnr(drawn, images))
        half.append(psnr(F.avg_pool2d(drawn, 2), F.avg_pool2d(images, 2)))
    return {
        "pictures": len(rows),
        "concepts": len(set(held.concepts())),
        f"psnr_{store.size}": torch.cat(full).mean().item(),
        f"psnr_{store.size // 2}": torch.cat(half).mean().item(),
        "decode_ms": 1000 * seconds / len(rows),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.02)
    arguments = parser.parse_args()
    for name, value in measure(arguments.model, arguments.data, arguments.share).items():
        print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    main()
