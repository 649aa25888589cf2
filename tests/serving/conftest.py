from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from limner.generation.generator import Generator, load
from limner.serving.app import make_app
from limner.serving.connections import uvicorn_config
from limner.serving.gallery import Gallery
from limner.serving.keys import Key
from limner.serving.logs import LogFormat, set_logs
from limner.serving.models import Models
from limner.serving.settings import ServerSettings
from tiny_models import save_tiny

WORKERS = int(os.environ.get("LIMNER_TEST_WORKERS", "1"))
"""Processes that draw in the servers of these tests, where their models are in files."""


class Running:
    """A server on loopback, in a thread."""

    def __init__(
        self,
        models: Models | Generator,
        settings: ServerSettings | None = None,
        gallery: Gallery | None = None,
        **others: Any,
    ) -> None:
        settings = settings or ServerSettings()
        if settings.workers is None:
            workers = 1 if isinstance(models, Generator) else WORKERS
            settings = replace(settings, workers=workers)
        self.app = make_app(models, settings, gallery, **others)
        self.server = uvicorn.Server(uvicorn_config(self.app, port=0))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.02)
            assert self.thread.is_alive(), "the server ended while it was starting"
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.state = self.app.state.server
        assert self.state.batcher.ready.wait(60)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)


@pytest.fixture(scope="session")
def running() -> type[Running]:
    """Starts a server of its own."""
    return Running


@pytest.fixture(scope="session")
def flow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family that draws in several evaluations."""
    return save_tiny(tmp_path_factory.mktemp("serving") / "tiny-flow.safetensors", "flow")


@pytest.fixture(scope="session")
def shipped(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of the shipped model, with a gallery."""
    models = load() if WORKERS == 1 else Models.read([None])
    running = Running(models, gallery=Gallery(tmp_path_factory.mktemp("kept") / "gallery"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def flow(flow_path: Path, own_cache: None) -> Iterator[Running]:
    """A server of a tiny flow, with a key."""
    keys = {"ann": Key(hashlib.sha256(b"secret").hexdigest())}
    models = load(flow_path) if WORKERS == 1 else Models.read([flow_path])
    running = Running(models, ServerSettings(keys=keys, most_waiting=40))
    yield running
    running.stop()


@pytest.fixture
def logged():
    """What a server in this process logs as text."""
    root, own = logging.getLogger(), logging.getLogger("limner")
    before = root.handlers[:], root.level, own.handlers[:], own.level
    stream = io.StringIO()
    set_logs(LogFormat.TEXT, stream)
    yield stream
    root.handlers[:], root.level, own.handlers[:], own.level = before
    logging.captureWarnings(False)
