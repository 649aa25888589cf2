"""Routes that read pictures: captions, search by words or by a picture, and scores of texts."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limner.reading.search import PictureIndex
from limner.serving.errors import ApiError
from limner.serving.server import Server
from limner.serving.uploads import (
    MOST_FORM_BYTES,
    fields_of,
    form_schema,
    media_type,
    open_form,
    pictures_of,
)

_MOST_TEXTS, _MOST_HITS, _LONGEST_TEXT = 64, 100, 2000


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str | None = Field(None, max_length=512)


class CaptionRequest(_Fields):
    """The fields of ``POST /v1/captions`` beside its pictures."""

    n: int = Field(1, ge=1, le=10, description="Captions of each picture.")
    language: str | None = Field(None, max_length=16, description="Code, such as en or zh.")


class ScoreRequest(_Fields):
    """The fields of ``POST /v1/scores`` beside its pictures."""

    text: str | list[str] = Field(description="Texts that may describe the picture, 64 at most.")


class SearchRequest(_Fields):
    """The body of ``POST /v1/search``: words, or a form with a picture instead."""

    query: str | None = Field(None, max_length=_LONGEST_TEXT, description="What is looked for.")
    n: int = Field(12, ge=1, le=_MOST_HITS, description="Pictures that are found.")


def add_understanding(app: FastAPI, server: Server) -> None:
    """Captions, search and scores; each is read in the reader's thread."""
    reader = server.reader

    @app.post(
        "/v1/captions", tags=["reading"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(CaptionRequest, "image", several=True),
    )  # fmt: skip
    async def captions(request: Request) -> Response:
        """What pictures show, in words: the most probable captions of each, best first."""
        server.user_of(request)
        async with open_form(request) as form:
            body = fields_of(CaptionRequest, form.fields)
            found = [
                await reader.run(reader.captions, file, body.language, body.n, param="language")
                for file in pictures_of(form)
            ]
        return _listed([
            {"index": index, "captions": [{"text": each.text, "score": each.score}
                                          for each in captions]}
            for index, captions in enumerate(found)
        ])  # fmt: skip

    @app.post(
        "/v1/scores", tags=["reading"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(ScoreRequest, "image", several=True),
    )  # fmt: skip
    async def scores(request: Request) -> Response:
        """How well texts describe pictures: a cosine, and the chance that it is the one of all."""
        server.user_of(request)
        async with open_form(request) as form:
            body = fields_of(ScoreRequest, form.fields)
            texts = _texts(body.text)
            found = [
                await reader.run(reader.matches, file, texts, param="text")
                for file in pictures_of(form)
            ]
        return _listed([
            {"index": index, "scores": [match._asdict() for match in matches]}
            for index, matches in enumerate(found)
        ])  # fmt: skip

    @app.post(
        "/v1/search", tags=["reading"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=_search_schema(),
    )  # fmt: skip
    async def search(request: Request) -> Response:
        """The pictures of the server's index that match words, or another picture, best."""
        server.user_of(request)
        index = reader.index
        if index is None:
            raise ApiError(404, "this server has no index; start it with --index", code="no_index")
        if media_type(request) == "application/json":
            return await _by_words(server, index, await _json(request))
        async with open_form(request) as form:
            body = fields_of(SearchRequest, form.fields)
            if "image" not in form.files:
                return await _by_words(server, index, body)
            (file,) = pictures_of(form, most=1)
            hits = await reader.run(reader.similar, index, file, body.n)
        return _listed([vars(hit) for hit in hits])


async def _by_words(server: Server, index: PictureIndex, body: SearchRequest) -> Response:
    if body.query is None:
        raise ApiError(400, "give words as query, or a picture as the file image", param="query",
                       code="missing_required_parameter")  # fmt: skip
    hits = await server.reader.run(index.by_text, body.query, body.n, param="query")
    return _listed([vars(hit) for hit in hits])


async def _json(request: Request) -> SearchRequest:
    try:
        return SearchRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _texts(given: str | list[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if len(texts) > _MOST_TEXTS or any(
        not 0 < len(each.strip()) <= _LONGEST_TEXT for each in texts
    ):
        raise ApiError(
            400, f"give 1 to {_MOST_TEXTS} texts of 1 to {_LONGEST_TEXT} characters", param="text",
            code="invalid_value",
        )  # fmt: skip
    return texts


def _listed(data: list[dict[str, Any]]) -> Response:
    return JSONResponse({"object": "list", "data": data})


def _search_schema() -> dict[str, Any]:
    """What the OpenAPI document says of the search's two kinds of bodies."""
    found = form_schema(SearchRequest, "image")
    form = found["requestBody"]["content"]
    form["multipart/form-data"]["schema"].pop("required")
    form["application/json"] = {"schema": SearchRequest.model_json_schema()}
    return found
