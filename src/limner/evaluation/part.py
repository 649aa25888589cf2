"""The parts of an evaluation suite, and the options they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.evaluation.drawing import BATCH
from limner.evaluation.reference import Reference
from limner.evaluation.report import Figure, PartResult
from limner.generation.generator import Generator
from limner.generation.requests import DrawRequest, RefusedPromptError
from limner.metrics.features import FeatureNetwork, LastBatch, features_for, load_features
from limner.metrics.memorisation import pixels
from limner.modelinfo import ModelInfo
from limner.progress import Meter

if TYPE_CHECKING:
    from limner.evaluation.scene_prompts import ScenePrompt
    from limner.reading.captions import Captioner
    from limner.vision.aligner import Aligner

Advance = Callable[[float], Any]
"""Called with a number of finished pictures."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What to measure, and with what.

    Attributes:
        samples: pictures of the store's captions; None for the suite's own number.
        languages: of prompts and captions.
        seeds: pictures a prompt; None for 1 of concept recall, whose prompt i of seed s is drawn
            with seed ``1000 s + i``, and for 100 of bias.
        perturbed: prompts of robustness.
        also: further stores that the model was trained on, searched for memorised pictures too.
        holdout: real pictures of the same kind that the model was not trained on.
        features: spec of the feature network; ``auto`` for the shipped one that fits the store.
        aligner: judges whether prompts and pictures agree; None for none.
        scenes: training scenes that composition's baseline searches.
        scene_prompts: None for the frozen ones; figures of others compare with nothing.
        prompts: list of free prompts; None for limner's own.
        samples_dir: folder for the pictures of concept recall or free prompts, and their ranks or
            scores.
        device: where the feature network runs.
        command: written into the report.
    """

    samples: int | None = None
    languages: Sequence[str] = ("en", "zh")
    seeds: int | None = None
    perturbed: int = 100
    also: Sequence[Store] = ()
    holdout: Store | None = None
    features: str = "auto"
    aligner: Aligner | None = None
    scenes: Store | None = None
    scene_prompts: Sequence[ScenePrompt] | None = None
    prompts: Path | None = None
    samples_dir: Path | None = None
    device: str = "cpu"
    command: str = ""


@dataclass
class Subject:
    """The model that is measured.

    Attributes:
        path: its file.
        hash: first 16 hex digits of the file's SHA-256.
        info: the file's metadata.
        generator: draws with it; None for a model that does not draw.
        captioner: describes pictures with it; None for a model that does not.
    """

    path: Path
    hash: str
    info: ModelInfo
    generator: Generator | None = None
    captioner: Captioner | None = None

    @classmethod
    def of(cls, generator: Generator) -> Subject:
        """The subject of a generator that was loaded from a file."""
        return cls(Path(generator.source or "model"), generator.hash, generator.info, generator)


@dataclass
class EvaluationContext:
    """What all parts of one evaluation share.

    Attributes:
        subject: the model.
        store: real pictures.
        options: what to measure.
        samples: pictures of the store's captions.
        drawn: what was asked for of each picture of the store's captions, once drawn; prompts that
            the model refuses are left out.
        refused: those prompts.
    """

    subject: Subject
    store: Store
    options: EvaluationOptions
    samples: int
    drawn: list[DrawRequest] = field(default_factory=list)
    refused: list[RefusedPromptError] = field(default_factory=list)

    @property
    def generator(self) -> Generator:
        """Draws with the model.

        Raises:
            InapplicableError: the model does not draw.
        """
        if self.subject.generator is None:
            raise InapplicableError(f"a {self.subject.info.family} model draws no pictures")
        return self.subject.generator

    @cached_property
    def network(self) -> FeatureNetwork:
        """The feature network; it extracts features of the same batch only once."""
        spec = features_for(self.store, self.options.features)
        return LastBatch(load_features(spec, device=self.options.device))

    @cached_property
    def reference(self) -> Reference:
        """The real pictures that the model was trained on, as far as its file records it."""
        return Reference(
            self.store,
            self.network,
            holdout=self.options.holdout,
            samples=self.samples,
            selection=trained_selection(self.subject.info, self.store),
        )

    @cached_property
    def captioned(self) -> tuple[list[int], list[str]]:
        """Pictures of the store and their captions, which are the prompts that are drawn."""
        return self.reference.captioned(self.samples)

    @property
    def prompts(self) -> list[str]:
        """The captions to draw; picture i is drawn from prompt i with seed i."""
        return self.captioned[1]

    def real_pairs(self, count: int) -> Iterator[tuple[Tensor, list[str]]]:
        """The store's own pictures for the first ``count`` prompts, in batches, without repeats."""
        rows, prompts = self.captioned
        last = min(count, len(set(rows)))  # from there on they repeat
        for start in range(0, last, BATCH):
            some = slice(start, min(start + BATCH, last))
            yield pixels(self.store, np.array(rows[some])), prompts[some]

    def refusals(self) -> list[str]:
        """A sentence on the captions that were refused, if there were any."""
        total = len(self.refused) + len(self.drawn)
        return [
            f"{len(self.refused)} of {total:,} captions were refused and not drawn; the first: "
            f"{first}"
            for first in self.refused[:1]
        ]


class InapplicableError(Exception):
    """A part has nothing to measure here; its message says why."""


class Part(ABC):
    """One thing that is measured.

    The constructor takes the :class:`EvaluationContext` and raises :class:`InapplicableError` where
    there is nothing to measure. ``update`` is given the pictures of the store's captions, in their
    order; then ``finish`` is called once.

    Attributes:
        name: of the part, and of the suite that measures it alone.
        title: for people.
        samples: pictures of the store's captions that it wants when measured alone; 0 for none.
        options: names of the :class:`EvaluationOptions` it depends on.
        draws: whether it measures pictures that the model draws.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    samples: ClassVar[int] = 0
    options: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = True

    def __init__(self, evaluation: EvaluationContext) -> None:
        self.evaluation = evaluation
        if self.draws:
            _ = evaluation.generator  # a model that does not draw is refused

    def update(self, images: Tensor, captions: Sequence[str]) -> None:  # noqa: B027
        """Take in B pictures, ``(B, 3, H, W)`` in [-1, 1], and the captions they show."""

    @abstractmethod
    def finish(self, meter: Meter) -> PartResult:
        """What was found.

        Raises:
            LimnerError: it could not be measured.
        """

    def result(
        self, description: str, figures: Iterable[Figure], headline: str, **more: Any
    ) -> PartResult:
        """The result of this part; the arguments are those of :class:`PartResult`."""
        return PartResult(
            name=self.name, title=self.title, description=description, figures=tuple(figures),
            headline=headline, **more,
        )  # fmt: skip


def recorded_selection(info: ModelInfo) -> Selection:
    """The filters and languages that a model was trained with, as its file records them."""
    data = info.training.get("recipe", {}).get("data", {})
    return Selection(data.get("filters", {}), data.get("languages", []))


def trained_selection(info: ModelInfo, store: Store) -> Selection:
    """The part of a store that a model was trained on; all of it where the file has no filters."""
    found = recorded_selection(info)
    return found if found and len(found.rows(store)) else Selection()
