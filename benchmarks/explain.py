"""Whether a thing's word is mapped to that thing: the pointing game on scenes that limner composed.

A flow, an autoregressive model, a GAN and a VAE are trained for five minutes of one thread each on
scenes of a few things, whose boxes the scene maker knows.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from _recipes import train
from evaluate import icons
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.scenes import Composer
from limner.evaluation.runs import TrainingBudget
from limner.scenes.scene import Task, plan
from limner.scenes.wording import english

THINGS = ("apple", "banana", "tree", "fish", "car", "cat", "carrot", "rose")
TASKS: tuple[Task, ...] = ("attribution", "position", "attribution", "two")
COLOURS = ("red", "blue", "green", "yellow", "purple", "black")
SCENES, SIZE, STYLE = 4000, 32, "noto"
MINUTES = float(os.environ.get("LIMNER_EXPLAIN_MINUTES", "5"))
OUT = Path(os.environ.get("LIMNER_EXPLAIN_OUT", Path(__file__).parents[1] / "runs" / "explain"))
RECIPES: dict[str, dict[str, Any]] = {
    "flow": {
        "family": "flow",
        "model": {"size": SIZE, "patch": 4, "dim": 96, "depth": 4, "heads": 4, "max_tokens": 12},
    },
    "ar": {
        "family": "ar",
        "model": {"size": 16, "patch": 2, "levels": 8, "patch_width": 16, "dim": 96,
                  "depth": 4, "heads": 4, "max_tokens": 10, "temperature": 0.8},
    },
    "gan": {
        "family": "gan",
        "model": {"size": SIZE, "widths": [96, 64, 32], "critic_widths": [96, 64, 32]},
    },
    "vae": {"family": "vae", "model": {"size": SIZE, "autoencode": 0.4, "prior": 0.25}},
}  # fmt: skip


def scenes(name: str, seed: int, count: int, size: int = SIZE) -> Store:
    """A store of composed scenes of two or more of the few things, on white."""
    path = OUT / (name if size == SIZE else f"{name}-{size}")
    if path.is_dir():
        return Store.open(path)
    store = icons()
    composer = Composer(store, size)
    things = {thing: [each for each in composer.recolourable[thing] if each in COLOURS]
              for thing in THINGS}  # fmt: skip
    with StoreWriter(path, size, name, licences=store.licences, restart=True) as writer:
        number = 0
        while writer.count < count:
            scene = plan(seed, number, things, task=TASKS[number % len(TASKS)])
            scene, number = replace(scene, background=None), number + 1
            drawing = composer.draw(scene, STYLE)
            if drawing is not None:
                said = english(scene)
                said = said[number % len(said)]
                facts = {"id": f"{seed}/{number}", "boxes": drawing.boxes,
                         "items": [asdict(item) for item in scene.items]}  # fmt: skip
                writer.add(drawing.pixels, [Caption(said, "en", 1.0)], facts)
        return writer.finish()


def trained(family: str, store: Store) -> Path:
    """The file of a family's model, trained where there is none."""
    tree = RECIPES[family] | {
        "data": {"store": str(store.path)},
        "text": {"encoder": "e5-small", "max_tokens": 12},
        "train": {
            "batch_size": 32,
            "lr": 0.002,
            "betas": [0.9, 0.95],
            "warmup_steps": 50,
            "schedule": {"kind": "wsd", "decay_fraction": 0.4},
            "ema": {"half_life": 100},
        },
    }
    minutes = TrainingBudget(minutes=MINUTES, threads=1)
    return train(f"{family}-scenes", tree, store, OUT, minutes)
