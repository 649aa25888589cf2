"""A thin adapter for clients of the A1111 web UI: ``/sdapi/v1``.

Chat applications draw through it. What the served model has no use for (samplers, and for a model
of one evaluation steps and guidance) is ignored, because these clients always send all of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from io import BytesIO
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.models.settings import capability_of
from limner.serving.errors import ApiError
from limner.serving.images import Made, Order, take, until_gone
from limner.serving.pictures import base64_of
from limner.serving.server import Server
from limner.serving.uploads import MOST_FILE_BYTES, MOST_FILES
from limner.serving.wire import (
    MOST_CHARACTERS,
    MOST_JSON_BYTES,
    MOST_PICTURES,
    Asked,
    GenerationRequest,
    understand,
)

A1111 = "/sdapi/v1"
MOST_A1111_BYTES = 70_000_000
"""Of a body: a picture of the largest size in base64."""
_Encoded = Annotated[str, Field(max_length=MOST_A1111_BYTES)]
_Options = dict[str, Any]


class TextToImage(BaseModel):
    """The fields of ``txt2img`` that mean something here; the others are ignored."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(max_length=MOST_CHARACTERS)
    negative_prompt: str | None = Field(None, max_length=MOST_CHARACTERS)
    seed: int | None = -1
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    batch_size: int = Field(1, ge=1, le=MOST_PICTURES)
    n_iter: int = Field(1, ge=1, le=MOST_PICTURES)
    override_settings: _Options | None = None


class ImageToImage(TextToImage):
    """Those of ``img2img``: the pictures are drawn in the style of the first one sent."""

    init_images: list[_Encoded] = Field(min_length=1, max_length=MOST_FILES)
    mask: _Encoded | None = None


def add_a1111(app: FastAPI, server: Server) -> None:
    """The routes that such clients call."""
    orders: defaultdict[str, set[Order]] = defaultdict(set)

    async def draw(request: Request, user: str, order: Order) -> _Options:
        orders[user].add(order)
        try:
            return _answer(server, order.asked, await until_gone(request, server, order))
        finally:
            orders[user].discard(order)
            if not orders[user]:
                del orders[user]

    @app.post(f"{A1111}/txt2img", tags=["A1111"], max_body_size=MOST_JSON_BYTES)
    async def txt2img(request: Request, body: TextToImage) -> _Options:
        """Draw pictures."""
        user = server.user_of(request)
        return await draw(request, user, take(server, user, _asked(server, body)))

    @app.post(f"{A1111}/img2img", tags=["A1111"], max_body_size=MOST_A1111_BYTES)
    async def img2img(request: Request, body: ImageToImage) -> _Options:
        """Draw pictures in the style of another; how strongly cannot be chosen."""
        user, asked = server.user_of(request), _asked(server, body)
        if body.mask:
            raise ApiError(400, "parts of a picture cannot be drawn anew here: leave the mask out",
                           param="mask", code="unsupported_parameter")  # fmt: skip
        seen = await server.reader.run(server.see, _decoded(body.init_images[0]))
        return await draw(request, user, take(server, user, asked, [seen]))

    @app.get(f"{A1111}/progress", tags=["A1111"])
    async def progress(request: Request) -> _Options:
        """How many requests of this client are being drawn."""
        jobs = len(orders.get(server.user_of(request), ()))
        state = {"job": "txt2img" if jobs else "", "job_count": jobs, "job_no": 0,
                 "sampling_step": 0, "sampling_steps": 0, "skipped": False,
                 "interrupted": False}  # fmt: skip
        return {"progress": 0.0, "eta_relative": 0.0, "state": state, "current_image": None,
                "textinfo": None}  # fmt: skip

    @app.post(f"{A1111}/interrupt", tags=["A1111"])
    async def interrupt(request: Request) -> _Options:
        """Leave what this client has asked for undrawn."""
        for order in list(orders.get(server.user_of(request), ())):
            server.batcher.cancel(order.ticket)
            order.ticket.post(ApiError(409, "the request was interrupted", code="interrupted"))
        return {}

    @app.get(f"{A1111}/options", tags=["A1111"])
    async def options(request: Request) -> _Options:
        """What is set: the model."""
        server.user_of(request)
        return {
            "sd_model_checkpoint": server.model, "sd_checkpoint_hash": server.generator.hash,
            "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 1, "samples_format": "png",
        }  # fmt: skip

    @app.post(f"{A1111}/options", tags=["A1111"], max_body_size=MOST_JSON_BYTES)
    async def set_options(request: Request, body: _Options) -> _Options:
        """Choose the model that is served; other options change nothing."""
        server.user_of(request)
        _check_options(server, body)
        return {}

    model = {"title": server.model, "model_name": server.model, "sha256": None, "config": None,
             "hash": server.generator.hash[:10], "filename": server.model}  # fmt: skip
    scheduler = {"name": "automatic", "label": "Automatic", "aliases": None}
    upscaler = {"name": "None", "model_name": None, "model_path": None, "scale": 1}
    lists: dict[str, list[_Options]] = {
        "sd-models": [model], "schedulers": [scheduler], "upscalers": [upscaler],
        "samplers": [{"name": "Automatic", "aliases": [], "options": {}}],
        "latent-upscale-modes": [{"name": "None"}], "sd-vae": [],
    }  # fmt: skip
    for name, listed in lists.items():
        _add_list(app, server, name, listed)


def _add_list(app: FastAPI, server: Server, name: str, listed: list[_Options]) -> None:
    @app.get(f"{A1111}/{name}", tags=["A1111"], name=name)
    async def listing(request: Request) -> list[_Options]:
        """What there is to choose from."""
        server.user_of(request)
        return listed


def _check_options(server: Server, options: _Options) -> None:
    """Refuse another model than the one that is served."""
    name = options.get("sd_model_checkpoint")
    if isinstance(name, str):  # as it is listed, or with its hash in brackets
        server.check_model(name.partition(" [")[0])


def _asked(server: Server, body: TextToImage) -> Asked:
    """What a body asks for, in the words of the Images API."""
    _check_options(server, body.override_settings or {})
    fields: _Options = {
        "prompt": body.prompt, "n": body.batch_size * body.n_iter, "seed": body.seed,
        "size": f"{body.width or server.side}x{body.height or server.side}",
    }  # fmt: skip
    wanted = {"steps": body.steps, "guidance": body.cfg_scale, "negative": body.negative_prompt}
    able = server.generator.model.capabilities
    fields |= {name: value for name, value in wanted.items() if capability_of(name) in able}
    try:
        return understand(GenerationRequest.model_validate(fields), server.side)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _decoded(text: str) -> BytesIO:
    """The file of a picture in base64, as it is or in a data URL."""
    try:
        data = base64.b64decode(text.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "init_images holds text that is not base64", param="init_images",
                       code="invalid_image") from error  # fmt: skip
    if len(data) >= MOST_FILE_BYTES:
        raise ApiError(400, f"send pictures of less than {MOST_FILE_BYTES:,} bytes",
                       param="init_images", code="image_too_large")  # fmt: skip
    return BytesIO(data)


def _answer(server: Server, asked: Asked, made: list[Made]) -> _Options:
    """Pictures in base64, and what is known of them as a text of JSON."""
    pictures = [each.picture for each in made]
    prompt, negative = asked.requests[0].prompt, asked.requests[0].settings.negative or ""
    size = {"width": asked.width, "height": asked.height}
    settings = {"steps": asked.requests[0].settings.steps or 1,
                "cfg_scale": asked.requests[0].settings.guidance or 1,
                "sampler_name": "Automatic", "batch_size": len(made)}  # fmt: skip
    said = f"Size: {asked.width}x{asked.height}, Model: {server.model}"
    info = size | settings | {
        "prompt": prompt, "all_prompts": [prompt] * len(made), "negative_prompt": negative,
        "seed": pictures[0].seed, "all_seeds": [each.seed for each in pictures],
        "subseed": 0, "subseed_strength": 0, "sd_model_name": server.model,
        "sd_model_hash": server.generator.hash,
        "infotexts": [f"{prompt}\nSeed: {each.seed}, {said}" for each in pictures],
    }  # fmt: skip
    return {
        "images": [base64_of(each.file) for each in made],
        "parameters": {"prompt": prompt, "seed": pictures[0].seed} | size | settings,
        "info": json.dumps(info),
    }  # fmt: skip
