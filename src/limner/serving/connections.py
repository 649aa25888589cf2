"""Connections of the server: how uvicorn is run, and how long it waits for slow clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol

_DRAIN_SECONDS = 30
_HEADER_SECONDS, _READ_SECONDS = 20.0, 300.0
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
