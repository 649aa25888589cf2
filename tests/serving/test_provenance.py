"""Where answers say that pictures come from: signed files, training drawings, licences."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import httpx
import pytest

from certificates import certified
from limner.generation.generator import load

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")


def post(running, **body: object) -> httpx.Response:
    return httpx.post(f"{running.url}/v1/images/generations", json=body)


def test_every_answer_says_what_it_copies(shipped):
    answer = post(shipped, prompt="a cat", seed=1, style="noto", variety=0)
    (one,) = answer.json()["data"]
    (source,) = one["sources"]
    assert (source["set"], source["copied"]) == ("noto", True)
    assert source["licence"] == "Apache-2.0 (Google Inc)"
    assert one["drawn_from"][0]["drawn"] == "cat"
    kept = httpx.get(f"{shipped.url}/v1/gallery/{one['id']}").json()
    assert kept["sources"] == one["sources"]
    (model, _) = httpx.get(f"{shipped.url}/v1/models").json()["data"]
    assert "@iconify-json/noto by Google Inc, Apache-2.0" in model["attributions"]


def test_files_are_signed_in_every_format_that_can_be(running, tiny_model: Path, tmp_path):
    from limner.generation.provenance import ContentSigner

    owned = certified(tmp_path)
    server = running(load(tiny_model), signer=ContentSigner(owned.certificate, owned.key))
    trust = {"trust": {"trust_anchors": owned.authority.read_text()}}
    context = c2pa.Context(settings=c2pa.Settings.from_dict(trust))
    try:
        for kind in ("png", "webp", "jpeg", "gif"):
            answer = post(server, prompt="a cat", output_format=kind)
            data = base64.b64decode(answer.json()["data"][0]["b64_json"])
            reader = c2pa.Reader(f"image/{kind}", io.BytesIO(data), context=context)
            assert reader.get_validation_state() == "Trusted"
        error = post(server, prompt="a cat", output_format="svg").json()["error"]
        assert (error["param"], error["code"]) == ("output_format", "invalid_value")
    finally:
        server.stop()
