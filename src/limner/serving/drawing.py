"""What draws: the models that are loaded in one thread or process, and what is done with each.

The batcher hands it work and takes its news, a network evaluation at a time; so it is the same
thing in the server's own process and in another one (:mod:`limner.serving.workers`).
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from PIL import Image

from limner.errors import LimnerError, ModelFileError, UsageError
from limner.generation.generator import Generator, load
from limner.generation.picture import Picture
from limner.generation.references import SeenReference
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.generation.session import Drawing, DrawingSession
from limner.improve.scoring import Scorer, load_scorer
from limner.models.settings import Capability
from limner.serving.errors import ApiError, of_limner
from limner.serving.metrics import Stage
from limner.serving.tasks import Task
from limner.serving.turns import Turns

_log = logging.getLogger(__name__)
_LOAD_SECONDS = 0.05
"""That a step without drawings waits for a model that is being loaded."""

_PRELOADED, _NAMES_AT_ONCE = 256, 16
"""Names that are read when a model has been loaded, and how many at a time."""


@dataclass(frozen=True)
class ModelFile:
    """A model to load.

    Attributes:
        number: by which work names it.
        path: of the file, or the spec of a model of the hub; None for one in memory only.
        hash: of the file, as :attr:`limner.generation.generator.Generator.hash`.
    """

    number: int
    path: str | Path | None
    hash: str


@dataclass(frozen=True)
class Draw:
    """A picture to draw.

    Attributes:
        key: by which news names it.
        model: number of a model that is loaded.
        request: what is drawn.
        reference: what it is drawn after; None for nothing.
        partial_images: its previews.
        shown: previews that there have been already.
    """

    key: int
    model: int
    request: DrawRequest
    reference: SeenReference | None = None
    partial_images: int = 0
    shown: int = 0


@dataclass(frozen=True)
class Do:
    """A task to do.

    Attributes:
        key: by which news names it.
        model: number of a model that is loaded.
        task: to be done with it.
    """

    key: int
    model: int
    task: Task


@dataclass(frozen=True)
class Work:
    """What a drawer does next: what to begin and to leave, models to load and to unload."""

    draws: Sequence[Draw] = ()
    tasks: Sequence[Do] = ()
    drops: Sequence[int] = ()
    loads: Sequence[ModelFile] = ()
    unloads: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.draws or self.tasks or self.drops or self.loads or self.unloads)


@dataclass(frozen=True)
class Shown:
    """A preview of a picture: what the network predicts, and which preview it is, from 0."""

    key: int
    index: int
    image: Image.Image


@dataclass(frozen=True)
class Drawn:
    """A picture is finished."""

    key: int
    picture: Picture


@dataclass(frozen=True)
class Done:
    """A task is done."""

    key: int
    result: Any


@dataclass(frozen=True)
class Progressed:
    """A task has drawn so many more pictures."""

    key: int
    pictures: int


@dataclass(frozen=True)
class Refused:
    """A picture will not be drawn, or a task not be done."""

    key: int
    error: ApiError


@dataclass(frozen=True)
class Loaded:
    """A model can be drawn with; or why it cannot."""

    model: int
    why_not: str | None = None


@dataclass(frozen=True)
class Measured:
    """How long something took, and the rows of each network evaluation in it."""

    stage: Stage
    seconds: float
    rows: Sequence[int] = ()


News = Shown | Drawn | Done | Progressed | Refused | Loaded | Measured


@dataclass(eq=False)
class _Live:
    draw: Draw
    job: Job
    shown: int


@dataclass(eq=False)
class _Doing:
    task: Task
    turns: Turns[Any]
    told: int = 0


@dataclass(eq=False)
class _Model:
    """A model with what is being drawn of it."""

    generator: Generator
    session: DrawingSession = field(init=False)
    live: dict[Drawing, _Live] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = self.generator.session()


class Drawer:
    """Draws with the models that it is told to load; one thread calls it.

    Args:
        given: models in memory, by their number; still to be loaded by it.
        device: where models draw.
        threads: of the CPU.
        most_rows: of a model in one step, beyond the first tile.
        scorer: what tasks score by; None for one with the shipped aligner, loaded when it is
            first needed.
    """

    def __init__(
        self,
        given: Mapping[int, Generator] | None = None,
        *,
        device: str = "cpu",
        threads: int | None = None,
        most_rows: int = 16,
        scorer: Callable[[], Scorer] | None = None,
    ) -> None:
        self._given = dict(given or {})
        self._scorer = scorer or (lambda: self._own_scorer)
        self._doing: dict[int, _Doing] = {}
        self._device, self._threads, self._most_rows = device, threads, most_rows
        self._models: dict[int, _Model] = {}
        self._loader = ThreadPoolExecutor(1, "limner-loader")
        self._reader = ThreadPoolExecutor(1, "limner-preloader")
        self._closed = False
        self._loading: dict[Future[Generator], int] = {}

    def step(self, work: Work) -> list[News]:
        """Begin, leave, load and unload what is asked, and advance every drawing and task once.

        Models are loaded in a thread beside, while others draw; where nothing is drawn, a step
        waits a moment for them.
        """
        news: list[News] = []
        for key in work.drops:
            self._drop(key)
        for number in work.unloads:
            self._models.pop(number, None)
        if work.unloads:
            _release_memory()
        for file in work.loads:
            self._loading[self._loader.submit(self._load, file)] = file.number
        if self._loading:
            news += self._take_loaded()
        for number, model in self._models.items():
            draws = [draw for draw in work.draws if draw.model == number]
            try:
                if draws:
                    news += _admit(model, draws)
                if model.live:
                    news += _advance(model, self._most_rows)
            except Exception as error:
                _log.error("drawing failed", exc_info=error)
                keys = {draw.key for draw in draws} | {
                    live.draw.key for live in model.live.values()
                }
                settled = {each.key for each in news if isinstance(each, Drawn | Refused)}
                news += [Refused(key, _failure(error)) for key in keys - settled]
                self._models[number] = _Model(model.generator)
        for do in work.tasks:
            call = partial(do.task.run, self._models[do.model].generator, self._scorer)
            self._doing[do.key] = _Doing(do.task, Turns(call))
        for key in list(self._doing):
            news += self._do(key)
        return news

    def _do(self, key: int) -> Iterator[News]:
        """Give a task its turn."""
        doing = self._doing[key]
        turns, ended = doing.turns, doing.turns.turn()
        if int(turns.drawn) > doing.told:
            yield Progressed(key, int(turns.drawn) - doing.told)
            doing.told = int(turns.drawn)
        if not ended:
            return
        del self._doing[key]
        try:
            yield Done(key, turns.result)
        except UsageError as error:
            yield Refused(key, of_limner(error, doing.task.param))
        except Exception as error:
            if not isinstance(error, LimnerError):
                _log.error("%s failed", doing.task.kind, exc_info=error)
            yield Refused(key, _failure(error))

    def close(self) -> None:
        """End the threads that load and read ahead."""
        self._closed = True
        for key in list(self._doing):
            self._drop(key)
        for each in (self._loader, self._reader):
            each.shutdown(wait=False, cancel_futures=True)

    def _load(self, file: ModelFile) -> Generator:
        """A model that has drawn a picture."""
        generator = self._given.pop(file.number, None)
        if generator is None:
            generator = load(file.path, device=self._device, threads=self._threads)
        if generator.hash != file.hash:
            raise ModelFileError(f"{file.path} has changed since it was looked at; reload it")
        try:
            able = generator.model.capabilities
            generator.generate("a circle", seed=0, steps=1 if Capability.STEPS in able else None)
        except ModelFileError:
            raise
        except LimnerError as error:  # a model that knows no circle can draw all the same
            _log.warning("the first picture of %s failed: %s", generator.name, error)
        return generator

    def _take_loaded(self) -> list[News]:
        busy = self._doing or any(model.live for model in self._models.values())
        done, _ = wait(self._loading, 0 if busy else _LOAD_SECONDS, FIRST_COMPLETED)
        news: list[News] = []
        for future in done:
            number = self._loading.pop(future)
            error = future.exception()
            if error is None:
                self._models[number] = _Model(future.result())
                self._reader.submit(self._preload, number)
                news.append(Loaded(number))
            else:
                known = isinstance(error, LimnerError)
                _log.error("a model cannot be loaded: %s", error, exc_info=not known and error)
                news.append(Loaded(number, str(error)))
        return news

    def _preload(self, number: int) -> None:
        """Read the names that are asked for most, so that they are in the encoder's cache.

        A few at a time, until the model is unloaded.
        """
        names: list[str] | None = None
        while not self._closed and (model := self._models.get(number)):
            if names is None:
                names = model.generator.common_names(_PRELOADED)
            if not names:
                return
            some, names = names[:_NAMES_AT_ONCE], names[_NAMES_AT_ONCE:]
            model.generator.encoder.encode(some)

    @cached_property
    def _own_scorer(self) -> Scorer:
        return load_scorer(device=self._device)

    def _drop(self, key: int) -> None:
        doing = self._doing.pop(key, None)
        if doing is not None:
            doing.turns.drop()
        for model in self._models.values():
            for drawing, live in list(model.live.items()):
                if live.draw.key == key:
                    model.session.drop(drawing)
                    del model.live[drawing]


def _admit(model: _Model, draws: Sequence[Draw]) -> Iterator[News]:
    """Let pictures join at the next network evaluation."""
    began = time.perf_counter()
    jobs = model.generator.jobs([d.request for d in draws], [d.reference for d in draws])
    yield Measured("understanding", time.perf_counter() - began)
    for draw, job in zip(draws, jobs, strict=True):
        if isinstance(job, Job):
            model.live[job.drawing] = _Live(draw, job, draw.shown)
            model.session.add(job.drawing)
        else:
            yield Refused(draw.key, of_limner(job))


def _advance(model: _Model, most_rows: int) -> Iterator[News]:
    """One network evaluation: the pictures that it finishes, and previews of others."""
    began = time.perf_counter()
    finished = model.session.advance(most_rows)
    yield Measured("drawing", time.perf_counter() - began, model.session.evaluated)
    for drawing in finished:
        live = model.live[drawing]
        yield Drawn(live.draw.key, model.generator.finished(live.job))
        del model.live[drawing]
    for drawing, live in model.live.items():
        if live.shown < live.draw.partial_images:
            progress = model.session.progress(drawing)
            if progress * (live.draw.partial_images + 1) >= live.shown + 1:
                images = model.session.preview(drawing)
                if len(images) == 1:
                    yield Shown(live.draw.key, live.shown, images[0])
                    live.shown += 1


def _failure(error: BaseException) -> ApiError:
    if isinstance(error, LimnerError):
        return of_limner(error)
    return ApiError(500, "drawing failed; the server's log says why", code="internal_error")


def _release_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it until it is told to."""
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
