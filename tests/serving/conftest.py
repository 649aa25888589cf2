from __future__ import annotations

import hashlib
import inspect
import io
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from limner.generation.generator import Generator, load
from limner.serving import middleware
from limner.serving.app import make_app
from limner.serving.connections import uvicorn_config
from limner.serving.gallery import Gallery
from limner.serving.keys import Key
from limner.serving.logs import LogFormat, set_logs
from limner.serving.models import Models
from limner.serving.settings import ServerSettings
from tiny_models import save_tiny
from waiting import LONGEST, wait_until

WORKERS = int(os.environ.get("LIMNER_TEST_WORKERS", "1"))
"""Processes that draw in the servers of these tests, where their models are in files."""
_seconds = inspect.signature(httpx.get).parameters["timeout"].default
# It is five where a test says nothing, in which a machine that is busy may not even look here.
_seconds.connect = _seconds.read = _seconds.write = _seconds.pool = LONGEST


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
        wait_until(self._started)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.state = self.app.state.server
        assert self.state.batcher.ready.wait(LONGEST)

    def _started(self) -> bool:
        assert self.thread.is_alive(), "the server ended while it was starting"
        return self.server.started

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(LONGEST)


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
    running = _with_a_key(load(flow_path) if WORKERS == 1 else Models.read([flow_path]))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def flow_here(flow_path: Path, own_cache: None) -> Iterator[Running]:
    """As ``flow``, but it always draws in this process, where drawing can be held (held.py)."""
    running = _with_a_key(load(flow_path))
    yield running
    running.stop()


def _with_a_key(models: Models | Generator) -> Running:
    keys = {"ann": Key(hashlib.sha256(b"secret").hexdigest())}
    return Running(models, ServerSettings(keys=keys, most_waiting=40))


@pytest.fixture
def lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a refused body is thrown away for as long as a busy machine sends it."""
    monkeypatch.setattr(middleware, "_LINGER_SECONDS", LONGEST)


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
