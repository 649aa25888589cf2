"""Models of the hub: tiny pipelines of eleven families with random weights, drawn through limner.

Each is written in the hub's layout and really loaded. Measured are how far the pictures are from
those of the pipeline called by hand, and what drawing through ``Generator`` costs beside that call,
in pairs of runs in turn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.generation.generator import Generator, load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
SIDE, STEPS, PAIRS, TIMED = 32, 8, 12, "stable_diffusion"


def by_hand(pipeline: Any, seed: int) -> Image.Image:
    """A picture of the pipeline, as its documentation has it."""
    more = {"use_resolution_binning": False} if type(pipeline).__name__ in _BINNED else {}
    return pipeline(
        prompt="a red cat", height=SIDE, width=SIDE, num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(seed), **more,
    ).images[0]  # fmt: skip


_BINNED = {"SanaPipeline", "PixArtSigmaPipeline"}


def through_limner(generator: Generator, seed: int) -> Image.Image:
    """The same picture."""
    return generator.generate("a red cat", seed=seed, steps=STEPS)[0].image


def seconds(draw: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    draw()
    return time.perf_counter() - start


def run() -> dict[str, Any]:
    """Draw with each family, and time one of them."""
    from diffusers import AutoPipelineForText2Image

    from tiny_pipelines import FAMILIES, save_pipeline

    figures: dict[str, Any] = {}
    furthest, drawn, previews = 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        for family in FAMILIES:
            folder = save_pipeline(family, Path(place) / family)
            pipeline = AutoPipelineForText2Image.from_pretrained(folder, use_safetensors=True)
            pipeline.set_progress_bar_config(disable=True)
            generator = load(f"hub:{folder}?size={SIDE}")
            expected = np.asarray(by_hand(pipeline, 5).resize((SIDE, SIDE)), int)
            found = np.asarray(through_limner(generator, 5), int)
            if family != "lumina_2":  # draws at another size, which limner resizes its own way
                furthest = max(furthest, int(np.abs(found - expected).max()))
            drawn += 1
            previews += _has_previews(generator)
            if family == TIMED:
                ratios = []
                for pair in range(PAIRS + 1):
                    hand = seconds(lambda pipeline=pipeline, pair=pair: by_hand(pipeline, pair))
                    ours = seconds(
                        lambda generator=generator, pair=pair: through_limner(generator, pair)
                    )
                    ratios.append(ours / hand)
                cost = 100 * (statistics.median(ratios[1:]) - 1)
                figures["cost"] = {"value": round(cost, 1), "unit": "%", "goal": 5,
                                   "better": "lower"}  # fmt: skip
    figures["families"] = {"value": drawn, "unit": "", "goal": 11, "better": "higher"}
    figures["previews"] = {"value": previews, "unit": "families", "better": "higher"}
    figures["difference"] = {"value": furthest, "unit": "/255", "goal": 1, "better": "lower"}
    return {"figures": figures}


def _has_previews(generator: Generator) -> bool:
    """Whether a preview after the first of two steps shows anything."""
    from limner.generation.generator import DrawRequest, Job
    from limner.models.settings import Settings

    job = generator.jobs([DrawRequest("a red cat", 5, Settings(steps=2))])[0]
    assert isinstance(job, Job)
    session = generator.session()
    session.add(job.drawing)
    session.advance()
    found = np.asarray(session.preview(job.drawing)[0], float)
    return bool(found.std() > 1)
