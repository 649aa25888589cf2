"""The route that restores a picture: noise, blur, JPEG and more taken out of it."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from limner.generation.restoring import Task
from limner.serving.moderation import flags_as_json
from limner.serving.pictures import base64_of
from limner.serving.quotas import Limited
from limner.serving.server import Server
from limner.serving.uploads import (
    MOST_FORM_BYTES,
    fields_of,
    form_schema,
    open_form,
    pictures_of,
)
from limner.vision.images import png_bytes


class RestorationRequest(BaseModel):
    """The fields of ``POST /v1/images/restorations`` beside its picture."""

    model_config = ConfigDict(extra="forbid")

    task: Task = Field("auto", description="What to remove; auto: what is seen.")
    scale: int | None = Field(None, ge=1, le=4, description="2 or 4 to enlarge as well.")
    prompt: str | None = Field(None, max_length=2000, description="What the picture shows.")
    user: str | None = Field(None, max_length=512)


def add_restorations(app: FastAPI, server: Server) -> None:
    """Restoring, in the reader's thread."""

    @app.post(
        "/v1/images/restorations", tags=["images"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(RestorationRequest, "image"),
    )  # fmt: skip
    async def restorations(request: Request) -> Response:
        """A picture without its noise, blur or JPEG, enlarged or coloured, as a PNG."""
        user = server.user_of(request)
        async with open_form(request) as form:
            body = fields_of(RestorationRequest, form.fields)
            (file,) = pictures_of(form, most=1)
            flags = () if body.prompt is None else server.check_prompt(body.prompt)
            await server.spend(user, Limited.PICTURES)
            found = await server.reader.run(
                server.reader.restored, file, body.task, body.scale, body.prompt, param="scale"
            )
        flags += await server.reader.run(server.check_drawn, [found])
        row: dict[str, Any] = {
            "b64_json": base64_of(png_bytes(found.image, found.texts)),
            "removed": found.removed.given, "summary": found.summary,
        }  # fmt: skip
        if server.moderator.on:
            row["flags"] = flags_as_json(flags)
        size = f"{found.image.width}x{found.image.height}"
        return JSONResponse(
            {"created": int(time.time()), "size": size, "output_format": "png", "data": [row]}
        )
