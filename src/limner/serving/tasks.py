"""Long-running tasks of the server: explaining a prompt, refining a picture.

A task is queued like a picture and executed by a model runner
(:mod:`limner.serving.model_runner`) with a model that is loaded there; it pauses after every
network evaluation, so that pictures are drawn in between.
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
from limner.serving.pausable_call import Pause

GetScorer = Callable[[], Scorer]
"""Returns the model runner's scorer, which is loaded on first use."""


class Task(Protocol):
    """A task to run with a model.

    Attributes:
        kind: a short name, for metrics.
        param: the request field that is named in the error if the task is refused.
    """

    kind: ClassVar[str]
    param: ClassVar[str]

    @property
    def request(self) -> DrawRequest:
        """The first picture to draw."""

    def run(self, generator: Generator, scorer: GetScorer, pause: Pause) -> Any:
        """Run the task.

        Args:
            generator: the model.
            scorer: returns the scorer of pictures.
            pause: called after every network evaluation.

        Raises:
            LimnerError: the task is refused.
        """


@dataclass(frozen=True)
class Explain:
    """Draw a prompt and explain the picture.

    Attributes:
        request: its prompt; no other field is used.
        maps: the kind of heat maps; None for the best one available.
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
        request: the first picture to draw.
        budget: maximal number of pictures.
        target: score at which to stop.
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
