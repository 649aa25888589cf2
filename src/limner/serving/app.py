"""The HTTP application: its routes, models, health; errors in one shape."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import limner
from limner.generation.generator import Generator
from limner.serving.a1111 import add_a1111
from limner.serving.errors import ApiError
from limner.serving.gallery import Gallery
from limner.serving.gallery_routes import add_gallery
from limner.serving.images import add_images
from limner.serving.live import add_page
from limner.serving.server import Server, ServerSettings
from limner.serving.understanding import add_understanding
from limner.serving.wire import MOST_JSON_BYTES, validation_error

_log = logging.getLogger("limner.serving")
_REFUSED: dict[str, Any] = {
    "description": "The request is refused.",
    "content": {"application/json": {"schema": ApiError.schema()}},
}
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TIDY_SECONDS = 600.0
_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def make_app(
    generator: Generator, settings: ServerSettings | None = None, gallery: Gallery | None = None
) -> FastAPI:
    """The application.

    Args:
        generator: draws; the application's batcher owns it from its start on.
        settings: how the server is run.
        gallery: keeps what is drawn; None to keep nothing.
    """
    server = Server(generator, settings or ServerSettings(), gallery)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.batcher.start()
        tidying = asyncio.create_task(_tidy(server))
        yield
        tidying.cancel()
        await asyncio.to_thread(server.batcher.stop)
        server.reader.stop()

    app = FastAPI(
        title="limner", version=limner.__version__, lifespan=lifespan,
        docs_url=None, redoc_url=None, responses={"4XX": _REFUSED},
        description="Draws pictures from words: the Images API, with limner's own options.",
    )  # fmt: skip
    app.state.server = server
    _add_errors(app)
    _add_health(app, server)
    _add_models(app, server)
    add_images(app, server)
    add_understanding(app, server)
    add_a1111(app, server)
    add_page(app, server)
    if gallery is not None:
        add_gallery(app, gallery, server.user_of)
    return app


async def _tidy(server: Server) -> None:
    while True:
        await asyncio.to_thread(server.tidy)
        await asyncio.sleep(_TIDY_SECONDS)


class _RequestIdMiddleware:
    """Gives every request an id, answers safe headers, and logs what was answered.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        began, replaced = time.perf_counter(), False

        async def answer(message: Message) -> None:
            nonlocal replaced
            if replaced:
                return
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] == 413 and headers.get("content-type") != "application/json":
                    replaced = True  # the limit of bodies answers in plain text
                headers["x-request-id"] = name
                for header, value in _SAFE_HEADERS.items():
                    headers.setdefault(header, value)
                _log.info(
                    "%s %s %s %d %.0f ms", name, scope["method"], scope["path"],
                    message["status"], 1000 * (time.perf_counter() - began),
                )  # fmt: skip
            if replaced:
                body = _too_large(scope)
                own = {"x-request-id": name} | _SAFE_HEADERS
                await JSONResponse(body.body, body.status, own)(scope, receive, send)
            else:
                await send(message)

        await self.app(scope, receive, answer)


def _too_large(scope: Scope) -> ApiError:
    """A refusal of a body by the limit of its route."""
    limits = {getattr(route, "path", ""): getattr(route, "max_body_size", None)
              for route in scope["app"].routes}  # fmt: skip
    most = limits.get(scope["path"]) or MOST_JSON_BYTES
    return ApiError(413, f"the body is larger than {most:,} bytes", code="body_too_large")


def _add_errors(app: FastAPI) -> None:
    """One shape for whatever goes wrong, a name for every request, and safe headers."""
    app.add_middleware(_RequestIdMiddleware)

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body, error.status, headers=dict(error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = validation_error(error.errors())
        return JSONResponse(found.body, found.status)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        found = ApiError(error.status_code, error.detail)
        return JSONResponse(found.body, found.status, headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        found = ApiError(500, "the request failed; the server's log says why")
        return JSONResponse(found.body, found.status)


def _add_health(app: FastAPI, server: Server) -> None:
    """Whether the process lives, and whether it can draw."""

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, str | int]:
        """Whether the server answers, and how many pictures wait or are being drawn."""
        return {"status": "live", "pictures": server.batcher.waiting}

    @app.get("/health/ready", tags=["health"])
    async def ready() -> dict[str, str]:
        """Whether the server has drawn its first picture."""
        if not server.batcher.ready.is_set():
            raise ApiError(503, "the model is being loaded", code="not_ready", retry_after=1)
        return {"status": "ready"}


def _add_models(app: FastAPI, server: Server) -> None:
    """What models there are."""

    def described(name: str) -> dict[str, Any]:
        info = server.generator.info
        return {
            "id": name, "object": "model", "created": server.created, "owned_by": "limner",
            "family": server.generator.model.family, "styles": list(server.generator.styles),
            "capabilities": sorted(server.generator.model.capabilities),
            "licences": info.licences,
        }  # fmt: skip

    # Some clients list only what is called as upstream's models are.
    names = (server.model, f"gpt-image-{server.model}")

    @app.get("/v1/models", tags=["models"])
    async def models(request: Request) -> dict[str, Any]:
        """All models; one of them under a name that clients of upstream look for."""
        server.user_of(request)
        return {"object": "list", "data": [described(name) for name in names]}

    @app.get("/v1/models/{name}", tags=["models"])
    async def model(request: Request, name: str) -> dict[str, Any]:
        """One model."""
        server.user_of(request)
        server.check_model(name)
        return described(name)
