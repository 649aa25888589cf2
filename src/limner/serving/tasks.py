"""What is done with a model beside single pictures: prompts explained, pictures refined.

A task is queued like a picture and done by who draws (:mod:`limner.serving.drawing`), with the
model that is loaded there; it goes on by turns, a network evaluation at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from limner.generation.explaining import Explanation, MapSource, explain
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest
from limner.improve.refine import Refiner
from limner.improve.refinement import Refinement
from limner.improve.scoring import Scorer
from limner.serving.turns import Pause

GetScorer = Callable[[], Scorer]
"""The scorer of whoever does tasks, loaded when it is first needed."""


class Task(Protocol):
    """Something to be done with a model.

    Attributes:
        kind: a short name, for metrics.
        param: the field of its request that is wrong where it is refused.
    """

    kind: ClassVar[str]
    param: ClassVar[str]

    @property
    def request(self) -> DrawRequest:
        """What is drawn first."""

    def run(self, generator: Generator, scorer: GetScorer, pause: Pause) -> Any:
        """Do it.

        Args:
            generator: draws.
            scorer: scores.
            pause: is called after every network evaluation.

        Raises:
            LimnerError: it is refused.
        """


@dataclass(frozen=True)
class Explain:
    """Draw a prompt and explain the picture.

    Attributes:
        request: a prompt alone.
        maps: where they come from; None for the best that there is.
    """

    kind: ClassVar[str] = "explanation"
    param: ClassVar[str] = "maps"
    request: DrawRequest
    maps: MapSource | None = None

    def run(self, generator: Generator, scorer: GetScorer, pause: Pause) -> Explanation:
        """See :func:`limner.generation.explaining.explain`."""
        return explain(
            generator, self.request, aligner=scorer().aligner, source=self.maps, on_progress=pause
        )


@dataclass(frozen=True)
class Refine:
    """Draw a prompt until a picture shows it.

    Attributes:
        request: what is drawn first.
        budget: pictures at most.
        target: score from which on a picture is good enough.
    """

    kind: ClassVar[str] = "refinement"
    param: ClassVar[str] = "prompt"
    request: DrawRequest
    budget: int
    target: float

    def run(self, generator: Generator, scorer: GetScorer, pause: Pause) -> Refinement:
        """See :meth:`limner.improve.refine.Refiner.refine`."""
        return Refiner(generator, scorer()).refine(
            self.request.prompt, budget=self.budget, target=self.target, seed=self.request.seed,
            on_progress=pause, **self.request.settings.given,
        )  # fmt: skip
