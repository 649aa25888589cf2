"""Queued and running requests, and the events that are sent to their clients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from http import HTTPStatus

from PIL import Image

from limner.generation.picture import Picture
from limner.generation.references import SeenReference
from limner.generation.requests import DrawRequest
from limner.serving.errors import ApiError
from limner.serving.model_runner import TaskDone
from limner.serving.models import ModelVersion
from limner.serving.tasks import Task

_log = logging.getLogger(__name__)

Exact = tuple[int, DrawRequest, str | None]
"""Everything that determines the bits of a picture; see :meth:`Ticket.exact`."""


@dataclass(frozen=True)
class Partial:
    """A preview of one of a request's pictures.

    Attributes:
        picture: its index in the request.
        index: index of the preview.
        image: the current estimate of the picture.
    """

    picture: int
    index: int
    image: Image.Image


@dataclass(frozen=True)
class Finished:
    """A finished picture of a request.

    Attributes:
        picture: its index in the request.
        result: the finished picture.
    """

    picture: int
    result: Picture


Event = Partial | Finished


@dataclass(eq=False)
class Ticket:
    """A queued or running request of a client.

    Attributes:
        model: the model to use.
        requests: one per picture.
        user: the client's user; the queue is fair between users.
        partial_images: number of previews per picture.
        since: when it arrived, on the monotonic clock.
        deadline: when it is dropped, on the same clock.
        loop: the event loop of the route that waits for it.
        references: the reference of each picture; empty for none.
        task: a task to run instead of drawing the one request.
        context: context variables for logging, so that log lines name the HTTP request.
        events: what the route reads: previews, pictures, the result of a task, or an error.
        cancelled: whether nobody waits for it any more.
        shown: number of previews sent, by the index of a picture.
        losses: how often it was requeued because its model runner was lost.
    """

    model: ModelVersion
    requests: Sequence[DrawRequest]
    user: str
    partial_images: int
    since: float
    deadline: float
    loop: asyncio.AbstractEventLoop
    references: Sequence[SeenReference | None] = ()
    task: Task | None = None
    context: Context = field(default_factory=copy_context)
    events: asyncio.Queue[Event | TaskDone | ApiError] = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    shown: dict[int, int] = field(default_factory=dict)
    losses: int = 0

    def exact(self, number: int) -> Exact:
        """Everything that determines a picture: model, request, and the hash of its reference."""
        reference = self.references[number] if self.references else None
        after = None if reference is None else reference.digest
        return self.model.number, self.requests[number], after

    def post(self, event: Event | TaskDone | ApiError) -> None:
        """Send an event to the waiting route, from a batcher thread."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the loop is closed
            self.cancelled = True

    def refuse(self, error: ApiError) -> None:
        """Send an error to the waiting route, unless the request has already ended."""
        if not self.cancelled:
            self.cancelled = True
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                self.context.run(_log.error, "a picture is not drawn: %s", error.message)
            self.post(error)


Waiting = tuple[Ticket, int]
"""A request, and the index of one of its pictures; 0 for a task."""
