"""Explanations over HTTP, against the same by the library."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from limner.generation.generator import load


def send(url: str, key: str = "", **body: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{url}/v1/explanations", json=body, headers=headers)


def test_a_picture_is_explained_as_by_the_library(flow, flow_path):
    body = {"prompt": "a cat", "seed": 4, "style": "noto", "page": True}
    answer = send(flow.url, "secret", **body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    wanted = load(flow_path).explain("a cat", seed=4, style="noto")
    assert [word["text"] for word in found["words"]] == ["a", "cat"]
    for word, other in zip(found["words"], wanted.words, strict=True):
        assert word["without"]["change"] == pytest.approx(other.change, abs=1e-3)
        assert word["map"] in found["files"]
    data = base64.b64decode(found["files"]["picture.png"])
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted.picture.image))
    assert found["maps"] == "information" and found["page"].startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "cat " * 33}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a cat", "n": 2}, "n"),
        ({"prompt": "a cat", "maps": "colours"}, "maps"),
        ({"prompt": "a cat", "maps": "plan"}, "maps"),
        ({"prompt": "a cat", "size": "64x32"}, "size"),
        ({"prompt": "a cat", "style": "lino"}, "style"),
        ({"prompt": "a cat", "top_k": 3}, "top_k"),
    ],
)
def test_what_is_wrong_is_named(flow, body, param):
    answer = send(flow.url, "secret", **body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_a_key_is_asked_for(flow):
    assert send(flow.url, prompt="a cat").status_code == 401
