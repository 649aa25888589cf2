"""The web page, which draws as you type, and its WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.generation.picture import Picture
from limner.serving.errors import ApiError
from limner.serving.images import Order, best_of, take
from limner.serving.moderation import flags_as_json
from limner.serving.pictures import base64_of, origins
from limner.serving.quotas import Limited
from limner.serving.server import Server
from limner.serving.tickets import Finished
from limner.serving.wire import GenerationRequest, understand, validation_error
from limner.vision.images import png_bytes

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "cache-control": "no-cache",
}
_NO_TEXT, _TOO_BIG, _TRY_LATER = 1003, 1009, 1013
"""Codes of RFC 6455, section 7.4.1, and of its registry, with which a connection is closed."""
_MOST_MESSAGE = 100_000
"""Characters."""
_MOST_CONNECTIONS = 32
"""Of one address."""


class _Message(BaseModel):
    """What the page sends: a request, its number, and a key where the server asks for one."""

    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=0, le=2**53)
    body: dict[str, Any]
    key: str = Field("", max_length=512)


def add_page(app: FastAPI, server: Server) -> None:
    """Serve the page at ``/``, and its connection at ``/v1/live``."""
    folder = files("limner.serving") / "page"
    contents = {name: (folder / name).read_bytes() for name in _FILES}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(contents["index.html"], media_type=_FILES["index.html"],
                        headers=_PAGE_HEADERS)  # fmt: skip

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in contents:
            raise ApiError(404, "the page has no such file", code="not_found")
        return Response(contents[name], media_type=_FILES[name], headers=_PAGE_HEADERS)

    connections: Counter[str] = Counter()

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        address = socket.client.host if socket.client else ""
        await socket.accept()
        if connections[address] >= _MOST_CONNECTIONS:
            await socket.close(_TRY_LATER)
            return
        connections[address] += 1
        newest: asyncio.Task[None] | None = None
        try:
            while True:
                text = await socket.receive_text()
                if len(text) > _MOST_MESSAGE:
                    await socket.close(_TOO_BIG)
                    return
                if newest is not None:  # the previous request is obsolete
                    newest.cancel()
                    with suppress(asyncio.CancelledError):
                        await newest
                newest = asyncio.create_task(_draw(socket, server, text))
        except (WebSocketDisconnect, RuntimeError):
            pass
        except KeyError:  # bytes instead of a text
            await socket.close(_NO_TEXT)
        finally:
            connections[address] -= 1
            if not connections[address]:
                del connections[address]
            if newest is not None:
                newest.cancel()


async def _draw(socket: WebSocket, server: Server, text: str) -> None:
    """Draw what one message asks for, picture by picture."""
    began, number = time.perf_counter(), 0
    try:
        try:
            message = _Message.model_validate_json(text)
            number = message.id
            body = GenerationRequest.model_validate(message.body)
        except ValidationError as error:
            raise validation_error(error.errors()) from error
        user = server.user_of(socket, message.key)
        await server.spend(user, Limited.REQUESTS)
        model = server.models.find(body.model)
        asked, flags = await server.rewritten(model, understand(body, model.side))
        order, drawn = await take(server, model, user, asked, flags=flags), dict[int, Picture]()
        async for event in server.batcher.events(order.ticket):
            if isinstance(event, Finished):
                drawn[event.picture] = event.result
                if not asked.chosen:
                    shown = await asyncio.to_thread(_shown, server, order, event.result)
                    await socket.send_json({"id": number, "picture": event.picture, **shown})
        if asked.chosen:
            for rank, (picture, score) in enumerate(await best_of(server, order, drawn)):
                shown = await asyncio.to_thread(_shown, server, order, picture)
                scored = {"picture": rank, "score": round(score, 4)}
                await socket.send_json({"id": number, **scored, **shown})
        took = round(1000 * (time.perf_counter() - began))
        await socket.send_json({"id": number, "done": True, "milliseconds": took})
    except ApiError as error:
        server.metrics.refused(error.code)
        await socket.send_json({"id": number, **error.body})
    except (WebSocketDisconnect, RuntimeError):
        pass  # the page was closed


def _shown(server: Server, order: Order, picture: Picture) -> dict[str, Any]:
    """A picture as the page shows it."""
    flags = order.flags + server.check_drawn([picture])
    with server.metrics.timed("encoding"):
        file = png_bytes(picture.image)
    server.answered(order.model.name, "live")
    return {
        "image": base64_of(file), "seed": picture.seed,
        "style": picture.settings.style, **origins(picture),
        "flags": flags_as_json(flags),
    }  # fmt: skip
