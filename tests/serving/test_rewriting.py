"""Prompts that the server rewrites: what is answered, kept, flagged and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from chat_endpoint import Endpoint, running_endpoint
from limner.generation.generator import load
from limner.serving.categories import Mode
from limner.serving.moderation import Moderator
from limner.serving.settings import ServerSettings
from serving.conftest import Running

pytest.importorskip("openai")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as server:
        yield server


@pytest.fixture(scope="module")
def server(endpoint: Endpoint, tiny_model: Path, running: type[Running]) -> Iterator[Running]:
    settings = ServerSettings(rewriter="openai:small", base_url=endpoint.url)
    moderator = Moderator(prompts=Mode.REFUSE)
    started = running(load(tiny_model), settings, moderator=moderator)
    yield started
    started.stop()


def ask(server: Running, prompt: str, **more: object) -> httpx.Response:
    body = {"prompt": prompt, "seed": 3, **more}
    return httpx.post(f"{server.url}/v1/images/generations", json=body)


def test_the_answer_says_what_is_drawn(server: Running, endpoint: Endpoint):
    endpoint.answer = "a red apple"
    found = ask(server, "una manzana", rewrite=True).json()["data"][0]
    assert found["revised_prompt"] == "a red apple"
    assert found["rewritten"] == {
        "given": "una manzana", "by": "openai:small", "prompt": "a red apple",
    }  # fmt: skip
    plain = ask(server, "a red apple").json()["data"][0]
    assert (
        "rewritten" not in plain and plain["b64_json"] != found["b64_json"]
    )  # the record is in it
    with connect(f"{server.url.replace('http', 'ws')}/v1/live") as live:
        live.send(json.dumps({"id": 1, "body": {"prompt": "una manzana", "rewrite": True}}))
        shown = json.loads(live.recv())
    assert shown["rewritten"]["prompt"] == "a red apple"


def test_both_prompts_are_moderated(server: Running, endpoint: Endpoint):
    before = len(endpoint.asked)
    refused = ask(server, "a naked woman", rewrite=True)
    assert refused.status_code == 400 and len(endpoint.asked) == before  # nobody was told
    endpoint.answer = "a naked woman"
    refused = ask(server, "une dame", rewrite=True)
    assert refused.status_code == 400 and len(endpoint.asked) == before + 1
    assert refused.json()["error"]["code"] == "moderation_blocked"


def test_an_endpoint_that_fails_is_the_server_s_fault(server: Running, endpoint: Endpoint):
    endpoint.failures = [(401, {})]
    failed = ask(server, "un coche", rewrite=True)
    assert failed.status_code == 502 and failed.json()["error"]["code"] == "bad_gateway"
    assert "did not rewrite the prompt" in failed.json()["error"]["message"]


def test_rules_are_the_default(flow: Running):
    body = {"prompt": "please draw me a picture of a cat", "rewrite": True, "seed": 1}
    found = httpx.post(f"{flow.url}/v1/images/generations", json=body,
                       headers={"authorization": "Bearer secret"}).json()  # fmt: skip
    assert found["data"][0]["rewritten"]["by"] == "rules"
    assert found["data"][0]["revised_prompt"] == "a cat"
