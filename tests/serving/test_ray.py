"""Replicas behind Ray Serve's proxy; run where ray is installed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serving.test_run import start

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def url(flow_path: Path, own_cache: None):
    process, url = start("--model", str(flow_path), "--ray", "--workers", "2", "--no-gallery")
    yield url
    process.terminate()
    assert process.wait(90) == 0


def test_replicas_draw_the_same_bits(url):
    body = {"prompt": "a cat", "seed": 3, "steps": 20}

    def ask(_: int) -> str:
        answer = httpx.post(f"{url}/v1/images/generations", json=body)
        return hashlib.sha256(
            answer.raise_for_status().json()["data"][0]["b64_json"].encode()
        ).hexdigest()

    with ThreadPoolExecutor(8) as clients:
        found = list(clients.map(ask, range(16)))
    assert len(set(found)) == 1


def test_streams_pass_through(url):
    body = {"prompt": "a cat", "steps": 400, "stream": True, "partial_images": 3}
    kinds = []
    with httpx.stream("POST", f"{url}/v1/images/generations", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("event:"):
                kinds.append((line[6:].strip(), httpx.get(f"{url}/health/live").status_code))
    assert [kind for kind, _ in kinds] == ["image_generation.partial_image"] * 3 + [
        "image_generation.completed"
    ]


def test_refusals_keep_their_shape(url):
    answer = httpx.post(f"{url}/v1/images/generations", json={"prompt": "a cat", "sede": 1})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_parameter"
