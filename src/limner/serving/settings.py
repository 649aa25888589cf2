"""How a server is run: what ``limner serve`` takes, in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limner.serving.categories import Category, Mode
from limner.serving.keys import Key
from limner.serving.logs import LogFormat
from limner.text.rewrite import RULES


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and to whom.

    Attributes:
        host: to listen on; beyond this machine only with keys, or ``insecure``.
        port: to listen on; 0 for a free one.
        keys: a file of users and the SHA-256 of their keys, see
            :func:`limner.serving.keys.read_keys`.
        cors: origins whose pages may use the server, beside its own; ``*``, without keys, for all.
        insecure: listen beyond this machine without keys.
        root_path: below which a proxy serves it, as ``/limner``; empty for none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    cors: Sequence[str] = ()
    insecure: bool = False
    root_path: str = ""


@dataclass(frozen=True)
class GalleryPlace:
    """Where what is drawn is kept.

    Attributes:
        folder: of the files; None for the user's own.
        database: of the rows, see :class:`limner.serving.gallery.Gallery`.
        nowhere: nothing is kept.
    """

    folder: Path | None = None
    database: str | None = None
    nowhere: bool = False


@dataclass(frozen=True)
class Moderation:
    """What is looked for, and what is done about it.

    Attributes:
        prompts: what is done about unsafe words in them.
        pictures: the same for pictures, sent or drawn.
        categories: that count; None for all but profanity.
    """

    prompts: Mode = Mode.OFF
    pictures: Mode = Mode.OFF
    categories: Sequence[Category] | None = None


@dataclass(frozen=True)
class ServerSettings:
    """How a server is run.

    Attributes:
        keys: by the names of their users; none: everybody may draw.
        cors: origins whose pages may use the server, beside its own.
        local_names: whether it answers only where it is called by a name of this machine.
        root_path: below which a proxy serves it, as ``/limner``; empty for none.
        most_waiting: pictures that may wait; more are refused.
        most_seconds: a request may take.
        link_seconds: for which a picture is kept under its address.
        keep_days: that pictures stay in the gallery; None for ever.
        keep_bytes: of all pictures in the gallery; None without bound.
        log_format: of the lines of processes that draw.
        log_prompts: whether the log says what was asked for.
        index: of pictures that can be searched, see :class:`limner.reading.search.PictureIndex`.
        preferences: what users like, see :func:`limner.improve.feedback.load_preferences`.
        memory: bytes that models take at most, see :class:`limner.serving.batcher.Batcher`.
        workers: processes that draw; with 1, that is this one. None for as many as there is room
            for, see :func:`limner.serving.capacity.workers_for`.
        device: where models draw.
        threads: of the CPU, in each process; None for an equal share.
        rewriter: of prompts that are to be rewritten, see
            :func:`limner.text.rewrite.load_rewriter`.
        base_url: of the endpoint of a rewriter ``openai:MODEL``.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    cors: Sequence[str] = ()
    local_names: bool = False
    root_path: str = ""
    most_waiting: int = 256
    most_seconds: float = 300.0
    link_seconds: float = 3600.0
    keep_days: float | None = None
    keep_bytes: int | None = None
    log_format: LogFormat = LogFormat.TEXT
    log_prompts: bool = False
    index: Path | None = None
    preferences: Path | None = None
    memory: float | None = None
    workers: int | None = None
    device: str = "cpu"
    threads: int | None = None
    rewriter: str = RULES
    base_url: str | None = None
