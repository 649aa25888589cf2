"""Explanations and refinements by the models that a server has loaded: memory, turns, clients."""

from __future__ import annotations

import gc
import json
import threading
from http.client import HTTPConnection
from pathlib import Path
from weakref import WeakSet

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from limner.models.image_model import ImageModel
from limner.serving.models import Models
from limner.serving.pausable_call import PausableCall
from limner.serving.settings import ServerSettings
from limner.text import load_encoder
from serving.held import endless_tasks
from tiny_models import save_tiny
from waiting import wait_until

LONG = "a red cat left of a big green dog"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[Path]:
    folder, encoder = tmp_path_factory.mktemp("tasks"), load_encoder("random:384", cache=False)
    facts = {"encoder": encoder.spec, "encoder_fingerprint": encoder.fingerprint}
    return [save_tiny(folder / f"{name}.safetensors", name, **facts) for name in ("flow", "vae")]


@pytest.fixture(scope="module")
def server(paths, running, own_cache):
    """A server of two models, whose memory is enough for one."""
    found = running(Models.read(paths), ServerSettings(memory=1))
    yield found
    found.stop()


def send(url: str, what: str, **body: object) -> httpx.Response:
    return httpx.post(f"{url}/v1/{what}", json={"prompt": "a cat", "seed": 4} | body)


def asking(url: str, what: str, **body: object) -> HTTPConnection:
    """A client that has asked for something, and does not wait for it."""
    client = HTTPConnection(url.partition("//")[2])
    client.request("POST", f"/v1/{what}", json.dumps({"prompt": LONG} | body), JSON)
    return client


def figure(url: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == f"limner_{name}" and sample.labels == labels:
                return float(sample.value)
    return 0.0


def networks() -> WeakSet[ImageModel]:
    """Image models in this process that have weights."""
    gc.collect()
    found = (each for each in gc.get_objects() if isinstance(each, ImageModel))
    return WeakSet(each for each in found if next(each.parameters()).device.type != "meta")


def test_tasks_use_the_models_that_are_loaded(server):
    url, before = server.url, networks()  # one of this server's, and others that may yet go
    count = len(before)
    for name in ("vae", "flow", "vae"):
        for what, more in (("explanations", {}), ("refinements", {"budget": 2, "target": 1})):
            assert send(url, what, model=name, **more).status_code == 200
            data = httpx.get(f"{url}/v1/models").json()["data"]
            assert {each["family"] for each in data if each["loaded"]} == {name}
    assert len(networks() - before) == 1 and len(before) < count, "one is there, another is gone"
    assert figure(url, "tasks_total", task="explanation", outcome="done") == 3
    assert figure(url, "task_pictures_total", task="explanation") == 3 * 3
    assert figure(url, "task_pictures_total", task="refinement") == 3 * 2


@pytest.mark.parametrize(
    ("what", "more"),
    [("explanations", {}), ("refinements", {"budget": 20, "target": 1})],
)
def test_the_work_ends_when_the_client_leaves(server, what, more):
    url, kind = server.url, what[:-1]
    dropped = figure(url, "tasks_total", task=kind, outcome="dropped")
    drawn = figure(url, "task_pictures_total", task=kind)
    send(url, "images/generations", model="flow")
    with endless_tasks():
        client = asking(url, what, model="flow", steps=500, **more)
        wait_until(lambda: server.state.batcher.drawing == 1)
        client.close()
        wait_until(lambda: figure(url, "tasks_total", task=kind, outcome="dropped") == dropped + 1)
        # it is counted when it is left out, and ended when who draws is told so
        wait_until(lambda: "limner-task" not in {each.name for each in threading.enumerate()})
    assert figure(url, "task_pictures_total", task=kind) - drawn < 10
    assert httpx.get(f"{url}/health/live").json()["pictures"] == 0
    assert send(url, "images/generations", model="flow").status_code == 200


def test_so_many_tasks_wait_and_pictures_are_drawn_between_their_steps(server):
    url, body = server.url, {"model": "flow", "steps": 900}
    with endless_tasks():
        clients = [asking(url, "explanations", **body) for _ in range(8)]
        wait_until(lambda: server.state.batcher.tasks == 8)
        refused = send(url, "explanations", **body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert send(url, "images/generations", model="flow", steps=2).status_code == 200
        assert server.state.batcher.tasks == 8
        for client in clients:
            client.close()
        wait_until(lambda: server.state.batcher.tasks == 0)


def test_a_task_that_takes_too_long_is_ended(paths, running, own_cache):
    found = running(Models.read(paths[:1]), ServerSettings(most_seconds=0.3))
    try:
        with endless_tasks():
            late = send(found.url, "refinements", prompt=LONG, steps=900, budget=20, target=1)
            assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
            wait_until(
                lambda: figure(found.url, "tasks_total", task="refinement", outcome="dropped") == 1
            )
    finally:
        found.stop()


def test_a_call_runs_only_while_it_is_resumed():
    said = []

    def call(pause) -> str:
        for number in range(3):
            said.append(number)
            pause(number)
        return "end"

    paused = PausableCall(call)
    assert not paused.resume() and said == [0]
    assert not paused.resume() and said == [0, 1] and paused.drawn == 1
    assert not paused.resume() and paused.resume()
    assert paused.result == "end"
    other = PausableCall(call)
    other.resume()
    other.cancel()
    assert other.ended and said == [0, 1, 2, 0]
    failed = PausableCall(lambda pause: 1 / 0)
    assert failed.resume()
    with pytest.raises(ZeroDivisionError):
        _ = failed.result
