"""The HTTP application: routes of the Images API, models, health; errors in one shape."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from PIL import Image
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import limner
from limner.errors import CapabilityError, UsageError
from limner.generation.generator import Generator
from limner.models.settings import Settings, make_settings
from limner.serving.batcher import Batcher, Finished, Partial, Ticket
from limner.serving.errors import ApiError
from limner.serving.live import add_page
from limner.serving.pictures import PictureLinks, base64_of, encode, fitted
from limner.serving.wire import Asked, GenerationRequest, understand, validation_error

_log = logging.getLogger("limner.serving")
_MOST_BYTES = 1_000_000
"""Of a JSON body."""
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_POLL_SECONDS = 0.25
_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_OTHER_NAMES = ("gpt-image", "dall-e")
"""What the names of upstream's models begin with; they mean the default model."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server is run.

    Attributes:
        keys: SHA-256 of the API keys, in hex, by the name of their user; none: everybody may draw.
        most_waiting: pictures that may wait; more are refused.
        most_seconds: a request may take.
        link_seconds: for which a picture is kept under its address.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    most_waiting: int = 256
    most_seconds: float = 300.0
    link_seconds: float = 3600.0


class Server:
    """What the routes share: the model with its batcher, and finished pictures.

    Args:
        generator: draws.
        settings: how the server is run.
    """

    def __init__(self, generator: Generator, settings: ServerSettings) -> None:
        self.generator, self.settings = generator, settings
        self.model = generator.path.stem if generator.path is not None else generator.model.family
        self.created = int(time.time())
        self.links = PictureLinks(settings.link_seconds)
        self.batcher = Batcher(
            generator, most_waiting=settings.most_waiting, most_seconds=settings.most_seconds
        )

    def user_of(self, request: HTTPConnection, key: str = "") -> str:
        """Whose request it is: the name of its key, else the address it comes from.

        Args:
            request: its ``authorization`` holds the key.
            key: where a browser cannot send that header.

        Raises:
            ApiError: keys are asked for and it has none of them.
        """
        if not self.settings.keys:
            return request.client.host if request.client else ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        key = given if scheme.lower() == "bearer" else key
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        for name, known in self.settings.keys.items():
            if hmac.compare_digest(digest, known):
                return name
        raise ApiError(
            401, "give a key of this server: Authorization: Bearer KEY", code="invalid_api_key"
        )

    def check_model(self, name: str | None) -> None:
        """Refuse the name of a model that is not here; upstream's names mean the default one."""
        if name and name != self.model and not name.startswith(_OTHER_NAMES):
            raise ApiError(
                404, f"there is no model {name!r} here; GET /v1/models lists them",
                param="model", code="model_not_found",
            )  # fmt: skip

    def check_options(self, settings: Settings) -> None:
        """Refuse options that the model does not take, each by its name."""
        for name, value in settings.given.items():
            try:
                self.generator.check_settings(make_settings(**{name: value}))
            except CapabilityError as error:
                raise ApiError(400, str(error), param=name, code="unsupported_parameter") from error
            except UsageError as error:
                raise ApiError(400, str(error), param=name, code="invalid_value") from error


def make_app(generator: Generator, settings: ServerSettings | None = None) -> FastAPI:
    """The application.

    Args:
        generator: draws; the application's batcher owns it from its start on.
        settings: how the server is run.
    """
    server = Server(generator, settings or ServerSettings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.batcher.start()
        yield
        await asyncio.to_thread(server.batcher.stop)

    app = FastAPI(
        title="limner", version=limner.__version__, lifespan=lifespan,
        description="Draws pictures from words: the Images API, with limner's own options.",
    )  # fmt: skip
    app.state.server = server
    _add_errors(app)
    _add_health(app, server)
    _add_models(app, server)
    _add_images(app, server)
    add_page(app, server)
    return app


class _Named:
    """Gives every request a name, answers safe headers, and logs what was answered.

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
                body = _too_large()
                own = {"x-request-id": name} | _SAFE_HEADERS
                await JSONResponse(body.body, body.status, own)(scope, receive, send)
            else:
                await send(message)

        await self.app(scope, receive, answer)


def _too_large() -> ApiError:
    return ApiError(413, f"the body is larger than {_MOST_BYTES:,} bytes", code="body_too_large")


def _add_errors(app: FastAPI) -> None:
    """One shape for whatever goes wrong, a name for every request, and safe headers."""
    app.add_middleware(_Named)

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


def _add_images(app: FastAPI, server: Server) -> None:
    """Drawing, and finished pictures by their address."""

    @app.post("/v1/images/generations", tags=["images"], max_body_size=_MOST_BYTES)
    async def generations(request: Request, body: GenerationRequest) -> Response:
        """Draw pictures: one JSON object, or with ``stream`` a stream of events."""
        user = server.user_of(request)
        server.check_model(body.model)
        asked = understand(body, server.generator.model.config.size)
        server.check_options(asked.requests[0].settings)
        ticket = server.batcher.submit(asked.requests, user, asked.partial_images)
        if asked.stream:
            return StreamingResponse(
                _events(server, ticket, asked), media_type="text/event-stream",
                headers={"cache-control": "no-store"},
            )  # fmt: skip
        return JSONResponse(await _answer(request, server, ticket, asked))

    @app.get("/v1/images/files/{name}", tags=["images"])
    async def file(name: str) -> Response:
        """A picture that was answered with a ``url``."""
        found = server.links.get(name)
        if found is None:
            raise ApiError(404, "there is no such picture, or no longer", code="not_found")
        return Response(found[0], media_type=found[1], headers={"cache-control": "private"})


async def _answer(request: Request, server: Server, ticket: Ticket, asked: Asked) -> dict[str, Any]:
    """The finished pictures of a request; it is cancelled when the client goes away."""
    watch = asyncio.create_task(_until_gone(request))
    work = asyncio.create_task(_pictures(server, ticket, asked, str(request.base_url)))
    try:
        await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            server.batcher.cancel(ticket)
            raise ApiError(499, "the client went away")
        return _facts(asked) | {"created": int(time.time()), "data": work.result(),
                                "usage": _usage(asked, len(asked.requests))}  # fmt: skip
    finally:
        for task in (watch, work):
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                await task


async def _until_gone(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(_POLL_SECONDS)


async def _pictures(
    server: Server, ticket: Ticket, asked: Asked, address: str
) -> list[dict[str, Any]]:
    """The ``data`` of an answer, in the order of the seeds."""
    found: dict[int, dict[str, Any]] = {}
    async for event in server.batcher.events(ticket):
        if isinstance(event, Finished):
            data = await asyncio.to_thread(_file, event, asked)
            if asked.as_url:
                where = {"url": f"{address}v1/images/files/{server.links.add(data, asked.format)}"}
            else:
                where = {"b64_json": base64_of(data)}
            found[event.picture] = where | _drawn(event)
    return [found[number] for number in sorted(found)]


def _file(event: Finished, asked: Asked) -> bytes:
    return encode(event.result, asked.width, asked.height, asked.format, asked.quality)


def _drawn(event: Finished) -> dict[str, Any]:
    """What is said of a picture: the words it was drawn from, its seed and style."""
    picture = event.result
    others = [each.drawn for each in picture.drawn_from if each.replaced]
    return {
        "revised_prompt": ", ".join(each.drawn for each in picture.drawn_from)
        if others else picture.prompt,
        "seed": picture.seed, "style": picture.settings.style,
    }  # fmt: skip


def _facts(asked: Asked) -> dict[str, Any]:
    """What every answer and event says of its pictures."""
    facts = {
        "size": f"{asked.width}x{asked.height}", "quality": asked.answered_quality,
        "background": "transparent" if asked.transparent else "opaque",
        "output_format": str(asked.format),
    }  # fmt: skip
    if asked.safety_identifier is not None:
        facts["safety_identifier"] = asked.safety_identifier
    return facts


def _usage(asked: Asked, pictures: int) -> dict[str, Any]:
    """Tokens as clients count them: words of the prompt, and fields of 16 by 16 pixels."""
    words = len(re.findall(r"\w+|[^\w\s]", asked.requests[0].prompt))
    fields = pictures * -(-asked.width // 16) * -(-asked.height // 16)
    return {
        "input_tokens": words, "input_tokens_details": {"text_tokens": words, "image_tokens": 0},
        "output_tokens": fields,
        "output_tokens_details": {"image_tokens": fields, "text_tokens": 0},
        "total_tokens": words + fields,
    }  # fmt: skip


async def _events(server: Server, ticket: Ticket, asked: Asked) -> AsyncIterator[str]:
    """A stream of previews and pictures; closing it cancels what is left."""
    sent: dict[int, int] = {}
    try:
        async for event in server.batcher.events(ticket):
            if isinstance(event, Partial):
                yield _partial(asked, event.picture, event.index, event.image)
                sent[event.picture] = event.index + 1
                continue
            if asked.partial_images and not sent.get(event.picture):
                # One evaluation has no previews: the picture comes in finer and finer steps.
                for index in range(asked.partial_images):
                    side = max(8, event.result.image.width >> (2 * (asked.partial_images - index)))
                    yield _partial(asked, event.picture, index, event.result.image.resize(
                        (side, side)).resize(event.result.image.size))  # fmt: skip
            data = await asyncio.to_thread(_file, event, asked)
            yield _event("image_generation.completed", _facts(asked) | _drawn(event) | {
                "b64_json": base64_of(data), "created_at": int(time.time()),
                "image_index": event.picture, "usage": _usage(asked, 1),
            })  # fmt: skip
    except ApiError as error:
        yield format_sse_event(
            event="error", data_str=json.dumps({"type": "error"} | error.body)
        ).decode()


def _partial(asked: Asked, picture: int, index: int, image: Image.Image) -> str:
    """A preview as an event."""
    from io import BytesIO

    buffer = BytesIO()
    fitted(image.resize((min(asked.width, asked.height),) * 2), asked.width, asked.height).save(
        buffer, "PNG"
    )
    return _event("image_generation.partial_image", _facts(asked) | {
        "b64_json": base64_of(buffer.getvalue()), "created_at": int(time.time()),
        "partial_image_index": index, "image_index": picture, "output_format": "png",
    })  # fmt: skip


def _event(kind: str, facts: Mapping[str, Any]) -> str:
    text = json.dumps({"type": kind} | dict(facts))
    return format_sse_event(event=kind, data_str=text).decode()
