"""The gallery over HTTP: every picture is found again by whom it was drawn for, and nobody else."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from limner.generation.generator import load
from limner.serving.gallery import Gallery
from limner.serving.keys import Key
from limner.serving.settings import ServerSettings
from serving.conftest import Running


@pytest.fixture(scope="module")
def running(flow_path, own_cache, tmp_path_factory) -> Iterator[Running]:
    """A server of two users with a gallery."""
    keys = {name: Key(hashlib.sha256(name.encode()).hexdigest()) for name in ("ann", "bob")}
    gallery = Gallery(tmp_path_factory.mktemp("gallery"))
    started = Running(load(flow_path), ServerSettings(keys=keys), gallery)
    yield started
    started.stop()


def user(running: Running, name: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {name}"}
    return httpx.Client(base_url=f"{running.url}/v1", headers=headers)


@pytest.fixture
def ann(running) -> httpx.Client:
    return user(running, "ann")


@pytest.fixture
def bob(running) -> httpx.Client:
    return user(running, "bob")


def draw(client: httpx.Client, prompt: str = "a cat", **body: object) -> list[dict[str, str]]:
    body = {"prompt": prompt, "seed": 1, "steps": 2} | body
    answer = client.post("/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_what_is_drawn_is_found_with_the_very_file_that_was_answered(running, ann):
    client = OpenAI(base_url=f"{running.url}/v1", api_key="ann")
    found = client.images.generate(
        prompt="雪地里的狐狸", n=2, size="64x32", output_format="webp",
        extra_body={"seed": 5, "steps": 2},
    )  # fmt: skip
    for one, seed in zip(found.data, (5, 6), strict=True):
        known = ann.get(f"/gallery/{one.id}").json()
        assert (known["prompt"], known["seed"], known["format"]) == ("雪地里的狐狸", seed, "webp")
        assert (known["width"], known["height"]) == (64, 32)
        assert known["record"]["settings"]["steps"] == 2
        assert not {"owner", "words"} & set(known)
        file = ann.get(f"/gallery/{one.id}/file")
        assert file.headers["content-type"] == "image/webp"
        assert file.content == base64.b64decode(one.b64_json)
    listed = ann.get("/gallery", params={"query": "狐狸", "limit": 1}).json()
    rest = ann.get("/gallery", params={"query": "狐狸", "cursor": listed["next"]}).json()
    assert [each["seed"] for each in listed["data"] + rest["data"]] == [6, 5]
    assert rest["next"] is None


def test_a_stream_is_kept_as_well(running, ann):
    client = OpenAI(base_url=f"{running.url}/v1", api_key="ann")
    *_, last = client.images.generate(prompt="streamed", stream=True, extra_body={"steps": 2})
    file = ann.get(f"/gallery/{last.id}/file").content
    assert file == base64.b64decode(last.b64_json)


def test_an_address_is_open_to_whoever_knows_it_and_expires(ann, running, monkeypatch):
    (one,) = draw(ann, response_format="url")
    answer = httpx.get(one["url"])
    assert answer.status_code == 200
    assert answer.content == ann.get(f"/gallery/{one['id']}/file").content
    later = time.time() + running.state.settings.link_seconds + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert httpx.get(one["url"]).status_code == 404


def test_nobody_sees_judges_or_deletes_what_is_anothers(ann, bob, running):
    (one,) = draw(ann, "a secret")
    (own,) = draw(bob, "a dog")
    path = f"/gallery/{one['id']}"
    answers = [
        bob.get(path), bob.get(f"{path}/file"), bob.delete(path),
        bob.post(f"{path}/feedback", json={"thumb": "up"}),
        bob.post(f"/gallery/{own['id']}/feedback", json={"better_than": one["id"]}),
        bob.get("/gallery/00000000000000000000000000000000"),
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    said = {answer.json()["error"]["message"] for answer in answers}
    assert said == {"there is no such picture in the gallery"}  # nor whether there is one
    assert "a secret" not in bob.get("/gallery").text
    assert httpx.get(f"{running.url}/v1/gallery").status_code == 401
    assert httpx.get(f"{running.url}/v1{path}/file").status_code == 401
    assert ann.get(path).json()["thumb"] == 0


def test_a_picture_finds_those_like_it_among_ones_own(ann, bob):
    prompts = ("a rose", "a truck", "an owl")
    drawn = {prompt: draw(ann, prompt, seed=3)[0] for prompt in prompts}
    draw(bob, "a rose", seed=3)
    for prompt, one in drawn.items():
        file = {"image": base64.b64decode(one["b64_json"])}
        found = ann.post("/gallery/search", files=file, data={"limit": 1}).json()["data"]
        assert [each["id"] for each in found] == [one["id"]], prompt
    file = {"image": base64.b64decode(drawn["an owl"]["b64_json"])}
    assert drawn["an owl"]["id"] not in bob.post("/gallery/search", files=file).text
    assert ann.post("/gallery/search", files=file, data={"liked": True}).json()["data"] == []
    for wrong in ({"image": b"no picture"}, {"mask": file["image"]}):
        assert ann.post("/gallery/search", files=wrong).status_code == 400
    document = ann.get("/../openapi.json").json()["paths"]["/v1/gallery/search"]["post"]
    form = document["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image", "limit", "liked"} == set(form["properties"])


def test_feedback(ann):
    first, second = draw(ann, n=2)
    path = f"/gallery/{first['id']}/feedback"
    body = {"thumb": "up", "better_than": second["id"]}
    assert ann.post(path, json=body).json()["thumb"] == 1
    liked = ann.get("/gallery", params={"liked": True}).json()["data"]
    assert [each["id"] for each in liked] == [first["id"]]
    assert ann.post(path, json={"thumb": "none"}).json()["thumb"] == 0
    for wrong in ({}, {"thumb": "sideways"}, {"stars": 5}, {"better_than": first["id"]}):
        assert ann.post(path, json=wrong).status_code == 400


def test_what_is_deleted_is_gone(ann):
    (one,) = draw(ann, response_format="url")
    path = f"/gallery/{one['id']}"
    assert ann.delete(path).json() == {"id": one["id"], "object": "picture", "deleted": True}
    assert {ann.get(path).status_code, ann.get(f"{path}/file").status_code} == {404}
    assert httpx.get(one["url"]).status_code == 404


@pytest.mark.parametrize("name", [
    "..", "%2e%2e%2fgallery.sqlite", "..%2f..%2fetc%2fpasswd", "links.key", "0" * 33, "%00",
])  # fmt: skip
def test_no_path_leaves_the_gallery(ann, running, name):
    for url in (f"/gallery/{name}/file", f"/images/files/{name}", f"/gallery/{name}"):
        answer = ann.get(url)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("params", [{"limit": 101}, {"limit": 0}, {"cursor": "x"}, {"limit": "x"}])
def test_questions_that_are_refused_say_why(ann, params):
    answer = ann.get("/gallery", params=params)
    assert answer.status_code == 400
    assert next(iter(params)) in answer.json()["error"]["message"]


def test_a_gallery_that_cannot_be_written_does_not_keep_the_picture_from_its_user(
    ann, running, monkeypatch
):
    no_folder = running.state.gallery.files.with_name("links.key")
    monkeypatch.setattr(running.state.gallery, "files", no_folder)
    (one,) = draw(ann, response_format="b64_json")
    assert one["b64_json"] and "id" not in one
