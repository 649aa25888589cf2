"""A captioner behind a URL: the official client against a real HTTP server on this machine."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from chat_endpoint import Endpoint, running_endpoint
from limner.cli import build_app
from limner.errors import DataError, EndpointError, UsageError
from limner.reading.captions import load_captioner
from optional_modules import needed

needed("openai")
PIXELS = np.zeros((20, 30, 3), np.uint8)
PIXELS[:, :] = (220, 30, 30)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with running_endpoint() as server:
        yield server


def test_the_picture_and_the_language_are_asked_for(endpoint: Endpoint):
    endpoint.answer = '1. "红色的田野"\n2) 红色\n\n- 红色\n- 多余'
    found = load_captioner("openai:seer", base_url=endpoint.url).caption(PIXELS, "zh", 3)
    assert [said.text for said in found] == ["红色的田野", "红色", "多余"]
    assert all(said.score is None for said in found)
    headers, body = endpoint.asked[0]
    assert headers["path"] == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-secret"
    assert body["model"] == "seer"
    text, picture = body["messages"][0]["content"]
    assert "Chinese" in text["text"] and "3 lines" in text["text"]
    url = picture["image_url"]["url"]
    shown = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(shown), PIXELS)


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint):
    endpoint.failures = [(429, {"retry-after-ms": "10"}), (503, {"retry-after-ms": "10"})]
    found = load_captioner("openai:seer", base_url=endpoint.url).caption(PIXELS)
    assert found[0].text == "a red field" and len(endpoint.asked) == 3


@pytest.mark.parametrize(
    ("status", "times", "message"), [(401, 1, "not now"), (500, 4, "not now"), (404, 1, "not now")]
)
def test_a_refusal_is_one_sentence(endpoint: Endpoint, status: int, times: int, message: str):
    endpoint.failures = [(status, {"retry-after-ms": "10"})] * 9
    with pytest.raises(EndpointError, match=message) as caught:
        load_captioner("openai:seer", base_url=endpoint.url).caption(PIXELS)
    assert "sk-secret" not in str(caught.value)
    assert len(endpoint.asked) == times


def test_silence_is_given_up(endpoint: Endpoint):
    from limner.reading.endpoint import EndpointCaptioner

    endpoint.wait = 30.0
    captioner = EndpointCaptioner("seer", base_url=endpoint.url, seconds=0.2, retries=0)
    with pytest.raises(EndpointError, match="timed out"):
        captioner.caption(PIXELS)
    endpoint.stopped.set()
    endpoint.answer = "  \n"
    with pytest.raises(DataError, match="gives no caption"):
        load_captioner("openai:seer", base_url=endpoint.url).caption(PIXELS)


def test_nobody_listening_is_one_sentence(endpoint: Endpoint):
    from limner.reading.endpoint import EndpointCaptioner

    captioner = EndpointCaptioner("seer", base_url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(EndpointError, match="did not caption"):
        captioner.caption(PIXELS)


def test_a_key_is_needed_only_by_strangers(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        load_captioner("openai:seer")
    assert load_captioner("openai:seer", base_url=endpoint.url).caption(PIXELS)
    with pytest.raises(UsageError, match="--base-url belongs"):
        load_captioner("some.safetensors", base_url=endpoint.url)


def test_the_command_asks_the_endpoint(endpoint: Endpoint, tmp_path: Path):
    Image.fromarray(PIXELS).save(tmp_path / "red.png")
    arguments = ["caption", str(tmp_path / "red.png"), "--captioner", "openai:seer", "--json"]
    done = CliRunner().invoke(build_app(), [*arguments, "--base-url", endpoint.url])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["captions"] == [{"text": "a red field", "score": None}]
    assert "sk-secret" not in done.output
