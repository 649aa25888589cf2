"""Forms that clients send: pictures and fields, checked before anything is decoded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from typing import Any, BinaryIO, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from limner.serving.errors import ApiError

MOST_FORM_BYTES = 256_000_000
"""Of a whole form; what it holds beyond a megabyte is kept on disk while it is read."""
MOST_FILES, MOST_FILE_BYTES = 16, 50_000_000
_MOST_FIELDS, _MOST_FIELD_BYTES, _MOST_PARTS = 200, 200_000, 64
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_DEEPEST = 4
_Fields = TypeVar("_Fields", bound=BaseModel)


@dataclass
class Form:
    """What a form holds.

    Attributes:
        fields: by name; those that were sent as ``a[b]`` are an object ``a``, those sent as ``a[]``
            a list.
        files: by name, ``image[]`` under ``image``; to be read while the form is open.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[BinaryIO]] = field(default_factory=dict)


def media_type(request: Request) -> str:
    """The kind of a request's body, in lower case, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def open_form(request: Request) -> AsyncIterator[Form]:
    """The form of a request, whose files are on disk until they are read.

    Raises:
        ApiError: it is no form, or a file or a field is too large or there are too many.
    """
    if media_type(request) not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise ApiError(
            400, "send the fields and pictures as multipart/form-data", code="invalid_content_type"
        )
    try:
        form = await request.form(
            max_files=_MOST_PARTS, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES
        )
    except HTTPException as error:
        if error.status_code == HTTPStatus.BAD_REQUEST:
            raise ApiError(
                400, f"the form is refused: {error.detail}", code="invalid_form"
            ) from error
        raise
    try:
        found = Form()
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                plain = name.removesuffix("[]")
                files = found.files.setdefault(plain, [])
                files.append(value.file)
                _check_file(plain, value.size or 0, len(files))
            elif value or name == "prompt":  # an empty text is a field that is not chosen
                _put(found.fields, name, value)
        yield found
    finally:
        await form.close()


def _check_file(name: str, size: int, count: int) -> None:
    if size >= MOST_FILE_BYTES:
        raise ApiError(
            400, f"{name} {count} has {size:,} bytes; send less than {MOST_FILE_BYTES:,}",
            param=name, code="image_too_large",
        )  # fmt: skip
    if count > MOST_FILES:
        raise ApiError(
            400, f"send at most {MOST_FILES} pictures", param=name, code="too_many_images"
        )


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """Set a field whose name may be ``a[b]`` or ``a[]``."""
    match = _NAME.fullmatch(name)
    inner = [] if match is None else re.findall(r"\[([^\]]*)\]", match[2])
    if match is None or len(inner) > _DEEPEST or "" in inner[:-1]:
        raise ApiError(400, f"there is no field {name[:80]!r}", param=name[:80],
                       code="unknown_parameter")  # fmt: skip
    keys, into = [match[1], *inner], fields
    for key, following in pairwise(keys):
        found = into.setdefault(key, [] if following == "" else {})
        if following == "" and isinstance(found, list):
            found.append(value)
            return
        if following == "" or not isinstance(found, dict):
            raise ApiError(400, f"{name[:80]!r} is given in two ways", param=keys[0],
                           code="invalid_value")  # fmt: skip
        into = found
    earlier = into.get(keys[-1])
    if earlier is None:
        into[keys[-1]] = value
    else:  # sent more than once
        into[keys[-1]] = [*(earlier if isinstance(earlier, list) else [earlier]), value]


def pictures_of(form: Form, most: int = MOST_FILES) -> list[BinaryIO]:
    """The pictures of a form.

    Raises:
        ApiError: there is none, or more than ``most``, or a file of another name.
    """
    for name in form.files:
        if name != "image":
            raise ApiError(
                400, f"there is no file {name[:80]!r}; send pictures as image or image[]",
                param=name[:80], code="unknown_parameter",
            )  # fmt: skip
    files = form.files.get("image", [])
    if not files:
        raise ApiError(
            400, "send a picture as the file image", param="image",
            code="missing_required_parameter",
        )  # fmt: skip
    if len(files) > most:
        raise ApiError(400, "send one picture", param="image", code="too_many_images")
    return files


def fields_of(kind: type[_Fields], fields: Mapping[str, Any]) -> _Fields:
    """The fields of a form as a model has them; texts become numbers and truth values.

    Raises:
        RequestValidationError: a field is unknown or wrong.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def form_schema(kind: type[BaseModel], *files: str, several: bool = False) -> dict[str, Any]:
    """What the OpenAPI document says of a form.

    Args:
        kind: its fields.
        files: names of its files; the first one is needed.
        several: whether the first may come more than once.
    """
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # the document has them, from the bodies that are JSON
    binary = {"type": "string", "format": "binary"}
    for name in files:
        schema["properties"][name] = dict(binary)
    if several:
        schema["properties"][files[0]] = {"type": "array", "items": binary, "minItems": 1,
                                          "maxItems": MOST_FILES}  # fmt: skip
    schema["required"] = [*schema.get("required", ()), files[0]]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {
        "schema": schema
    }}}}  # fmt: skip
