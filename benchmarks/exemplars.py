"""What the shipped model keeps of its training drawings, and how fast it draws them.

``LIMNER_DRAWINGS_256`` names their store; it is made where none is named, which takes two hours.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limner.data.store import Store
from limner.datasets.drawings import pack_drawings
from limner.generation.generator import Generator, load
from limner.metrics.sharpness import edge_sharpness
from limner.models.concepts import ConceptIndex
from limner.models.exemplars import ExemplarPrior
from limner.models.vae import VAE
from limner.shipped import shipped_folder
from limner.text.disk import default_cache_dir
from limner.vision.pixels import to_tensor

COUNT, TIMED = 640, 40
DECIBELS_GOAL, MS_GOAL, SCENE_MS_GOAL, RATE_GOAL, BYTES_GOAL = 31.0, 60, 120, 30, 60_000_000
THINGS = (
    "an apple", "a banana", "a bicycle", "a book", "a bridge", "a bus", "a camera", "a candle",
    "a castle", "a chair", "a church", "a cloud", "a cow", "a crown", "a door", "a duck",
    "an elephant", "a fish", "a flower", "a frog", "a guitar", "a hammer", "a horse", "a house",
    "a key", "a lamp", "a lion", "a moon", "a mushroom", "an owl", "a pencil", "a rabbit",
    "a rocket", "a snail", "a sofa", "a star", "a train", "a tree", "an umbrella", "a violin",
)  # fmt: skip
"""Nothing is remembered of one when the next is drawn."""


def drawings() -> Store:
    """The store of the drawings that the shipped model is made of."""
    named = os.environ.get("LIMNER_DRAWINGS_256")
    path = Path(named) if named else default_cache_dir() / "stores" / "drawings-256"
    return Store.open(path) if path.is_dir() else pack_drawings(path, size=256)


def decibels(found: Tensor, true: Tensor) -> float:
    """Mean PSNR of pictures in [-1, 1]."""
    return float((10 * torch.log10(4 / (found - true).square().mean((1, 2, 3)))).mean())


@torch.inference_mode()
def kept(model: VAE, prior: ExemplarPrior, store: Store) -> dict[str, Any]:
    """How near the drawings are that the model draws of what it keeps."""
    rows = np.sort(np.random.default_rng(0).choice(len(store), COUNT, replace=False))
    errors, spreads = [], []
    found: dict[str, list[float]] = {"256 px": [], "128 px": [], "256 px, not sharpened": []}
    steep: dict[str, list[Tensor]] = {"drawn": [], "not sharpened": [], "of the drawings": []}
    mean = prior.code.mean.view(1, *prior.shape)
    for part in np.array_split(rows, COUNT // 16):
        true = to_tensor(torch.from_numpy(store.batch(part)))
        latents, own = prior.latents(torch.from_numpy(part)), model.autoencoder.encode(true)
        errors.append(float((latents - own).square().mean()))
        spreads.append(float((own - mean).square().mean()))
        decoded = model.decode(latents).clamp(-1, 1)
        drawn = model.finished(decoded)
        found["256 px"].append(decibels(drawn, true))
        found["256 px, not sharpened"].append(decibels(decoded, true))
        for kind, each in zip(steep, (drawn, decoded, true), strict=True):
            steep[kind].append(edge_sharpness(each))
        found["128 px"].append(decibels(F.avg_pool2d(drawn, 2), F.avg_pool2d(true, 2)))
    lost = sum(errors) / sum(spreads)
    return {
        f"drawn at {size}: PSNR": {
            "value": statistics.mean(values), "unit": "dB", "better": "higher",
            "goal": DECIBELS_GOAL if size == "128 px" else None,
        }
        for size, values in found.items()
    } | {
        f"steepness of edges, {kind}": {"value": float(torch.cat(values).nanmean()), "unit": ""}
        for kind, values in steep.items()
    } | {
        "of the latents' variance lost": {"value": lost, "unit": "", "better": "lower"},
        "bytes of a drawing": {"value": prior.code.codes.shape[1], "unit": "B"},
        "drawings": {"value": len(prior.texts), "unit": ""},
        "texts": {"value": len(prior.keys), "unit": ""},
        "drawings alone of their text and style": {"value": alone(prior), "unit": ""},
    }  # fmt: skip


def alone(prior: ExemplarPrior) -> float:
    """Share of the drawings that are the only one of their text in their style."""
    pairs = torch.stack([prior.texts.long(), prior.styles.long()])
    _, counts = pairs.unique(dim=1, return_counts=True)
    return float((counts == 1).sum()) / len(prior.texts)


def names(index: ConceptIndex) -> dict[str, Any]:
    """How many things the model knows, and by how many names."""
    kinds = index.instances
    return {
        "things": {"value": len(index), "unit": ""},
        "names": {"value": len(index.names) - kinds, "unit": ""},
        "names of kinds of things": {"value": kinds, "unit": ""},
    }


def milliseconds(generator: Generator, prompts: Sequence[str], first: int = 0) -> float:
    """Median time of a picture, where the first three do not count."""
    times = []
    for seed, prompt in enumerate(prompts, first):
        began = time.perf_counter()
        generator.generate(prompt, seed=seed)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[3:])


@torch.inference_mode()
def sharpening_milliseconds(model: VAE, prior: ExemplarPrior) -> float:
    """Median time that the sharpening of a decoded drawing takes."""
    times = []
    for row in range(TIMED):
        decoded = model.decode(prior.latents(torch.tensor([row])))
        began = time.perf_counter()
        model.finished(decoded)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    generator = load()
    model = generator.model
    assert isinstance(model, VAE) and isinstance(model.prior, ExemplarPrior)
    assert generator.concepts is not None
    figures = kept(model, model.prior, drawings()) | names(generator.concepts)
    scenes = [f"{one} and {other}" for one, other in zip(THINGS[::2], THINGS[1::2], strict=True)]
    for name, prompts, goal in (
        ("a single picture", THINGS, MS_GOAL),
        ("the same thing again, of another seed", ["a red heart"] * TIMED, None),
        ("a scene of two", scenes, SCENE_MS_GOAL),
    ):
        generator.encoder.encode(prompts)  # the words are in the cache of the machine
        figures[f"{name}, warm"] = {
            "value": milliseconds(generator, prompts, 500), "unit": "ms", "better": "lower",
            "goal": goal,
        }  # fmt: skip
    figures["of that, sharpening a drawing"] = {
        "value": sharpening_milliseconds(model, model.prior), "unit": "ms", "better": "lower",
    }  # fmt: skip
    for name, prompts, goal in (
        ("pictures a second, in a list", [*THINGS, *THINGS[:24]], RATE_GOAL),
        ("the same of four things", [f"a {x}" for x in ("cat", "dog", "house", "tree")] * 16, None),
    ):
        began = time.perf_counter()
        generator.generate(prompts, seed=1)
        figures[name] = {
            "value": len(prompts) / (time.perf_counter() - began), "unit": "/s",
            "better": "higher", "goal": goal,
        }  # fmt: skip
    figures["bytes of all shipped models"] = {
        "value": sum(path.stat().st_size for path in shipped_folder().glob("*.safetensors")),
        "unit": "B", "better": "lower", "goal": BYTES_GOAL,
    }  # fmt: skip
    return {"headline": "drawn at 128 px: PSNR", "figures": figures}
