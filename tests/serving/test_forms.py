"""Edits and variations: pictures that clients send, through the official client and bare HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image, ImageDraw

from limner.generation.generator import load
from limner.generation.inpainting import MaskedPicture
from limner.generation.records import read_record
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.reading.captions import load_captioner


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def lines(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A line drawing in one colour."""
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).ellipse((40, 40, 216, 216), "white", colour, 14)
    return png(image)


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header says that it has ``side`` pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def image_of(b64: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64 or "")))


def own_colours(b64: str | None) -> np.ndarray:
    """Mean of what is not white."""
    pixels = np.asarray(image_of(b64).convert("RGB"), float)
    return pixels[pixels.min(2) < 128].mean(0)


@pytest.fixture(scope="session")
def client(shipped) -> OpenAI:
    return OpenAI(base_url=f"{shipped.url}/v1", api_key="any", max_retries=0)


def post(url: str, route: str, fields: dict[str, str], files: object = None) -> httpx.Response:
    given = files if files is not None else {"image": ("upload", lines())}
    return httpx.post(f"{url}/v1/images/{route}", data=fields, files=given)


def test_pictures_of_one_batch_are_drawn_after_their_own_references():
    generator = load()
    red, blue = (Image.open(io.BytesIO(lines(c))) for c in ((200, 30, 30), (20, 40, 200)))
    requests = [DrawRequest("a cat", seed) for seed in (3, 3, 3, 4)]
    references = [red, None, blue, red]
    seen = [None if each is None else generator.look(each) for each in references]
    session, jobs = generator.session(), generator.jobs(requests, seen)
    for job in jobs:
        assert isinstance(job, Job)
        session.add(job.drawing)
    while not session.idle:
        session.advance()
    found = [generator.finished(job) for job in jobs]
    for request, reference, picture in zip(requests, references, found, strict=True):
        (alone,) = generator.draw([request], reference=reference)
        assert np.array_equal(np.asarray(alone.image), np.asarray(picture.image))
        assert alone.settings == picture.settings
    assert len({picture.image.tobytes() for picture in found}) == 4


def test_an_edit_is_drawn_in_the_style_of_its_picture(client, tmp_path):
    found = client.images.edit(
        image=lines(), prompt="a cat", extra_body={"seed": 3}, input_fidelity="high"
    )
    path, reference = tmp_path / "a.png", tmp_path / "lines.png"
    path.write_bytes(base64.b64decode(found.data[0].b64_json))
    reference.write_bytes(lines())
    alone = load().generate("a cat", seed=3, reference=reference)[0]
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(alone.image))
    assert read_record(path).settings.reference == alone.settings.reference
    assert np.abs(own_colours(found.data[0].b64_json) - (200, 30, 30)).max() < 40
    details = found.usage.input_tokens_details
    assert (details.text_tokens, details.image_tokens) == (2, 256)


def test_several_pictures_take_turns(client):
    async def ask() -> list[np.ndarray]:
        async with AsyncOpenAI(base_url=client.base_url, api_key="any") as own:
            found = await own.images.edit(
                image=[lines((200, 30, 30)), ("b.png", lines((20, 40, 200)))], prompt="a house",
                n=3, output_format="webp", size="128x128", extra_body={"seed": 1},
            )  # fmt: skip
        return [own_colours(one.b64_json) for one in found.data]

    first, second, third = asyncio.run(ask())
    assert first[0] > first[2] + 80 and third[0] > third[2] + 80
    assert second[2] > second[0] + 80


def test_an_edit_is_streamed(client):
    events = list(client.images.edit(
        image=lines(), prompt="a cat", stream=True, partial_images=2, extra_body={"seed": 3}
    ))  # fmt: skip
    assert [e.type for e in events] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    whole = client.images.edit(image=lines(), prompt="a cat", stream=False, extra_body={"seed": 3})
    assert events[-1].b64_json == whole.data[0].b64_json
    assert events[-1].usage.input_tokens_details.image_tokens == 256


def test_a_variation_is_what_the_captioner_reads_in_the_style_of_the_picture(client):
    drawn = client.images.generate(prompt="a red apple", extra_body={"seed": 1}).data[0]
    data = base64.b64decode(drawn.b64_json)
    found = client.images.create_variation(image=data, n=2, size="256x256", extra_body={"seed": 5})
    pixels = np.asarray(image_of(drawn.b64_json))
    caption = load_captioner().caption(pixels)[0].text
    alone = load().generate(caption, n=2, seed=5, reference=image_of(drawn.b64_json))
    for one, picture in zip(found.data, alone, strict=True):
        assert np.array_equal(np.asarray(image_of(one.b64_json)), np.asarray(picture.image))


def test_fields_of_forms_are_texts(shipped):
    fields = {
        "prompt": "a cat", "n": "2", "stream": "false", "seed": "4", "variety": "0", "size": "",
        "svg[model]": "any", "svg[reasoning][effort]": "low", "response_format": "anything",
    }  # fmt: skip
    answer = post(shipped.url, "edits", fields)
    assert answer.status_code == 200, answer.text
    assert [each["seed"] for each in answer.json()["data"]] == [4, 5]
    alone = load().generate(
        "a cat", n=2, seed=4, variety=0.0, reference=Image.open(io.BytesIO(lines()))
    )
    for one, picture in zip(answer.json()["data"], alone, strict=True):
        assert np.array_equal(np.asarray(image_of(one["b64_json"])), np.asarray(picture.image))


@pytest.mark.parametrize("kind", ["transparent", "white"])
def test_a_mask_is_where_the_prompt_is_drawn_and_the_rest_keeps_its_bits(client, kind):
    pixels = np.full((150, 200, 3), (200, 220, 250), np.uint8)
    pixels[100:] = (80, 160, 80)
    hole = np.zeros((150, 200), bool)
    hole[30:120, 60:150] = True
    mask = Image.fromarray(hole.astype(np.uint8) * 255)
    if kind == "transparent":
        clear = Image.new("RGBA", mask.size, "white")
        clear.putalpha(Image.fromarray(np.uint8(255) - np.asarray(mask)))
        mask = clear
    found = client.images.edit(
        image=png(Image.fromarray(pixels)), mask=png(mask), prompt="a red apple", n=2,
        extra_body={"seed": 4, "style": "noto"},
    )  # fmt: skip
    for number, one in enumerate(found.data):
        image = image_of(one.b64_json)
        drawn = np.asarray(image)
        assert np.array_equal(drawn[~hole], pixels[~hole])
        red = (drawn[..., 0] > 150) & (drawn[..., 1] < 110)
        assert red[hole].mean() > 0.15
        assert image.size == (200, 150) and json.loads(image.info["limner"])["seed"] == 4 + number
    alone = load().inpaint(MaskedPicture(pixels, hole), "a red apple", seed=4, style="noto")[0]
    assert np.array_equal(np.asarray(image_of(found.data[0].b64_json)), np.asarray(alone.image))
    assert found.size == "200x150"


def test_a_strength_says_how_far_a_picture_is_changed(shipped):
    image = Image.new("RGB", (90, 60), "white")
    image.paste((220, 60, 40), (20, 10, 60, 50))
    fields = {"prompt": "a car", "seed": "4", "style": "noto", "size": "90x90"}
    answer = post(shipped.url, "edits", fields | {"strength": "0.5"}, {"image": ("a", png(image))})
    drawn = image_of(answer.json()["data"][0]["b64_json"])
    alone = load().restyle(image, "a car", strength=0.5, seed=4, style="noto", size=90)[0]
    assert np.array_equal(np.asarray(drawn), np.asarray(alone.image))
    assert answer.json()["size"] == "90x60" and drawn.size == (90, 60)
    for files, extra in (({"mask": ("m", png(image))}, "0.5"), ({}, "1.5")):
        refused = post(shipped.url, "edits", fields | {"strength": extra},
                       {"image": ("a", png(image)), **files})  # fmt: skip
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "strength"
    varied = post(shipped.url, "variations", {"seed": "1", "strength": "0.2", "size": "90x90"},
                  {"image": ("a", png(image))})  # fmt: skip
    assert varied.status_code == 200
    found = np.asarray(image_of(varied.json()["data"][0]["b64_json"])).astype(int)
    assert found.shape == (60, 90, 3) and found[..., 1].min() < 150, "there is something red"


def test_a_mask_needs_no_reference_and_is_streamed(flow):
    files = {"image": ("a", png(Image.new("RGB", (64, 48), "white")))}
    hole = Image.new("L", (64, 48))
    hole.paste(255, (8, 8, 40, 30))
    files["mask"] = ("m", png(hole))
    answer = httpx.post(
        f"{flow.url}/v1/images/edits", data={"prompt": "a cat", "stream": "true", "seed": "1"},
        files=files, headers={"authorization": "Bearer secret"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert "event: image_edit.completed" in answer.text and "partial_image" not in answer.text


def test_an_instruction_changes_the_plan_of_a_drawing(client, shipped):
    drawn = client.images.generate(prompt="a red apple and a blue fish", extra_body={"seed": 1})
    file = base64.b64decode(drawn.data[0].b64_json)
    said = client.images.edit(image=file, prompt="remove the apple", extra_body={"say": True})
    before, after = (np.asarray(image_of(each.data[0].b64_json)) for each in (drawn, said))
    changed = (before != after).any(-1)
    assert changed[:, :128].any() and not changed[:, 128:].any()
    again = base64.b64decode(said.data[0].b64_json)
    assert read_record(Path("x"), io.BytesIO(again)).edits == ("remove the apple",)
    for image, fields, param in (
        (lines(), {}, "image"), (file, {"seed": "3"}, "seed"), (file, {"size": "64x64"}, "size"),
    ):  # fmt: skip
        answer = httpx.post(
            f"{shipped.url}/v1/images/edits", data={"prompt": "remove it", "say": "true"} | fields,
            files={"image": ("a.png", image)},
        )  # fmt: skip
        assert answer.status_code == 400 and answer.json()["error"]["param"] == param


IMAGE = {"image": ("upload", lines())}


@pytest.mark.parametrize(("fields", "files", "param", "code"), [
    ({"prompt": "a cat"}, {"image": ("a.png", b"no picture")}, "image", "invalid_image"),
    ({"prompt": "a cat"}, {"image": ("a.png", b"")}, "image", "invalid_image"),
    ({"prompt": "a cat"}, {"image": ("a.png", bomb(30_000))}, "image", "invalid_image"),
    ({"prompt": "a cat"}, {"image": ("a.png", lines()[:200])}, "image", "invalid_image"),
    ({"prompt": "a cat"}, {"image": ("a.png", png(Image.new("RGB", (64, 64), "white")))}, "image",
     "invalid_image"),
    ({"prompt": "a cat"}, {"picture": ("a.png", lines())}, "picture", "unknown_parameter"),
    ({"prompt": "a cat"}, IMAGE | {"mask": ("m.png", lines()[:200])}, "mask", "invalid_image"),
    ({"prompt": "a cat"}, IMAGE | {"mask": ("m.png", bomb(30_000))}, "mask", "invalid_image"),
    ({"prompt": "a cat"}, IMAGE | {"mask": ("m.png", png(Image.new("L", (64, 64), 255)))}, "mask",
     "invalid_value"),
    ({"prompt": "a cat"}, IMAGE | {"mask": ("m.png", png(Image.new("L", (256, 256))))}, "mask",
     "invalid_value"),
    ({"prompt": "a cat"}, [("image", ("a", lines()))] * 2 + [("mask", ("m", lines()))], "image",
     "too_many_images"),
    ({"prompt": "a cat", "mask": "x"}, IMAGE, "mask", "unsupported_parameter"),
    ({"prompt": "a cat"}, IMAGE | {"markup": ("m.png", lines())}, "markup",
     "unsupported_parameter"),
    ({"prompt": "a cat"}, [("image[]", ("a", lines()))] * 17, "image", "too_many_images"),
    ({"prompt": "a cat"}, {"image": ("a", bytes(50_000_000))}, "image", "image_too_large"),
    ({}, IMAGE, "prompt", "missing_required_parameter"),
    ({"prompt": ""}, IMAGE, "prompt", "invalid_value"),
    ({"prompt": "a cat", "n": "many"}, IMAGE, "n", "invalid_value"),
    ({"prompt": "a cat", "sede": "1"}, IMAGE, "sede", "unknown_parameter"),
    ({"prompt": "a cat", "a[b][c][d][e][f]": "1"}, IMAGE, None, "unknown_parameter"),
    ({"prompt": "a cat", "n[a]": "1"}, IMAGE, "n", "invalid_value"),
    ({"prompt": "a cat", "model": "none"}, IMAGE, "model", "model_not_found"),
    ({"prompt": "a cat", "steps": "3"}, IMAGE, "steps", "unsupported_parameter"),
    ({f"field{n}": "1" for n in range(300)}, IMAGE, None, "invalid_form"),
    ({"prompt": "a" * 300_000}, IMAGE, None, "invalid_form"),
])  # fmt: skip
def test_what_is_wrong_with_a_form_is_said(shipped, fields, files, param, code):
    answer = post(shipped.url, "edits", fields, files)
    error = answer.json()["error"]
    assert answer.status_code == (404 if param == "model" else 400)
    assert error["code"] == code and error["message"] and len(error["message"]) < 300
    assert param is None or error["param"] == param


def test_edits_need_a_form_and_a_picture(shipped):
    url = f"{shipped.url}/v1/images/edits"
    answer = httpx.post(url, json={"prompt": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_content_type")
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = httpx.post(url, content=b"--y\r\nnothing", headers={"content-type": kind})
        assert answer.status_code == 400 and answer.json()["error"]["message"]
    answer = httpx.post(url, data={"prompt": "a cat"})
    assert answer.json()["error"]["param"] == "image"
    answer = post(shipped.url, "variations", {}, [("image", ("a", lines()))] * 2)
    assert answer.json()["error"]["code"] == "too_many_images"


def test_a_family_that_takes_no_reference_says_so(flow):
    answer = httpx.post(
        f"{flow.url}/v1/images/edits", data={"prompt": "a cat"}, files=IMAGE,
        headers={"authorization": "Bearer secret"},
    )  # fmt: skip
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "image")
    assert error["code"] == "unsupported_parameter"


def test_a_password_of_basic_authentication_is_a_key(flow):
    url = f"{flow.url}/v1/models"
    assert httpx.get(url, auth=("anybody", "secret")).status_code == 200
    assert httpx.get(url, auth=("anybody", "wrong")).status_code == 401
