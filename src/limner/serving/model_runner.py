"""The model runner: the models loaded in one thread or process, and the pictures being drawn.

The batcher calls :meth:`ModelRunner.step` once per network evaluation, in the server's own process
or in a worker process (:mod:`limner.serving.workers`).
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
from limner.serving.pausable_call import PausableCall
from limner.serving.tasks import Task

_log = logging.getLogger(__name__)
_LOAD_SECONDS = 0.05
"""How long a step waits for a model that is being loaded, if there is nothing to draw."""

_PRELOADED, _NAMES_AT_ONCE = 256, 16
"""Number of names encoded after a model was loaded, to fill the cache, and how many at a time."""


@dataclass(frozen=True)
class ModelFile:
    """A model to load.

    Attributes:
        number: id of the model.
        path: the file, or the spec of a hub model; None for a model in memory.
        hash: hash of the file, as :attr:`limner.generation.generator.Generator.hash`.
    """

    number: int
    path: str | Path | None
    hash: str


@dataclass(frozen=True)
class DrawJob:
    """A picture to draw.

    Attributes:
        key: id, used in the outputs.
        model: number of a loaded model.
        request: prompt, seed and settings.
        reference: reference picture.
        partial_images: number of previews.
        shown: number of previews already sent.
    """

    key: int
    model: int
    request: DrawRequest
    reference: SeenReference | None = None
    partial_images: int = 0
    shown: int = 0


@dataclass(frozen=True)
class TaskJob:
    """A task to run.

    Attributes:
        key: id, used in the outputs.
        model: number of a loaded model.
        task: the task.
    """

    key: int
    model: int
    task: Task


@dataclass(frozen=True)
class StepInput:
    """Input of a step: jobs to begin, keys of jobs to drop, models to load and to unload."""

    draws: Sequence[DrawJob] = ()
    tasks: Sequence[TaskJob] = ()
    drops: Sequence[int] = ()
    loads: Sequence[ModelFile] = ()
    unloads: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.draws or self.tasks or self.drops or self.loads or self.unloads)


@dataclass(frozen=True)
class PreviewReady:
    """A preview of a picture, the current estimate of it; ``index`` counts its previews."""

    key: int
    index: int
    image: Image.Image


@dataclass(frozen=True)
class PictureReady:
    """A finished picture."""

    key: int
    picture: Picture


@dataclass(frozen=True)
class TaskDone:
    """The result of a task."""

    key: int
    result: Any


@dataclass(frozen=True)
class TaskProgress:
    """A task has drawn ``pictures`` more pictures."""

    key: int
    pictures: int


@dataclass(frozen=True)
class JobFailed:
    """A picture or task was refused or has failed."""

    key: int
    error: ApiError


@dataclass(frozen=True)
class ModelLoaded:
    """A model was loaded; or, with ``why_not``, could not be loaded."""

    model: int
    why_not: str | None = None


@dataclass(frozen=True)
class StepTiming:
    """Duration of a stage, and the number of rows of each network evaluation in it."""

    stage: Stage
    seconds: float
    rows: Sequence[int] = ()


StepOutput = (
    PreviewReady | PictureReady | TaskDone | TaskProgress | JobFailed | ModelLoaded | StepTiming
)


@dataclass(eq=False)
class _RunningJob:
    draw: DrawJob
    job: Job
    shown: int


@dataclass(eq=False)
class _RunningTask:
    task: Task
    call: PausableCall[Any]
    reported: int = 0


@dataclass(eq=False)
class _Model:
    """A loaded model with its running jobs."""

    generator: Generator
    session: DrawingSession = field(init=False)
    live: dict[Drawing, _RunningJob] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = self.generator.session()


class ModelRunner:
    """Loads models and samples from them, step by step; not thread-safe.

    Args:
        given: models in memory, by number; they, too, are used only after a request to load them.
        device: device of the models.
        threads: number of CPU threads.
        most_rows: maximal number of rows of a model per step, beyond the first tile.
        scorer: the scorer of tasks; None for one with the shipped aligner, loaded on first use.
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
        self._tasks_running: dict[int, _RunningTask] = {}
        self._device, self._threads, self._most_rows = device, threads, most_rows
        self._models: dict[int, _Model] = {}
        self._loader = ThreadPoolExecutor(1, "limner-loader")
        self._reader = ThreadPoolExecutor(1, "limner-preloader")
        self._closed = False
        self._loading: dict[Future[Generator], int] = {}

    def step(self, work: StepInput) -> list[StepOutput]:
        """Begin, drop, load and unload what the input says, and advance every job once.

        Models are loaded in a background thread while others are used; if there is nothing to
        draw, a step waits a moment for them.
        """
        outputs: list[StepOutput] = []
        for key in work.drops:
            self._drop(key)
        for number in work.unloads:
            self._models.pop(number, None)
        if work.unloads:
            _release_memory()
        for file in work.loads:
            self._loading[self._loader.submit(self._load, file)] = file.number
        if self._loading:
            outputs += self._poll_loads()
        for number, model in self._models.items():
            draws = [draw for draw in work.draws if draw.model == number]
            try:
                if draws:
                    outputs += _admit(model, draws)
                if model.live:
                    outputs += _advance(model, self._most_rows)
            except Exception as error:
                _log.error("drawing failed", exc_info=error)
                keys = {draw.key for draw in draws} | {
                    live.draw.key for live in model.live.values()
                }
                settled = {
                    each.key for each in outputs if isinstance(each, PictureReady | JobFailed)
                }
                outputs += [JobFailed(key, _failure(error)) for key in keys - settled]
                self._models[number] = _Model(model.generator)
        for do in work.tasks:
            call = partial(do.task.run, self._models[do.model].generator, self._scorer)
            self._tasks_running[do.key] = _RunningTask(do.task, PausableCall(call))
        for key in list(self._tasks_running):
            outputs += self._do(key)
        return outputs

    def _do(self, key: int) -> Iterator[StepOutput]:
        """Run a task up to its next pause."""
        running = self._tasks_running[key]
        call, ended = running.call, running.call.resume()
        if int(call.drawn) > running.reported:
            yield TaskProgress(key, int(call.drawn) - running.reported)
            running.reported = int(call.drawn)
        if not ended:
            return
        del self._tasks_running[key]
        try:
            yield TaskDone(key, call.result)
        except UsageError as error:
            yield JobFailed(key, of_limner(error, running.task.param))
        except Exception as error:
            if not isinstance(error, LimnerError):
                _log.error("%s failed", running.task.kind, exc_info=error)
            yield JobFailed(key, _failure(error))

    def close(self) -> None:
        """Cancel all tasks and end the background threads."""
        self._closed = True
        for key in list(self._tasks_running):
            self._drop(key)
        for each in (self._loader, self._reader):
            each.shutdown(wait=False, cancel_futures=True)

    def _load(self, file: ModelFile) -> Generator:
        """Load a model and draw one picture with it, as warm-up."""
        generator = self._given.pop(file.number, None)
        if generator is None:
            generator = load(file.path, device=self._device, threads=self._threads)
        if generator.hash != file.hash:
            raise ModelFileError(f"{file.path} has changed since it was registered; reload it")
        try:
            able = generator.model.capabilities
            generator.generate("a circle", seed=0, steps=1 if Capability.STEPS in able else None)
        except ModelFileError:
            raise
        except LimnerError as error:  # such as a model that knows no circle
            _log.warning("the first picture of %s failed: %s", generator.name, error)
        return generator

    def _poll_loads(self) -> list[StepOutput]:
        busy = self._tasks_running or any(model.live for model in self._models.values())
        done, _ = wait(self._loading, 0 if busy else _LOAD_SECONDS, FIRST_COMPLETED)
        outputs: list[StepOutput] = []
        for future in done:
            number = self._loading.pop(future)
            error = future.exception()
            if error is None:
                self._models[number] = _Model(future.result())
                self._reader.submit(self._preload, number)
                outputs.append(ModelLoaded(number))
            else:
                known = isinstance(error, LimnerError)
                _log.error("a model cannot be loaded: %s", error, exc_info=not known and error)
                outputs.append(ModelLoaded(number, str(error)))
        return outputs

    def _preload(self, number: int) -> None:
        """Encode the most common names, so that they are in the encoder's cache.

        Runs in a background thread, a few names at a time, until the model is unloaded.
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
        running = self._tasks_running.pop(key, None)
        if running is not None:
            running.call.cancel()
        for model in self._models.values():
            for drawing, live in list(model.live.items()):
                if live.draw.key == key:
                    model.session.drop(drawing)
                    del model.live[drawing]


def _admit(model: _Model, draws: Sequence[DrawJob]) -> Iterator[StepOutput]:
    """Add pictures, which take part in the next network evaluation."""
    began = time.perf_counter()
    jobs = model.generator.jobs([d.request for d in draws], [d.reference for d in draws])
    yield StepTiming("understanding", time.perf_counter() - began)
    for draw, job in zip(draws, jobs, strict=True):
        if isinstance(job, Job):
            model.live[job.drawing] = _RunningJob(draw, job, draw.shown)
            model.session.add(job.drawing)
        else:
            yield JobFailed(draw.key, of_limner(job))


def _advance(model: _Model, most_rows: int) -> Iterator[StepOutput]:
    """One network evaluation: yields the pictures that it finishes, and previews of others."""
    began = time.perf_counter()
    finished = model.session.advance(most_rows)
    yield StepTiming("drawing", time.perf_counter() - began, model.session.evaluated)
    for drawing in finished:
        live = model.live[drawing]
        yield PictureReady(live.draw.key, model.generator.finished(live.job))
        del model.live[drawing]
    for drawing, live in model.live.items():
        if live.shown < live.draw.partial_images:
            progress = model.session.progress(drawing)
            if progress * (live.draw.partial_images + 1) >= live.shown + 1:
                images = model.session.preview(drawing)
                if len(images) == 1:
                    yield PreviewReady(live.draw.key, live.shown, images[0])
                    live.shown += 1


def _failure(error: BaseException) -> ApiError:
    if isinstance(error, LimnerError):
        return of_limner(error)
    return ApiError(500, "drawing failed; the server's log says why", code="internal_error")


def _release_memory() -> None:
    """Return freed memory to the operating system; glibc keeps it otherwise."""
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
