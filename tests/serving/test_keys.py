"""Who is let in, before anything of a body is read, and how much each may ask for."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest
from openai import OpenAI, RateLimitError
from websockets.sync.client import connect

from limner.errors import DataError
from limner.generation.generator import load
from limner.serving.errors import ApiError
from limner.serving.gallery import Gallery
from limner.serving.keys import Key, read_keys
from limner.serving.quotas import Limited, Quotas
from limner.serving.settings import ServerSettings
from waiting import LONGEST

ONE, TWO = (hashlib.sha256(key).hexdigest() for key in (b"one", b"two"))
ELSEWHERE = {"origin": "https://draw.example"}


def test_keys_are_read(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# users\nann {ONE}\n\nbob {TWO.upper()} pictures=9/day  rate=60/min\n")
    assert read_keys(path) == {"ann": Key(ONE), "bob": Key(TWO, rate=60, pictures=9)}


@pytest.mark.parametrize(("text", "said"), [
    ("ann secret", "line 1"), ("# none\n", "has no keys"), ("", "has no keys"),
    (f"ann {ONE}\nann {TWO}", "line 2, names 'ann' again"),
    (f"ann {ONE} rate=60", "line 1, has limits"), (f"ann {ONE} rate=0/min", "line 1, has limits"),
    (f"ann {ONE} rate=1/min rate=2/min", "line 1, has limits"),
])  # fmt: skip
def test_keys_that_cannot_be(tmp_path, text, said):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_keys(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_keys(tmp_path / "none")


@pytest.fixture(scope="module")
def limited(running, tiny_model, own_cache):
    """A server of a user with limits, one without, and pages of another site."""
    keys = {"ann": Key(ONE, rate=40, pictures=5), "bob": Key(TWO)}
    server = running(load(tiny_model), ServerSettings(keys=keys, cors=[ELSEWHERE["origin"]]))
    yield server
    server.stop()


@pytest.mark.parametrize("kind", [
    "application/json", "multipart/form-data; boundary=x", "text/plain"
])  # fmt: skip
@pytest.mark.parametrize("route", [
    "/v1/images/generations", "/v1/images/edits", "/sdapi/v1/img2img", "/v1/captions", "/none"
])  # fmt: skip
def test_without_a_key_a_request_is_refused_before_its_body_is_read(limited, route, kind):
    where = urlsplit(limited.url)
    head = (f"POST {route} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n"
            "content-length: 900000\r\n\r\n")  # fmt: skip
    with socket.create_connection((where.hostname, where.port), timeout=LONGEST) as connection:
        connection.sendall(head.encode())  # and nothing of the body
        answer = b""
        while part := connection.recv(10_000):  # until it closes the connection
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401") and b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "invalid_api_key"


def test_what_needs_no_key(limited):
    for route in ("/", "/page/app.js", "/health/live", "/health/ready"):
        assert httpx.get(limited.url + route).status_code == 200
    assert httpx.get(f"{limited.url}/v1/images/files/none").status_code == 404
    for route in (
        "/openapi.json",
        "/metrics",
        "/v1/models",
        "/v1/gallery",
        "/page/a/b",
        "/nothing",
    ):
        assert httpx.get(limited.url + route).status_code == 401


def test_limits_are_told_and_kept(limited, monkeypatch):
    noon = 1_000_000 * 86_400.0 + 43_200  # the clock stands still, and no period ends meanwhile
    monkeypatch.setattr(time, "time", lambda: noon)
    client = OpenAI(base_url=f"{limited.url}/v1", api_key="one", max_retries=0)
    raw = client.images.with_raw_response.generate(prompt="a cat", n=2)
    assert raw.headers["x-ratelimit-limit-images"] == "5"
    assert raw.headers["x-ratelimit-remaining-images"] == "3"
    assert raw.headers["x-ratelimit-limit-requests"] == "40"
    with pytest.raises(RateLimitError) as caught:
        client.images.generate(prompt="a cat", n=4)
    assert caught.value.code == "quota_exceeded"
    headers = caught.value.response.headers
    assert headers["x-ratelimit-remaining-images"] == "3", "what is refused is not counted"
    assert int(headers["retry-after-ms"]) == 43_200_000
    with connect(limited.url.replace("http", "ws") + "/v1/live") as socket:
        body = {"prompt": "a cat", "n": 3}
        socket.send(json.dumps({"id": 1, "key": "one", "body": body}))
        assert "image" in socket.recv()
        while "done" not in json.loads(socket.recv()):
            pass
        socket.send(json.dumps({"id": 2, "key": "one", "body": {"prompt": "a cat"}}))
        assert json.loads(socket.recv())["error"]["code"] == "quota_exceeded"
    other = OpenAI(base_url=f"{limited.url}/v1", api_key="two").images
    assert not [each for each in other.with_raw_response.generate(prompt="a cat").headers
                if each.startswith("x-ratelimit")]  # fmt: skip


def test_a_rate_is_kept_and_begins_anew_with_the_next_minute(monkeypatch):
    now = 1_000_000_020.0
    monkeypatch.setattr(time, "time", lambda: now)
    quotas = Quotas({"ann": Key(ONE, rate=3)})
    for _ in range(3):
        quotas.spend("ann", Limited.REQUESTS)
    with pytest.raises(ApiError) as caught:
        quotas.spend("ann", Limited.REQUESTS)
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert caught.value.retry_after == 60 - now % 60
    quotas.spend("bob", Limited.REQUESTS)
    now += 60 - now % 60
    quotas.spend("ann", Limited.REQUESTS)


def test_processes_of_one_gallery_count_together_and_a_restart_forgets_nothing(tmp_path):
    keys = {"ann": Key(ONE, pictures=50)}
    galleries = [Gallery(tmp_path / "gallery") for _ in range(2)]

    def spend(number: int) -> bool:
        try:
            Quotas(keys, galleries[number % 2].spend).spend("ann", Limited.PICTURES, 3)
        except ApiError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(spend, range(32))) == 50 // 3
    for gallery in galleries:
        gallery.close()
    with pytest.raises(ApiError, match="and 2 are left"):
        Quotas(keys, Gallery(tmp_path / "gallery").spend).spend("ann", Limited.PICTURES, 3)


def test_pages_of_other_sites(limited):
    url, body = f"{limited.url}/v1/images/generations", {"prompt": "a cat"}
    asked = {"access-control-request-method": "POST",
             "access-control-request-headers": "authorization, x-stainless-os"}  # fmt: skip
    answer = httpx.options(url, headers=ELSEWHERE | asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ELSEWHERE["origin"]
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
    key = {"authorization": "Bearer two"}
    answer = httpx.post(url, json=body, headers=ELSEWHERE | key)
    assert answer.headers["access-control-allow-origin"] == ELSEWHERE["origin"]
    assert "retry-after-ms" in answer.headers["access-control-expose-headers"]
    own = {"origin": limited.url}
    assert httpx.post(url, json=body, headers=own | key).status_code == 200
    for origin in ("https://evil.example", "null", ELSEWHERE["origin"] + ".evil.example"):
        answer = httpx.post(url, json=body, headers=key | {"origin": origin})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unknown_origin")
        assert "access-control-allow-origin" not in answer.headers
        assert httpx.options(url, headers={"origin": origin} | asked).status_code == 400
