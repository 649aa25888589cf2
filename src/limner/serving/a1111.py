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

from limner.memory import RecentlyUsed
from limner.models.settings import capability_of
from limner.serving.errors import ApiError
from limner.serving.images import Made, Order, take, until_gone
from limner.serving.models import Models, ServedModel
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
_MOST_CHOICES = 10_000
"""Of clients, that are remembered."""
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


class _ChosenModels:
    """The models that clients have chosen.

    Args:
        models: that there are.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._names = RecentlyUsed[str, str](_MOST_CHOICES)

    def find(self, user: str, options: _Options | None = None) -> ServedModel:
        """The model that options name, else the one that the client has chosen."""
        name = (options or {}).get("sd_model_checkpoint")
        if not isinstance(name, str):
            return self._models.find(self._names.get(user))
        return self._models.find(name.partition(" [")[0])  # it may have its hash in brackets

    def choose(self, user: str, options: _Options) -> None:
        """Remember a client's choice."""
        self._names.put(user, self.find(user, options).name)


def add_a1111(app: FastAPI, server: Server) -> None:
    """The routes that such clients call."""
    orders: defaultdict[str, set[Order]] = defaultdict(set)
    chosen = _ChosenModels(server.models)

    async def draw(request: Request, user: str, order: Order) -> _Options:
        orders[user].add(order)
        try:
            return _answer(order, await until_gone(request, server, order))
        finally:
            orders[user].discard(order)
            if not orders[user]:
                del orders[user]

    @app.post(f"{A1111}/txt2img", tags=["A1111"], max_body_size=MOST_JSON_BYTES)
    async def txt2img(request: Request, body: TextToImage) -> _Options:
        """Draw pictures."""
        user = server.user_of(request)
        model = chosen.find(user, body.override_settings)
        return await draw(request, user, await take(server, model, user, _asked(model, body)))

    @app.post(f"{A1111}/img2img", tags=["A1111"], max_body_size=MOST_A1111_BYTES)
    async def img2img(request: Request, body: ImageToImage) -> _Options:
        """Draw pictures in the style of another; how strongly cannot be chosen."""
        user = server.user_of(request)
        model = chosen.find(user, body.override_settings)
        asked = _asked(model, body)
        if body.mask:
            raise ApiError(400, "parts of a picture cannot be drawn anew here: leave the mask out",
                           param="mask", code="unsupported_parameter")  # fmt: skip
        seen = await server.reader.run(server.see, model, _decoded(body.init_images[0]))
        return await draw(request, user, await take(server, model, user, asked, [seen]))

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

    _add_models(app, server, chosen)
    scheduler = {"name": "automatic", "label": "Automatic", "aliases": None}
    upscaler = {"name": "None", "model_name": None, "model_path": None, "scale": 1}
    lists: dict[str, list[_Options]] = {
        "schedulers": [scheduler], "upscalers": [upscaler],
        "samplers": [{"name": "Automatic", "aliases": [], "options": {}}],
        "latent-upscale-modes": [{"name": "None"}], "sd-vae": [],
    }  # fmt: skip
    for name, listed in lists.items():
        _add_list(app, server, name, listed)


def _add_models(app: FastAPI, server: Server, chosen: _ChosenModels) -> None:
    """What models there are, and the choice of one."""

    @app.get(f"{A1111}/options", tags=["A1111"])
    async def options(request: Request) -> _Options:
        """What is set: the model."""
        model = chosen.find(server.user_of(request))
        return {
            "sd_model_checkpoint": model.name, "sd_checkpoint_hash": model.outline.hash,
            "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 1, "samples_format": "png",
        }  # fmt: skip

    @app.post(f"{A1111}/options", tags=["A1111"], max_body_size=MOST_JSON_BYTES)
    async def set_options(request: Request, body: _Options) -> _Options:
        """Choose the model that this client's requests are drawn by; others change nothing."""
        chosen.choose(server.user_of(request), body)
        return {}

    @app.get(f"{A1111}/sd-models", tags=["A1111"])
    async def models(request: Request) -> list[_Options]:
        """The models that there are."""
        server.user_of(request)
        return [
            {"title": name, "model_name": name, "sha256": None, "config": None,
             "hash": model.outline.hash[:10], "filename": name}
            for name, model in server.models.served.items()
        ]  # fmt: skip


def _add_list(app: FastAPI, server: Server, name: str, listed: list[_Options]) -> None:
    @app.get(f"{A1111}/{name}", tags=["A1111"], name=name)
    async def listing(request: Request) -> list[_Options]:
        """What there is to choose from."""
        server.user_of(request)
        return listed


def _asked(model: ServedModel, body: TextToImage) -> Asked:
    """What a body asks for, in the words of the Images API."""
    fields: _Options = {
        "prompt": body.prompt, "n": body.batch_size * body.n_iter, "seed": body.seed,
        "size": f"{body.width or model.side}x{body.height or model.side}",
    }  # fmt: skip
    wanted = {"steps": body.steps, "guidance": body.cfg_scale, "negative": body.negative_prompt}
    able = model.outline.model.capabilities
    fields |= {name: value for name, value in wanted.items() if capability_of(name) in able}
    try:
        return understand(GenerationRequest.model_validate(fields), model.side)
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


def _answer(order: Order, made: list[Made]) -> _Options:
    """Pictures in base64, and what is known of them as a text of JSON."""
    asked, model = order.asked, order.model.name
    pictures = [each.picture for each in made]
    prompt, negative = asked.requests[0].prompt, asked.requests[0].settings.negative or ""
    size = {"width": asked.width, "height": asked.height}
    settings = {"steps": asked.requests[0].settings.steps or 1,
                "cfg_scale": asked.requests[0].settings.guidance or 1,
                "sampler_name": "Automatic", "batch_size": len(made)}  # fmt: skip
    said = f"Size: {asked.width}x{asked.height}, Model: {model}"
    info = size | settings | {
        "prompt": prompt, "all_prompts": [prompt] * len(made), "negative_prompt": negative,
        "seed": pictures[0].seed, "all_seeds": [each.seed for each in pictures],
        "subseed": 0, "subseed_strength": 0, "sd_model_name": model,
        "sd_model_hash": pictures[0].model,
        "infotexts": [f"{prompt}\nSeed: {each.seed}, {said}" for each in pictures],
    }  # fmt: skip
    return {
        "images": [base64_of(each.file) for each in made],
        "parameters": {"prompt": prompt, "seed": pictures[0].seed} | size | settings,
        "info": json.dumps(info),
    }  # fmt: skip
