"""The A1111 adapter: what SillyTavern, Open WebUI and LibreChat's tool read and send."""

from __future__ import annotations

import base64
import io
import json
import threading

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.generation.generator import load
from serving.held import held
from waiting import wait_until

KEY = {"authorization": "Bearer secret"}


def image_of(b64: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def lines() -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).ellipse((40, 40, 216, 216), "white", (200, 30, 30), 14)
    return image


def call(url: str, name: str, body: object = None, **headers: str) -> httpx.Response:
    where = f"{url}/sdapi/v1/{name}"
    if body is None:
        return httpx.get(where, headers=headers)
    return httpx.post(where, json=body, headers=headers)


SILLY_TAVERN = {
    "prompt": "a red heart", "negative_prompt": "lowres, bad anatomy", "sampler_name": "DDIM",
    "scheduler": "normal", "steps": 20, "cfg_scale": 7, "width": 256, "height": 256,
    "restore_faces": False, "enable_hr": False, "hr_upscaler": "Latent", "hr_scale": 1,
    "denoising_strength": 0.7, "hr_second_pass_steps": 0, "seed": 7,
    "override_settings": {"CLIP_stop_at_last_layers": 1}, "clip_skip": 1,
    "override_settings_restore_afterwards": True, "do_not_save_samples": True, "save_images": True,
    "send_images": True, "do_not_save_grid": False,
}  # fmt: skip
OPEN_WEBUI = {"prompt": "a red heart", "batch_size": 2, "width": 512, "height": 512, "steps": 50,
              "negative_prompt": "text"}  # fmt: skip
LIBRE_CHAT = {
    "prompt": "a red heart", "negative_prompt": "blurry", "cfg_scale": 4.5, "steps": 22,
    "width": 1024, "height": 1024, "sampler_index": "DPM++ 2M Karras",
}  # fmt: skip


@pytest.mark.parametrize("body", [SILLY_TAVERN, OPEN_WEBUI, LIBRE_CHAT])
def test_what_applications_send_is_drawn(shipped, body):
    answer = call(shipped.url, "txt2img", body).json()
    info = json.loads(answer["info"])
    count, side = body.get("batch_size", 1), body["width"]
    assert len(answer["images"]) == len(info["infotexts"]) == len(info["all_seeds"]) == count
    assert (info["width"], info["height"], info["prompt"]) == (side, side, "a red heart")
    assert info["seed"] == info["all_seeds"][0] == body.get("seed", info["seed"])
    for encoded, seed in zip(answer["images"], info["all_seeds"], strict=True):
        image = image_of(encoded)
        alone = load().generate("a red heart", seed=seed, size=side)[0]
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(alone.image))


def test_steps_and_guidance_reach_a_model_that_has_them(flow):
    body = {"prompt": "a cat", "seed": 3, "steps": 6, "cfg_scale": 2.5, "negative_prompt": "blue",
            "width": 32, "height": 32}  # fmt: skip
    answer = call(flow.url, "txt2img", body, **KEY).json()
    alone = load(flow.state.models.default.outline.path).generate(
        "a cat", seed=3, steps=6, guidance=2.5, negative="blue", size=32
    )[0]
    assert np.array_equal(np.asarray(image_of(answer["images"][0])), np.asarray(alone.image))
    info = json.loads(answer["info"])
    assert (info["steps"], info["cfg_scale"], info["negative_prompt"]) == (6, 2.5, "blue")


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_a_picture_to_a_picture_is_drawn_in_its_style(shipped, prefix):
    buffer = io.BytesIO()
    lines().save(buffer, "PNG")
    encoded = prefix + base64.b64encode(buffer.getvalue()).decode()
    body = {"prompt": "a cat", "init_images": [encoded], "denoising_strength": 0.4, "seed": 3,
            "width": 256, "height": 256}  # fmt: skip
    found = call(shipped.url, "img2img", body).json()
    alone = load().generate("a cat", seed=3, reference=lines())[0]
    assert np.array_equal(np.asarray(image_of(found["images"][0])), np.asarray(alone.image))


def test_what_there_is_to_choose_from(shipped):
    (model,) = call(shipped.url, "sd-models").json()
    assert model["title"] == model["model_name"] == shipped.state.models.default.name
    assert call(shipped.url, "options").json()["sd_model_checkpoint"] == model["title"]
    for name in (model["title"], f"{model['title']} [{model['hash']}]"):
        assert call(shipped.url, "options", {"sd_model_checkpoint": name}).status_code == 200
    for name in ("samplers", "schedulers", "upscalers", "latent-upscale-modes"):
        assert all(each["name"] for each in call(shipped.url, name).json())
    assert call(shipped.url, "sd-vae").json() == []
    assert call(shipped.url, "progress").json()["state"]["job_count"] == 0
    assert call(shipped.url, "interrupt", {}).status_code == 200


@pytest.mark.parametrize(("name", "body", "param"), [
    ("txt2img", {}, "prompt"),
    ("txt2img", {"prompt": ""}, "prompt"),
    ("txt2img", {"prompt": "a cat", "width": 5}, "size"),
    ("txt2img", {"prompt": "a cat", "batch_size": 4, "n_iter": 4}, "n"),
    ("txt2img", {"prompt": "a cat", "override_settings": {"sd_model_checkpoint": "x"}}, "model"),
    ("options", {"sd_model_checkpoint": "another"}, "model"),
    ("img2img", {"prompt": "a cat", "init_images": []}, "init_images"),
    ("img2img", {"prompt": "a cat", "init_images": ["?"]}, "init_images"),
    ("img2img", {"prompt": "a cat", "init_images": ["bm8gcGljdHVyZQ=="]}, "image"),
    ("img2img", {"prompt": "a cat", "init_images": ["bm8="], "mask": "bm8="}, "mask"),
])  # fmt: skip
def test_what_is_wrong_is_said(shipped, name, body, param):
    answer = call(shipped.url, name, body)
    assert answer.status_code == (404 if param == "model" else 400), answer.text
    assert answer.json()["error"]["param"] == param


def test_keys_are_asked_for(flow):
    for name in ("options", "sd-models", "progress"):
        assert call(flow.url, name).status_code == 401
        assert call(flow.url, name, **KEY).status_code == 200
    assert call(flow.url, "txt2img", {"prompt": "a cat"}).status_code == 401


def test_interrupting_leaves_the_pictures_undrawn(flow_here):
    answers: list[httpx.Response] = []
    body = {"prompt": "a cat", "batch_size": 10, "steps": 1000, "width": 32, "height": 32}
    url, batcher = flow_here.url, flow_here.state.batcher

    def jobs() -> int:
        return call(url, "progress", **KEY).json()["state"]["job_count"]

    thread = threading.Thread(target=lambda: answers.append(call(url, "txt2img", body, **KEY)))
    with held() as drawing:
        thread.start()
        wait_until(lambda: jobs() == 1)
        assert call(url, "interrupt", {}, **KEY).status_code == 200
        thread.join()
        assert answers[0].json()["error"]["code"] == "interrupted"
        assert jobs() == 0
        drawing.release()
        wait_until(lambda: batcher.waiting == 0)
        assert drawing.evaluations <= 2
