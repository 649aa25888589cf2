"""The Images API through the official client, and over bare HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import re
import socket
import time
import urllib.request
from contextlib import ExitStack
from http.client import HTTPConnection

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from limner.errors import UsageError
from limner.generation.generator import load
from limner.generation.records import read_record
from limner.generation.replay import check_output, redraw_file
from limner.improve.scoring import load_scorer
from serving.held import held
from serving.test_metrics import figures_of
from waiting import LONGEST, wait_until

KEY = {"authorization": "Bearer secret"}


@pytest.fixture(scope="session")
def client(shipped) -> OpenAI:
    return OpenAI(base_url=f"{shipped.url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="session")
def flow_client(flow) -> OpenAI:
    return OpenAI(base_url=f"{flow.url}/v1", api_key="secret", max_retries=0)


def image_of(b64: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64 or "")))


def pixels_of(b64: str | None) -> np.ndarray:
    return np.asarray(image_of(b64), float)


def post(url: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/images/generations", json=body, headers=headers)


def answered(running) -> float:
    """How many requests for pictures are over, whatever came of them."""
    return sum(
        value for (name, labels), value in figures_of(running).items()
        if name == "limner_request_seconds_count"
        and ("route", "/v1/images/generations") in labels
    )  # fmt: skip


def test_a_picture_is_that_of_the_command_line(client, tmp_path):
    found = client.images.generate(prompt="a red heart", extra_body={"seed": 7})
    (one,) = found.data
    same = load().generate("a red heart", seed=7)[0]
    assert np.array_equal(pixels_of(one.b64_json), np.asarray(same.image, float))
    path = tmp_path / "a.png"
    path.write_bytes(base64.b64decode(one.b64_json))
    record = read_record(path)
    assert (record.prompt, record.seed) == ("a red heart", 7)
    assert (found.size, found.background, found.output_format) == ("256x256", "opaque", "png")
    assert found.usage.total_tokens == 3 + 256
    assert found.created > 1_700_000_000


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_formats_and_sizes(client, kind):
    found = client.images.generate(
        prompt="a fox in the snow", n=2, size="512x320", output_format=kind, extra_body={"seed": 1}
    )
    images = [image_of(one.b64_json) for one in found.data]
    assert [(image.format, image.size) for image in images] == [(kind.upper(), (512, 320))] * 2
    assert found.size == "512x320"
    assert [one.seed for one in found.data] == [1, 2]


def test_a_transparent_picture(client):
    found = client.images.generate(
        prompt="a rocket", background="transparent", output_format="webp", extra_body={"seed": 2}
    )
    image = image_of(found.data[0].b64_json)
    assert (image.mode, found.background) == ("RGBA", "transparent")
    alpha = np.asarray(image)[..., 3]
    assert (alpha == 0).mean() > 0.2 < (alpha == 255).mean()


def test_svg(client):
    found = client.images.generate(prompt="a strawberry", output_format="svg")
    text = base64.b64decode(found.data[0].b64_json).decode()
    assert "<svg" in text and "<path" in text


def test_an_animation_goes_to_and_fro_and_is_drawn_again(client, tmp_path):
    found = client.images.generate(
        prompt="a red apple",
        n=2,
        output_format="gif",
        size="96x64",
        extra_body={"seed": 3, "frame_count": 5, "frame_duration_ms": 84},
    )
    for number, one in enumerate(found.data):
        gif = image_of(one.b64_json)
        assert (gif.format, gif.n_frames, gif.size, one.seed) == ("GIF", 5, (96, 64), 3 + number)
        assert json.loads(gif.info["comment"])["pictures"][0]["seed"] == 3 + number
        frames = []
        for frame in range(5):
            gif.seek(frame)
            assert gif.info["duration"] == 80
            frames.append(np.asarray(gif.convert("RGB"), float))
        away = [np.abs(frame - frames[0]).mean() for frame in frames]
        assert max(away) == away[2] > away[1] > 0 and away[3] > away[4] > 0
    variety = round((1 - math.cos(2 * math.pi * 2.25 / 5)) / 2, 4)
    widest = load().generate("a red apple", seed=3, size=64, variety=variety)[0]
    gif = image_of(found.data[0].b64_json)
    gif.seek(2)
    middle = np.asarray(gif.convert("RGB"), float)[:, 16:80]
    assert np.abs(middle - np.asarray(widest.image, float)).mean() < 4, "but for 256 colours"
    path = tmp_path / "apple.gif"
    path.write_bytes(base64.b64decode(found.data[1].b64_json))
    again = redraw_file(path)
    assert again.same_as(path)
    assert again.write(tmp_path / "again.gif").read_bytes() == path.read_bytes()
    assert not again.same_as(tmp_path / "none.gif")
    with pytest.raises(UsageError, match=r"give 'again.png' the ending .gif"):
        check_output(path, tmp_path / "again.png")


def test_the_best_of_several_are_answered_with_their_scores(client):
    drawn = client.images.generate(prompt="a castle", n=8, extra_body={"seed": 3})
    scorer = load_scorer()
    scores = scorer.totals("a castle", [image_of(d.b64_json) for d in drawn.data])
    best = sorted(range(8), key=lambda number: -scores[number])[:2]
    found = client.images.generate(prompt="a castle", n=2, extra_body={"seed": 3, "best_of": 8})
    assert [one.seed for one in found.data] == [3 + number for number in best]
    assert [one.score for one in found.data] == pytest.approx([scores[n] for n in best], abs=1e-3)
    assert [one.b64_json for one in found.data] == [drawn.data[n].b64_json for n in best]
    assert found.usage.output_tokens == 8 * 256


def test_a_url_is_fetched_by_whoever_knows_it(client):
    found = client.images.generate(prompt="a cat", response_format="url", extra_body={"seed": 1})
    with urllib.request.urlopen(found.data[0].url) as answer:
        image = Image.open(io.BytesIO(answer.read()))
        assert answer.headers["content-type"] == "image/png"
    assert image.size == (256, 256)
    forged = found.data[0].url.replace(".png", "0.png")
    assert httpx.get(forged).status_code == 404


def test_what_is_drawn_for_other_words_is_told(client):
    found = client.images.generate(prompt="labrador", extra_body={"seed": 1})
    assert found.data[0].revised_prompt not in ("labrador", None)
    known = client.images.generate(prompt="a fox in the snow", extra_body={"seed": 1})
    assert known.data[0].revised_prompt == "a fox in the snow"


def test_a_picture_that_was_drawn_already_is_not_drawn_again(client, shipped):
    def figures() -> dict[str, float]:
        text = httpx.get(f"{shipped.url}/metrics").text
        return {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in {"limner_pictures_remembered_total", "limner_evaluation_rows_count"}
        }

    def draw(n: int, **fields: object) -> list[np.ndarray]:
        found = client.images.generate(prompt="a green kite", n=n, extra_body=fields)
        return [pixels_of(one.b64_json) for one in found.data]

    wait_until(lambda: shipped.state.batcher.waiting == 0)  # what other tests have left
    before, first = figures(), draw(1, seed=31)
    middle, again = figures(), draw(2, seed=31)
    after = figures()
    assert np.array_equal(first[0], again[0]) and not np.array_equal(*again)
    rows, remembered = "limner_evaluation_rows_count", "limner_pictures_remembered_total"
    assert middle[remembered] == before[remembered] and middle[rows] == before[rows] + 1
    assert after[remembered] == middle[remembered] + 1 and after[rows] == middle[rows] + 1
    assert not np.array_equal(first[0], draw(1, seed=31, style="twemoji")[0])
    assert figures()[remembered] == after[remembered]


def test_a_stream_shows_what_the_network_predicts(flow_client):
    options = {"steps": 8, "guidance": 2.0}
    events = list(flow_client.images.generate(
        prompt="a cat", n=2, stream=True, partial_images=2, extra_body=options | {"seed": 5}
    ))  # fmt: skip
    kinds = [event.type.removeprefix("image_generation.") for event in events]
    assert (kinds.count("completed"), kinds.count("partial_image")) == (2, 4)
    for number in range(2):
        *looks, last = [event for event in events if event.image_index == number]
        assert [look.partial_image_index for look in looks] == [0, 1]
        assert last.type == "image_generation.completed"
        final = pixels_of(last.b64_json)
        errors = [np.abs(pixels_of(look.b64_json) - final).mean() for look in looks]
        assert errors[0] > errors[1] > 0
        alone = flow_client.images.generate(
            prompt="a cat", extra_body=options | {"seed": 5 + number}
        )
        assert np.array_equal(pixels_of(alone.data[0].b64_json), final)


def test_a_stream_of_a_one_shot_family_sharpens(client):
    events = list(client.images.generate(prompt="a cat", stream=True, partial_images=3))
    assert [e.type.split(".")[1] for e in events] == ["partial_image"] * 3 + ["completed"]
    final = pixels_of(events[-1].b64_json)
    errors = [np.abs(pixels_of(e.b64_json) - final).mean() for e in events[:-1]]
    assert errors == sorted(errors, reverse=True)
    assert events[-1].usage.total_tokens > 0


def test_many_clients_at_once_get_their_own_pictures(flow_client, flow):
    words = ("a cat", "a dog", "红心", "a house")
    prompts = [f"{word} {n}" for n in range(4) for word in words]
    alone = {
        prompt: flow_client.images.generate(prompt=prompt, extra_body={"seed": 3}).data[0].b64_json
        for prompt in prompts
    }

    async def all_at_once() -> dict[str, str | None]:
        async with AsyncOpenAI(base_url=f"{flow.url}/v1", api_key="secret") as client:
            found = await asyncio.gather(
                *(client.images.generate(prompt=p, extra_body={"seed": 3}) for p in prompts)
            )
        return {p: each.data[0].b64_json for p, each in zip(prompts, found, strict=True)}

    assert len(set(alone.values())) == len(prompts)
    assert asyncio.run(all_at_once()) == alone


@pytest.mark.parametrize(("body", "param", "code"), [
    ({}, "prompt", "missing_required_parameter"),
    ({"prompt": ""}, "prompt", "invalid_value"),
    ({"prompt": " "}, "prompt", "invalid_prompt"),
    ({"prompt": "a cat", "n": 11}, "n", "invalid_value"),
    ({"prompt": "a cat", "size": "3000x3000"}, "size", "invalid_value"),
    ({"prompt": "a cat", "size": "1x2"}, "size", "invalid_value"),
    ({"prompt": "a cat", "sede": 1}, "sede", "unknown_parameter"),
    ({"prompt": "a cat", "output_format": "bmp"}, "output_format", "invalid_value"),
    ({"prompt": "a cat", "background": "transparent", "output_format": "jpeg"}, "background",
     "invalid_value"),
    ({"prompt": "a cat", "output_compression": 5}, "output_compression", "invalid_value"),
    ({"prompt": "a cat", "frame_count": 5}, "frame_count", "invalid_value"),
    ({"prompt": "a cat", "output_format": "gif", "frame_count": 17}, "frame_count",
     "invalid_value"),
    ({"prompt": "a cat", "output_format": "gif", "stream": True}, "stream", "invalid_value"),
    ({"prompt": "a cat", "output_format": "gif", "background": "transparent"}, "background",
     "invalid_value"),
    ({"prompt": "a cat", "n": 3, "best_of": 2}, "best_of", "invalid_value"),
    ({"prompt": "a cat", "best_of": 2, "stream": True}, "best_of", "invalid_value"),
    ({"prompt": "a cat", "variety": 2}, "variety", "invalid_value"),
    ({"prompt": "a cat", "steps": 4}, "steps", "unsupported_parameter"),
    ({"prompt": "a cat", "style": "no such style"}, "style", "invalid_value"),
    ({"prompt": "a cat", "model": "no such model"}, "model", "model_not_found"),
    ([1], None, None), ("text", None, None),
])  # fmt: skip
def test_what_is_wrong_is_said_in_the_shape_that_clients_read(shipped, body, param, code):
    answer = post(shipped.url, body)
    assert answer.status_code == (404 if code == "model_not_found" else 400)
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    if code is not None:
        assert (error["param"], error["code"]) == (param, code)
    assert answer.headers["x-request-id"]


def test_an_option_that_is_refused_while_a_prompt_is_read_is_no_failure(flow):
    answer = post(flow.url, {"prompt": "a cat", "grounding": True}, **KEY)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_parameter"


def test_the_client_raises_what_it_raises_for_upstream(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a cat", size="1x1")
    assert caught.value.param == "size"
    assert caught.value.request_id


@pytest.mark.usefixtures("lingers")
def test_bodies_that_are_no_json_or_too_large(shipped):
    url, kind = f"{shipped.url}/v1/images/generations", {"content-type": "application/json"}
    answer = httpx.post(url, content=b"{", headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    for size in (2_000_000, 12_000_000):  # the client still sends when it is answered
        answer = httpx.post(url, content=b" " * size, headers=kind)
        assert answer.status_code == 413
    assert "1,000,000 bytes" in answer.json()["error"]["message"]
    for route in ("txt2img", "options"):
        where = f"{shipped.url}/sdapi/v1/{route}"
        assert httpx.post(where, content=b" " * 2_000_000, headers=kind).status_code == 413
    assert httpx.get(f"{shipped.url}/nothing").json()["error"]["message"]


@pytest.mark.usefixtures("lingers")
def test_a_client_that_still_sends_gets_its_answer(shipped):
    host, port = shipped.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONGEST) as connection:
        connection.sendall(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 12000000\r\n\r\n"
        )
        for _ in range(12):
            connection.sendall(b" " * 1_000_000)
            time.sleep(0.02)  # it was refused after the first
        assert b" 413 " in connection.recv(4096)


def test_an_error_in_the_middle_of_a_stream_raises(flow_client, flow, monkeypatch):
    monkeypatch.setattr(flow.state.batcher, "_most_seconds", -1.0)
    with pytest.raises(openai.APIError, match="took more than"):
        list(flow_client.images.generate(prompt="a cat", stream=True))


def test_keys(flow):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
        answer = post(flow.url, {"prompt": "a cat"}, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx.get(f"{flow.url}/v1/models").status_code == 401
    assert post(flow.url, {"prompt": "a cat"}, **KEY).status_code == 200


def test_a_full_queue_says_when_to_come_back(flow_here):
    body, kind = {"prompt": "a cat", "n": 10, "steps": 1000}, {"content-type": "application/json"}
    batcher, before = flow_here.state.batcher, answered(flow_here)
    with held() as drawing, ExitStack() as stack:
        for number in range(1, 5):
            client = HTTPConnection(flow_here.url.partition("//")[2])
            stack.callback(client.close)
            client.request("POST", "/v1/images/generations", json.dumps(body), KEY | kind)
            wait_until(lambda number=number: batcher.waiting == 10 * number)
        for _ in range(2):
            refused = post(flow_here.url, body, **KEY)
            assert refused.status_code == 429
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert int(refused.headers["retry-after-ms"]) >= 1000
            assert int(refused.headers["retry-after"]) >= 1
        stack.close()
        wait_until(lambda: answered(flow_here) == before + 6)
        drawing.release()
        wait_until(lambda: batcher.waiting == 0)
        assert drawing.evaluations <= 2, "clients that left must not be drawn for"


def test_a_closed_stream_cancels_its_pictures(flow_here):
    body = {"prompt": "a cat", "n": 4, "steps": 400, "stream": True, "partial_images": 3}
    url = f"{flow_here.url}/v1/images/generations"
    batcher, before = flow_here.state.batcher, answered(flow_here)
    with held(300) as drawing:  # of 799: twice a step, but for the last
        with httpx.stream("POST", url, json=body, headers=KEY) as answer:
            line = next(line for line in answer.iter_lines() if line.startswith("data:"))
            assert json.loads(line[5:])["type"] == "image_generation.partial_image"
            assert 0 < batcher.waiting <= 4
        wait_until(lambda: answered(flow_here) == before + 1)
        drawing.release()
        wait_until(lambda: batcher.waiting == 0)
        assert drawing.evaluations <= 302


def test_models(client, shipped):
    names = [model.id for model in client.models.list()]
    assert names == [
        shipped.state.models.default.name,
        f"gpt-image-{shipped.state.models.default.name}",
    ]
    assert client.models.retrieve(names[0]).owned_by == "limner"
    for name in ("gpt-image-1", "dall-e-3", *names):
        assert client.images.generate(prompt="a cat", model=name).data
    assert httpx.get(f"{shipped.url}/v1/models").json()["data"][0]["licences"]


def test_health_and_headers(shipped):
    wait_until(lambda: shipped.state.batcher.waiting == 0)  # what other tests have left
    assert httpx.get(f"{shipped.url}/health/live").json() == {"status": "live", "pictures": 0}
    answer = httpx.get(f"{shipped.url}/health/ready", headers={"x-request-id": "mine-1"})
    assert answer.json() == {"status": "ready"}
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    odd = httpx.get(f"{shipped.url}/health/live", headers={"x-request-id": "a b" * 99})
    assert odd.headers["x-request-id"].startswith("req_")


def test_the_document_describes_every_route_and_refers_to_nothing_that_is_missing(shipped):
    document = httpx.get(f"{shipped.url}/openapi.json").json()
    text = json.dumps(document)
    for name in re.findall(r'"\$ref": "([^"]+)"', text):
        place = document
        for part in name.removeprefix("#/").split("/"):
            place = place[part]
    assert "422" not in text, "mistakes are answered with 400"
    form = document["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]
    assert fields["required"] == ["prompt", "image"]
    assert {"image", "mask", "seed", "best_of", "variety"} <= set(fields["properties"])
