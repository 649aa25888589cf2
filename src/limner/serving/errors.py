"""Errors as clients of the Images API read them: one JSON object with message, type and code."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from limner.errors import CapabilityError, EndpointError, LimnerError, PromptError, UsageError

_CODES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.FORBIDDEN: "permission_denied",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_ready",
}
"""Of errors that name none."""
_TYPES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        message: one sentence: what, where, what to do.
        param: the field that is wrong, if one is.
        code: a short name of the mistake, by which clients tell mistakes apart (``docs/serving.md``
            lists them); where none is given, what the status says.
        kind: the ``type`` of the error object; None for what the status says.
        retry_after: seconds after which the client may try again.
        more: further facts of the error object.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str | None = None,
        retry_after: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        by_status = _CODES.get(status, "internal_error" if server else "invalid_request")
        self.status, self.message, self.param = status, message, param
        self.code = code or by_status
        self.kind, self.retry_after, self.more = kind, retry_after, more or {}

    def __reduce__(self) -> tuple[Any, ...]:
        """As it comes from another process."""
        return _error, (vars(self),)

    @property
    def body(self) -> dict[str, Any]:
        """The error object and what it is in."""
        server = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = self.kind or _TYPES.get(
            self.status, "server_error" if server else "invalid_request_error"
        )
        facts: dict[str, Any] = {
            "message": self.message,
            "type": kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": facts | dict(self.more)}

    @staticmethod
    def schema() -> dict[str, Any]:
        """Of the body, in JSON Schema."""
        text, none = {"type": "string"}, {"type": ["string", "null"]}
        facts = {"message": text, "type": text, "param": none, "code": text}
        error = {"type": "object", "properties": facts, "required": list(facts)}
        return {"type": "object", "properties": {"error": error}, "required": ["error"]}

    @property
    def headers(self) -> Mapping[str, str]:
        """When to come back, in whole seconds and, for those who read it, milliseconds."""
        if self.retry_after is None:
            return {}
        milliseconds = max(1, round(1000 * self.retry_after))
        return {
            "retry-after": str(-(-milliseconds // 1000)),
            "retry-after-ms": str(milliseconds),
        }

    def response(self) -> JSONResponse:
        """The error as an answer of HTTP."""
        return JSONResponse(self.body, self.status, headers=dict(self.headers))


def _error(facts: dict[str, Any]) -> ApiError:
    error = ApiError(facts["status"], facts["message"])
    vars(error).update(facts)
    return error


def stopping() -> ApiError:
    """The refusal of a server that was told to end."""
    return ApiError(
        503, "the server is stopping; try another, or later", code="stopping", retry_after=5
    )


def of_limner(error: LimnerError, param: str | None = None) -> ApiError:
    """A refusal of limner's as an answer: the request is wrong, or the server is."""
    if isinstance(error, PromptError):
        code = error.code or "invalid_prompt"
        return ApiError(400, str(error), param=param or "prompt", code=code)
    if isinstance(error, UsageError):
        return ApiError(400, str(error), param=param, code=error.code or "invalid_value")
    if isinstance(error, CapabilityError):
        return ApiError(400, str(error), param=param, code=error.code or "unsupported_parameter")
    if isinstance(error, EndpointError):
        return ApiError(502, str(error), code=error.code or "bad_gateway")
    return ApiError(500, str(error), code=error.code or "internal_error")
