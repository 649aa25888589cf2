"""Running the image server: what it listens on."""

from __future__ import annotations

import re
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import MissingExtraError, UsageError
from limner.serving.categories import Category, Mode
from limner.serving.hosts import is_loopback
from limner.threads import set_threads

if TYPE_CHECKING:
    from fastapi import FastAPI

    from limner.generation.provenance import ContentSigner
    from limner.serving.moderation import Moderator
    from limner.serving.server import ServerSettings

_ORIGIN = re.compile(r"https?://[^/\s*]+|\*")


def run_server(
    models: Sequence[str | Path | None],
    *,
    host: str,
    port: int,
    keys: Path | None = None,
    cors: Sequence[str] = (),
    insecure: bool = False,
    most_waiting: int = 256,
    most_seconds: float = 300.0,
    index: Path | None = None,
    preferences: Path | None = None,
    gallery: Path | None = None,
    database: str | None = None,
    no_gallery: bool = False,
    keep_days: float | None = None,
    keep_bytes: int | None = None,
    memory: float | None = None,
    log_format: str = "text",
    log_prompts: bool = False,
    workers: int = 1,
    moderation: Mode = Mode.OFF,
    moderate_pictures: Mode = Mode.OFF,
    moderated: Sequence[Category] | None = None,
    signer: ContentSigner | None = None,
    on_ray: bool = False,
    rewriter: str | None = None,
    base_url: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> None:
    """Serve models until the process is told to end; accepted requests are finished first.

    On SIGHUP files that have changed are loaded, and drawn with from then on.

    Args:
        models: each as for :func:`limner.load`; the first is the default one.
        host: to listen on; beyond this machine only with keys, or ``insecure``.
        port: to listen on; 0 for a free one.
        keys: a file of users and the SHA-256 of their keys, see
            :func:`limner.serving.keys.read_keys`.
        cors: origins whose pages may use the server, beside its own; ``*``, without keys, for all.
        insecure: listen beyond this machine without keys.
        most_waiting: pictures that may wait; more are refused.
        most_seconds: a request may take.
        index: of pictures that can be searched, made by ``limner index``.
        preferences: what users like, made by ``limner feedback train``.
        gallery: folder that keeps what is drawn; None for the user's own.
        database: of the gallery's rows, see :class:`limner.serving.gallery.Gallery`.
        no_gallery: keep nothing.
        keep_days: that pictures stay there; None for ever.
        keep_bytes: of all pictures there; None without bound.
        memory: gigabytes that models take at most; None without bound.
        log_format: ``text`` or ``json``, see :mod:`limner.serving.logs`.
        log_prompts: whether lines say what was asked for.
        workers: processes that draw; with 1, that is this one.
        moderation: what is done about unsafe words in prompts.
        moderate_pictures: the same for pictures, sent or drawn.
        moderated: categories that count; None for all but profanity.
        signer: signs the files that are answered.
        on_ray: let Ray Serve run as many replicas instead.
        rewriter: of requests that ask for it, see :func:`limner.text.rewrite.load_rewriter`; None
            for the rules.
        base_url: of the endpoint of a rewriter ``openai:MODEL``.
        device: where models draw.
        threads: of the CPU, in each process; None for an equal share.

    Raises:
        DataError: the index cannot be read, or the gallery not be opened.
        UsageError: it would listen beyond this machine without keys, or cannot listen there.
        MissingExtraError: the packages of the server are not installed.
    """
    try:
        import uvicorn

        from limner.serving.connections import uvicorn_config
        from limner.serving.gallery import default_gallery
        from limner.serving.keys import read_keys
        from limner.serving.logs import LogFormat, set_logs
        from limner.serving.server import ServerSettings
        from limner.text.rewrite import RULES
    except ImportError as error:
        if (error.name or "").startswith("limner"):
            raise
        raise MissingExtraError(error.name or "fastapi", "serve", "the image server") from error
    from limner.loading import choose_device

    known = {} if keys is None else read_keys(keys)
    if not known and not insecure and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached from other machines: give --keys FILE, so that not everybody "
            "may draw, or --insecure"
        )
    _check_origins(cors, bool(known))
    if on_ray and signer is not None:
        raise UsageError("files are not signed on Ray, as the key would travel; leave one out")
    listener = _listener(host, port)
    port = listener.getsockname()[1]
    kept = None if no_gallery else gallery or default_gallery()
    logs = LogFormat(log_format)
    set_logs(logs)
    settings = ServerSettings(
        keys=known, most_waiting=most_waiting, most_seconds=most_seconds, index=index,
        preferences=preferences,
        keep_days=keep_days, keep_bytes=keep_bytes, device=choose_device(device), threads=threads,
        memory=None if memory is None else memory * 1e9,
        workers=workers, log_prompts=log_prompts, log_format=logs, cors=cors,
        local_names=not known and not insecure, rewriter=rewriter or RULES, base_url=base_url,
    )  # fmt: skip
    build = partial(
        _application, models, gallery=kept, database=database, signer=signer,
        moderator=partial(_moderator, moderation, moderate_pictures, moderated),
    )  # fmt: skip
    if on_ray:
        from limner.serving.on_ray import serve_on_ray

        listener.close()
        shared = replace(settings, workers=1, threads=threads or 1)
        serve_on_ray(
            partial(build, settings=shared), host=host, port=port, replicas=workers,
            threads=threads or 1, most_requests=most_waiting,
        )  # fmt: skip
        return
    app = build(settings=settings)
    # uvicorn sends itself the signal again once it has ended; being told to end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(signal, "SIGHUP"):
        reload = app.state.server.reload_all
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload).start())
    names, address = ", ".join(app.state.server.models.served), f"http://{host}:{port}"
    print(f"limner: {names} on {address}; the Images API is {address}/v1", flush=True)
    uvicorn.Server(uvicorn_config(app)).run(sockets=[listener])


def _moderator(prompts: Mode, pictures: Mode, categories: Sequence[Category] | None) -> Moderator:
    from limner.serving.moderation import ALL_BUT_PROFANITY, Moderator
    from limner.serving.unsafe_pictures import OpenNsfw

    return Moderator(
        prompts, pictures, categories=categories or ALL_BUT_PROFANITY,
        classifier=None if pictures is Mode.OFF else OpenNsfw(),
    )  # fmt: skip


def _application(
    models: Sequence[str | Path | None],
    *,
    settings: ServerSettings,
    gallery: Path | None,
    database: str | None,
    moderator: Callable[[], Moderator],
    signer: ContentSigner | None,
) -> FastAPI:
    """The application of this process, for arguments as of :func:`run_server`."""
    from limner.generation.prompts import PromptWarning
    from limner.serving.app import make_app
    from limner.serving.gallery import Gallery
    from limner.serving.models import Models

    kept = None if gallery is None else Gallery(gallery, database)
    set_threads(settings.threads)
    warnings.simplefilter("ignore", PromptWarning)  # whoever asked is told in the answer
    return make_app(Models.read(models), settings, kept, moderator(), signer)


def _check_origins(origins: Sequence[str], keys: bool) -> None:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(f"--cors {origin} is no origin: give https://HOST, or with :PORT")
        if origin == "*" and keys:
            raise UsageError(
                "--cors '*' lets every page on the web try keys: name the origins that may"
            )


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens; its port is taken before the model is loaded."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port"
        ) from error
    return listener
