"""Whether refining helps a flow at equal budget, by judges that the loop does not see.

Of a flow's pictures the items that the scene detector sees are counted: of held-out prompts of
composition, and free prompts by the icon judge, by the flow that ``LIMNER_FLOW`` names
(``recipes/flow-scenes-64.yaml``, which takes a GPU), else of scenes by a small one (that of
``explain.py``, trained where there is none). ``_refining.py`` says how ways of drawing are
compared. How the loop works was chosen on the trainable prompts of composition and on other scenes
of the flows.

``LIMNER_ICONS`` names a packed store of icons.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import explain
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
from _scene_judge import scene_judge, share_of_items
from evaluate import icons
from limner.datasets.scenes import Composer
from limner.evaluation.free_prompts import prompts_hash, read_prompts
from limner.evaluation.scene_prompts import scene_prompts, scene_prompts_hash
from limner.generation.generator import load
from limner.generation.prompts import PromptWarning
from limner.improve.refine import Refiner
from limner.improve.scoring import Scorer, load_scorer
from limner.metrics.detector import SIZE as JUDGED
from limner.metrics.detector import load_detector
from limner.metrics.judge import load_judge
from limner.scenes.scene import plan
from limner.scenes.wording import english

FREE, SMALL = 120, 120
"""Free prompts, and scenes of the small flow."""
EVERY = 3
"""Of the held-out prompts of composition one in so many is drawn, of every task."""


def composition(scorer: Scorer) -> Compared:
    """A flow's pictures of scenes that it did not learn from."""
    composer = Composer(icons(), JUDGED)
    if trained := os.environ.get("LIMNER_FLOW"):
        generator, style = load(trained, threads=1), None
        held = [prompt for prompt in scene_prompts() if prompt.held_out]
        scenes = [(prompt.texts["en"], prompt.scene) for prompt in held[::EVERY]]
    else:
        generator, style = explain.trained("flow"), explain.STYLE
        things = {thing: list(explain.COLOURS) for thing in explain.FEW}
        plans = (
            plan(17, number, things, task=explain.TASKS[number % len(explain.TASKS)])
            for number in range(SMALL)
        )
        white = (replace(scene, background=None) for scene in plans)  # as it learned
        scenes = [(english(scene)[0], scene) for scene in white]
    refiner, judge, found = Refiner(generator, scorer), load_detector(), Compared()
    for number, (text, scene) in enumerate(scenes):
        judged = scene_judge(judge, scene, share_of_items)
        found.add(refiner, text, APART * number, judged)
        found.add_true(composer.draw(scene, style), judged)
    return found


def measured(what: str) -> Compared | None:
    """One of the comparisons; None for one that cannot be made."""
    warnings.simplefilter("ignore", PromptWarning)
    scorer = load_scorer()
    if what == "composition":
        return composition(scorer)
    trained = os.environ.get("LIMNER_FLOW")
    return free(Refiner(load(trained, threads=1), scorer), FREE) if trained else None


def run() -> dict[str, Any]:
    """Measure a flow, on two cores."""
    trained = os.environ.get("LIMNER_FLOW")
    generator = load(trained) if trained else explain.trained("flow")
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        scenes, open_prompts = pool.map(measured, ("composition", "free"))
    assert scenes is not None
    figures: dict[str, Any] = {}
    figures |= scenes.figures("flow")
    figures["flow: refine over single"]["goal"] = GAIN
    figures[f"flow: refine over best of {BUDGET}"]["goal"] = OVER_BEST
    figures["flow: cost of a refinement, in 8 single pictures"] = {
        "value": scenes.whole_cost, "goal": MOST_COST, "better": "lower"}  # fmt: skip
    if open_prompts is not None:
        figures |= open_prompts.figures("flow, free prompts")
        figures["flow, free prompts: refine over single"]["goal"] = FREE_GAIN
    return {
        "headline": "flow: refine over single",
        "figures": figures,
        "model": generator.name, "model_hash": generator.hash,
        "judges": [load_detector().fingerprint, load_judge().fingerprint],
        "prompts": [scene_prompts_hash(), prompts_hash(read_prompts())],
        "counts": {"composition": len(scenes.single),
                   "free": len(open_prompts.single) if open_prompts else 0},
    }  # fmt: skip
