"""Continuous batching: pictures of many clients share the network evaluations of a model.

One thread per model runner (:mod:`limner.serving.model_runner`) calls it step by step. Between two
network evaluations it adds new pictures, drops those that were cancelled or have timed out, and
sends finished ones to their clients, as in iteration-level scheduling (Yu et al. 2022, "Orca",
section 3). Each picture has the bits that it would have alone
(:class:`limner.generation.session.DrawingSession`). All model runners take from one queue.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from limner.errors import ModelFileError
from limner.generation.picture import Picture
from limner.generation.references import SeenReference
from limner.generation.requests import DrawRequest
from limner.memory import RecentlyUsed
from limner.serving.errors import ApiError, stopping
from limner.serving.fair_queue import FairQueue
from limner.serving.metrics import Metrics, TaskOutcome
from limner.serving.model_runner import (
    DrawJob,
    ModelLoaded,
    PictureReady,
    PreviewReady,
    StepInput,
    StepOutput,
    StepTiming,
    TaskDone,
    TaskJob,
    TaskProgress,
)
from limner.serving.models import Models, ModelVersion, ServedModel
from limner.serving.tasks import Task
from limner.serving.tickets import Event, Exact, Finished, Partial, Ticket, Waiting
from limner.serving.workers import WorkerLostError

_log = logging.getLogger(__name__)
_SMOOTHING = 0.1
"""Weight of the newest value in the moving average of seconds per picture."""
_FIRST_GUESS = 0.1
_MOST_WAIT = 60.0
"""Longest ``Retry-After``, in seconds."""
_REMEMBERED_BYTES = 64 * 2**20
"""Size of the cache of finished pictures: some 340 of 256 pixels."""
_PATIENCE = 1.0
"""Seconds that a picture waits for its model before the models to evict for it get no new pictures;
with a shorter time two models would replace each other all the time."""
_MOST_LOSSES = 3
"""How often a picture is requeued after a lost model runner; it may be what crashes them."""
_MOST_TASKS = 8
"""Most queued and running tasks; a task draws many pictures. A model runner runs one at a time."""
_TASK_SECONDS = 5.0
"""``Retry-After`` of refused tasks."""
_END_SECONDS = 5.0
"""That a running network evaluation is given to end after the time to finish has passed."""
_PAUSE = 0.2
"""Seconds of pause after a loss, so that a runner that always crashes leaves CPU time to others."""


class Runner(Protocol):
    """See :class:`limner.serving.model_runner.ModelRunner`."""

    def step(self, work: StepInput) -> list[StepOutput]:
        """Execute a step.

        Raises:
            WorkerLostError: it has lost its models and jobs; the next step starts from nothing.
        """

    def close(self) -> None:
        """Stop, and free all resources."""


@dataclass(eq=False)
class _RunnerState:
    """A model runner with its jobs and models.

    Attributes:
        runner: the model runner.
        live: its running pictures and its task, by their keys.
        loaded: its models, the least recently used first.
        loading: the model that it is loading, if any.
        asked: models to load, whether there are requests for them or not.
        leaving: models that get no new pictures, so that they can be evicted.
    """

    runner: Runner
    live: dict[int, Waiting] = field(default_factory=dict)
    loaded: OrderedDict[ModelVersion, None] = field(default_factory=OrderedDict)
    loading: ModelVersion | None = None
    asked: deque[ModelVersion] = field(default_factory=deque)
    leaving: set[ModelVersion] = field(default_factory=set)

    def draws(self, model: ModelVersion) -> bool:
        """Whether a job of a model is running."""
        return any(ticket.model is model for ticket, _ in self.live.values())

    @property
    def task(self) -> Ticket | None:
        """The running task, if any."""
        return next((ticket for ticket, _ in self.live.values() if ticket.task), None)

    def to_evict(self, model: ModelVersion, budget: float) -> list[ModelVersion]:
        """The least recently used models, as many as must be evicted for another to fit."""
        need, found = model.bytes + sum(each.bytes for each in self.loaded) - budget, []
        for each in self.loaded:
            if need <= 0:
                break
            found.append(each)
            need -= each.bytes
        return found


class Batcher:
    """Queues the requests of many clients and executes them on model runners.

    Args:
        models: the models to serve; those that fit into memory are loaded at the start.
        runners: model runners, each with models of its own.
        metrics: counts rows and seconds.
        memory: most bytes for the models of all runners, though each may load one model of any
            size; None for no limit.
        most_waiting: maximal length of the queue in pictures; more are refused with a
            ``Retry-After``.
        most_rows: most concurrent pictures of a runner; the others wait, so that the queue stays
            fair between users.
        most_seconds: time limit of a request.
    """

    def __init__(
        self,
        models: Models,
        runners: Sequence[Runner],
        metrics: Metrics,
        *,
        memory: float | None = None,
        most_waiting: int = 256,
        most_rows: int = 16,
        most_seconds: float = 300.0,
    ) -> None:
        self._metrics = metrics
        self._most_waiting, self._most_rows = most_waiting, most_rows
        self._most_seconds = most_seconds
        self._budget = float("inf") if memory is None else memory / len(runners)
        self._finished = RecentlyUsed[Exact, Picture](_REMEMBERED_BYTES, _bytes_of)
        self._waiting = FairQueue()
        self._changed = threading.Condition()
        self._seconds = _FIRST_GUESS
        self._stopping = self._ended = False
        self._keys = itertools.count()
        self._loads: dict[ModelVersion, tuple[Future[None], set[int]]] = {}
        self.ready = threading.Event()
        first = self._first(models)
        self._runners = [_RunnerState(runner, asked=deque(first)) for runner in runners]
        self._threads = [
            threading.Thread(target=self._run, args=(state,), name="limner-batcher", daemon=True)
            for state in self._runners
        ]

    def start(self) -> None:
        """Start the threads; :attr:`ready` is set when the first model is loaded."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Finish all accepted requests, for at most ``seconds``, and stop.

        Jobs that are not finished by then end between two network evaluations.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._join(seconds)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._join(_END_SECONDS)

    def _join(self, seconds: float) -> None:
        """Wait until the threads have ended, for at most ``seconds``."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def waiting(self) -> int:
        """Number of queued and running pictures."""
        with self._changed:
            return self._ahead

    @property
    def drawing(self) -> int:
        """Number of running pictures."""
        return sum(len(state.live) for state in self._runners)

    def has_loaded(self, model: ModelVersion) -> bool:
        """Whether a runner has a model loaded."""
        with self._changed:
            return any(model in state.loaded for state in self._runners)

    def load(self, model: ModelVersion) -> Future[None]:
        """Load a model in every runner, in addition to those it has.

        The future is done when all have it; it raises a :class:`ModelFileError` if one fails.
        """
        found: Future[None] = Future()
        with self._changed:
            self._loads[model] = found, set(range(len(self._runners)))
            for state in self._runners:
                state.asked.append(model)
            self._changed.notify_all()
        return found

    def replace(self, model: ServedModel, version: ModelVersion) -> None:
        """Use another version of a model for all further requests.

        The old one is unloaded when its requests are finished.
        """
        with self._changed:
            model.version.replaced = True
            model.version = version
            self._changed.notify_all()

    def submit(
        self,
        model: ServedModel,
        requests: Sequence[DrawRequest],
        user: str = "",
        partial_images: int = 0,
        references: Sequence[SeenReference | None] = (),
    ) -> Ticket:
        """Queue a request; its events are read with :meth:`events`.

        Pictures in the cache are not drawn again, unless previews are requested.

        Args:
            model: the model to use.
            requests: one per picture.
            user: the client's user.
            partial_images: number of previews per picture.
            references: the reference of each picture; empty for none.

        Raises:
            ApiError: 429 if the queue is full, with a ``Retry-After``; 503 while stopping.
        """
        with self._changed:
            now = time.monotonic()
            ticket = Ticket(
                model.version, requests, user, partial_images, now, now + self._most_seconds,
                asyncio.get_running_loop(), references,
            )  # fmt: skip
            known = {} if partial_images else self._remembered(ticket)
            new = [number for number in range(len(requests)) if number not in known]
            self._check_running()
            ahead = self._ahead
            if new and ahead + len(new) > self._most_waiting:
                wait = ahead * self._seconds / (2 * len(self._runners))
                wait = min(_MOST_WAIT, max(1.0, wait))
                raise ApiError(
                    429, f"{ahead} pictures wait, as many as this server takes; try again in "
                    f"{wait:.0f} seconds", code="queue_full", retry_after=wait,
                )  # fmt: skip
            if new:
                self._add(ticket, new)
        for number, picture in known.items():
            ticket.post(Finished(number, picture))
        self._metrics.remembered(len(known))
        return ticket

    def perform(self, model: ServedModel, task: Task, user: str = "") -> Ticket:
        """Queue a task; its result is awaited with :meth:`outcome`.

        Args:
            model: the model to use.
            task: the task.
            user: the client's user.

        Raises:
            ApiError: 429 if there are too many tasks; 503 while stopping.
        """
        with self._changed:
            now = time.monotonic()
            self._check_running()
            tasks = self._tasks
            if tasks >= _MOST_TASKS:
                raise ApiError(
                    429, f"{tasks} explanations and refinements are being made, as many as this "
                    f"server takes; try again in {_TASK_SECONDS:.0f} seconds",
                    code="queue_full", retry_after=_TASK_SECONDS,
                )  # fmt: skip
            ticket = Ticket(
                model.version, [task.request], user, 0, now, now + self._most_seconds,
                asyncio.get_running_loop(), task=task,
            )  # fmt: skip
            self._add(ticket, [0])
        return ticket

    async def outcome(self, ticket: Ticket) -> Any:
        """The result of a task; the task is cancelled if this coroutine is.

        Raises:
            ApiError: the task was refused, timed out or failed.
        """
        event: object = None
        try:
            event = await ticket.events.get()
        finally:
            if event is None:
                self.cancel(ticket)
        if isinstance(event, ApiError):
            raise event
        assert isinstance(event, TaskDone)
        return event.result

    @property
    def tasks(self) -> int:
        """Number of queued and running tasks."""
        with self._changed:
            return self._tasks

    @property
    def _tasks(self) -> int:
        running = sum(state.task is not None for state in self._runners)
        return running + sum(ticket.task is not None for ticket, _ in self._waiting)

    def _check_running(self) -> None:
        if self._stopping:
            raise stopping()

    def _add(self, ticket: Ticket, numbers: Sequence[int]) -> None:
        """Queue some of a request's pictures."""
        self._waiting.add(ticket, numbers)
        self._changed.notify_all()

    def _remembered(self, ticket: Ticket) -> dict[int, Picture]:
        """Those of a request's pictures that are in the cache."""
        found = ((n, self._finished.get(ticket.exact(n))) for n in range(len(ticket.requests)))
        return {number: picture for number, picture in found if picture is not None}

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a request; its unfinished pictures are dropped."""
        with self._changed:
            ticket.cancelled = True
            self._changed.notify_all()

    async def events(self, ticket: Ticket) -> AsyncIterator[Event]:
        """Yield previews and pictures of a request; it is cancelled if the iteration ends early.

        Raises:
            ApiError: a prompt was refused, the request timed out, or drawing failed.
        """
        left = len(ticket.requests)
        try:
            while left:
                event = await ticket.events.get()
                if isinstance(event, ApiError):
                    raise event
                assert not isinstance(event, TaskDone)
                left -= isinstance(event, Finished)
                yield event
        finally:
            if left:
                self.cancel(ticket)

    # -- the threads of the model runners ----------------------------------------------------

    def _run(self, state: _RunnerState) -> None:
        try:
            self._feed(state)
        finally:
            state.runner.close()  # in its own thread, so never during a step

    def _feed(self, state: _RunnerState) -> None:
        while (work := self._next(state)) is not None:
            began = time.perf_counter()
            try:
                outputs = state.runner.step(work)
            except Exception as error:
                known = isinstance(error, WorkerLostError)
                _log.error("%s; its jobs are queued again", error,
                           exc_info=None if known else error)  # fmt: skip
                self._requeue(state)
                time.sleep(_PAUSE)
                continue
            drawn = sum(isinstance(each, PictureReady) for each in outputs)
            if drawn:
                each = (time.perf_counter() - began) / drawn
                self._seconds += _SMOOTHING * (each - self._seconds)
            with self._changed:
                for one in outputs:
                    self._handle(state, one)

    def _next(self, state: _RunnerState) -> StepInput | None:
        """Wait for the input of a runner's next step; None when the batcher has stopped."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                drops = self._drop_late(state, now)
                draws, tasks = self._admit(state)  # before one of their models is unloaded
                loads, unloads = self._arrange(state, now)
                work = StepInput(
                    draws, tasks, drops, [each.file for each in loads],
                    [each.number for each in unloads],
                )  # fmt: skip
                needed = state.loading and (self._waiting or not self._stopping)
                if work or state.live or needed:
                    return work
                if self._stopping and not self._waiting:
                    return None
                self._changed.wait()
            return None

    def _drop_late(self, state: _RunnerState, now: float) -> list[int]:
        """Drop what was cancelled or has timed out; returns the keys of running jobs among it."""
        for ticket in self._waiting.drop(lambda ticket: self._is_over(ticket, now)):
            self._count_task(ticket, "dropped")
        late = [key for key, (ticket, _) in state.live.items() if self._is_over(ticket, now)]
        for key in late:
            self._count_task(state.live.pop(key)[0], "dropped")
        return late

    def _is_over(self, ticket: Ticket, now: float) -> bool:
        if now > ticket.deadline:
            ticket.refuse(ApiError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"the request took more than {self._most_seconds:.0f} seconds",
                code="timeout", retry_after=self._seconds,
            ))  # fmt: skip
        return ticket.cancelled

    def _count_task(self, ticket: Ticket, outcome: TaskOutcome) -> None:
        if ticket.task is not None:
            self._metrics.task_ended(ticket.task.kind, outcome)

    def _admit(self, state: _RunnerState) -> tuple[list[DrawJob], list[TaskJob]]:
        """Take pictures and at most one task from the queue, as many as there is room for.

        A runner takes only those whose model it has loaded, and not more than its share.
        """
        draws, tasks = list[DrawJob](), list[TaskJob]()
        share = -(-self._ahead // len(self._runners))
        room = min(self._most_rows, max(1, share)) - len(state.live)

        def fits(ticket: Ticket) -> bool:
            ready = ticket.model in state.loaded and ticket.model not in state.leaving
            return ready and not (ticket.task and state.task)

        while len(draws) + len(tasks) < room and (found := self._waiting.take(fits)):
            ticket, number = found
            key = next(self._keys)
            state.live[key] = ticket, number
            state.loaded.move_to_end(ticket.model)
            if ticket.task is not None:
                tasks.append(TaskJob(key, ticket.model.number, ticket.task))
                continue
            draws.append(DrawJob(
                key, ticket.model.number, ticket.requests[number],
                ticket.references[number] if ticket.references else None,
                ticket.partial_images, ticket.shown.get(number, 0),
            ))  # fmt: skip
        return draws, tasks

    def _arrange(
        self, state: _RunnerState, now: float
    ) -> tuple[Sequence[ModelVersion], Sequence[ModelVersion]]:
        """The models that a runner loads and unloads in its next step."""
        excess = sum(each.bytes for each in state.loaded) - self._budget
        gone = []
        for place, model in enumerate(list(state.loaded)):
            # A model that replaces another may exceed the budget until the other one is unloaded.
            spare = excess > 0 and not self._loads and place < len(state.loaded) - 1
            if (spare or (model.replaced and not self._wanted(model))) and not state.draws(model):
                del state.loaded[model]
                gone.append(model)
                excess -= model.bytes
        if state.loading is not None:
            return (), gone
        wanted, to_evict = self._next_model(state, now)
        if wanted is None:
            return (), gone
        for each in to_evict:
            del state.loaded[each]
        state.loading = wanted
        state.leaving.clear()
        return [wanted], gone + to_evict

    def _next_model(
        self, state: _RunnerState, now: float
    ) -> tuple[ModelVersion | None, list[ModelVersion]]:
        """The model that a runner loads next, if any, and those to evict for it."""
        while state.asked:
            asked = state.asked.popleft()
            if asked not in state.loaded and not asked.replaced:
                return asked, []
        waiting = [ticket for ticket, _ in self._waiting if ticket.model not in state.loaded]
        if not waiting:
            state.leaving.clear()
            return None, []
        first = min(waiting, key=lambda ticket: ticket.since)
        to_evict = state.to_evict(first.model, self._budget)
        if any(state.draws(each) for each in to_evict):
            if now - first.since > _PATIENCE:
                state.leaving = set(to_evict)
            return None, []
        return first.model, to_evict

    def _first(self, models: Models) -> list[ModelVersion]:
        """The models that fit into memory together, and the first one in any case."""
        found: list[ModelVersion] = []
        for served in models.served.values():
            used = sum(each.bytes for each in found) + served.version.bytes
            if not found or used <= self._budget:
                found.append(served.version)
        return found

    def _handle(self, state: _RunnerState, outputs: StepOutput) -> None:
        """Handle an output of a runner's step."""
        if isinstance(outputs, ModelLoaded):
            self._finish_loading(state, outputs)
            return
        if isinstance(outputs, StepTiming):
            self._metrics.took(outputs.stage, outputs.seconds)
            for rows in outputs.rows:
                self._metrics.evaluated(rows)
            return
        found = state.live.get(outputs.key)
        if found is None:  # dropped in the meantime
            return
        ticket, number = found
        if isinstance(outputs, TaskProgress):
            assert ticket.task is not None
            self._metrics.task_drew(ticket.task.kind, outputs.pictures)
            return
        if isinstance(outputs, PreviewReady):
            ticket.post(Partial(number, outputs.index, outputs.image))
            ticket.shown[number] = outputs.index + 1
            return
        del state.live[outputs.key]
        if isinstance(outputs, PictureReady):
            self._finished.put(ticket.exact(number), outputs.picture)
            ticket.post(Finished(number, outputs.picture))
        elif isinstance(outputs, TaskDone):
            self._count_task(ticket, "done")
            ticket.post(outputs)
        else:
            self._count_task(ticket, "refused")
            ticket.refuse(outputs.error)

    def _finish_loading(self, state: _RunnerState, outputs: ModelLoaded) -> None:
        """A runner has loaded a model, or failed to."""
        model, state.loading = state.loading, None
        assert model is not None and model.number == outputs.model
        future, left = self._loads.get(model, (None, set[int]()))
        if outputs.why_not is None:
            state.loaded[model] = None
            self.ready.set()
            left.discard(self._runners.index(state))
            if future is not None and not left:
                del self._loads[model]
                future.set_result(None)
            return
        for ticket, _ in self._waiting:
            if ticket.model is model:
                ticket.refuse(ApiError(
                    500, "the model cannot be loaded; the server's log says why",
                    code="model_not_loaded",
                ))  # fmt: skip
        if future is not None:
            model.replaced = True
            del self._loads[model]
            future.set_exception(ModelFileError(outputs.why_not))

    def _requeue(self, state: _RunnerState) -> None:
        """Put the jobs of a lost runner back into the queue."""
        with self._changed:
            lost = [*state.loaded, *([state.loading] if state.loading else [])]
            state.asked.extendleft(reversed(lost))
            state.loaded.clear()
            state.loading = None
            state.leaving.clear()
            for ticket, number in reversed(state.live.values()):
                ticket.losses += 1
                if ticket.losses > _MOST_LOSSES * len(ticket.requests):
                    ticket.refuse(ApiError(500, "drawing failed repeatedly; the server's log "
                                           "says why", code="internal_error"))  # fmt: skip
                    continue
                self._waiting.put_back(ticket, number)
            state.live.clear()

    @property
    def _ahead(self) -> int:
        return len(self._waiting) + self.drawing

    def _wanted(self, model: ModelVersion) -> bool:
        return any(ticket.model is model for ticket, _ in self._waiting)


def _bytes_of(picture: Picture) -> int:
    width, height = picture.image.size
    return width * height * len(picture.image.getbands())
