"""Whether refining helps at equal budget, by judges that the loop does not see.

Single pictures, the best of eight and refinements with a budget of eight, of the same prompts and
first seeds: held-out prompts of composition judged by the scene detector, free prompts by the icon
judge, and a flow's pictures, of which the items that the scene detector sees are counted: of
held-out prompts of composition, and free prompts, by the flow that ``LIMNER_FLOW`` names
(``recipes/flow-scenes-64.yaml``), else of scenes by a small one (that of ``explain.py``, trained
where there is none). A single picture is each of the eight. How the loop works was chosen on the
trainable prompts of composition, on the free prompts of ``refine_development.tsv`` beside this
file, which ask for other things than the 120 that are measured, and on other scenes of the flows,
none of which are drawn here.

Three figures say what can be reached. *True pictures*: real drawings put together, as the suites
``composition`` and ``prompts`` have them. *The judge's own choice*: the best of the same eight, if
the judge chose. *Share of the possible gain*: the gain over single pictures, of that of the better
of the two. How far the score agrees with the judge is the share of pairs of pictures of one prompt,
one of which the judge likes better, that the score orders in the same way; 0.5 is chance.

``LIMNER_ICONS`` names a packed store of icons. Twelve refinements go to
``benchmarks/sheets/refine.png``, to be looked at.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations, cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import explain
from evaluate import icons, packed
from limner.datasets.icons import IconOptions
from limner.datasets.scenes import Composer, DrawnScene
from limner.evaluation.free_prompts import prompts_hash, read_prompts
from limner.evaluation.named_drawings import NamedDrawings
from limner.evaluation.parts.prompts import drawing_gallery
from limner.evaluation.scene_prompts import SEEDS, scene_prompts, scene_prompts_hash
from limner.evaluation.true_pictures import TruePictures
from limner.generation.generator import Generator, load
from limner.generation.prompts import PromptWarning
from limner.generation.sheets import grid
from limner.improve.refine import Refiner
from limner.improve.refinement import Refinement
from limner.metrics.composition import shows
from limner.metrics.detector import SIZE as JUDGED
from limner.metrics.detector import load_detector
from limner.metrics.intervals import share_of
from limner.metrics.judge import load_judge
from limner.metrics.sightings import Thing, ThingSearch
from limner.scenes.scene import Scene, plan
from limner.scenes.wording import english
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

BUDGET = 8
EVERY = 3
"""Of the held-out prompts of composition one in so many is drawn, of every task."""
FREE, FREE_FLOW, FLOW = 120, 40, 120
OF_THE_FLOW = 3
"""Of the held-out prompts one in so many is drawn by the flow of a GPU."""
APART = 100_000
"""Between the first seeds of the prompts, so that none is drawn twice."""
GAIN, OVER_BEST, FREE_GAIN, MOST_COST = 0.08, 0.02, 0.05, 1.2
SHEET = Path(__file__).with_name("sheets") / "refine.png"
Judged = Callable[[Image.Image], float]


@dataclass
class Compared:
    """The verdicts on some prompts, one of each prompt and way of drawing.

    Attributes:
        single: the mean of those on eight pictures.
        chosen: on the one of the eight that the judge likes best.
        true: on a true picture, where there is one.
        agreed: whether the score orders a pair of the eight as the judge does; 0.5 for neither.
        plain: on the first without variety, of a model that keeps its training drawings.
        best: on the best of eight.
        refined: on the refinement.
        pictures: drawn for each refinement.
        drawing: seconds for the eight pictures, of all prompts.
        refining: seconds for the refinements, and the pictures that took them.
    """

    single: list[float] = field(default_factory=list)
    chosen: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    agreed: list[float] = field(default_factory=list)
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
        start = time.perf_counter()
        found = refiner.refine(prompt, budget=BUDGET, seed=seed, **options)
        self.refining += time.perf_counter() - start
        verdicts = [judged(picture.image) for picture in eight]
        self.single.append(fmean(verdicts))
        self.chosen.append(max(verdicts))
        self.agreed += _agreed(scores, verdicts)
        self.best.append(verdicts[int(np.argmax(scores))])
        self.refined.append(judged(found.picture.image))
        if refiner.generator.model.draws_training_pictures:
            plain = refiner.generator.generate(prompt, seed=seed, variety=0.0, **options)
            self.plain.append(judged(plain[0].image))
        self.pictures.append(len(found.attempts))
        self.shown.append((eight[0].image, found.picture.image, prompt))
        return found

    def add_true(self, drawing: DrawnScene | None, judged: Judged) -> None:
        """The true picture of a scene."""
        if drawing is not None:
            self.true.append(judged(Image.fromarray(drawing.pixels)))

    @property
    def whole_cost(self) -> float:
        """Of a refinement, in as many single pictures as its budget."""
        return self.refining / self.drawing

    @property
    def cost(self) -> float:
        """Of a picture of a refinement, in single pictures."""
        one = self.drawing / BUDGET / len(self.pictures)
        return self.refining / sum(self.pictures) / one

    def figures(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The shares of each way, and their differences."""
        ways = {"single": self.single, "variety 0 alone": self.plain,
                f"best of {BUDGET}": self.best, f"refine {BUDGET}": self.refined,
                "true pictures": self.true, "the judge's own choice": self.chosen}  # fmt: skip
        for way, verdicts in ways.items():
            if verdicts:
                share = share_of(fmean(verdicts), len(verdicts))
                low, high = share.interval
                yield f"{name}: {way}", {
                    "value": share.value, "low": low, "high": high, "better": "higher"}  # fmt: skip
        yield f"{name}: refine over single", _difference(self.refined, self.single)
        yield f"{name}: refine over best of {BUDGET}", _difference(self.refined, self.best)
        yield f"{name}: best of {BUDGET} over single", _difference(self.best, self.single)
        possible = max(fmean(some) for some in (self.true, self.chosen) if some)
        gain, most = (each - fmean(self.single) for each in (fmean(self.refined), possible))
        if most > 0:
            yield f"{name}: share of the possible gain", {"value": gain / most, "better": "higher"}
        if self.agreed:
            yield f"{name}: the score agrees with the judge", {
                "value": fmean(self.agreed), "better": "higher"}  # fmt: skip
        yield f"{name}: pictures of a refinement", {
            "value": fmean(self.pictures), "better": "lower"}  # fmt: skip


def _agreed(scores: Sequence[float], verdicts: Sequence[float]) -> list[float]:
    """Of the pairs of pictures that the judge tells apart."""
    pairs = combinations(zip(scores, verdicts, strict=True), 2)
    return [float(np.sign(a - b) * np.sign(v - w) + 1) / 2 for (a, v), (b, w) in pairs if v != w]


def _difference(one: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """The mean difference of verdicts on the same prompts, and its interval over the prompts."""
    rng, apart = np.random.default_rng(0), np.subtract(one, other)
    means = rng.choice(apart, (2000, len(apart))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return {"value": float(apart.mean()), "low": low, "high": high, "better": "higher"}


def composition(refiner: Refiner) -> Compared:
    """Held-out prompts of composition."""
    judge, found, composer = load_detector(), Compared(), Composer(icons(), JUDGED)
    sets = [style for style in refiner.generator.styles if style in icons().styles]
    held = [
        (number, prompt, style)
        for number, (prompt, style) in enumerate(zip(scene_prompts(), cycle(sets), strict=False))
        if prompt.held_out
    ]
    for number, prompt, style in held[::EVERY]:
        judged = _scene_judge(judge, prompt.scene)
        found.add(refiner, prompt.texts["en"], number % SEEDS + APART * number,
                  judged, style=style)  # fmt: skip
        found.add_true(composer.draw(prompt.scene), judged)
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


def free(refiner: Refiner, most: int) -> Compared:
    """The first free prompts whose things the icon store shows."""
    judge, found = load_judge(), Compared()
    drawings = NamedDrawings(icons())
    unseen = packed("LIMNER_OPENMOJI", "openmoji-64", IconOptions(sets=("openmoji",)))
    true = TruePictures(unseen, refiner.generator.model.config.size)
    gallery = drawing_gallery(drawings, judge)
    prompts = [(i, p, [t for t in p.things if drawings.showing(t)])
               for i, p in enumerate(read_prompts())]  # fmt: skip
    for number, prompt, things in [each for each in prompts if each[2]][:most]:
        search = ThingSearch(gallery, judge, [
            Thing(drawings.showing(names), drawings.like(names)) for names in things
        ])  # fmt: skip

        def judged(image: Image.Image, search: ThingSearch = search) -> float:
            seen = search.look(to_tensor(np.asarray(on_white(image))[None])).seen
            return float(seen.double().mean())

        found.add(refiner, prompt.text, APART * number, judged)
        pixels = true.draw(prompt.things, number)
        if pixels is not None:
            found.true.append(judged(Image.fromarray(pixels)))
    return found


def flow(scorer: Any) -> Compared:
    """A flow's pictures of scenes that it did not learn from."""
    composer = Composer(icons(), JUDGED)
    if trained := os.environ.get("LIMNER_FLOW"):
        generator, style = load(trained, threads=1), None
        held = [prompt for prompt in scene_prompts() if prompt.held_out]
        scenes = [(prompt.texts["en"], prompt.scene) for prompt in held[::OF_THE_FLOW]]
    else:
        generator, style = explain.trained("flow"), explain.STYLE
        things = {thing: list(explain.COLOURS) for thing in explain.FEW}
        plans = (
            plan(17, number, things, task=explain.TASKS[number % len(explain.TASKS)])
            for number in range(FLOW)
        )
        white = (replace(scene, background=None) for scene in plans)  # as it learned
        scenes = [(english(scene)[0], scene) for scene in white]
    refiner, judge, found = Refiner(generator, scorer), load_detector(), Compared()
    for number, (text, scene) in enumerate(scenes):
        judged = _items_judge(judge, scene)
        found.add(refiner, text, APART * number, judged)
        found.add_true(composer.draw(scene, style), judged)
    return found


def measured(what: str) -> tuple[Compared | None, str, str]:
    """One of the comparisons, and the name and hash of the model; None for one that cannot be."""
    warnings.simplefilter("ignore", PromptWarning)
    generator: Generator = load(threads=1)
    refiner = Refiner(generator)
    refiner.refine("a cat", budget=2, seed=0)  # what is loaded once
    found: Compared | None = None
    if what == "composition":
        found = composition(refiner)
    elif what == "free":
        found = free(refiner, FREE)
    elif what == "flow":
        found = flow(refiner.scorer)
    elif trained := os.environ.get("LIMNER_FLOW"):
        found = free(Refiner(load(trained, threads=1), refiner.scorer), FREE_FLOW)
    return found, generator.name, generator.hash


def run() -> dict[str, Any]:
    """Measure the shipped model and a flow, on two cores."""
    if not os.environ.get("LIMNER_FLOW"):
        explain.trained("flow")
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # the longest first
        (open_prompts, *_), (few, *_), (few_open, *_), (held, name, digest) = pool.map(
            measured, ("free", "flow", "free of the flow", "composition")
        )
    assert open_prompts and few and held
    figures: dict[str, Any] = {}
    figures |= held.figures("composition held out")
    figures["composition held out: refine over single"]["goal"] = GAIN
    figures[f"composition held out: refine over best of {BUDGET}"]["goal"] = OVER_BEST
    figures |= {"cost of a refinement, in 8 single pictures": {
        "value": held.whole_cost, "goal": MOST_COST, "better": "lower"}}  # fmt: skip
    figures["cost of a picture of a refinement, in single pictures"] = {
        "value": held.cost, "goal": MOST_COST, "better": "lower"}  # fmt: skip
    figures |= open_prompts.figures("free prompts")
    figures["free prompts: cost of a picture of a refinement, in single pictures"] = {
        "value": open_prompts.cost, "better": "lower"}  # fmt: skip
    figures["free prompts: refine over single"]["goal"] = FREE_GAIN
    figures |= few.figures("flow")
    figures["flow: refine over single"]["goal"] = GAIN
    figures[f"flow: refine over best of {BUDGET}"]["goal"] = OVER_BEST
    figures["flow: cost of a refinement, in 8 single pictures"] = {
        "value": few.whole_cost, "goal": MOST_COST, "better": "lower"}  # fmt: skip
    if few_open is not None:
        figures |= few_open.figures("flow, free prompts")
        figures["flow, free prompts: refine over single"]["goal"] = FREE_GAIN
    SHEET.parent.mkdir(exist_ok=True)
    pairs = [*held.shown[::15][:8], *few.shown[::15][:4]]
    captions = [words for _, _, text in pairs for words in (text, "refined")]
    grid([image.resize((256, 256)) for one, other, _ in pairs for image in (one, other)],
         columns=8, captions=captions).quantize(128).save(SHEET)  # fmt: skip
    return {
        "headline": "composition held out: refine over single",
        "figures": figures,
        "model": name, "model_hash": digest,
        "judges": [load_detector().fingerprint, load_judge().fingerprint],
        "prompts": [scene_prompts_hash(), prompts_hash(read_prompts())],
        "counts": {"composition": len(held.single), "free": len(open_prompts.single),
                   "flow": len(few.single),
                   "flow, free prompts": len(few_open.single) if few_open else 0},
    }  # fmt: skip
