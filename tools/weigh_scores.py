"""How the score of refining orders pictures of made scenes and the same with one fault.

    python tools/weigh_scores.py --icons STORE

The truth is the scene maker's, no judge's: a true picture of a plan, and one in which a thing is
another one, is missing, has another colour or changed places with another; a fifth of the pairs are
the same picture, varied little and varied much. It prints the share of pairs in which the true one
scores higher, of the total and of each of its terms; equal ones count half.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.data.store import Store
from limner.datasets.scenes import Composer
from limner.errors import DataError
from limner.generation.variation import varied
from limner.improve.scoring import PictureScore, load_scorer
from limner.scenes.scene import TASKS, Scene
from limner.scenes.wording import english
from limner.vision.pixels import to_images, to_tensor

SEED, SIDE = 4242, 128
FAULTS = ("concept", "missing", "colour", "swap", "variety")
LITTLE, USUAL, MUCH = 0.2, 0.4, 1.0
"""Variety of the true picture of a pair that differs in it, of other ones, of the varied one."""


def faulty(scene: Scene, fault: str, composer: Composer, rng: np.random.Generator) -> Scene | None:
    """A plan with a fault; None where it cannot have that."""
    items, at = list(scene.items), int(rng.integers(len(scene.items)))
    if fault == "concept":
        items[at] = replace(items[at], thing=str(rng.choice(composer.things)), colour=None)
        return replace(scene, items=tuple(items))
    if fault == "missing" and len(scene.boxes) > 1:
        boxes = list(scene.boxes)
        del boxes[sum(item.count for item in items[:at])]
        fewer = [replace(items[at], count=items[at].count - 1)] if items[at].count > 1 else []
        items[at : at + 1] = fewer
        return replace(scene, items=tuple(items), boxes=tuple(boxes))
    if fault == "colour" and (coloured := [n for n, item in enumerate(items) if item.colour]):
        at = int(rng.choice(coloured))
        others = [c for c in composer.recolourable[items[at].thing] if c != items[at].colour]
        if others:
            items[at] = replace(items[at], colour=str(rng.choice(others)))
            return replace(scene, items=tuple(items))
    if fault == "swap" and scene.relation is not None:
        return replace(scene, items=tuple(items[::-1]))
    return None


def changed(pixels: Pixels, seed: int, variety: float) -> Image.Image:
    """A picture varied as the drawing of one thing is."""
    (image,) = to_images(varied(to_tensor(pixels[None])[0], "thing", seed, 0, variety)[None])
    return image


def pairs(store: Store) -> Iterator[tuple[str, str, Image.Image, Image.Image]]:
    """Fault, prompt, true picture and faulty one; without end, the faults in turn."""
    composer, rng = Composer(store, SIDE), np.random.default_rng(SEED)
    found = 0
    for number in count():
        fault, style = FAULTS[found % len(FAULTS)], store.styles[number % len(store.styles)]
        try:
            scene = composer.plan(SEED, number, task=TASKS[number % len(TASKS)])
        except DataError:
            continue
        scene = replace(scene, background=None)
        wrong = scene if fault == "variety" else faulty(scene, fault, composer, rng)
        true = composer.draw(scene, style)
        other = None if wrong is None else composer.draw(wrong, style)
        if true is None or other is None:
            continue
        varieties = (LITTLE, MUCH) if fault == "variety" else (USUAL, USUAL)
        found += 1
        yield (fault, english(scene)[0], changed(true.pixels, number, varieties[0]),
               changed(other.pixels, number, varieties[1]))  # fmt: skip


def terms(score: PictureScore) -> dict[str, float]:
    """What is compared: the total and its parts, and the cosine, which is not one."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for check in score.checks:
        kinds[check.kind].append(check.score)
    asked = {kind: fmean(some) for kind, some in kinds.items()}
    return {"total": score.total, "likeness": score.likeness, "quality": score.quality,
            "cosine": score.cosine, **asked}  # fmt: skip


def main() -> None:
    """Print a row for each term, a column for each fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=400)
    options = parser.parse_args()
    scorer = load_scorer()
    right: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for fault, prompt, true, other in islice(pairs(Store.open(options.icons)), options.pairs):
        better, worse = map(terms, scorer.score(prompt, [true, other]))
        for term, value in better.items():
            right[term][fault].append((np.sign(value - worse.get(term, 0.0)) + 1) / 2)
    print(f"{'':10}", *(f"{fault:>8}" for fault in FAULTS))
    for term, faults in right.items():
        cells = (f"{fmean(faults[fault]):8.2f}" if faults[fault] else " " * 8 for fault in FAULTS)
        print(f"{term:10}", *cells)


if __name__ == "__main__":
    main()
