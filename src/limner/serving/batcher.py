"""Continuous batching: pictures of many clients share the network evaluations of one model.

One thread owns the model. Between two network evaluations it takes in what has arrived, drops what
was cancelled or is too late, and hands out what is finished; so a request joins at the next step
and leaves when it is done, whatever is drawn beside it, with the bits it would have alone
(:class:`limner.generation.session.DrawingSession`; Yu et al. 2022, "Orca", section 3).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from PIL import Image

from limner.errors import LimnerError
from limner.generation.generator import DrawRequest, Generator, Job, Picture, SeenReference
from limner.serving.errors import ApiError, of_limner
from limner.serving.metrics import Metrics

_log = logging.getLogger(__name__)
_SMOOTHING = 0.1
"""Weight of the newest time in the running mean of seconds a picture."""
_FIRST_GUESS = 0.1
_MOST_WAIT = 60.0
"""Seconds; clients do not wait for much longer before they give up."""


@dataclass(frozen=True)
class Partial:
    """A preview of one of a request's pictures.

    Attributes:
        picture: which of them, from 0.
        index: which of its previews, from 0.
        image: what the network predicts.
    """

    picture: int
    index: int
    image: Image.Image


@dataclass(frozen=True)
class Finished:
    """One of a request's pictures.

    Attributes:
        picture: which of them, from 0.
        result: what was drawn.
    """

    picture: int
    result: Picture


Event = Partial | Finished


@dataclass(eq=False)
class Ticket:
    """A request in the queue, or being drawn.

    Attributes:
        requests: one a picture.
        user: whose it is; users take turns.
        partial_images: previews of each picture.
        deadline: on the monotonic clock; it is dropped then.
        references: what each picture is drawn after; empty for nothing.
    """

    requests: Sequence[DrawRequest]
    user: str
    partial_images: int
    deadline: float
    loop: asyncio.AbstractEventLoop
    references: Sequence[SeenReference | None] = ()
    events: asyncio.Queue[Event | ApiError] = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    jobs: dict[int, Job] = field(default_factory=dict)
    shown: dict[int, int] = field(default_factory=dict)

    def post(self, event: Event | ApiError) -> None:
        """Hand an event to whoever waits, from the thread that draws."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody waits
            self.cancelled = True


class Batcher:
    """Draws what many clients ask for.

    Args:
        generator: draws; nobody else may use it meanwhile.
        metrics: counts rows and seconds.
        most_waiting: pictures that may wait; more are refused with the time to come back.
        most_rows: drawings in the session at once; more wait, so that users take turns.
        most_seconds: a request may take.
    """

    def __init__(
        self,
        generator: Generator,
        metrics: Metrics,
        *,
        most_waiting: int = 256,
        most_rows: int = 16,
        most_seconds: float = 300.0,
    ) -> None:
        self.generator, self._metrics = generator, metrics
        self._most_waiting, self._most_rows = most_waiting, most_rows
        self._most_seconds = most_seconds
        self._queues: OrderedDict[str, deque[tuple[Ticket, int]]] = OrderedDict()
        self._changed = threading.Condition()
        self._live: dict[int, tuple[Ticket, int]] = {}  # id of a drawing: whose it is
        self._seconds = _FIRST_GUESS
        self._waiting = 0
        self._stopping = False
        self._session = generator.session()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limner-batcher", daemon=True)

    def start(self) -> None:
        """Begin to draw: one picture first, after which the server is ready."""
        self._thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Finish what was accepted, for at most so long, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def waiting(self) -> int:
        """Pictures that wait or are being drawn."""
        with self._changed:
            return self._waiting + len(self._live)

    @property
    def drawing(self) -> int:
        """Pictures that are being drawn."""
        return len(self._live)

    def submit(
        self,
        requests: Sequence[DrawRequest],
        user: str = "",
        partial_images: int = 0,
        references: Sequence[SeenReference | None] = (),
    ) -> Ticket:
        """Queue a request; its events are read with :meth:`events`.

        Args:
            requests: one a picture.
            user: whose it is.
            partial_images: previews of each picture.
            references: what each picture is drawn after; empty for nothing.

        Raises:
            ApiError: 429 where the queue is full, with the time to come back; 503 while stopping.
        """
        ticket = Ticket(
            requests, user, partial_images, time.monotonic() + self._most_seconds,
            asyncio.get_running_loop(), references,
        )  # fmt: skip
        with self._changed:
            if self._stopping:
                raise ApiError(503, "the server is stopping; try another, or later", retry_after=5)
            ahead = self._waiting + len(self._live)
            if ahead + len(requests) > self._most_waiting:
                wait = min(_MOST_WAIT, max(1.0, ahead * self._seconds / 2))
                raise ApiError(
                    429, f"{ahead} pictures wait, as many as this server takes; try again in "
                    f"{wait:.0f} seconds", code="queue_full", retry_after=wait,
                )  # fmt: skip
            queue = self._queues.setdefault(user, deque())
            queue.extend((ticket, number) for number in range(len(requests)))
            self._waiting += len(requests)
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Drop what is left of a request."""
        with self._changed:
            ticket.cancelled = True
            self._changed.notify()

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
                left -= isinstance(event, Finished)
                yield event
        finally:
            if left:
                self.cancel(ticket)

    # -- the thread that draws ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self.generator.generate("a circle", seed=0)
        except LimnerError as error:  # a model that knows no circle can draw all the same
            _log.warning("the first picture failed: %s", error)
        self.ready.set()
        while self._wait():
            try:
                self._step()
            except Exception as error:
                self._fail(error)

    def _wait(self) -> bool:
        """Wait for something to do; False when all is done and the batcher is stopping."""
        with self._changed:
            while not self._queues and not self._live:
                if self._stopping:
                    return False
                self._changed.wait()
            return True

    def _step(self) -> None:
        began = time.perf_counter()
        self._drop_late()
        self._admit()
        with self._metrics.timed("drawing"):
            finished = self._session.advance(self._most_rows)
        for rows in self._session.evaluated:
            self._metrics.evaluated(rows)
        for drawing in finished:
            ticket, number = self._live.pop(id(drawing))
            picture = self.generator.finished(ticket.jobs.pop(number))
            ticket.post(Finished(number, picture))
        if finished:
            each = (time.perf_counter() - began) / len(finished)
            self._seconds += _SMOOTHING * (each - self._seconds)
        for ticket, number in self._live.values():
            self._show(ticket, number)

    def _drop_late(self) -> None:
        """Leave out what was cancelled or took too long."""
        now = time.monotonic()
        with self._changed:
            for user, queue in list(self._queues.items()):
                kept = deque(each for each in queue if not self._is_over(each[0], now))
                self._waiting -= len(queue) - len(kept)
                self._queues[user] = kept
                if not kept:
                    del self._queues[user]
        for ticket, number in list(self._live.values()):
            if self._is_over(ticket, now):
                self._leave(ticket, number)

    def _is_over(self, ticket: Ticket, now: float) -> bool:
        if not ticket.cancelled and now > ticket.deadline:
            ticket.cancelled = True
            ticket.post(ApiError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"the request took more than {self._most_seconds:.0f} seconds",
                code="timeout", retry_after=self._seconds,
            ))  # fmt: skip
        return ticket.cancelled

    def _leave(self, ticket: Ticket, number: int) -> None:
        job = ticket.jobs.pop(number)
        self._session.drop(job.drawing)
        del self._live[id(job.drawing)]

    def _admit(self) -> None:
        """Take pictures from the queues, the users in turn, while there is room."""
        taken: list[tuple[Ticket, int]] = []
        with self._changed:
            while self._queues and len(self._live) + len(taken) < self._most_rows:
                user, queue = next(iter(self._queues.items()))
                taken.append(queue.popleft())
                self._waiting -= 1
                self._queues.move_to_end(user)
                if not queue:
                    del self._queues[user]
        try:
            jobs = self._jobs(taken)
        except Exception as error:
            for ticket in {id(ticket): ticket for ticket, _ in taken}.values():
                self._refuse(ticket, error)
            raise
        for (ticket, number), job in zip(taken, jobs, strict=True):
            if isinstance(job, LimnerError):
                if not ticket.cancelled:
                    self._refuse(ticket, job)
            elif not ticket.cancelled:
                ticket.jobs[number] = job
                self._live[id(job.drawing)] = ticket, number
                self._session.add(job.drawing)

    def _jobs(self, taken: Sequence[tuple[Ticket, int]]) -> list[Job | LimnerError]:
        """What is drawn for pictures that are taken from the queues."""
        if not taken:
            return []
        with self._metrics.timed("understanding"):
            return self.generator.jobs(
                [ticket.requests[number] for ticket, number in taken],
                [ticket.references[number] if ticket.references else None
                 for ticket, number in taken],
            )  # fmt: skip

    def _show(self, ticket: Ticket, number: int) -> None:
        """Post a preview where the picture has come far enough for the next one."""
        shown = ticket.shown.get(number, 0)
        if shown >= ticket.partial_images:
            return
        drawing = ticket.jobs[number].drawing
        progress = self._session.progress(drawing)
        if progress * (ticket.partial_images + 1) >= shown + 1:
            images = self._session.preview(drawing)
            if len(images) == 1:
                ticket.post(Partial(number, shown, images[0]))
                ticket.shown[number] = shown + 1

    def _refuse(self, ticket: Ticket, error: Exception) -> None:
        """Tell whoever waits why there is no picture."""
        ticket.cancelled = True
        ticket.post(of_limner(error) if isinstance(error, LimnerError) else ApiError(
            500, "drawing failed; the server's log says why", code="internal_error"
        ))  # fmt: skip

    def _fail(self, error: Exception) -> None:
        """Tell everybody whose picture is being drawn, and begin anew."""
        _log.error("drawing failed", exc_info=error)
        for ticket in {id(ticket): ticket for ticket, _ in self._live.values()}.values():
            self._refuse(ticket, error)
        self._live.clear()
        self._session = self.generator.session()
