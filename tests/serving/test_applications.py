"""What applications send, field for field, and the official client of npm."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image

GENERATIONS = {
    "Open WebUI": {"model": "dall-e-2", "prompt": "a red heart", "n": 1, "size": "512x512",
                   "response_format": "b64_json"},
    "Open WebUI, gpt-image": {"model": "gpt-image-1", "prompt": "a red heart", "n": 1,
                              "size": "1024x1024", "quality": "auto", "background": "auto"},
    "LibreChat": {"model": "gpt-image-1", "prompt": "a red heart", "n": 1, "size": "1024x1024",
                  "quality": "auto", "background": "auto", "output_format": "png"},
    "LobeChat": {"model": "gpt-image-1", "prompt": "a red heart", "n": 1, "size": "auto"},
    "n8n": {"model": "gpt-image-limner-drawings-256", "prompt": "a red heart", "n": 1,
            "quality": "medium", "size": "1024x1024"},
    "n8n, older": {"model": "dall-e-3", "prompt": "a red heart", "quality": "hd", "style": "vivid",
                   "size": "1792x1024", "response_format": "b64_json"},
    "SillyTavern": {"prompt": "a red heart", "model": "dall-e-3", "size": "1024x1792", "n": 1,
                    "quality": "standard", "style": "natural", "response_format": "b64_json"},
}  # fmt: skip
EDITS = {
    "Open WebUI": ("image", {"model": "gpt-image-1", "prompt": "a red heart", "n": "1",
                             "size": "512x512"}),
    "LibreChat": ("image[]", {"model": "gpt-image-1", "prompt": "a red heart", "n": "1",
                              "size": "1024x1024", "quality": "auto"}),
    "LobeChat": ("image", {"model": "gpt-image-1", "prompt": "a red heart", "n": "1",
                           "input_fidelity": "high", "size": "auto"}),
    "n8n": ("image[]", {"model": "gpt-image-1", "prompt": "a red heart", "n": "1",
                        "response_format": "b64_json"}),
}  # fmt: skip


def drawing() -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGBA", (200, 120), (0, 0, 0, 0))
    image.paste((30, 90, 200, 255), (40, 30, 160, 90))
    image.save(buffer, "WEBP")
    return buffer.getvalue()


def assert_drawn(answer: httpx.Response, size: str) -> None:
    """The answer holds a picture of the size asked for, and every field that clients read."""
    assert answer.status_code == 200, answer.text
    found = answer.json()
    image = Image.open(io.BytesIO(base64.b64decode(found["data"][0]["b64_json"])))
    assert found["size"] == f"{image.width}x{image.height}"
    assert size in ("auto", found["size"])
    assert found["usage"]["total_tokens"] > 0 and found["quality"] != "auto"
    assert found["background"] in ("opaque", "transparent")


@pytest.mark.parametrize("name", GENERATIONS)
def test_generations(shipped, name):
    body = GENERATIONS[name]
    answer = httpx.post(f"{shipped.url}/v1/images/generations", json=body)
    assert_drawn(answer, str(body["size"]))


def test_clients_of_the_older_models_find_an_address(shipped):
    """LangChain's wrapper of dall-e says no response_format, and reads ``url``."""
    body = {"model": "dall-e-3", "prompt": "a red heart", "n": 1, "size": "256x256"}
    answer = httpx.post(f"{shipped.url}/v1/images/generations", json=body)
    (row,) = answer.json()["data"]
    assert httpx.get(row["url"]).content == base64.b64decode(row["b64_json"])
    newer = body | {"model": "gpt-image-1"}
    answer = httpx.post(f"{shipped.url}/v1/images/generations", json=newer)
    assert "url" not in answer.json()["data"][0]


@pytest.mark.parametrize("name", EDITS)
def test_edits(shipped, name):
    part, fields = EDITS[name]
    files = [(part, ("image.webp", drawing(), "image/webp"))] * (1 + part.endswith("[]"))
    answer = httpx.post(f"{shipped.url}/v1/images/edits", data=fields, files=files)
    assert_drawn(answer, fields.get("size", "auto"))


def test_a_model_that_n8n_lists(shipped):
    names = [each["id"] for each in httpx.get(f"{shipped.url}/v1/models").json()["data"]]
    assert any("gpt-image" in name or "dall-e" in name for name in names)


SCRIPT = """
import OpenAI, { toFile } from "openai";
import fs from "fs";
const [url, picture] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey: "any", maxRetries: 0 });
const said = {};
const drawn = await client.images.generate({ prompt: "a red heart", n: 2, seed: 7 });
said.seeds = drawn.data.map((each) => each.seed);
said.usage = drawn.usage;
const image = () => toFile(fs.createReadStream(picture), "a.png", { type: "image/png" });
const edit = await client.images.edit({
  prompt: "a cat", image: [await image(), await image()], n: 2, stream: false, seed: 3,
});
said.edit = edit.data.map((each) => each.b64_json);
const bare = await toFile(fs.readFileSync(picture));
said.variation = (await client.images.createVariation({ image: bare, seed: 5 })).data.length;
for (const [name, ask] of [
  ["generation", { prompt: "a cat" }],
  ["edition", { prompt: "a cat", image: await image(), seed: 3 }],
]) {
  const method = name === "generation" ? "generate" : "edit";
  said[name] = [];
  for await (const event of await client.images[method]({
    ...ask, stream: true, partial_images: 2,
  })) {
    said[name].push(event.type);
    if (event.type.endsWith("completed")) said[name + "Image"] = event.b64_json;
  }
}
said.models = [];
for await (const model of client.models.list()) said.models.push(model.id);
try {
  await client.images.generate({ prompt: "a cat", size: "1x1" });
} catch (error) {
  said.error = [error.constructor.name, error.status, error.param, error.code, !!error.requestID];
}
console.log(JSON.stringify(said));
"""


@pytest.fixture(scope="module")
def npm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the official client in it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "openai@7"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=20)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("npm cannot install the openai client: no registry can be reached in time")
    return folder


def test_the_official_npm_client(shipped, npm_folder):
    (npm_folder / "ask.mjs").write_text(SCRIPT, encoding="utf-8")
    (npm_folder / "a.webp").write_bytes(drawing())
    command = ["node", "ask.mjs", shipped.url, "a.webp"]
    run = subprocess.run(command, cwd=npm_folder, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    said = json.loads(run.stdout)
    assert said["seeds"] == [7, 8] and said["usage"]["total_tokens"] > 0
    assert len(said["edit"]) == 2 and said["variation"] == 1
    assert said["generation"] == ["image_generation.partial_image"] * 2 + [
        "image_generation.completed"
    ]
    assert said["edition"] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    assert said["editionImage"] == said["edit"][0]
    assert said["models"][0] == shipped.state.models.default.name
    assert said["error"] == ["BadRequestError", 400, "size", "invalid_value", True]
