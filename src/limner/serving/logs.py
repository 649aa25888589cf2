"""What the server logs: one line an event, as text or JSON, with the request that caused it."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

_FACTS = "facts"
"""Attribute of a log record: what a line says beside its message."""


class LogFormat(StrEnum):
    """How lines look."""

    TEXT = "text"
    JSON = "json"


@dataclass
class RequestFacts:
    """What is known of a request while it is answered.

    Attributes:
        id: its name, of printable ASCII without spaces.
        user: whose it is.
        pictures: that it was answered with.
        prompts: that it gave, where they are logged.
        headers: of its answer.
    """

    id: str
    user: str = ""
    pictures: int = 0
    prompts: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


_current: ContextVar[RequestFacts | None] = ContextVar("limner_request", default=None)


def begin_request(name: str) -> RequestFacts:
    """Make a request the one that this task, and what it calls, belongs to."""
    facts = RequestFacts(name)
    _current.set(facts)
    return facts


def request_facts() -> RequestFacts:
    """What is known of the request that is being answered; nothing is, outside of one."""
    return _current.get() or RequestFacts("")


def set_logs(kind: LogFormat, stream: TextIO | None = None) -> None:
    """Let this process log as a server: from INFO on limner's own lines, from WARNING on others'.

    Args:
        kind: how lines look.
        stream: that they go to; None for stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if kind is LogFormat.JSON else _Text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    own = logging.getLogger("limner")
    # That of the command line prints warnings in its own way; the null handler is the library's.
    own.handlers[:] = [each for each in own.handlers if isinstance(each, logging.NullHandler)]
    own.setLevel(logging.INFO)
    logging.captureWarnings(True)


def log_line(logger: logging.Logger, message: str, **facts: Any) -> None:
    """Log an event of the server.

    Args:
        logger: that logs it.
        message: what happened.
        facts: fields of a line of JSON, but for those that are None; a line of text has their
            values.
    """
    logger.info(message, extra={_FACTS: facts})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says, in order."""
    request = request_facts()
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    said = {
        "time": time.replace("+00:00", "Z"), "level": record.levelname.lower(),
        "message": record.getMessage(), "request_id": request.id or None,
        "user": request.user or None,
    }  # fmt: skip
    facts = said | getattr(record, _FACTS, {})
    return {name: value for name, value in facts.items() if value is not None}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        failed = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps(_fields(record) | failed)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line; those of an exception follow it, indented, so that none can be forged."""
        lines = [" ".join(map(str, _fields(record).values()))]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n    ".join(map(_printable, lines))


def _printable(text: str) -> str:
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
