"""What the benchmarks of refining share: three ways of drawing the same prompts, and free prompts.

Single pictures, the best of eight and refinements with a budget of eight, of the same prompts and
first seeds, judged by networks that the loop does not see. A single picture is each of the eight.
Three more figures say what can be reached. *True pictures*: real drawings put together, as the
suites ``composition`` and ``prompts`` have them. *The judge's own choice*: the best of the same
eight, if the judge chose. *Share of the possible gain*: the gain over single pictures, of that of
the better of the two. How far the score agrees with the judge is the share of pairs of pictures of
one prompt, one of which the judge likes better, that the score orders in the same way; 0.5 is
chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from evaluate import icons, packed
from limner.datasets.icons import IconOptions
from limner.datasets.scenes import DrawnScene
from limner.evaluation.free_prompts import read_prompts
from limner.evaluation.named_drawings import NamedDrawings
from limner.evaluation.parts.prompts import drawing_gallery
from limner.evaluation.true_pictures import TruePictures
from limner.improve.refine import Refiner
from limner.improve.refinement import Refinement
from limner.metrics.intervals import share_of
from limner.metrics.judge import load_judge
from limner.metrics.sightings import Thing, ThingSearch
from limner.vision.images import on_white
from limner.vision.pixels import to_tensor

BUDGET = 8
APART = 100_000
"""Between the first seeds of the prompts, so that none is drawn twice."""
GAIN, OVER_BEST, FREE_GAIN, MOST_COST = 0.08, 0.02, 0.05, 1.2
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

    @classmethod
    def joined(cls, shares: Sequence[Compared]) -> Compared:
        """All of several shares of the prompts."""
        found = cls()
        for each in fields(cls):
            first, *others = (getattr(share, each.name) for share in shares)
            setattr(found, each.name, sum(others, start=first))
        return found

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
