"""Settings of the server: the options of ``limner serve``, in groups."""

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
    """Address of the server, and access to it.

    Attributes:
        host: address to listen on; one that other machines reach needs keys or ``insecure``.
        port: port to listen on; 0 for a free one.
        keys: a file of users and the SHA-256 of their keys, see
            :func:`limner.serving.keys.read_keys`.
        cors: other origins whose pages may use the server; ``*`` for all, only without keys.
        insecure: allow an address that other machines reach, without keys.
        root_path: path prefix of a reverse proxy, such as ``/limner``; empty for none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    cors: Sequence[str] = ()
    insecure: bool = False
    root_path: str = ""


@dataclass(frozen=True)
class GalleryPlace:
    """Location of the gallery.

    Attributes:
        folder: folder of the files; None for the user's gallery.
        database: URL of the database, see :class:`limner.serving.gallery.Gallery`.
        nowhere: store nothing.
    """

    folder: Path | None = None
    database: str | None = None
    nowhere: bool = False


@dataclass(frozen=True)
class Moderation:
    """Which content to moderate, and how.

    Attributes:
        prompts: how to handle unsafe words in prompts.
        pictures: how to handle unsafe pictures, uploaded or drawn.
        categories: categories to moderate; None for all but profanity.
    """

    prompts: Mode = Mode.OFF
    pictures: Mode = Mode.OFF
    categories: Sequence[Category] | None = None


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server.

    Attributes:
        keys: API keys by user; if empty, no key is required.
        cors: other origins whose pages may use the server.
        local_names: whether to accept only requests whose host is a name of this machine.
        root_path: path prefix of a reverse proxy, such as ``/limner``; empty for none.
        most_waiting: longest queue, in pictures.
        most_seconds: time limit of a request.
        link_seconds: lifetime of the address of a picture.
        keep_days: days after which gallery pictures without a thumb up expire; None for never.
        keep_bytes: largest total size of the gallery; None for no limit.
        log_format: log format of worker processes.
        log_prompts: whether prompts are logged.
        index: index of pictures to search, see :class:`limner.reading.search.PictureIndex`.
        preferences: see :func:`limner.improve.feedback.load_preferences`.
        memory: most bytes for loaded models, see :class:`limner.serving.batcher.Batcher`.
        workers: number of worker processes; 1 means that this process runs the models. None
            chooses a number, see :func:`limner.serving.capacity.workers_for`.
        device: device of the models.
        threads: CPU threads per process; None for an equal share.
        rewriter: rewriter of prompts on request, see :func:`limner.text.rewrite.load_rewriter`.
        base_url: URL of the endpoint of a rewriter ``openai:MODEL``.
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
