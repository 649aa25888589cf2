"""The route that explains a picture: what each word of its prompt did."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from limner.errors import UsageError
from limner.evaluation.explanation_page import explanation_page
from limner.generation.explaining import Explanation, MapSource, check_words
from limner.generation.explanation_files import explanation_as_json, named_pictures
from limner.models.settings import Capability
from limner.serving.errors import of_limner
from limner.serving.moderation import flags_as_json
from limner.serving.pictures import base64_of
from limner.serving.quotas import Limited
from limner.serving.server import Server
from limner.serving.tasks import Explain
from limner.serving.wire import MOST_JSON_BYTES, ExplanationRequest, understand_drawn
from limner.vision.images import png_bytes


def add_explanations(app: FastAPI, server: Server) -> None:
    """Explaining, by what draws."""

    @app.post("/v1/explanations", tags=["images"], max_body_size=MOST_JSON_BYTES)
    async def explanations(request: Request, body: ExplanationRequest) -> Response:
        """Draw a prompt, and each time without one of its words, and say what the word did.

        As many pictures are counted as are drawn: one, and one more for each word.
        """
        user, given = server.user_of(request), body.model_dump()
        model = server.models.find(given["model"])
        asked = understand_drawn(body, model.side, "explained")
        flags = server.check(model, asked)
        if Capability.EXPLAIN not in model.outline.model.capabilities:
            raise of_limner(model.outline.model.cannot(Capability.EXPLAIN), "model")
        try:
            drawn = 1 + check_words(asked.prompt)
        except UsageError as error:
            raise of_limner(error, "prompt") from error
        await server.spend(user, Limited.PICTURES, drawn)
        maps = given["maps"] and MapSource(given["maps"])
        found: Explanation = await server.perform(request, user, model, Explain(asked, maps))
        server.answered(model.name, "explanation")
        shown = [found.picture, *(each.without for each in found.words if each.without),
                 *found.pictures]  # fmt: skip
        flags += await server.reader.run(server.check_drawn, shown)
        return JSONResponse(_answer(found, page=given["page"] or False) | (
            {"flags": flags_as_json(flags)} if server.moderator.on else {}
        ))  # fmt: skip


def _answer(found: Explanation, *, page: bool) -> dict[str, Any]:
    """The explanation with its pictures by their names."""
    files = {name: base64_of(png_bytes(image)) for name, image in named_pictures(found).items()}
    html = {"page": explanation_page(found)} if page else {}
    return {"created": int(time.time()), **explanation_as_json(found), "files": files, **html}
