from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training_tiny as tiny
from limner.training.recipe import Recipe, make_recipe


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_store(tmp_path_factory.mktemp("data") / "store").path


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Word vectors of 8 numbers, in GloVe's text form."""
    random = np.random.default_rng(1)
    known = ["a", "flag", *tiny.COLOURS, *(f"{name}o" for name in tiny.COLOURS)]
    lines = [f"{word} {' '.join(f'{x:.4f}' for x in random.normal(size=8))}" for word in known]
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def tree(store: Path, words: Path) -> dict[str, Any]:
    """A recipe that takes a second, as plain values."""
    return {
        "family": tiny.NAME,
        "data": {"store": str(store), "flip": True, "augment": {"shift_px": 2, "hue": 10}},
        "text": {"encoder": f"vectors:{words}", "max_tokens": 4},
        "train": {
            "steps": 40,
            "batch_size": 8,
            "accumulate": 2,
            "warmup_steps": 5,
            "threads": 1,
            "device": "cpu",
            "tensorboard": False,
            "log_every": 3,
        },
    }


@pytest.fixture
def recipe(tree: dict[str, Any]) -> Callable[..., Recipe]:
    """Builds the recipe with some keys of its ``train`` section, or others, changed."""

    def make(train: dict[str, Any] | None = None, **sections: Any) -> Recipe:
        merged = {**tree, **sections, "train": {**tree["train"], **(train or {})}}
        return make_recipe(merged, "test.yaml")

    return make
