"""Behind a reverse proxy that serves a path, whether it takes that off or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from limner.errors import UsageError
from limner.generation.generator import load
from limner.serving.keys import Key
from limner.serving.run import run_server
from limner.serving.settings import Listening, ServerSettings

KEY = {"authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def below(running, flow_path, own_cache: None) -> Iterator[str]:
    """The address of a server that a proxy serves at ``/ai/draw``, with a key."""
    keys = {"ann": Key(hashlib.sha256(b"secret").hexdigest())}
    server = running(load(flow_path), ServerSettings(keys=keys, root_path="/ai/draw"))
    yield server.url
    server.stop()


@pytest.mark.usefixtures("lingers")
@pytest.mark.parametrize("left", ["", "/ai/draw"])
def test_all_is_there_and_addresses_lead_back_through_the_proxy(below: str, left: str):
    page = httpx.get(f"{below}{left}/")
    assert page.status_code == 200
    assert 'src="page/app.js"' in page.text and 'href="page/app.css"' in page.text
    assert httpx.get(f"{below}{left}/page/app.js").status_code == 200
    body = {"prompt": "a cat", "seed": 3, "response_format": "url"}
    refused = httpx.post(f"{below}{left}/v1/images/generations", json=body)
    assert refused.json()["error"]["code"] == "invalid_api_key"
    proxied = {"host": "pictures.example", "x-forwarded-proto": "https"}
    answer = httpx.post(f"{below}{left}/v1/images/generations", json=body, headers=KEY | proxied)
    address = answer.json()["data"][0]["url"]
    start = "https://pictures.example/ai/draw"
    assert address.startswith(f"{start}/v1/images/files/")
    file = httpx.get(below + left + address.removeprefix(start))
    assert file.headers["content-type"] == "image/png"
    document = httpx.get(f"{below}{left}/openapi.json", headers=KEY).json()
    assert document["servers"] == [{"url": "/ai/draw"}]
    long = httpx.post(
        f"{below}{left}/v1/images/generations", headers=KEY, json={"prompt": "x" * 1_100_000}
    )
    assert long.status_code == 413 and "larger than 1," in long.json()["error"]["message"]


def test_the_page_draws_through_it_without_a_key_before_a_message(below: str):
    with connect(f"{below.replace('http', 'ws')}/ai/draw/v1/live") as socket:
        socket.send(json.dumps({"id": 1, "body": {"prompt": "a cat"}, "key": "secret"}))
        assert "picture" in json.loads(socket.recv())


def test_no_key_is_spared_by_a_path_that_looks_open(below: str):
    for path in ("/ai/draw/ai/draw/metrics", "/ai/draw/metrics", "/metrics", "/ai/draw/v1/models"):
        assert httpx.get(below + path).status_code == 401


@pytest.mark.parametrize("path", ["limner", "/a b", "http://x/y", "/a//b", "/a?b", "/a/../b%"])
def test_what_is_no_path_is_refused(path: str):
    with pytest.raises(UsageError, match="--root-path"):
        run_server([None], Listening(port=0, root_path=path))
