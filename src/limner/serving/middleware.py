"""Middleware: request ids, logs, access control and limits on bodies."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.serving.errors import ApiError, stopping
from limner.serving.hosts import host_of, is_loopback
from limner.serving.logs import begin_request, log_line
from limner.serving.quotas import Limited
from limner.serving.server import Server
from limner.serving.wire import MOST_JSON_BYTES

_log = logging.getLogger("limner.serving")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_UNLOGGED = ("/health/", "/metrics")
"""Routes that monitoring calls continually."""
_EXPOSED = [
    "x-request-id", "retry-after", "retry-after-ms",
    *(f"x-ratelimit-{what}-{each}" for what in ("limit", "remaining", "reset")
      for each in ("requests", "images")),
]  # fmt: skip
_OPEN = re.compile(r"/|/page/[^/]+|/health/(live|ready)|/v1/images/files/[^/]+|/v1/live")
"""Routes without a key: the page, health checks, unguessable addresses, and the page's WebSocket,
whose messages have the key."""
_BODY_SECONDS, _BODY_BYTES_A_SECOND = 30.0, 50_000
"""Seconds that a body may take, plus one second for each of this many bytes received."""
_LINGER_SECONDS, _LINGER_BYTES = 1.0, 16_000_000
"""Seconds and bytes for which the rest of a refused body is read and discarded."""
_GONE = 499
"""Status in logs of a request whose client disconnected, as in nginx."""


def add_middleware(app: FastAPI, server: Server) -> None:
    """Add all middleware.

    Args:
        app: the application.
        server: its state.
    """
    app.add_middleware(BodyLimitMiddleware)  # the innermost
    app.add_middleware(AccessMiddleware, server=server)
    app.add_middleware(BodyDeadlineMiddleware)
    if server.settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=server.settings.cors, allow_headers=["*"],
            allow_methods=["GET", "POST", "DELETE"], expose_headers=_EXPOSED,
        )  # fmt: skip
    app.add_middleware(RequestMiddleware, server=server)


class RequestMiddleware:
    """Adds request ids and security headers, and counts and logs responses.

    Behind a proxy with a path prefix, requests work whether or not the proxy strips it, and URLs in
    responses begin with it (``root_path`` of the ASGI specification).

    Args:
        app: the inner application.
        server: its state.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self._metrics = app, server.metrics
        self._root = server.settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if self._root:
            path = scope["path"]
            path = path if path.startswith(f"{self._root}/") else self._root + path
            scope = {**scope, "root_path": self._root, "path": path}
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        facts, began, status = begin_request(name), time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            status = status or _status_of(message)
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(facts.headers | {"x-request-id": name})
                for header, value in _SAFE_HEADERS.items():
                    headers.setdefault(header, value)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            # The server is stopping, and this request did not finish in time.
            if not status and scope["type"] == "http":
                await stopping().response()(scope, receive, answer)
        except Exception as error:
            _log.error("a request failed", exc_info=error)
            if status:  # the response has already started
                raise
            if scope["type"] == "http":
                failed = ApiError(500, "the request failed; the server's log says why")
                await failed.response()(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            method = scope.get("method", "WEBSOCKET")
            route = getattr(scope.get("route"), "path", "")
            status = status or _GONE
            self._metrics.requested(method, route, status, seconds)
            if not route.startswith(_UNLOGGED):
                log_line(
                    _log, "answered", method=method, route=route or "none", status=int(status),
                    milliseconds=round(1000 * seconds, 1), pictures=facts.pictures,
                    prompts=facts.prompts or None,
                )  # fmt: skip


def _status_of(message: Message) -> int:
    """The status of a response message; 0 for other messages."""
    kind = message["type"]
    if kind in ("http.response.start", "websocket.http.response.start"):
        return int(message["status"])
    if kind == "websocket.accept":
        return HTTPStatus.SWITCHING_PROTOCOLS
    return HTTPStatus.FORBIDDEN if kind == "websocket.close" else 0


class AccessMiddleware:
    """Access control, before the body is read: API key and origin.

    Without keys, every client has access, except pages of other sites whose origin is not in
    ``settings.cors`` (cross-site request forgery). Since such a page could resolve its own host
    name to this machine (DNS rebinding), with ``settings.local_names`` only requests for names of
    this machine are accepted.

    Args:
        app: the inner application.
        server: its state, with keys, origins and limits.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            if scope["type"] != "lifespan":
                await self._check(HTTPConnection(scope))
        except ApiError as error:
            self._server.metrics.refused(error.code)
            await error.response()(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _check(self, request: HTTPConnection) -> None:
        host = host_of(request.headers.get("host", ""))
        if host and self._server.settings.local_names and not is_loopback(host):
            raise ApiError(
                403, f"this server is not called {host[:64]!r}: ask 127.0.0.1 or localhost, or "
                "start it with --keys or --insecure", code="unknown_host",
            )  # fmt: skip
        changes = request.scope.get("method") not in ("GET", "HEAD", "OPTIONS")
        if changes and not self._knows_origin(request):
            raise ApiError(
                403, "pages of other sites may not use this server; name theirs with --cors",
                code="unknown_origin",
            )  # fmt: skip
        if not _OPEN.fullmatch(_route_path(request.scope)):
            user = self._server.user_of(request)
            if changes:
                await self._server.spend(user, Limited.REQUESTS)

    def _knows_origin(self, request: HTTPConnection) -> bool:
        """Whether the request is from this server's page, an allowed origin, or no page at all."""
        origin = request.headers.get("origin")
        if origin is None or urlsplit(origin).netloc == request.headers.get("host"):
            return True
        return not {origin, "*"}.isdisjoint(self._server.settings.cors)


class BodyDeadlineMiddleware:
    """Refuses bodies that arrive too slowly, and closes connections after a refused body.

    Args:
        app: the inner application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope)
        left = sent.get("content-length", "0") != "0" or "transfer-encoding" in sent
        until = time.monotonic() + _BODY_SECONDS

        async def timely() -> Message:
            nonlocal left, until
            try:
                async with asyncio.timeout(until - time.monotonic() if left else None):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(
                    HTTPStatus.REQUEST_TIMEOUT, "the request's body comes too slowly"
                ) from error
            left = left and message.get("more_body", False)
            until += len(message.get("body", b"")) / _BODY_BYTES_A_SECOND
            return message

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and left:
                MutableHeaders(scope=message)["connection"] = "close"
            if left and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await linger()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        async def linger() -> None:
            """Let a client that still sends read its answer: closed at once, it sees a reset."""
            read = 0
            with suppress(TimeoutError, HTTPException):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while left and read < _LINGER_BYTES:
                        message = await timely()
                        read += len(message.get("body", b""))
                        if message["type"] == "http.disconnect":
                            break

        await self.app(scope, timely, answer)


class BodyLimitMiddleware:
    """Converts the plain-text error of a route's body limit to the JSON format of all errors.

    Args:
        app: the inner application, whose routes have the limits.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        replaced = False

        async def answer(message: Message) -> None:
            nonlocal replaced
            if replaced:
                return
            if message["type"] == "http.response.start":
                plain = Headers(scope=message).get("content-type") != "application/json"
                replaced = message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and plain
            await (_too_large(scope)(scope, receive, send) if replaced else send(message))

        await self.app(scope, receive, answer)


def _route_path(scope: Scope) -> str:
    """The path for routing, without the prefix of a proxy."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))


def _too_large(scope: Scope) -> JSONResponse:
    limits = {getattr(route, "path", ""): getattr(route, "max_body_size", None)
              for route in scope["app"].routes}  # fmt: skip
    most = limits.get(_route_path(scope)) or MOST_JSON_BYTES
    error = ApiError(413, f"the body is larger than {most:,} bytes", code="body_too_large")
    return error.response()
