"""Running the image server."""

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

from limner.errors import DataError, MissingExtraError, UsageError
from limner.serving.categories import Mode
from limner.serving.hosts import is_loopback
from limner.serving.keys import read_keys
from limner.serving.settings import GalleryPlace, Listening, Moderation, ServerSettings
from limner.serving.starting import start_early
from limner.threads import set_threads

if TYPE_CHECKING:
    from fastapi import FastAPI

    from limner.generation.provenance import ContentSigner
    from limner.serving.moderation import Moderator

_ROOT_PATH = re.compile(r"(/[\w.~-]+)*")
_ORIGIN = re.compile(r"https?://[^/\s*]+|\*")


def run_server(
    models: Sequence[str | Path | None],
    listening: Listening,
    settings: ServerSettings | None = None,
    *,
    gallery: GalleryPlace | None = None,
    moderation: Moderation | None = None,
    signer: ContentSigner | None = None,
    on_ray: bool = False,
) -> None:
    """Serve models until the process gets a signal to stop; accepted requests are finished first.

    On SIGHUP, models whose files have changed are reloaded.

    Args:
        models: each as for :func:`limner.load`; the first is the default model.
        listening: address and access; its keys and origins replace those of the settings.
        settings: all other settings; None for the defaults.
        gallery: location of the gallery; None for the user's.
        moderation: moderation of prompts and pictures; None for none.
        signer: signs the files in responses; None for unsigned files.
        on_ray: run replicas with Ray Serve instead of worker processes.

    Raises:
        DataError: the index cannot be read, or the gallery not be opened.
        UsageError: it would listen beyond this machine without keys, or cannot listen there; or
            the path or an origin is none, or a model does not fit into the memory.
        MissingExtraError: the packages of the server are not installed.
    """
    settings = settings or ServerSettings()
    if settings.workers != 1 and not on_ray:
        start_early()
    _check_packages()
    from limner.serving.gallery import default_gallery
    from limner.serving.logs import set_logs

    if on_ray and signer is not None:
        raise UsageError("files are not signed on Ray, as the key would travel; leave one out")
    settings = _listening_as(listening, settings)
    listener = _listener(listening.host, listening.port)
    set_logs(settings.log_format)
    place = gallery or GalleryPlace()
    build = partial(
        _application, models,
        folder=None if place.nowhere else place.folder or default_gallery(),
        database=place.database, signer=signer, moderation=moderation or Moderation(),
    )  # fmt: skip
    if on_ray:
        _serve_on_ray(build, settings, listening.host, listener)
    else:
        _serve(build(settings=settings), listening.host, listener)


def _check_packages() -> None:
    """Check that the packages of the extra ``serve`` are installed.

    Raises:
        MissingExtraError: one of them is missing.
    """
    try:
        import limner.serving.connections
        import limner.serving.gallery  # noqa: F401
    except ImportError as error:
        if (error.name or "").startswith("limner"):
            raise
        raise MissingExtraError(error.name or "fastapi", "serve", "the image server") from error


def _listening_as(listening: Listening, settings: ServerSettings) -> ServerSettings:
    """Complete the settings with keys, origins and the resolved device.

    Raises:
        DataError: the keys cannot be read.
        UsageError: it would listen beyond this machine without keys, the path or an origin is none,
            or there is no such device.
    """
    from limner.loading import choose_device

    host, known = listening.host, {} if listening.keys is None else read_keys(listening.keys)
    if not known and not listening.insecure and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached from other machines: give --keys FILE, so that not everybody "
            "may draw, or --insecure"
        )
    _check_origins(listening.cors, bool(known))
    root_path = listening.root_path.rstrip("/")
    if not _ROOT_PATH.fullmatch(root_path):
        raise UsageError(
            f"--root-path {listening.root_path} is no path of a proxy: give it as in /limner"
        )
    return replace(
        settings, keys=known, cors=listening.cors, device=choose_device(settings.device),
        local_names=not known and not listening.insecure, root_path=root_path,
    )  # fmt: skip


def _serve(app: FastAPI, host: str, listener: socket.socket) -> None:
    """Serve an application in this process until a signal to stop."""
    import uvicorn

    from limner.serving.connections import uvicorn_config

    # uvicorn raises the signal again after it has stopped, which is not an error here.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(signal, "SIGHUP"):
        reload = app.state.server.reload_all
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload).start())
    names, port = ", ".join(app.state.server.models.served), listener.getsockname()[1]
    address = f"http://{host}:{port}"
    print(f"limner: {names}: the page is {address}, the Images API {address}/v1", flush=True)
    uvicorn.Server(uvicorn_config(app)).run(sockets=[listener])


def _serve_on_ray(
    build: Callable[..., FastAPI], settings: ServerSettings, host: str, listener: socket.socket
) -> None:
    """Serve replicas of an application with Ray, one process each, until a signal to stop."""
    from limner.serving.on_ray import serve_on_ray

    port, threads = listener.getsockname()[1], settings.threads or 1
    listener.close()
    shared = replace(settings, workers=1, threads=threads)
    serve_on_ray(
        partial(build, settings=shared), host=host, port=port, replicas=settings.workers or 1,
        threads=threads, most_requests=settings.most_waiting,
    )  # fmt: skip


def _moderator(moderation: Moderation) -> Moderator:
    from limner.serving.moderation import ALL_BUT_PROFANITY, Moderator
    from limner.serving.unsafe_pictures import OpenNsfw

    return Moderator(
        moderation.prompts, moderation.pictures,
        categories=moderation.categories or ALL_BUT_PROFANITY,
        classifier=None if moderation.pictures is Mode.OFF else OpenNsfw(),
    )  # fmt: skip


def _application(
    models: Sequence[str | Path | None],
    *,
    settings: ServerSettings,
    folder: Path | None,
    database: str | None,
    moderation: Moderation,
    signer: ContentSigner | None,
) -> FastAPI:
    """The application of this process, see :func:`run_server`; it keeps pictures in a folder."""
    from limner.generation.prompts import PromptWarning
    from limner.serving.app import make_app
    from limner.serving.capacity import check_memory
    from limner.serving.gallery import Gallery
    from limner.serving.models import Models

    try:
        kept = None if folder is None else Gallery(folder, database)
    except DataError as error:
        if folder is not None and folder.is_dir():
            raise
        raise DataError(
            f"{error}: name another with --gallery, or keep nothing with --no-gallery"
        ) from error
    set_threads(settings.threads)
    warnings.simplefilter("ignore", PromptWarning)  # responses have these warnings
    read = Models.read(models)
    check_memory(read, settings)
    return make_app(read, settings, kept, _moderator(moderation), signer)


def _check_origins(origins: Sequence[str], keys: bool) -> None:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(f"--cors {origin} is no origin: give https://HOST, or with :PORT")
        if origin == "*" and keys:
            raise UsageError(
                "--cors '*' lets every page on the web try keys: name the origins that may"
            )


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket, opened before the models are loaded."""
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
