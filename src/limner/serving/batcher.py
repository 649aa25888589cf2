"""Continuous batching: pictures of many clients share the network evaluations of a model.

A thread for each drawer (:mod:`limner.serving.drawing`) feeds it: between two network evaluations
it gives it what has arrived, drops what was cancelled or is too late, and hands out what is
finished; so a request joins at the next step and leaves when it is done, whatever is drawn beside
it, with the bits it would have alone (:class:`limner.generation.session.DrawingSession`; Yu et al.
2022, "Orca", section 3). All drawers take from one queue.
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
from limner.serving.drawing import (
    Do,
    Done,
    Draw,
    Drawn,
    Loaded,
    Measured,
    News,
    Progressed,
    Shown,
    Work,
)
from limner.serving.errors import ApiError, stopping
from limner.serving.fair_queue import FairQueue
from limner.serving.metrics import Metrics, TaskOutcome
from limner.serving.models import Models, ModelVersion, ServedModel
from limner.serving.tasks import Task
from limner.serving.tickets import Event, Exact, Finished, Partial, Ticket, Waiting
from limner.serving.workers import WorkerLostError

_log = logging.getLogger(__name__)
_SMOOTHING = 0.1
"""Weight of the newest time in the running mean of seconds a picture."""
_FIRST_GUESS = 0.1
_MOST_WAIT = 60.0
"""Seconds; clients do not wait for much longer before they give up."""
_REMEMBERED_BYTES = 64 * 2**20
"""Of finished pictures, in case that the very same is asked for again: some 340 of 256 pixels."""
_PATIENCE = 1.0
"""Seconds that a picture waits for memory before nothing more is begun of the models that hold it;
shorter, and two models that take turns would be loaded all the time."""
_MOST_LOSSES = 3
"""How often a picture is begun anew because its drawer was lost; it may be what ends drawers."""
_MOST_TASKS = 8
"""That wait or are done; each draws many pictures. A drawer does one at a time."""
_TASK_SECONDS = 5.0
"""After which who was refused one may come back."""
_END_SECONDS = 5.0
"""For a network evaluation to end that is being made when all is left where it is."""
_PAUSE = 0.2
"""Seconds after a loss, so that a drawer that is lost at once does not take all of the machine."""


class DrawerProtocol(Protocol):
    """What draws; see :class:`limner.serving.drawing.Drawer`."""

    def step(self, work: Work) -> list[News]:
        """Do some work, and advance every drawing once.

        Raises:
            WorkerLostError: it has lost its models and drawings, and begins anew.
        """

    def close(self) -> None:
        """Stop drawing, and free what drawing holds."""


@dataclass(eq=False)
class _Feed:
    """What one drawer has been given.

    Attributes:
        drawer: draws.
        live: the pictures that it draws and the task that it does, by their keys.
        loaded: the models that it has, the least recently used first.
        loading: what it loads, if anything.
        asked: models that it is to load, whether anything is to be drawn of them or not.
        leaving: models of which nothing more is begun, so that another can be loaded.
    """

    drawer: DrawerProtocol
    live: dict[int, Waiting] = field(default_factory=dict)
    loaded: OrderedDict[ModelVersion, None] = field(default_factory=OrderedDict)
    loading: ModelVersion | None = None
    asked: deque[ModelVersion] = field(default_factory=deque)
    leaving: set[ModelVersion] = field(default_factory=set)

    def draws(self, model: ModelVersion) -> bool:
        """Whether anything of a model is being drawn."""
        return any(ticket.model is model for ticket, _ in self.live.values())

    @property
    def task(self) -> Ticket | None:
        """The task that is being done, if any."""
        return next((ticket for ticket, _ in self.live.values() if ticket.task), None)

    def victims(self, model: ModelVersion, budget: float) -> list[ModelVersion]:
        """The least recently used models that must go for another to fit."""
        need, found = model.bytes + sum(each.bytes for each in self.loaded) - budget, []
        for each in self.loaded:
            if need <= 0:
                break
            found.append(each)
            need -= each.bytes
        return found


class Batcher:
    """Draws what many clients ask for.

    Args:
        models: that are served; they are loaded at the start while they fit.
        drawers: draw, each with models of its own.
        metrics: counts rows and seconds.
        memory: bytes that the models of all drawers take at most, where one does not take more
            alone; None without bound.
        most_waiting: pictures that may wait; more are refused with the time to come back.
        most_rows: drawings of a drawer at once; more wait, so that users take turns.
        most_seconds: a request may take.
    """

    def __init__(
        self,
        models: Models,
        drawers: Sequence[DrawerProtocol],
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
        self._budget = float("inf") if memory is None else memory / len(drawers)
        self._finished = RecentlyUsed[Exact, Picture](_REMEMBERED_BYTES, _bytes_of)
        self._waiting = FairQueue()
        self._changed = threading.Condition()
        self._seconds = _FIRST_GUESS
        self._stopping = self._ended = False
        self._keys = itertools.count()
        self._loads: dict[ModelVersion, tuple[Future[None], set[int]]] = {}
        self.ready = threading.Event()
        self._feeds = [_Feed(drawer, asked=deque(self._first(models))) for drawer in drawers]
        self._threads = [
            threading.Thread(target=self._run, args=(feed,), name="limner-batcher", daemon=True)
            for feed in self._feeds
        ]

    def start(self) -> None:
        """Begin to draw: one picture first, after which the server is ready."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Finish what was accepted, for at most so long, and end.

        What is not finished by then is left where it is, between two network evaluations.
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
        """Wait until the threads have ended, for at most so long."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def waiting(self) -> int:
        """Pictures that wait or are being drawn."""
        with self._changed:
            return self._ahead

    @property
    def drawing(self) -> int:
        """Pictures that are being drawn."""
        return sum(len(feed.live) for feed in self._feeds)

    def has_loaded(self, model: ModelVersion) -> bool:
        """Whether a picture of a model is drawn without loading it first."""
        with self._changed:
            return any(model in feed.loaded for feed in self._feeds)

    def load(self, model: ModelVersion) -> Future[None]:
        """Let every drawer load a model, beside those that it has.

        The future is done when all have it; it has a :class:`ModelFileError` where one cannot.
        """
        found: Future[None] = Future()
        with self._changed:
            self._loads[model] = found, set(range(len(self._feeds)))
            for feed in self._feeds:
                feed.asked.append(model)
            self._changed.notify_all()
        return found

    def replace(self, model: ServedModel, version: ModelVersion) -> None:
        """Let another version draw what is asked for from now on.

        The old one is unloaded as soon as what was asked of it is drawn.
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

        Pictures that were drawn already are not drawn again, unless previews are asked for.

        Args:
            model: draws it.
            requests: one a picture.
            user: whose it is.
            partial_images: previews of each picture.
            references: what each picture is drawn after; empty for nothing.

        Raises:
            ApiError: 429 where the queue is full, with the time to come back; 503 while stopping.
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
                wait = ahead * self._seconds / (2 * len(self._feeds))
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
            model: it is done with.
            task: to be done.
            user: whose it is.

        Raises:
            ApiError: 429 where as many tasks wait as there may be; 503 while stopping.
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
        """The result of a task; it is cancelled when it is not waited for any more.

        Raises:
            ApiError: it is refused, took too long, or failed.
        """
        event: object = None
        try:
            event = await ticket.events.get()
        finally:
            if event is None:
                self.cancel(ticket)
        if isinstance(event, ApiError):
            raise event
        assert isinstance(event, Done)
        return event.result

    @property
    def tasks(self) -> int:
        """Tasks that wait or are being done."""
        with self._changed:
            return self._tasks

    @property
    def _tasks(self) -> int:
        doing = sum(feed.task is not None for feed in self._feeds)
        return doing + sum(ticket.task is not None for ticket, _ in self._waiting)

    def _check_running(self) -> None:
        if self._stopping:
            raise stopping()

    def _add(self, ticket: Ticket, numbers: Sequence[int]) -> None:
        """Let some of a request's pictures wait."""
        self._waiting.add(ticket, numbers)
        self._changed.notify_all()

    def _remembered(self, ticket: Ticket) -> dict[int, Picture]:
        """Those of a request's pictures that were drawn already, and are remembered."""
        found = ((n, self._finished.get(ticket.exact(n))) for n in range(len(ticket.requests)))
        return {number: picture for number, picture in found if picture is not None}

    def cancel(self, ticket: Ticket) -> None:
        """Drop what is left of a request."""
        with self._changed:
            ticket.cancelled = True
            self._changed.notify_all()

    async def events(self, ticket: Ticket) -> AsyncIterator[Event]:
        """Previews and pictures of a request as they are made; cancelled when it is left early.

        Raises:
            ApiError: a prompt is refused, the request took too long, or drawing failed.
        """
        left = len(ticket.requests)
        try:
            while left:
                event = await ticket.events.get()
                if isinstance(event, ApiError):
                    raise event
                assert not isinstance(event, Done)
                left -= isinstance(event, Finished)
                yield event
        finally:
            if left:
                self.cancel(ticket)

    # -- the threads that feed the drawers ----------------------------------------------------

    def _run(self, feed: _Feed) -> None:
        try:
            self._feed(feed)
        finally:
            feed.drawer.close()  # here, as nobody else knows when it is not in the middle of a step

    def _feed(self, feed: _Feed) -> None:
        while (work := self._next(feed)) is not None:
            began = time.perf_counter()
            try:
                news = feed.drawer.step(work)
            except Exception as error:
                known = isinstance(error, WorkerLostError)
                _log.error("%s; what was being drawn is begun anew", error,
                           exc_info=None if known else error)  # fmt: skip
                self._begin_again(feed)
                time.sleep(_PAUSE)
                continue
            drawn = sum(isinstance(each, Drawn) for each in news)
            if drawn:
                each = (time.perf_counter() - began) / drawn
                self._seconds += _SMOOTHING * (each - self._seconds)
            with self._changed:
                for one in news:
                    self._take(feed, one)

    def _next(self, feed: _Feed) -> Work | None:
        """What a drawer does next, when there is something; None when the batcher has ended."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                drops = self._drop_late(feed, now)
                draws, tasks = self._admit(feed)  # before a model that is wanted is unloaded
                loads, unloads = self._arrange(feed, now)
                work = Work(
                    draws, tasks, drops, [each.file for each in loads],
                    [each.number for each in unloads],
                )  # fmt: skip
                needed = feed.loading and (self._waiting or not self._stopping)
                if work or feed.live or needed:
                    return work
                if self._stopping and not self._waiting:
                    return None
                self._changed.wait()
            return None

    def _drop_late(self, feed: _Feed, now: float) -> list[int]:
        """Leave out what was cancelled or took too long; the keys of what was being drawn."""
        for ticket in self._waiting.drop(lambda ticket: self._is_over(ticket, now)):
            self._count_task(ticket, "dropped")
        late = [key for key, (ticket, _) in feed.live.items() if self._is_over(ticket, now)]
        for key in late:
            self._count_task(feed.live.pop(key)[0], "dropped")
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

    def _admit(self, feed: _Feed) -> tuple[list[Draw], list[Do]]:
        """Pictures from the queues, the users in turn, while there is room, and a task.

        A drawer takes those of models that it has, and leaves the others their share.
        """
        draws, tasks = list[Draw](), list[Do]()
        share = -(-self._ahead // len(self._feeds))
        room = min(self._most_rows, max(1, share)) - len(feed.live)

        def fits(ticket: Ticket) -> bool:
            ready = ticket.model in feed.loaded and ticket.model not in feed.leaving
            return ready and not (ticket.task and feed.task)

        while len(draws) + len(tasks) < room and (found := self._waiting.take(fits)):
            ticket, number = found
            key = next(self._keys)
            feed.live[key] = ticket, number
            feed.loaded.move_to_end(ticket.model)
            if ticket.task is not None:
                tasks.append(Do(key, ticket.model.number, ticket.task))
                continue
            draws.append(Draw(
                key, ticket.model.number, ticket.requests[number],
                ticket.references[number] if ticket.references else None,
                ticket.partial_images, ticket.shown.get(number, 0),
            ))  # fmt: skip
        return draws, tasks

    def _arrange(
        self, feed: _Feed, now: float
    ) -> tuple[Sequence[ModelVersion], Sequence[ModelVersion]]:
        """The models that a drawer loads and unloads now."""
        excess = sum(each.bytes for each in feed.loaded) - self._budget
        gone = []
        for place, model in enumerate(list(feed.loaded)):
            # Beyond the budget there is a model for a while when it takes the place of another.
            spare = excess > 0 and not self._loads and place < len(feed.loaded) - 1
            if (spare or (model.replaced and not self._wanted(model))) and not feed.draws(model):
                del feed.loaded[model]
                gone.append(model)
                excess -= model.bytes
        if feed.loading is not None:
            return (), gone
        wanted, victims = self._next_model(feed, now)
        if wanted is None:
            return (), gone
        for each in victims:
            del feed.loaded[each]
        feed.loading = wanted
        feed.leaving.clear()
        return [wanted], gone + victims

    def _next_model(
        self, feed: _Feed, now: float
    ) -> tuple[ModelVersion | None, list[ModelVersion]]:
        """A model that a drawer loads now, if any, and those that go for it."""
        while feed.asked:
            asked = feed.asked.popleft()
            if asked not in feed.loaded and not asked.replaced:
                return asked, []
        waiting = [ticket for ticket, _ in self._waiting if ticket.model not in feed.loaded]
        if not waiting:
            feed.leaving.clear()
            return None, []
        first = min(waiting, key=lambda ticket: ticket.since)
        victims = feed.victims(first.model, self._budget)
        if any(feed.draws(each) for each in victims):
            if now - first.since > _PATIENCE:
                feed.leaving = set(victims)
            return None, []
        return first.model, victims

    def _first(self, models: Models) -> list[ModelVersion]:
        """The models that fit beside each other, and the first in any case."""
        found: list[ModelVersion] = []
        for served in models.served.values():
            used = sum(each.bytes for each in found) + served.version.bytes
            if not found or used <= self._budget:
                found.append(served.version)
        return found

    def _take(self, feed: _Feed, news: News) -> None:
        """Hand on what a drawer says."""
        if isinstance(news, Loaded):
            self._settle(feed, news)
            return
        if isinstance(news, Measured):
            self._metrics.took(news.stage, news.seconds)
            for rows in news.rows:
                self._metrics.evaluated(rows)
            return
        found = feed.live.get(news.key)
        if found is None:  # dropped meanwhile
            return
        ticket, number = found
        if isinstance(news, Progressed):
            assert ticket.task is not None
            self._metrics.task_drew(ticket.task.kind, news.pictures)
            return
        if isinstance(news, Shown):
            ticket.post(Partial(number, news.index, news.image))
            ticket.shown[number] = news.index + 1
            return
        del feed.live[news.key]
        if isinstance(news, Drawn):
            self._finished.put(ticket.exact(number), news.picture)
            ticket.post(Finished(number, news.picture))
        elif isinstance(news, Done):
            self._count_task(ticket, "done")
            ticket.post(news)
        else:
            self._count_task(ticket, "refused")
            ticket.refuse(news.error)

    def _settle(self, feed: _Feed, news: Loaded) -> None:
        """A drawer has loaded a model, or has not."""
        model, feed.loading = feed.loading, None
        assert model is not None and model.number == news.model
        future, left = self._loads.get(model, (None, set[int]()))
        if news.why_not is None:
            feed.loaded[model] = None
            self.ready.set()
            left.discard(self._feeds.index(feed))
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
            future.set_exception(ModelFileError(news.why_not))

    def _begin_again(self, feed: _Feed) -> None:
        """Put what a drawer has lost back to where it waited."""
        with self._changed:
            lost = [*feed.loaded, *([feed.loading] if feed.loading else [])]
            feed.asked.extendleft(reversed(lost))
            feed.loaded.clear()
            feed.loading = None
            feed.leaving.clear()
            for ticket, number in reversed(feed.live.values()):
                ticket.losses += 1
                if ticket.losses > _MOST_LOSSES * len(ticket.requests):
                    ticket.refuse(ApiError(500, "drawing failed again and again; the server's log "
                                           "says why", code="internal_error"))  # fmt: skip
                    continue
                self._waiting.put_back(ticket, number)
            feed.live.clear()

    @property
    def _ahead(self) -> int:
        return len(self._waiting) + self.drawing

    def _wanted(self, model: ModelVersion) -> bool:
        return any(ticket.model is model for ticket, _ in self._waiting)


def _bytes_of(picture: Picture) -> int:
    width, height = picture.image.size
    return width * height * len(picture.image.getbands())
