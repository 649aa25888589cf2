"""The gallery over HTTP: each user's own pictures are listed, shown, judged and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from limner.errors import LimnerError
from limner.serving.errors import ApiError, of_limner
from limner.serving.gallery import MOST_LISTED, Gallery, cursor_of
from limner.serving.gallery_tables import GalleryPicture
from limner.serving.pictures import MEDIA_TYPES
from limner.serving.reader import Reader, read_file
from limner.serving.uploads import (
    MOST_FORM_BYTES,
    fields_of,
    form_schema,
    open_form,
    pictures_of,
)
from limner.serving.wire import MOST_JSON_BYTES, OutputFormat

_THUMBS = {"up": 1, "down": -1, "none": 0}


class Feedback(BaseModel):
    """What a user says of a picture: a thumb, or that it is better than another."""

    model_config = ConfigDict(extra="forbid")

    thumb: Literal["up", "down", "none"] | None = Field(None, description="none takes it back.")
    better_than: str | None = Field(
        None, max_length=32, description="The id of a picture that this one is better than."
    )


class LikePicture(BaseModel):
    """The fields of ``POST /v1/gallery/search`` beside its picture."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=MOST_LISTED, description="Pictures that are found.")
    liked: bool = Field(False, description="Only what has a thumb up.")


def add_gallery(
    app: FastAPI, gallery: Gallery, reader: Reader, user_of: Callable[[Request], str]
) -> None:
    """Add the routes.

    Args:
        app: the application.
        gallery: what they show.
        reader: reads pictures that are sent.
        user_of: whose a request is; raises :class:`ApiError` where it is nobody's.
    """
    _add_search(app, gallery, reader, user_of)
    _add_pictures(app, gallery, user_of)


def _add_search(
    app: FastAPI, gallery: Gallery, reader: Reader, user_of: Callable[[Request], str]
) -> None:
    """Add the routes that find pictures."""

    @app.get("/v1/gallery", tags=["gallery"])
    def pictures(
        request: Request,
        query: Annotated[str, Query(max_length=500, description="Words, in any language.")] = "",
        cursor: Annotated[
            str | None, Query(max_length=64, description="The ``next`` of the page before.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
        liked: Annotated[bool, Query(description="Only what has a thumb up.")] = False,
    ) -> dict[str, Any]:
        """Your pictures, the newest first."""
        user = user_of(request)
        with _refusals():
            rows = gallery.find(user, query=query, liked=liked, cursor=cursor, limit=limit)
        more = cursor_of(rows[-1]) if len(rows) == limit else None
        return {"object": "list", "data": [described(row) for row in rows], "next": more}

    @app.post(
        "/v1/gallery/search", tags=["gallery"], max_body_size=MOST_FORM_BYTES,
        openapi_extra=form_schema(LikePicture, "image"),
    )  # fmt: skip
    async def search(request: Request) -> dict[str, Any]:
        """Your pictures that are most like another, the best first."""
        user = user_of(request)
        async with open_form(request) as form:
            body = fields_of(LikePicture, form.fields)
            (file,) = pictures_of(form, most=1)
            rows = await reader.run(_similar, gallery, reader, file, user, body)
        return {"object": "list", "data": [described(row) for row in rows]}


def _add_pictures(app: FastAPI, gallery: Gallery, user_of: Callable[[Request], str]) -> None:
    """Add the routes that read, judge and remove one picture."""

    def own(request: Request, name: str) -> GalleryPicture:
        user = user_of(request)
        try:
            with _refusals():
                return gallery.get(name, user)
        except ApiError as error:
            status = 404 if error.status == 400 else error.status
            raise ApiError(status, error.message, code="not_found") from error

    @app.get("/v1/gallery/{name}", tags=["gallery"])
    def picture(request: Request, name: str) -> dict[str, Any]:
        """What is known of a picture."""
        return described(own(request, name))

    @app.get("/v1/gallery/{name}/file", tags=["gallery"])
    def file(request: Request, name: str) -> Response:
        """Its file, with its record."""
        return file_answer(gallery, own(request, name))

    @app.post("/v1/gallery/{name}/feedback", tags=["gallery"], max_body_size=MOST_JSON_BYTES)
    def feedback(request: Request, name: str, body: Feedback) -> dict[str, Any]:
        """Say whether it is good, or better than another."""
        row = own(request, name)
        if body.thumb is None and body.better_than is None:
            raise ApiError(400, "give thumb, better_than, or both", code="invalid_value")
        if body.better_than is not None:
            worse = own(request, body.better_than)
            with _refusals("better_than"):
                gallery.choose(row, worse)
        if body.thumb is not None:
            with _refusals():
                row = gallery.judge(row, _THUMBS[body.thumb])
        return described(row)

    @app.delete("/v1/gallery/{name}", tags=["gallery"])
    def remove(request: Request, name: str) -> dict[str, Any]:
        """Forget it: its file, and all that is known of it."""
        row = own(request, name)
        with _refusals():
            gallery.remove([row])
        return {"id": row.id, "object": "picture", "deleted": True}


def _similar(
    gallery: Gallery, reader: Reader, file: BinaryIO, user: str, body: LikePicture
) -> list[GalleryPicture]:
    return gallery.similar(
        read_file(file), user, liked=body.liked, limit=body.limit, aligner=reader.aligner
    )


def described(row: GalleryPicture) -> dict[str, Any]:
    """A picture as clients read it; ``created`` in whole seconds since 1970."""
    facts = row.model_dump(exclude={"owner", "words"})
    return facts | {"object": "picture", "created": row.created // 1000}


def linked_file(gallery: Gallery, name: str) -> Response:
    """The file of the picture that an address stands for."""
    try:
        row = gallery.get(name)
    except LimnerError as error:
        raise ApiError(404, str(error), code="not_found") from error
    return file_answer(gallery, row)


def file_answer(gallery: Gallery, row: GalleryPicture) -> Response:
    """The file of a picture, as an answer.

    Raises:
        ApiError: it is not there any more.
    """
    try:
        data = gallery.read(row)
    except LimnerError as error:
        raise ApiError(404, str(error), code="not_found") from error
    kind = MEDIA_TYPES[OutputFormat(row.format)]
    return Response(data, media_type=kind, headers={"cache-control": "private"})


@contextmanager
def _refusals(param: str | None = None) -> Iterator[None]:
    """The gallery's errors as the API's."""
    try:
        yield
    except LimnerError as error:
        raise of_limner(error, param) from error
