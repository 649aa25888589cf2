"""Captions, scores and search over HTTP, against the same asked of the library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from limner.generation.generator import load
from limner.reading.aligner import load_aligner
from limner.reading.captions import caption_picture, load_captioner
from limner.reading.search import build_index, classify
from limner.serving.settings import ServerSettings

WORDS = ("a red apple", "a rocket", "a cat", "a house")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn")
    for picture in load().generate(WORDS, seed=11):
        picture.save(path / f"{picture.prompt.split()[-1]}.png")
    return path


@pytest.fixture(scope="module")
def searching(folder: Path, tmp_path_factory: pytest.TempPathFactory, running) -> Iterator[str]:
    index = tmp_path_factory.mktemp("index")
    build_index(folder, index, load_aligner())
    server = running(load(), ServerSettings(index=index))
    yield server.url
    server.stop()


def send(url: str, route: str, *paths: Path, **fields: object) -> httpx.Response:
    files = [("image[]", (path.name, path.read_bytes())) for path in paths]
    return httpx.post(f"{url}/v1/{route}", data=fields, files=files or None)


def test_captions_are_those_of_the_command(searching, folder):
    paths = [folder / "rocket.png", folder / "cat.png"]
    found = send(searching, "captions", *paths, n=2, language="en").json()["data"]
    captioner = load_captioner()
    for row, path in zip(found, paths, strict=True):
        captions = caption_picture(captioner, path, "en", 2).captions
        assert [each["text"] for each in row["captions"]] == [each.text for each in captions]
        scores = [each.score for each in captions]
        assert [each["score"] for each in row["captions"]] == pytest.approx(scores, abs=1e-4)
    assert [row["index"] for row in found] == [0, 1]
    chinese = send(searching, "captions", paths[0], language="zh").json()["data"][0]["captions"]
    assert not chinese[0]["text"].isascii()


def test_scores_are_those_of_the_command(searching, folder):
    path = folder / "rocket.png"
    (row,) = send(searching, "scores", path, text=list(WORDS)).json()["data"]
    matches = classify(load_aligner(), path, WORDS)
    assert [each["text"] for each in row["scores"]] == [match.text for match in matches]
    assert row["scores"][0]["text"] == "a rocket"
    assert [s["score"] for s in row["scores"]] == pytest.approx(
        [m.score for m in matches], abs=1e-5
    )
    assert sum(each["chance"] for each in row["scores"]) == pytest.approx(1)


def test_search_finds_by_words_and_by_a_picture(searching, folder):
    url = f"{searching}/v1/search"
    found = httpx.post(url, json={"query": "a rocket", "n": 2}).json()["data"]
    assert found[0]["name"] == "rocket.png" and len(found) == 2
    assert found[0]["score"] > found[1]["score"]
    for path in folder.iterdir():
        (hit,) = send(searching, "search", path, n=1).json()["data"]
        assert hit["name"] == path.name and hit["score"] == pytest.approx(1, abs=1e-3)
    assert send(searching, "search", query="a rocket").json()["data"][0]["name"] == "rocket.png"


@pytest.mark.parametrize(("route", "fields", "param", "code"), [
    ("captions", {"n": 11}, "n", "invalid_value"),
    ("captions", {"language": "xx"}, "language", "invalid_value"),
    ("captions", {"colour": "red"}, "colour", "unknown_parameter"),
    ("scores", {}, "text", "missing_required_parameter"),
    ("scores", {"text": [" "]}, "text", "invalid_value"),
    ("scores", {"text": ["a"] * 65}, "text", "invalid_value"),
    ("search", {"n": 0}, "n", "invalid_value"),
])  # fmt: skip
def test_what_is_wrong_is_said(searching, folder, route, fields, param, code):
    answer = send(searching, route, folder / "cat.png", **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)


def test_pictures_that_are_none_or_missing(searching, shipped, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    for route, fields in (("captions", {}), ("scores", {"text": "a"}), ("search", {})):
        error = send(searching, route, path, **fields).json()["error"]
        assert (error["param"], error["code"]) == ("image", "invalid_image")
    assert send(searching, "captions", n=1).json()["error"]["param"] == "image"
    assert send(searching, "search", n=1).json()["error"]["param"] == "query"
    for body in ({}, {"query": " "}, {"query": 3}):
        answer = httpx.post(f"{searching}/v1/search", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "query")
    answer = httpx.post(f"{shipped.url}/v1/search", json={"query": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_index")


def test_reading_and_drawing_at_once_change_nothing(searching, folder):
    alone = send(searching, "captions", folder / "house.png").json()
    body = {"prompt": "a cat", "n": 10, "seed": 1}
    drawn = httpx.post(f"{searching}/v1/images/generations", json=body).json()["data"]

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient() as client:
            files = {"image": ("a.png", (folder / "house.png").read_bytes())}
            return await asyncio.gather(
                client.post(f"{searching}/v1/images/generations", json=body),
                *(client.post(f"{searching}/v1/captions", files=files) for _ in range(4)),
            )

    first, *others = asyncio.run(both())
    assert [each["b64_json"] for each in first.json()["data"]] == [d["b64_json"] for d in drawn]
    assert all(other.json() == alone for other in others)
