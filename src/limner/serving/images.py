"""The routes of the Images API: generations, edits, variations, and finished pictures."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from PIL import Image
from pydantic import BaseModel

from limner.errors import UsageError
from limner.generation.picture import Picture, best_first
from limner.serving.categories import Mode
from limner.serving.connections import unless_gone
from limner.serving.errors import ApiError, of_limner
from limner.serving.gallery_routes import linked_file
from limner.serving.models import ServedModel
from limner.serving.moderation import Flag, flags_as_json
from limner.serving.pictures import base64_of, encode, origins, revised_prompt, widest
from limner.serving.quotas import Limited
from limner.serving.server import SentPicture, Server
from limner.serving.tickets import Partial, Ticket
from limner.serving.uploads import (
    MOST_FILES,
    MOST_FORM_BYTES,
    Form,
    fields_of,
    form_schema,
    open_form,
    pictures_of,
)
from limner.serving.wire import (
    MOST_JSON_BYTES,
    Asked,
    EditRequest,
    GenerationRequest,
    VariationRequest,
    check_alone,
    understand,
)
from limner.vision.images import png_bytes
from limner.vision.resampling import fitted


@dataclass(frozen=True, eq=False)
class Order:
    """A running request.

    Attributes:
        model: the model to use.
        asked: the parsed request.
        ticket: its ticket in the batcher.
        kind: prefix of its event types.
        images: number of uploaded pictures.
        flags: moderation flags of the prompt and the uploaded pictures.
    """

    model: ServedModel
    asked: Asked
    ticket: Ticket
    kind: str = "image_generation"
    images: int = 0
    flags: tuple[Flag, ...] = ()


class Made(NamedTuple):
    """A picture of a response with its file.

    It has a score if candidates were scored, an id if it is in the gallery, and flags if there is
    moderation.
    """

    picture: Picture
    file: bytes
    score: float | None = None
    id: str | None = None
    flags: tuple[Flag, ...] | None = None


def add_images(app: FastAPI, server: Server) -> None:
    """Add the routes for drawing, and for finished pictures."""

    @app.post("/v1/images/generations", tags=["images"], max_body_size=MOST_JSON_BYTES)
    async def generations(request: Request, body: GenerationRequest) -> Response:
        """Draw pictures: one JSON object, or with ``stream`` a stream of events."""
        user = server.user_of(request)
        model = server.models.find(body.model)
        asked, flags = await server.rewritten(model, understand(body, model.side))
        order = await take(server, model, user, asked, flags=flags)
        return await _respond(request, server, order)

    @app.post(
        "/v1/images/edits", tags=["images"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(EditRequest, "image", "mask", "markup", several=True),
    )  # fmt: skip
    async def edits(request: Request) -> Response:
        """Draw the prompt in the hole of a masked picture, or in the style of pictures in turn.

        With ``strength`` the picture itself is changed, from a touch to a new drawing; with ``say``
        the prompt changes what a drawing of limner's shows.
        """
        user = server.user_of(request)
        async with open_form(request) as form:
            masks = form.files.pop("mask", [])
            body, model = _fields(server, form, EditRequest)
            files = pictures_of(form, most=1 if masks else MOST_FILES)
            asked, seen = await _edited(server, model, body, files, masks)
        order = await take(server, model, user, asked, seen, kind="image_edit")
        return await _respond(request, server, order)

    @app.post(
        "/v1/images/variations", tags=["images"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(VariationRequest, "image"),
    )  # fmt: skip
    async def variations(request: Request) -> Response:
        """Draw what a picture shows, as the captioner reads it, in the style of the picture."""
        user = server.user_of(request)
        async with open_form(request) as form:
            body, model = _fields(server, form, VariationRequest)
            (file,) = pictures_of(form, most=1)
            seen = await server.reader.run(server.see, model, file)
            captions = await server.reader.run(server.reader.captions, file)
            asked = understand(body, model.side, captions[0].text)
            if asked.requests[0].settings.strength is not None:
                asked = asked.changing(await server.reader.run(server.source, file, True))
        order = await take(server, model, user, asked, [seen])
        return await _respond(request, server, order)

    @app.get("/v1/images/files/{name}", tags=["images"])
    async def file(name: str) -> Response:
        """A picture that was answered with a ``url``."""
        known = server.gallery and server.gallery.links.picture(name)
        if server.gallery and known:
            return await asyncio.to_thread(linked_file, server.gallery, known)
        found = server.links.get(name)
        if found is None:
            raise ApiError(404, "there is no such picture, or no longer", code="not_found")
        return Response(found[0], media_type=found[1], headers={"cache-control": "private"})


def _fields(server: Server, form: Form, kind: type[BaseModel]) -> tuple[BaseModel, ServedModel]:
    """The fields of a multipart form, and the model that they name."""
    for name in ("mask", "markup"):
        if name in form.files or name in form.fields:
            raise ApiError(
                400, f"a {name} is no part of this request; parts of a picture are drawn anew by "
                "/v1/images/edits with the file mask",
                param=name, code="unsupported_parameter",
            )  # fmt: skip
    body = fields_of(kind, form.fields)
    return body, server.models.find(getattr(body, "model", None))


async def _edited(
    server: Server,
    model: ServedModel,
    body: BaseModel,
    files: Sequence[BinaryIO],
    masks: Sequence[BinaryIO],
) -> tuple[Asked, list[SentPicture]]:
    """What an edit asks for, and the pictures that came with it as they were seen."""
    asked = understand(body, model.side)
    says = bool(getattr(body, "say", None))
    changes = asked.requests[0].settings.strength is not None
    if (says or changes) and (masks or len(files) > 1):
        name, what = ("say", "changes the plan of") if says else ("strength", "changes")
        raise ApiError(
            400, f"{name} {what} one picture, without a mask", param=name, code="invalid_value"
        )
    if says:
        check_alone(body)
        record, flags = await server.reader.run(server.see_record, model, files[0])
        try:
            return asked.saying(record, model.side), [SentPicture(None, flags)]
        except UsageError as error:
            raise of_limner(error, "image") from error
    if changes:
        source, flags = await server.reader.run(server.see_source, model, files[0])
        return asked.changing(source), [SentPicture(None, flags)]
    if masks:
        masked, flags = await server.reader.run(server.see_masked, model, files[0], masks)
        return asked.inpainting(masked), [SentPicture(None, flags)]
    return asked, [await server.reader.run(server.see, model, file) for file in files]


async def take(
    server: Server,
    model: ServedModel,
    user: str,
    asked: Asked,
    sent: Sequence[SentPicture] = (),
    *,
    kind: str = "image_generation",
    flags: tuple[Flag, ...] = (),
) -> Order:
    """Queue what is asked for.

    Args:
        server: that draws.
        model: that is asked for.
        user: whose request it is.
        asked: what it asks for.
        sent: pictures that the pictures are drawn after in turn.
        kind: of its events.
        flags: of a prompt that this one was made of.

    Raises:
        ApiError: an option or the prompt is refused, the user has had enough, or the queue is full.
    """
    if server.signer is not None:
        try:
            server.signer.check_kind(asked.format)
        except UsageError as error:
            raise of_limner(error, "output_format") from error
    if asked.prefer and server.reader.preferences is None:
        raise ApiError(
            400, "this server has learned from no votes (limner serve --preferences FILE); leave "
            "prefer out", param="prefer", code="unsupported_parameter",
        )  # fmt: skip
    flags = tuple(dict.fromkeys(flags + server.check(model, asked.requests[0])))
    flags += tuple(flag for each in sent for flag in each.flags)
    await server.spend(user, Limited.PICTURES, len(asked.requests))
    references = [
        sent[number // asked.frames % len(sent)].reference for number in range(len(asked.requests))
    ] if sent else ()  # fmt: skip
    # With moderation of pictures, there are no previews: only finished pictures are checked.
    previews = 0 if server.moderator.pictures is Mode.REFUSE else asked.partial_images
    ticket = server.batcher.submit(model, asked.requests, user, previews, references)
    return Order(model, asked, ticket, kind, len(sent), flags)


async def _respond(request: Request, server: Server, order: Order) -> Response:
    """One JSON object, or a stream of events."""
    if order.asked.stream:
        return StreamingResponse(
            _events(server, order), media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )  # fmt: skip
    return JSONResponse(await _answer(request, server, order))


async def _answer(request: Request, server: Server, order: Order) -> dict[str, Any]:
    """The finished pictures of a request."""
    asked, data = order.asked, []
    for made in await until_gone(request, server, order):
        where = {"b64_json": base64_of(made.file)} if asked.as_file else {}
        if asked.as_url:
            name = server.link(made.file, made.id, asked)
            where["url"] = f"{request.base_url}v1/images/files/{name}"
        score = {} if made.score is None else {"score": round(made.score, 4)}
        data.append(where | _drawn(made) | score)
    return _facts(asked) | {
        "created": int(time.time()), "data": data, "usage": _usage(order, len(asked.requests)),
    }  # fmt: skip


async def until_gone(request: Request, server: Server, order: Order) -> list[Made]:
    """The pictures of a request, which is cancelled when the client goes away.

    Raises:
        ApiError: drawing is refused, takes too long, or the client goes away.
    """
    cancel = partial(server.batcher.cancel, order.ticket)
    return await unless_gone(request, _pictures(server, order), cancel)


async def _pictures(server: Server, order: Order) -> list[Made]:
    """The pictures of an answer: in the order of their seeds, or the best ones first."""
    asked, drawn = order.asked, dict[int, Picture]()
    made: dict[int, Made] = {}
    async for event in server.batcher.events(order.ticket):
        if isinstance(event, Partial):
            continue
        drawn[event.picture] = event.result
        number, size = event.picture // asked.frames, asked.frames
        own = [drawn[each] for each in range(number * size, (number + 1) * size) if each in drawn]
        if len(own) == size and not asked.chosen:
            made[number] = await asyncio.to_thread(_finish, server, order, own)
    if asked.chosen:
        return [
            await asyncio.to_thread(_finish, server, order, [picture], score)
            for picture, score in await best_of(server, order, drawn)
        ]
    return [made[number] for number in sorted(made)]


async def best_of(
    server: Server, order: Order, drawn: Mapping[int, Picture]
) -> list[tuple[Picture, float]]:
    """Those of all drawn pictures that are answered with, the best first, with their scores.

    The score is how well they show the words, or how much the user likes them.
    """
    asked = order.asked
    prompt, images = asked.requests[0].prompt, [drawn[n].image for n in range(len(drawn))]
    judge = (
        partial(server.reader.liked, user=order.ticket.user)
        if asked.prefer
        else server.reader.scores
    )
    scores = await server.reader.run(judge, prompt, images)
    return [(drawn[n], scores[n]) for n in best_first(scores)[: asked.count]]


def _finish(
    server: Server, order: Order, frames: Sequence[Picture], score: float | None = None
) -> Made:
    """Encode the file of a picture, and add it to the gallery if there is one."""
    flags, picture = order.flags + server.check_drawn(frames), widest(frames)
    with server.metrics.timed("encoding"):
        file = encode(frames, order.asked, server.signer)
    server.answered(order.model.name, order.asked.format)
    asked = order.asked
    name = server.keep(
        picture, file, asked.format, order.ticket.user, size=(asked.width, asked.height),
        score=score, flags=flags,
    )  # fmt: skip
    return Made(picture, file, score, name, flags if server.moderator.on else None)


def _drawn(made: Made) -> dict[str, Any]:
    """The fields of a picture in a response: what it was drawn from, seed, style, id."""
    picture = made.picture
    return {
        "revised_prompt": revised_prompt(picture),
        "seed": picture.seed, "style": picture.settings.style, **origins(picture),
    } | ({} if made.id is None else {"id": made.id}) | (
        {} if made.flags is None else {"flags": flags_as_json(made.flags)}
    )  # fmt: skip


def _facts(asked: Asked) -> dict[str, Any]:
    """The fields common to all responses and events."""
    facts = {
        "size": f"{asked.width}x{asked.height}", "quality": asked.answered_quality,
        "background": "transparent" if asked.transparent else "opaque",
        "output_format": str(asked.format),
    }  # fmt: skip
    if asked.safety_identifier is not None:
        facts["safety_identifier"] = asked.safety_identifier
    return facts


def _usage(order: Order, pictures: int) -> dict[str, Any]:
    """The ``usage`` field: words of the prompt, and patches of 16 by 16 pixels, as tokens."""
    asked = order.asked
    words = len(re.findall(r"\w+|[^\w\s]", asked.requests[0].prompt))
    each = -(-asked.width // 16) * -(-asked.height // 16)
    seen, fields = order.images * each, pictures * each
    return {
        "input_tokens": words + seen,
        "input_tokens_details": {"text_tokens": words, "image_tokens": seen},
        "output_tokens": fields,
        "output_tokens_details": {"image_tokens": fields, "text_tokens": 0},
        "total_tokens": words + seen + fields,
    }  # fmt: skip


async def _events(server: Server, order: Order) -> AsyncIterator[str]:
    """A stream of previews and pictures; closing it cancels what is left."""
    asked = order.asked
    sent: dict[int, int] = {}
    try:
        async for event in server.batcher.events(order.ticket):
            if isinstance(event, Partial):
                yield _partial(order, event.picture, event.index, event.image)
                sent[event.picture] = event.index + 1
                continue
            made = await asyncio.to_thread(_finish, server, order, [event.result])
            if order.ticket.partial_images and not sent.get(event.picture):
                # One-shot models have no previews: the picture is sent at rising resolutions.
                for index in range(asked.partial_images):
                    side = max(8, event.result.image.width >> (2 * (asked.partial_images - index)))
                    yield _partial(order, event.picture, index, event.result.image.resize(
                        (side, side)).resize(event.result.image.size))  # fmt: skip
            yield _event(f"{order.kind}.completed", _facts(asked) | _drawn(made) | {
                "b64_json": base64_of(made.file), "created_at": int(time.time()),
                "image_index": event.picture, "usage": _usage(order, 1),
            })  # fmt: skip
    except ApiError as error:
        server.metrics.refused(error.code)
        yield format_sse_event(
            event="error", data_str=json.dumps({"type": "error"} | error.body)
        ).decode()


def _partial(order: Order, picture: int, index: int, image: Image.Image) -> str:
    """A preview as an event."""
    asked = order.asked
    image = image.resize((min(asked.width, asked.height),) * 2)
    file = png_bytes(fitted(image, asked.width, asked.height))
    return _event(f"{order.kind}.partial_image", _facts(asked) | {
        "b64_json": base64_of(file), "created_at": int(time.time()),
        "partial_image_index": index, "image_index": picture, "output_format": "png",
    })  # fmt: skip


def _event(kind: str, facts: Mapping[str, Any]) -> str:
    text = json.dumps({"type": kind} | dict(facts))
    return format_sse_event(event=kind, data_str=text).decode()
