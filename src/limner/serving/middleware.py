"""What every request goes through before and after its route."""

from __future__ import annotations

import logging
import re
import secrets
import time
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.serving.errors import ApiError
from limner.serving.logs import begin_request, log_line
from limner.serving.metrics import Metrics
from limner.serving.wire import MOST_JSON_BYTES

_log = logging.getLogger("limner.serving")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_UNLOGGED = ("/health/", "/metrics")
"""Routes that what watches the server calls all the time."""
_GONE = 499
"""Status of a request whose client left before it was answered, as nginx has it."""


class RequestMiddleware:
    """Gives every request an id, answers safe headers, counts and logs what was answered.

    Args:
        app: the application inside.
        metrics: counts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
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
        except Exception as error:
            _log.error("a request failed", exc_info=error)
            if status:  # it is too late to answer otherwise
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
    """The status that a message answers with; 0 where it says none."""
    kind = message["type"]
    if kind in ("http.response.start", "websocket.http.response.start"):
        return int(message["status"])
    if kind == "websocket.accept":
        return HTTPStatus.SWITCHING_PROTOCOLS
    return HTTPStatus.FORBIDDEN if kind == "websocket.close" else 0


class BodyLimitMiddleware:
    """Answers in the shape of all errors where a route's limit of bodies is exceeded.

    Args:
        app: the application inside, whose routes have limits that answer in plain text.
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


def _too_large(scope: Scope) -> JSONResponse:
    limits = {getattr(route, "path", ""): getattr(route, "max_body_size", None)
              for route in scope["app"].routes}  # fmt: skip
    most = limits.get(scope["path"]) or MOST_JSON_BYTES
    error = ApiError(413, f"the body is larger than {most:,} bytes", code="body_too_large")
    return error.response()
