"""A sheet of fixed prompts, drawn every so often to see how a run is doing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.errors import TrainingError
from limner.files import whole_file
from limner.generation.sheets import grid
from limner.models.base import ImageModel, SampleRequest
from limner.text.base import TextFeatures

_EACH = 2


def draw_grid(model: ImageModel, features: TextFeatures, device: torch.device) -> NDArray[np.uint8]:
    """Draw every prompt with the same seeds as ever: ``(H, W, 3)`` uint8."""
    index = [i for i in range(len(features)) for _ in range(_EACH)]
    seeds = list(range(_EACH)) * len(features)
    pixels = model.sample(SampleRequest(features[index].to(device), seeds))
    columns = _EACH * max(1, round((len(features) / _EACH) ** 0.5))
    return np.asarray(grid(pixels, columns).convert("RGB"), dtype=np.uint8)


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG, whole or not at all.

    Raises:
        TrainingError: it cannot be written.
    """
    from PIL import Image

    with whole_file(path, TrainingError) as part:
        Image.fromarray(pixels).save(part, format="PNG")
