"""Choose the prompts that composition is measured with; run once, its result is committed.

    python tools/choose_scenes.py --icons STORE --out src/limner/evaluation/scene_prompts.json

Forty prompts a task that a training store may hold, and forty that none may
(:func:`limner.scenes.scene.novelties`): for ``colour`` a thing in a held-out colour, for
``counting`` a held-out number of it, for ``two`` and ``position`` a held-out pair, for
``attribution`` a held-out pair or colour, and for ``single`` a thing that is asked for in a
held-out colour and need only be there. Each has one wording in English and one in Chinese, and
the whole plan of its scene, so that later composers draw the same. No two prompts of a language
are the same text.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from limner.data.store import Store
from limner.datasets.scenes import Composer
from limner.errors import DataError
from limner.evaluation.scene_prompts import ScenePrompt, as_row
from limner.files import whole_file
from limner.scenes.scene import TASKS, Item, Scene, Task, is_own, novelties
from limner.scenes.wording import chinese, english

SEED = 20261122
EACH = 40


def scenes(composer: Composer, task: Task, held_out: bool) -> Iterator[Scene]:
    """An endless sequence of plans, in a fixed order."""
    novel_singles = held_out and task == "single"
    for number in itertools.count():
        scene = composer.plan(SEED, number, novel=held_out and not novel_singles, task=task)
        if novel_singles:
            rng = np.random.default_rng([SEED, number, 7])
            painted = [
                Item(thing, colour)
                for thing in composer.things
                for colour in composer.recolourable[thing]
                if not is_own(thing, colour) and novelties([Item(thing, colour)])
            ]
            item = painted[int(rng.integers(len(painted)))]
            background = None if scene.background == item.colour else scene.background
            scene = Scene(task, (item,), None, background, scene.boxes, scene.pick)
        yield scene


def choose(composer: Composer) -> list[ScenePrompt]:
    """All prompts, task by task, trainable ones first."""
    found: list[ScenePrompt] = []
    taken: set[str] = set()
    for task, held_out in itertools.product(TASKS, (False, True)):
        before = len(found)
        for scene in scenes(composer, task, held_out):
            rng = np.random.default_rng([SEED, scene.pick])
            texts = {"en": str(rng.choice(english(scene))), "zh": str(rng.choice(chinese(scene)))}
            if taken & set(texts.values()) or composer.draw(scene) is None:
                continue
            taken |= set(texts.values())
            found.append(ScenePrompt(scene, held_out, texts))
            if len(found) - before == EACH:
                break
    return found


def main() -> None:
    """Choose and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    icons = Store.open(args.icons)
    rows = (json.dumps(as_row(each), ensure_ascii=False) for each in choose(Composer(icons, 64)))
    head = f'{{"icons": "{icons.fingerprint}", "seed": {SEED}, "prompts": [\n'
    with whole_file(args.out, DataError) as part:
        part.write_text(head + ",\n".join(rows) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
