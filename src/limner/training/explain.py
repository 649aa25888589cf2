"""Validation errors of recipes, as one sentence that starts with the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """The first problem of a validation, in one sentence that starts with the key.

    ``prefix`` is put before the key, e.g. ``"model."``; the fields of ``model`` are suggested.
    """
    # An unknown key explains more than the "missing" or "wrong type" it may have caused.
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    first = problems[0]
    key = prefix + ".".join(str(part) for part in first["loc"] if not _is_branch(part))
    if first["type"] == "extra_forbidden":
        name, parent = str(first["loc"][-1]), _descend(model, first["loc"][:-1])
        known = list(parent.model_fields) if parent is not None else []
        folder = key[: len(key) - len(name)]
        return f"unknown key {key!r}{suggest(name, known, folder)}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    message = message[0].lower() + message[1:].replace("Input", "it")
    given = repr(first["input"])
    return f"{key}: {message.replace('input', 'it', 1)}, not {given[:80]}"


def _is_branch(part: int | str) -> bool:
    # pydantic adds the name of the union's branch to the location of an error inside it.
    return isinstance(part, str) and (part in {"str", "int", "float"} or part.startswith("list["))


def _descend(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    here: type[BaseModel] | None = model
    for part in loc:
        if here is None or part not in here.model_fields:
            return None
        here = _model_in(here.model_fields[str(part)].annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Union, UnionType}:
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None


def suggest(name: str, known: Sequence[str] | Mapping[str, Any], folder: str = "") -> str:
    """The known name most like an unknown one, as the end of a sentence."""
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"; did you mean {folder + close[0]!r}?"
    return f"; choose from: {', '.join(known)}" if known else ""
