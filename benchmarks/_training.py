"""What benchmarks of training share: random pictures, and a recipe ready for its first update."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.progress import Meter
from limner.training.loop import Trainer
from limner.training.recipe import make_recipe
from limner.training.session import encode_captions, open_session

WORDS = [f"{colour} {thing}" for colour in ("red", "blue", "green", "white")
         for thing in ("cat", "car", "tree", "house", "fish", "bird")]  # fmt: skip
STYLES = ("emojione", "fluent-emoji-flat", "fxemoji", "noto", "twemoji")


def random_store(path: Path, count: int, size: int) -> Store:
    """Random pictures with two-word captions: what they show changes no speed."""
    random = np.random.default_rng(0)
    with StoreWriter(path, size, "random", licences={"random": "CC0-1.0"}) as writer:
        for number in range(count):
            pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
            facts = {"id": str(number), "style": STYLES[number % len(STYLES)]}
            writer.add(pixels, [Caption(WORDS[number % len(WORDS)])], facts)
        return writer.finish()


def trainer(
    name: str, tree: dict[str, Any], store: Store, out: Path, opened: ExitStack, **how: Any
) -> Trainer:
    """A recipe that learns from a store, ready for its first update.

    Args:
        name: of the recipe, for messages.
        tree: the recipe; its data and prompts are left out.
        store: what it learns from.
        out: the run folder.
        opened: closes what the run opens.
        how: of its ``train`` section.
    """
    plain = {"minutes": None, "steps": 10_000, "tensorboard": False}
    tree = {
        **tree, "data": {"store": str(store.path)}, "prompts": [],
        "train": {**tree["train"], **plain, **how},
    }  # fmt: skip
    session = open_session(make_recipe(tree, name))
    return Trainer(session, encode_captions(session), out, Meter(), opened=opened)
