"""The HTTP application: its routes, models, health; errors in one shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

import limner
from limner.errors import LimnerError
from limner.generation.generator import Generator
from limner.generation.provenance import ContentSigner
from limner.serving.a1111 import add_a1111
from limner.serving.errors import ApiError
from limner.serving.explanations import add_explanations
from limner.serving.gallery import Gallery
from limner.serving.gallery_routes import add_gallery
from limner.serving.images import add_images
from limner.serving.live import add_page
from limner.serving.middleware import add_middleware
from limner.serving.models import Models, ServedModel
from limner.serving.moderation import Moderator
from limner.serving.refinements import add_refinements
from limner.serving.restorations import add_restorations
from limner.serving.server import Server
from limner.serving.settings import ServerSettings
from limner.serving.understanding import add_understanding
from limner.serving.wire import validation_error

_REFUSED: dict[str, Any] = {
    "description": "The request is refused.",
    "content": {"application/json": {"schema": ApiError.schema()}},
}
_TIDY_SECONDS = 600.0
_LONGEST_PATH = 200
"""Of an address in an error, in characters."""


def make_app(
    models: Models | Generator,
    settings: ServerSettings | None = None,
    gallery: Gallery | None = None,
    moderator: Moderator | None = None,
    signer: ContentSigner | None = None,
) -> FastAPI:
    """The application.

    Args:
        models: that are served, or one in memory, which the application's batcher owns from its
            start on.
        settings: how the server is run.
        gallery: keeps what is drawn; None to keep nothing.
        moderator: flags or refuses prompts and pictures; None to let all through.
        signer: signs the files that are answered; None to leave them unsigned.
    """
    if isinstance(models, Generator):
        models = Models.of(models)
    server = Server(models, settings or ServerSettings(), gallery, moderator, signer)

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
    add_middleware(app, server)
    _add_errors(app, server)
    _add_health(app, server)
    _add_models(app, server)
    add_images(app, server)
    add_understanding(app, server)
    add_restorations(app, server)
    add_explanations(app, server)
    add_refinements(app, server)
    add_a1111(app, server)
    add_page(app, server)
    if gallery is not None:
        add_gallery(app, gallery, server.reader, server.user_of)
    return app


async def _tidy(server: Server) -> None:
    while True:
        await asyncio.to_thread(server.tidy)
        await asyncio.sleep(_TIDY_SECONDS)


def _add_errors(app: FastAPI, server: Server) -> None:
    """One shape for whatever goes wrong."""

    def answer(error: ApiError) -> Response:
        server.metrics.refused(error.code)
        return error.response()

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> Response:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return answer(validation_error(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        found = answer(_of_http(request, error))
        found.headers.update(error.headers or {})
        return found


def _of_http(request: Request, error: HTTPException) -> ApiError:
    """What the framework refuses by itself."""
    path = request.url.path[:_LONGEST_PATH]
    own = error.detail == HTTPStatus(error.status_code).phrase  # no more than the status says
    if error.status_code == HTTPStatus.NOT_FOUND and own:
        why = f"there is nothing at {path}; /openapi.json lists the addresses"
        return ApiError(404, why, code="not_found")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        why = f"{path} does not take {request.method}; /openapi.json says what it takes"
        return ApiError(405, why, code="method_not_allowed")
    if error.status_code == HTTPStatus.BAD_REQUEST and "parsing the body" in error.detail:
        return ApiError(400, "the body is not valid JSON in UTF-8", code="invalid_json")
    return ApiError(error.status_code, error.detail)


def _add_health(app: FastAPI, server: Server) -> None:
    """Whether the process lives, whether it can draw, and how much."""

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

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Figures of the running server, as Prometheus reads them."""
        server.user_of(request)
        text, media_type = server.metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})


def _add_models(app: FastAPI, server: Server) -> None:
    """Add the routes that list models."""

    def described(name: str, model: ServedModel) -> dict[str, Any]:
        loaded = server.batcher.has_loaded(model.version)
        takes = {
            "prefer": server.reader.preferences is not None, "gallery": server.gallery is not None
        }  # fmt: skip
        return {"id": name, "loaded": loaded} | takes | model.described

    @app.get("/v1/models", tags=["models"])
    async def models(request: Request) -> dict[str, Any]:
        """All models; each also under a name that clients of upstream look for."""
        server.user_of(request)
        found = [described(name, model) for name, model in server.models.names]
        return {"object": "list", "data": found}

    @app.get("/v1/models/{name}", tags=["models"])
    async def model(request: Request, name: str) -> dict[str, Any]:
        """One model."""
        server.user_of(request)
        return described(name, server.models.find(name))

    @app.post("/v1/models/{name}/reload", tags=["models"])
    async def reload(request: Request, name: str) -> dict[str, Any]:
        """Draw as the model's file says now; what was asked for before is drawn as it was."""
        server.check_admin(request)
        found = server.models.find(name)
        try:
            changed = await asyncio.to_thread(server.reload, found)
        except LimnerError as error:
            raise ApiError(409, f"{error}; all stays as it was", code="model_not_loaded") from error
        return {"reloaded": changed} | described(found.name, found)
