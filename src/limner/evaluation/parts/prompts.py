"""Free prompts: does the picture show the things asked for, and is it readable?

Each prompt is drawn once. *Things found*: the icon judge, which took no part in training the
generator, looks for each wanted thing anywhere in the picture among all concepts of the store.
*Readable*: the picture's best part is as near to some real drawing, and its edges are as sharp, as
those of real drawings of another style.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from limner.errors import DataError
from limner.evaluation.drawing import BATCH, draw_batches
from limner.evaluation.free_prompts import FreePrompt, prompts_hash, read_prompts
from limner.evaluation.named_drawings import NamedDrawings
from limner.evaluation.part import EvaluationContext, InapplicableError, Part
from limner.evaluation.real_features import cached
from limner.evaluation.report import ContactSheet, Figure, PartResult, PictureScore, share_figure
from limner.evaluation.sheets import as_png
from limner.evaluation.true_pictures import TruePictures
from limner.files import write_json
from limner.generation.files import write_image
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.generation.sheets import grid
from limner.metrics.intervals import Share, share_of
from limner.metrics.judge import Judge, load_judge
from limner.metrics.memorisation import pixels
from limner.metrics.sightings import DrawingGallery, Sightings, Thing, ThingSearch, joined
from limner.progress import Meter
from limner.vision.pixels import to_images, to_tensor

SHUFFLES = 5
ON_SHEET = 100
_CELL = 96
_COLOURS = 128
_MISSED = 0.025
"""Share of true pictures that are less near to a real drawing than a readable picture must be; as
many are less sharp."""
_SOME = 0.1
"""Least share of the things asked for that the store must know."""
_BLURRED, _BOX = 128, 3
"""True pictures of the lower bound of what is readable, and by how many pixels they are blurred."""
_ALL = "all"


@dataclass(frozen=True)
class _Least:
    """Thresholds of a readable picture: similarity to some drawing, and edge sharpness."""

    nearest: float
    sharpness: float


@dataclass(frozen=True)
class _Looked:
    """The things detected in one picture per prompt.

    Attributes:
        rows: numbers of the prompts.
        sightings: in their pictures.
    """

    rows: list[int]
    sightings: Sightings

    def found(self, wanted: Sequence[Sequence[int]]) -> dict[int, float]:
        """Share of the wanted things that is seen, of each prompt that wants any."""
        return {
            row: self._share(at, wanted[row]) for at, row in enumerate(self.rows) if wanted[row]
        }

    def shuffled(self, wanted: Sequence[Sequence[int]]) -> dict[int, float]:
        """The same for the things of other prompts, the mean of a few shuffles."""
        places = [at for at, row in enumerate(self.rows) if wanted[row]]
        shares: dict[int, list[float]] = {}
        for seed in range(SHUFFLES):
            order = np.random.default_rng([seed, 5]).permutation(places).tolist()
            for here, there in zip(order, [*order[1:], *order[:1]], strict=True):
                row = self.rows[here]
                other = [each for each in wanted[self.rows[there]] if each not in wanted[row]]
                if other:
                    shares.setdefault(row, []).append(self._share(here, other))
        return {row: fmean(each) for row, each in shares.items()}

    def readable(self, least: _Least) -> dict[int, float]:
        """1 for each readable picture, 0 for the others."""
        near = self.sightings.nearest >= least.nearest
        sharp = self.sightings.sharpness >= least.sharpness
        return dict(zip(self.rows, (near & sharp).double().tolist(), strict=True))

    def _share(self, at: int, things: Sequence[int]) -> float:
        return self.sightings.seen[at, list(things)].double().mean().item()


class PromptsPart(Part):
    """Whether pictures of free prompts show what was asked for, and are readable."""

    name = "prompts"
    title = "Free prompts"
    options = ("prompts", "holdout", "samples_dir")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        options = evaluation.options
        self._prompts = read_prompts(options.prompts)
        if options.holdout is None:
            raise InapplicableError(
                "it needs real drawings in a style that the model did not learn: make them with "
                "'limner data icons --sets openmoji' and name them with --holdout"
            )
        self._real = options.holdout
        self._drawings = NamedDrawings(evaluation.store)
        asked = list(dict.fromkeys(each for prompt in self._prompts for each in prompt.things))
        self._things = [names for names in asked if self._drawings.showing(names)]
        if len(self._things) < _SOME * len(asked):
            raise InapplicableError(
                f"the store {evaluation.store.name} shows {len(self._things)} of the {len(asked)} "
                "things that are asked for; name one of 'limner data icons' or 'limner data "
                "drawings'"
            )
        place = {names: number for number, names in enumerate(self._things)}
        self._wanted = [
            [place[names] for names in prompt.things if names in place] for prompt in self._prompts
        ]

    def finish(self, meter: Meter) -> PartResult:
        """Draw every prompt once, and look for its things."""
        prompts, folder = self._prompts, self.evaluation.options.samples_dir
        judge = load_judge()
        gallery = drawing_gallery(self._drawings, judge)
        search = ThingSearch(gallery, judge, [
            Thing(self._drawings.showing(names), self._drawings.like(names))
            for names in self._things
        ])  # fmt: skip
        true, least, bounds = self._own_true(search)
        if self.evaluation.options.prompts is not None:
            named = [[self._things[number] for number in row] for row in self._wanted]
            true = _look(search, self._true(named))
        kept: list[Image.Image] = []
        refused: list[RefusedPromptError] = []
        drawn = _look(search, self._drawn(refused, kept, meter))
        if not drawn.rows:
            raise DataError(f"the model refuses every prompt: {refused[0]}")
        figures = [*self._found(drawn, true), *_readable(prompts, drawn, least, bounds)]
        scores = tuple(self._scores(drawn, least))
        if folder is not None:
            rows = [score.model_dump(mode="json") for score in scores]
            write_json(folder / "prompts.json", rows, DataError)
        headline = next((f.key for f in figures if f.key == "en: things found"), figures[0].key)
        return self.result(
            "One picture a prompt. Things found: those asked for that are seen anywhere in it. "
            "Readable: its best part is as near to some real drawing, and its edges are as sharp, "
            "as those of true pictures in another style. Upper bound: true pictures of the things. "
            "Lower bound: shuffled prompts, and blurred pictures.",
            figures,
            headline,
            judge=f"judge {judge.fingerprint}",
            warnings=tuple(_warnings(refused, len(prompts))),
            protocol={
                "prompts": prompts_hash(prompts),
                "drawings": self.evaluation.store.fingerprint,
                "concepts": gallery.concepts,
                "another_style": self._real.fingerprint,
                "unknown_things": len({t for p in prompts for t in p.things}) - len(self._things),
                "least_similarity": round(least.nearest, 3),
                "least_sharpness": round(least.sharpness, 3),
            },
            pictures=scores,
            sheets=(_sheet(kept, [prompts[row] for row in drawn.rows[:ON_SHEET]]),),
        )

    def _own_true(self, search: ThingSearch) -> tuple[_Looked, _Least, tuple[float, float]]:
        """True pictures of limner's own prompts, and what readable pictures have, for any list.

        Returns:
            What is seen in them, the thresholds, and the shares of true and of blurred pictures
            that reach both.
        """
        batches = list(self._true([prompt.things for prompt in read_prompts()]))
        if not batches:
            raise DataError(f"the store {self._real.path} shows none of the things asked for")
        real = _look(search, batches)
        nearest, sharpness = real.sightings.nearest, real.sightings.sharpness
        least = _Least(nearest.quantile(_MISSED).item(), sharpness.quantile(_MISSED).item())
        some = ((_blurred(images), rows) for images, rows in batches[: _BLURRED // BATCH])
        upper, lower = (
            fmean(each.readable(least).values()) for each in (real, _look(search, some))
        )
        return real, least, (upper, lower)

    def _drawn(
        self, refused: list[RefusedPromptError], kept: list[Image.Image], meter: Meter
    ) -> Iterator[tuple[Tensor, list[int]]]:
        """The model's pictures, prompt i with seed i, and the numbers of their prompts."""
        requests = [DrawRequest(prompt.text, seed) for seed, prompt in enumerate(self._prompts)]
        folder = self.evaluation.options.samples_dir
        for images, drawn in draw_batches(self.evaluation.generator, requests, refused):
            pictures = to_images(images)
            kept += pictures[: ON_SHEET - len(kept)]
            if folder is not None:
                for picture, request in zip(pictures, drawn, strict=True):
                    record = {"prompt": request.prompt}
                    write_image(picture, folder / f"{request.seed:04}.png", record)
            meter.advance(len(drawn))
            yield images, [request.seed for request in drawn]

    def _true(
        self, wanted: Sequence[Sequence[Sequence[str]]]
    ) -> Iterator[tuple[Tensor, list[int]]]:
        """True pictures of some things each, of those that the other style draws."""
        true = TruePictures(self._real, self.evaluation.generator.model.config.size)
        drawn = ((row, true.draw(things, row)) for row, things in enumerate(wanted) if things)
        found = {row: picture for row, picture in drawn if picture is not None}
        rows = list(found)
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            yield to_tensor([found[row] for row in some]), some

    def _found(self, drawn: _Looked, true: _Looked) -> Iterator[Figure]:
        wanted = self._wanted
        scores = (drawn.found(wanted), true.found(wanted), drawn.shuffled(wanted))
        for group, rows in _groups(self._prompts, drawn.rows).items():
            found, upper, lower = ([each[row] for row in rows if row in each] for each in scores)
            if found:
                yield from _figures(
                    f"{group}: things found",
                    "share of the things asked for that are seen, the mean over prompts", found,
                    fmean(upper) if upper else None, fmean(lower) if lower else None,
                )  # fmt: skip

    def _scores(self, drawn: _Looked, least: _Least) -> Iterator[PictureScore]:
        readable = drawn.readable(least)
        for at, row in enumerate(drawn.rows):
            prompt, sightings = self._prompts[row], drawn.sightings
            yield PictureScore(
                prompt=prompt.text,
                seed=row,
                language=prompt.language,
                category=prompt.category,
                found={
                    "/".join(self._things[each]): bool(sightings.seen[at, each])
                    for each in self._wanted[row]
                },
                readable=bool(readable[row]),
                nearest=round(sightings.nearest[at].item(), 3),
                sharpness=round(sightings.sharpness[at].item(), 3),
            )


def drawing_gallery(drawings: NamedDrawings, judge: Judge) -> DrawingGallery:
    """Features of every named drawing of a store; they are cached."""
    store = drawings.store
    rows = np.flatnonzero(drawings.label >= 0)
    label = torch.from_numpy(drawings.label[rows])

    def extract() -> dict[str, Tensor]:
        plain, mirrored = [], []
        for start in range(0, len(rows), BATCH):
            images = pixels(store, rows[start : start + BATCH])
            plain.append(judge.features(images))
            mirrored.append(judge.features(images.flip(3)))
        return {"plain": torch.cat(plain), "mirrored": torch.cat(mirrored)}

    found = cached(f"views/{store.fingerprint}/{judge.fingerprint}", extract, len(rows))
    return DrawingGallery((found["plain"], found["mirrored"]), label, drawings.count)


def _groups(prompts: Sequence[FreePrompt], rows: Sequence[int]) -> dict[str, list[int]]:
    """Prompts by language and by category, the largest groups first, and all of them."""
    found: dict[str, list[int]] = {}
    for kind in ("language", "category"):
        some: dict[str, list[int]] = {}
        for row in rows:
            if name := getattr(prompts[row], kind):
                some.setdefault(name, []).append(row)
        found |= sorted(some.items(), key=lambda each: (-len(each[1]), each[0]))
    return found | {_ALL: list(rows)}


def _readable(
    prompts: Sequence[FreePrompt], drawn: _Looked, least: _Least, bounds: tuple[float, float]
) -> Iterator[Figure]:
    readable = drawn.readable(least)
    for group, rows in _groups(prompts, drawn.rows).items():
        yield from _figures(
            f"{group}: readable",
            "share of pictures as near to a real drawing, and as sharp, as true ones",
            [readable[row] for row in rows], *(bounds if group == _ALL else (None, None)),
        )  # fmt: skip


def _figures(
    key: str, description: str, scores: Sequence[float], upper: float | None, lower: float | None
) -> Iterator[Figure]:
    """A share, and the same over its upper bound; each score is that of one prompt."""
    share = share_of(fmean(scores), len(scores))
    yield share_figure(key, key, share, description, upper_bound=upper, lower_bound=lower)
    if upper:
        value, low, high = (end / upper for end in (share.value, *share.interval))
        over = f"{key} of upper bound"
        said = "the same over that of true pictures"
        yield share_figure(over, over, Share(value, low, high, share.count), said)


def _look(search: ThingSearch, stream: Iterable[tuple[Tensor, list[int]]]) -> _Looked:
    rows: list[int] = []
    looks: list[Sightings] = []
    for images, some in stream:
        rows += some
        looks.append(search.look(images))
    return _Looked(rows, joined(looks, len(search.things)))


def _blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, _BOX, 1, _BOX // 2, count_include_pad=False)


def _warnings(refused: Sequence[RefusedPromptError], count: int) -> Iterator[str]:
    if refused:
        yield f"{len(refused)} of {count:,} prompts were refused; the first: {refused[0]}"


def _sheet(pictures: Sequence[Image.Image], prompts: Sequence[FreePrompt]) -> ContactSheet:
    """The first pictures with their prompts, in few colours so that the file is small."""
    cells = [picture.resize((_CELL, _CELL), Image.Resampling.LANCZOS) for picture in pictures]
    sheet = grid(cells, captions=[_caption(prompt) for prompt in prompts])
    return ContactSheet(title="The first pictures", png=as_png(sheet.quantize(_COLOURS)))


def _caption(prompt: FreePrompt) -> str:
    """A prompt in plain Latin letters, which every machine can draw; else its things in English."""
    plain = unicodedata.normalize("NFKD", prompt.text).encode("ascii", "ignore").decode().strip()
    if any(sign.isalpha() for sign in plain):
        return plain
    return f"{prompt.language}: {', '.join(names[0] for names in prompt.things)}"
