"""Restoring over HTTP, against the same done by the library."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

import limner

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


def send(url: str, pixels: np.ndarray | bytes, **fields: object) -> httpx.Response:
    buffer = io.BytesIO()
    if isinstance(pixels, bytes):
        buffer.write(pixels)
    else:
        Image.fromarray(pixels).save(buffer, "PNG")
    files = {"image": ("a.png", buffer.getvalue())}
    return httpx.post(f"{url}/v1/images/restorations", data=fields, files=files)


def test_a_picture_is_restored_as_by_the_library(shipped):
    answer = send(shipped.url, PIXELS, task="denoise", scale="2", prompt="noise").json()
    assert answer["size"] == "96x80"
    (row,) = answer["data"]
    wanted = limner.restore(PIXELS, "denoise", scale=2, prompt="noise")
    with Image.open(io.BytesIO(base64.b64decode(row["b64_json"]))) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted.image))
        assert '"task":"denoise"' in image.info["limner"]
    assert row["removed"] == pytest.approx(wanted.removed.given)
    assert row["summary"] == wanted.summary


@pytest.mark.parametrize(
    ("pixels", "fields", "param"),
    [
        (PIXELS, {"task": "shine"}, "task"),
        (PIXELS, {"scale": 3}, "scale"),
        (PIXELS, {"colour": "red"}, "colour"),
        (b"no picture", {}, "image"),
        (np.zeros((2048, 2049, 3), np.uint8), {}, "image"),
    ],
)
def test_what_is_wrong_is_named(shipped, pixels, fields, param):
    answer = send(shipped.url, pixels, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
