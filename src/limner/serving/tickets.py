"""Requests that wait or are being drawn, and what those who asked are told of them."""

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
from limner.serving.drawing import Done
from limner.serving.errors import ApiError
from limner.serving.models import ModelVersion
from limner.serving.tasks import Task

_log = logging.getLogger(__name__)

Exact = tuple[int, DrawRequest, str | None]
"""All that the bits of a picture follow from; see :meth:`Ticket.exact`."""


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
        model: draws it.
        requests: one a picture.
        user: whose it is; users take turns.
        partial_images: previews of each picture.
        since: on the monotonic clock, when it came.
        deadline: on the same clock; it is dropped then.
        references: what each picture is drawn after; empty for nothing.
        task: that is done instead of drawing the one request; None for none.
        context: in which lines are logged, so that they name the request.
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
    events: asyncio.Queue[Event | Done | ApiError] = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    shown: dict[int, int] = field(default_factory=dict)
    losses: int = 0

    def exact(self, number: int) -> Exact:
        """All that the bits of a picture follow from; the last is the hash of its reference."""
        reference = self.references[number] if self.references else None
        after = None if reference is None else reference.digest
        return self.model.number, self.requests[number], after

    def post(self, event: Event | Done | ApiError) -> None:
        """Hand an event to whoever waits, from the thread that draws."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody waits
            self.cancelled = True

    def refuse(self, error: ApiError) -> None:
        """Tell whoever waits why there is no picture; once."""
        if not self.cancelled:
            self.cancelled = True
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                self.context.run(_log.error, "a picture is not drawn: %s", error.message)
            self.post(error)


Waiting = tuple[Ticket, int]
"""One of the pictures of a request, or its task."""
