"""Whether refining helps the shipped model at equal budget, by judges that the loop does not see.

Held-out prompts of composition are judged by the scene detector, free prompts by the icon judge
(``_refining.py`` says how ways of drawing are compared; ``refine_flow.py`` is the same of a flow).
How the loop works was chosen on the trainable prompts of composition and on the free prompts of
``refine_development.tsv`` beside this file, which ask for other things than the 120 that are
measured.

``LIMNER_ICONS`` names a packed store of icons. Twelve refinements go to
``benchmarks/sheets/refine.png``, to be looked at.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from _refining import (
    APART,
    BUDGET,
    FREE_GAIN,
    GAIN,
    MOST_COST,
    OVER_BEST,
    Compared,
    free,
)
from _scene_judge import scene_judge, whole_scene
from evaluate import icons
from limner.datasets.scenes import Composer
from limner.evaluation.free_prompts import prompts_hash, read_prompts
from limner.evaluation.scene_prompts import SEEDS, scene_prompts, scene_prompts_hash
from limner.generation.generator import load
from limner.generation.prompts import PromptWarning
from limner.generation.sheets import grid
from limner.improve.refine import Refiner
from limner.metrics.detector import SIZE as JUDGED
from limner.metrics.detector import load_detector
from limner.metrics.judge import load_judge

FREE = 120
SHARES = 2
"""Processes that draw the prompts of composition."""
SHEET = Path(__file__).with_name("sheets") / "refine.png"


def composition(refiner: Refiner, share: int) -> Compared:
    """One of the shares of the held-out prompts of composition."""
    judge, found, composer = load_detector(), Compared(), Composer(icons(), JUDGED)
    sets = [style for style in refiner.generator.styles if style in icons().styles]
    held = [
        (number, prompt, style)
        for number, (prompt, style) in enumerate(zip(scene_prompts(), cycle(sets), strict=False))
        if prompt.held_out
    ]
    for number, prompt, style in held[share::SHARES]:
        judged = scene_judge(judge, prompt.scene, whole_scene)
        found.add(refiner, prompt.texts["en"], number % SEEDS + APART * number,
                  judged, style=style)  # fmt: skip
        found.add_true(composer.draw(prompt.scene), judged)
    return found


def measured(share: int | None) -> tuple[Compared, str, str]:
    """A share of composition, or the free prompts, and the name and hash of the model."""
    warnings.simplefilter("ignore", PromptWarning)
    generator = load(threads=1)
    refiner = Refiner(generator)
    refiner.refine("a cat", budget=2, seed=0)  # what is loaded once
    found = free(refiner, FREE) if share is None else composition(refiner, share)
    return found, generator.name, generator.hash


def run() -> dict[str, Any]:
    """Measure the shipped model, on two cores."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # the longest first
        (open_prompts, *_), *shares = pool.map(measured, (None, *range(SHARES)))
    held = Compared.joined([found for found, *_ in shares])
    _, name, digest = shares[0]
    figures: dict[str, Any] = {}
    figures |= held.figures("composition held out")
    figures["composition held out: refine over single"]["goal"] = GAIN
    figures[f"composition held out: refine over best of {BUDGET}"]["goal"] = OVER_BEST
    figures |= {"cost of a refinement, in 8 single pictures": {
        "value": held.whole_cost, "goal": MOST_COST, "better": "lower"}}  # fmt: skip
    figures["cost of a picture of a refinement, in single pictures"] = {
        "value": held.cost, "goal": MOST_COST, "better": "lower"}  # fmt: skip
    figures |= open_prompts.figures("free prompts")
    figures["free prompts: cost of a refinement, in 8 single pictures"] = {
        "value": open_prompts.whole_cost, "better": "lower"}  # fmt: skip
    figures["free prompts: cost of a picture of a refinement, in single pictures"] = {
        "value": open_prompts.cost, "better": "lower"}  # fmt: skip
    figures["free prompts: refine over single"]["goal"] = FREE_GAIN
    SHEET.parent.mkdir(exist_ok=True)
    pairs = [*held.shown[::30][:8], *open_prompts.shown[::30][:4]]
    captions = [words for _, _, text in pairs for words in (text, "refined")]
    grid([image.resize((256, 256)) for one, other, _ in pairs for image in (one, other)],
         columns=8, captions=captions).quantize(128).save(SHEET)  # fmt: skip
    return {
        "headline": "composition held out: refine over single",
        "figures": figures,
        "model": name, "model_hash": digest,
        "judges": [load_detector().fingerprint, load_judge().fingerprint],
        "prompts": [scene_prompts_hash(), prompts_hash(read_prompts())],
        "counts": {"composition": len(held.single), "free": len(open_prompts.single)},
    }  # fmt: skip
