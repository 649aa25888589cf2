"""The route that refines a picture: draws, scores, changes, and draws again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from limner.generation.files import picture_bytes
from limner.generation.formats import PictureFormat
from limner.improve.budgets import BUDGET, TARGET
from limner.improve.refinement import Refinement
from limner.improve.trace import refinement_as_json, trace_page
from limner.serving.moderation import flags_as_json
from limner.serving.pictures import base64_of, origins, revised_prompt
from limner.serving.quotas import Limited
from limner.serving.server import Server
from limner.serving.tasks import Refine
from limner.serving.wire import MOST_JSON_BYTES, OutputFormat, RefinementRequest, understand_drawn


def add_refinements(app: FastAPI, server: Server) -> None:
    """Refining, by what draws."""

    @app.post("/v1/refinements", tags=["images"], max_body_size=MOST_JSON_BYTES)
    async def refinements(request: Request, body: RefinementRequest) -> Response:
        """Draw a prompt until a picture shows it, by its checks; the best picture and the trace.

        As many pictures are counted as the budget allows.
        """
        user, given = server.user_of(request), body.model_dump()
        model = server.models.find(given["model"])
        asked = understand_drawn(body, model.side, "refined")
        flags = server.check(model, asked)
        budget, target = given["budget"] or BUDGET, given["target"] or TARGET
        await server.spend(user, Limited.PICTURES, budget)
        task = Refine(asked, budget, target)
        found: Refinement = await server.perform(request, user, model, task)
        server.answered(model.name, OutputFormat.PNG)
        shown = [each.picture for each in found.attempts] if given["page"] else [found.picture]
        flags += await server.reader.run(server.check_drawn, shown)
        file = picture_bytes(found.picture, PictureFormat.PNG, signer=server.signer)
        name = await asyncio.to_thread(
            server.keep, found.picture, file, OutputFormat.PNG, user,
            size=found.picture.image.size, score=found.best.score.total, flags=flags,
        )  # fmt: skip
        return JSONResponse(
            _answer(found, file, given["page"] or False)
            | ({} if name is None else {"id": name})
            | ({"flags": flags_as_json(flags)} if server.moderator.on else {})
        )


def _answer(found: Refinement, file: bytes, page: bool) -> dict[str, Any]:
    """The best picture as a PNG with its record, the scores of all, and the page if asked for."""
    picture = found.picture
    row = {
        "b64_json": base64_of(file), "revised_prompt": revised_prompt(picture),
        "seed": picture.seed, "style": picture.settings.style, **origins(picture),
    }  # fmt: skip
    html = {"page": trace_page(found)} if page else {}
    return {"created": int(time.time()), "data": [row], **refinement_as_json(found), **html}
