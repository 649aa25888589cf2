"""Connections of the server: how uvicorn is run, slow clients, and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn
from fastapi import FastAPI, Request
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from limner.serving.errors import ApiError

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol

_DRAIN_SECONDS = 30
_HEADER_SECONDS, _READ_SECONDS = 20.0, 300.0
_POLL_SECONDS = 0.25
_Result = TypeVar("_Result")
_MOST_FRAME_BYTES = 1_000_000
"""Of a message over a websocket that is read at all."""


class DeadlineProtocol(_Protocol):
    """HTTP whose clients must send a request's headers, and read what they are sent, in time."""

    _headers: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Begin or cease to wait for headers."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cease to wait for anything."""
        super().connection_lost(exc)
        for timer in (self._headers, self._reading):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._reading = self.loop.call_later(_READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _watch(self) -> None:
        upgraded = self.transport.get_protocol() is not self
        waits = not upgraded and (self.cycle is None or self.cycle.response_complete)
        if waits and self._headers is None:
            self._headers = self.loop.call_later(_HEADER_SECONDS, self.transport.abort)
        elif not waits and self._headers is not None:
            self._headers.cancel()
            self._headers = None


def uvicorn_config(app: FastAPI, **more: Any) -> uvicorn.Config:
    """How the application is run.

    Args:
        app: the application.
        more: options of uvicorn.
    """
    return uvicorn.Config(
        app, http=DeadlineProtocol, ws_max_size=_MOST_FRAME_BYTES, lifespan="on",
        log_config=None, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS, **more,
    )  # fmt: skip


async def unless_gone(
    request: Request, work: Coroutine[Any, Any, _Result], cancel: Callable[[], None]
) -> _Result:
    """What some work returns, which is cancelled when the client goes away.

    Args:
        request: of the client.
        work: is awaited.
        cancel: is called where the client has gone before the work is done, or the server gives it
            up because it ends.

    Raises:
        ApiError: 499, if the client goes away.
    """
    watch, working = asyncio.create_task(_gone(request)), asyncio.create_task(work)
    try:
        await asyncio.wait({watch, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "the client went away", code="client_gone")
        return working.result()
    finally:
        if not working.done():
            cancel()
        for task in (watch, working):
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                await task


async def _gone(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(_POLL_SECONDS)
