"""Refinements over HTTP, against the same by the library."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from limner.generation.generator import load
from limner.improve.refine import Refiner


def send(url: str, key: str = "", **body: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{url}/v1/refinements", json=body, headers=headers)


def test_a_picture_is_refined_as_by_the_library(flow, flow_path):
    options = {"budget": 3, "target": 1.0, "seed": 4, "style": "noto"}
    answer = send(flow.url, "secret", prompt="a cat", page=True, **options)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    wanted = Refiner(load(flow_path)).refine("a cat", **options)
    assert [each["changed"] for each in found["attempts"]] == [a.what for a in wanted.attempts]
    assert found["score"] == pytest.approx(wanted.best.score.total, abs=1e-3)
    data = base64.b64decode(found["data"][0]["b64_json"])
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted.picture.image))
        assert "limner" in image.text
    assert found["page"].startswith("<!doctype html>")


def test_a_refined_picture_is_kept_with_its_score(shipped):
    found = send(shipped.url, prompt="a red apple", budget=2, seed=4).json()
    file = httpx.get(f"{shipped.url}/v1/gallery/{found['id']}/file")
    assert file.content == base64.b64decode(found["data"][0]["b64_json"])
    row = httpx.get(f"{shipped.url}/v1/gallery/{found['id']}").json()
    assert row["scores"]["aligner"] == pytest.approx(found["score"], abs=1e-4)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "a cat", "budget": 0}, "budget"),
        ({"prompt": "a cat", "target": 2}, "target"),
        ({"prompt": "a cat", "size": "64x32"}, "size"),
        ({"prompt": "a cat", "n": 2}, "n"),
    ],
)
def test_what_is_wrong_is_named(flow, body, param):
    answer = send(flow.url, "secret", **body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
