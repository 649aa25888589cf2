"""Whether refining helps at equal budget, by judges that the loop does not see.

Single pictures, the best of eight and refinements with a budget of eight, of the same prompts and
first seeds: held-out prompts of composition judged by the scene detector, free prompts by the icon
judge, and scenes of a small flow (that of ``explain.py``, trained where there is none), of which
the items that the scene detector sees are counted. The policy
of the loop was chosen on the trainable prompts of composition, which are not drawn here.

``LIMNER_ICONS`` names a packed store of icons. Twelve refinements go to
``benchmarks/sheets/refine.png``, to be looked at.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import explain
from evaluate import icons
from limner.evaluation.free_prompts import prompts_hash, read_prompts
from limner.evaluation.named_drawings import NamedDrawings
from limner.evaluation.parts.prompts import drawing_gallery
from limner.evaluation.scene_prompts import SEEDS, scene_prompts, scene_prompts_hash
from limner.generation.generator import Generator, load
from limner.generation.prompts import PromptWarning
from limner.generation.sheets import grid
from limner.improve.refine import Refinement, Refiner
from limner.metrics.composition import shows
from limner.metrics.detector import load_detector
from limner.metrics.intervals import share_of
from limner.metrics.judge import load_judge
from limner.metrics.sightings import Thing, ThingSearch
from limner.scenes.scene import Scene, plan
from limner.scenes.wording import english
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

BUDGET = 8
EVERY = 2
"""Of the held-out prompts of composition one in so many is drawn, of every task."""
FREE, FLOW = 60, 60
APART = 100_000
"""Between the first seeds of the prompts, so that none is drawn twice."""
GAIN, OVER_BEST, FREE_GAIN, MOST_COST = 0.08, 0.02, 0.05, 1.2
SHEET = Path(__file__).with_name("sheets") / "refine.png"
Judged = Callable[[Image.Image], float]


@dataclass
class Compared:
    """The verdicts on some prompts, one of each prompt and way of drawing.

    Attributes:
        single: on the first picture.
        plain: on the same without variety, where it was drawn.
        best: on the best of eight.
        refined: on the refinement.
        pictures: drawn for each refinement.
        drawing: seconds for the eight pictures, of all prompts.
        refining: seconds for the refinements, and the pictures that took them.
    """

    single: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    refined: list[float] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    drawing: float = 0.0
    refining: float = 0.0
    shown: list[tuple[Image.Image, Image.Image, str]] = field(default_factory=list)

    def add(
        self, refiner: Refiner, prompt: str, seed: int, judged: Judged, **options: Any
    ) -> Refinement:
        """Draw a prompt in the three ways."""
        start = time.perf_counter()
        eight = refiner.generator.generate(prompt, n=BUDGET, seed=seed, **options)
        self.drawing += time.perf_counter() - start
        scores = refiner.scorer.totals(prompt, [picture.image for picture in eight])
        best = eight[int(np.argmax(scores))]
        start = time.perf_counter()
        found = refiner.refine(prompt, budget=BUDGET, seed=seed, **options)
        self.refining += time.perf_counter() - start
        self.single.append(judged(eight[0].image))
        self.best.append(judged(best.image))
        self.refined.append(judged(found.picture.image))
        self.plain += [judged(a.picture.image) for a in found.attempts if a.what == "variety 0"][:1]
        self.pictures.append(len(found.attempts))
        self.shown.append((eight[0].image, found.picture.image, prompt))
        return found

    def figures(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The shares of each way, and their differences."""
        ways = {"single": self.single, "variety 0 alone": self.plain,
                f"best of {BUDGET}": self.best, f"refine {BUDGET}": self.refined}  # fmt: skip
        for way, verdicts in ways.items():
            if verdicts:
                share = share_of(fmean(verdicts), len(verdicts))
                low, high = share.interval
                yield f"{name}: {way}", {
                    "value": share.value, "low": low, "high": high, "better": "higher"}  # fmt: skip
        yield f"{name}: refine over single", _difference(self.refined, self.single)
        yield f"{name}: refine over best of {BUDGET}", _difference(self.refined, self.best)
        yield f"{name}: best of {BUDGET} over single", _difference(self.best, self.single)
        yield f"{name}: pictures of a refinement", {
            "value": fmean(self.pictures), "better": "lower"}  # fmt: skip


def _difference(one: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """The mean difference of verdicts on the same prompts, and its interval over the prompts."""
    rng, apart = np.random.default_rng(0), np.subtract(one, other)
    means = rng.choice(apart, (2000, len(apart))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return {"value": float(apart.mean()), "low": low, "high": high, "better": "higher"}


def composition(refiner: Refiner) -> Compared:
    """Held-out prompts of composition."""
    judge, found = load_detector(), Compared()
    sets = [style for style in refiner.generator.styles if style in icons().styles]
    held = [
        (number, prompt, style)
        for number, (prompt, style) in enumerate(zip(scene_prompts(), cycle(sets), strict=False))
        if prompt.held_out
    ]
    for number, prompt, style in held[::EVERY]:
        found.add(refiner, prompt.texts["en"], number % SEEDS + APART * number,
                  _scene_judge(judge, prompt.scene), style=style)  # fmt: skip
    return found


def _scene_judge(judge: Any, scene: Scene) -> Judged:
    def judged(image: Image.Image) -> float:
        (seen,) = judge.detect(to_tensor(np.asarray(on_white(image))[None]))
        return float(shows(scene, seen))

    return judged


def _items_judge(judge: Any, scene: Scene) -> Judged:
    """The share of the items that are seen, for a model that draws few whole scenes right."""

    def judged(image: Image.Image) -> float:
        (seen,) = judge.detect(to_tensor(np.asarray(on_white(image))[None]))
        return fmean(
            any(each.thing == item.thing and item.colour in (None, each.colour) for each in seen)
            for item in scene.items
        )

    return judged


def free(refiner: Refiner) -> Compared:
    """The first free prompts whose things the icon store shows."""
    judge, found = load_judge(), Compared()
    drawings = NamedDrawings(icons())
    gallery = drawing_gallery(drawings, judge)
    prompts = [(i, p, [t for t in p.things if drawings.showing(t)])
               for i, p in enumerate(read_prompts())]  # fmt: skip
    for number, prompt, things in [each for each in prompts if each[2]][:FREE]:
        search = ThingSearch(gallery, judge, [
            Thing(drawings.showing(names), drawings.like(names)) for names in things
        ])  # fmt: skip

        def judged(image: Image.Image, search: ThingSearch = search) -> float:
            seen = search.look(to_tensor(np.asarray(on_white(image))[None])).seen
            return float(seen.double().mean())

        found.add(refiner, prompt.text, APART * number, judged)
    return found


def flow(scorer: Any) -> Compared:
    """Scenes that a small flow did not learn from."""
    refiner, judge, found = Refiner(explain.trained("flow"), scorer), load_detector(), Compared()
    things = {thing: list(explain.COLOURS) for thing in explain.FEW}
    for number in range(FLOW):
        scene = plan(17, number, things, task=explain.TASKS[number % len(explain.TASKS)])
        found.add(refiner, english(scene)[0], APART * number, _items_judge(judge, scene))
    return found


def run() -> dict[str, Any]:
    """Measure the shipped model and a flow."""
    warnings.simplefilter("ignore", PromptWarning)
    generator: Generator = load(threads=1)
    refiner = Refiner(generator)
    refiner.refine("a cat", budget=2, seed=0)  # what is loaded once
    figures: dict[str, Any] = {}
    held = composition(refiner)
    figures |= held.figures("composition held out")
    figures["composition held out: refine over single"]["goal"] = GAIN
    figures[f"composition held out: refine over best of {BUDGET}"]["goal"] = OVER_BEST
    figures |= {"cost of a refinement, in 8 single pictures": {
        "value": held.refining / held.drawing, "goal": MOST_COST, "better": "lower"}}  # fmt: skip
    per = held.refining / sum(held.pictures) / (held.drawing / BUDGET / len(held.pictures))
    figures["cost of a picture of a refinement, in single pictures"] = {
        "value": per, "goal": MOST_COST, "better": "lower"}  # fmt: skip
    open_prompts = free(refiner)
    figures |= open_prompts.figures("free prompts")
    figures["free prompts: refine over single"]["goal"] = FREE_GAIN
    figures |= flow(refiner.scorer).figures("flow")
    SHEET.parent.mkdir(exist_ok=True)
    pairs = held.shown[:: max(1, len(held.shown) // 12)][:12]
    captions = [words for _, _, text in pairs for words in (text, "refined")]
    grid([image for one, other, _ in pairs for image in (one, other)], columns=8,
         captions=captions).quantize(128).save(SHEET)  # fmt: skip
    return {
        "headline": "composition held out: refine over single",
        "figures": figures,
        "model": generator.name, "model_hash": generator.hash,
        "judges": [load_detector().fingerprint, load_judge().fingerprint],
        "prompts": [scene_prompts_hash(), prompts_hash(read_prompts())],
        "counts": {"composition": len(held.single), "free": len(open_prompts.single), "flow": FLOW},
    }  # fmt: skip
