"""A scene whose things are each the best of several drawings, put together.

A model that draws whole pictures often loses a thing of several, or mixes up their colours, while
it draws each of them well alone. So some scenes are begun whose things are drawn one by one, the
drawings of each thing are compared, after some network evaluations where the model has previews
(:mod:`limner.improve.screening`), and one scene is drawn of the best: its request names their seeds
(``thing_seeds``). For diffusion models drawing the things of a prompt apart is known from
Liu et al. 2022 ("Compositional visual generation with composable diffusion models") and, part by
part on one canvas, from Bar-Tal et al. 2023 ("MultiDiffusion").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.generation.generator import Generator
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.improve.scoring import Scorer
from limner.improve.screening import compared_after
from limner.models.image_model import ImageModel
from limner.models.settings import Settings

MOST_BEGUN = 16
"""Drawings of each thing that are compared at most."""
_WHITE, _MOSTLY = 225, 0.7
"""Least channel of a background that a thing can be cut out of, and of how much of the border."""


@dataclass(frozen=True)
class Composition:
    """How many drawings of each thing a scene is chosen from.

    Attributes:
        drawings: that one scene takes.
        begun: scenes whose things are compared; 1 where nothing is.
        after: network evaluations after which they are.
        evaluations: that a finished drawing takes.
    """

    drawings: int
    begun: int
    after: int
    evaluations: int

    @property
    def cost(self) -> float:
        """Of all network evaluations, in finished drawings."""
        compared = self.begun * self.after / self.evaluations if self.begun > 1 else 0.0
        return self.drawings * (compared + 1)


def composes_anew(generator: Generator, request: DrawRequest) -> bool:
    """Whether a request can be drawn as a scene of single things, and is not by itself.

    A model that keeps its training drawings composes anyway, and draws each thing right.
    """
    settings = request.settings
    return (
        settings.scenes is None
        and settings.thing_seeds is None
        and settings.reference is None
        and not generator.info.scenes
        and not generator.model.draws_training_pictures
    )


def composition(
    drawings: int, pictures: float, model: ImageModel, settings: Settings
) -> Composition | None:
    """What so many pictures' network evaluations are spent on; None where they are too few.

    Args:
        drawings: of one scene.
        pictures: whose evaluations there are.
        model: draws.
        settings: of all.
    """
    if pictures < drawings:
        return None
    evaluations = model.predicting_evaluations(settings)
    after, whole = (1, 1) if evaluations is None else (compared_after(evaluations), evaluations)
    begun = int((pictures - drawings) * whole) // (drawings * after)
    return Composition(drawings, max(1, min(MOST_BEGUN, begun)), after, whole)


def best_seeds(scorer: Scorer, jobs: Sequence[Job], drawn: Sequence[Sequence[Image.Image]]) -> str:
    """The seeds by which each thing was drawn best, as ``thing_seeds`` says them.

    Args:
        scorer: compares the drawings of each thing with the words that it was drawn from.
        jobs: scenes of the same things by other seeds.
        drawn: of each scene its things, which may be previews.

    Returns:
        Empty where a thing was never drawn on a white background, which it could be cut out of.
    """
    found = []
    for number, words in enumerate(jobs[0].composed_of):
        images = [things[number] for things in drawn]
        totals = scorer.totals(words, images)
        cut = [i for i, image in enumerate(images) if _is_on_white(np.asarray(image))]
        if not cut:
            return ""
        found.append(jobs[max(cut, key=totals.__getitem__)].request.seed)
    return ",".join(map(str, found))


def can_be_cut_out(job: Job) -> bool:
    """Whether all things of a scene that was drawn are on white."""
    return job.placed is not None and all(map(_is_on_white, job.placed.pixels))


def _is_on_white(pixels: NDArray[np.uint8]) -> bool:
    """Whether most of the border of ``(H, W, 3)`` is nearly white."""
    least = pixels.min(-1)
    border = np.concatenate([least[0], least[-1], least[1:-1, 0], least[1:-1, -1]])
    return float((border >= _WHITE).mean()) >= _MOSTLY
