"""The 480 frozen prompts that composition is measured with.

``scene_prompts.json`` (``tools/choose_scenes.py``) has forty a task that a training store may hold
and forty that none may, each with its wordings and the whole plan of its scene.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from limner.scenes.layout import Box
from limner.scenes.scene import Item, Scene, Task

SCENES_PATH = Path(__file__).with_name("scene_prompts.json")
SEEDS = 20
"""Prompt i is drawn with the seed ``i mod 20``."""


@dataclass(frozen=True)
class ScenePrompt:
    """Words for a scene.

    Attributes:
        scene: what they ask for, and where it stands in the true picture.
        held_out: whether it is a combination that no training store holds.
        texts: language -> prompt.
    """

    scene: Scene
    held_out: bool
    texts: Mapping[str, str]

    @property
    def task(self) -> Task:
        """The task of the scene."""
        return self.scene.task


def as_row(prompt: ScenePrompt) -> dict[str, Any]:
    """A prompt as a row of the file."""
    scene = prompt.scene
    return {
        "task": scene.task,
        "held_out": prompt.held_out,
        **prompt.texts,
        "items": [[i.thing, i.colour, i.count, i.size] for i in scene.items],
        "relation": None if scene.relation is None else str(scene.relation),
        "ground": scene.background,
        "boxes": [[round(side, 3) for side in (b.x, b.y, b.side)] for b in scene.boxes],
        "pick": scene.pick,
    }


def _prompt(row: dict[str, Any]) -> ScenePrompt:
    scene = Scene(
        row["task"],
        tuple(Item(*item) for item in row["items"]),
        row["relation"],
        row["ground"],
        tuple(Box(*box) for box in row["boxes"]),
        row["pick"],
    )
    return ScenePrompt(scene, row["held_out"], {lang: row[lang] for lang in ("en", "zh")})


@lru_cache(maxsize=1)
def scene_prompts() -> tuple[ScenePrompt, ...]:
    """The frozen list: task by task, trainable prompts before held-out ones."""
    return tuple(map(_prompt, json.loads(SCENES_PATH.read_text("utf-8"))["prompts"]))


def scene_prompts_hash(prompts: Sequence[ScenePrompt] | None = None) -> str:
    """The first 16 hex digits of the SHA-256 of what the prompts say, all of them by default."""
    rows = [as_row(prompt) for prompt in prompts or scene_prompts()]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]
