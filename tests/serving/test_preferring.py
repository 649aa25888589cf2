"""``prefer``: of the pictures of a request those that its user likes are answered with."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest
import torch
from websockets.sync.client import connect

from limner.generation.generator import load
from limner.improve.feedback import STATISTICS, PreferenceHead
from limner.reading.aligner import load_aligner
from limner.serving.keys import Key
from limner.serving.settings import ServerSettings


@pytest.fixture(scope="module")
def head(own_cache: None) -> PreferenceHead:
    """Ann likes red and dislikes blue; what all users share is the contrary."""
    aligner = load_aligner()
    weights = torch.zeros(aligner.dim + STATISTICS, dtype=torch.float64)
    weights[aligner.dim], weights[aligner.dim + 2] = -100.0, 100.0
    nothing, one = torch.zeros_like(weights), torch.ones_like(weights)
    return PreferenceHead(aligner, nothing, one, weights, {"ann": -2 * weights})


@pytest.fixture(scope="module")
def preferring(running, flow_path, head, tmp_path_factory):
    path = head.save(tmp_path_factory.mktemp("preferences") / "head.safetensors")
    keys = {name: Key(hashlib.sha256(name.encode()).hexdigest()) for name in ("ann", "bob")}
    server = running(load(flow_path), ServerSettings(keys=keys, preferences=path))
    yield server
    server.stop()


def send(url: str, key: str, **body: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/images/generations", json=body, headers=headers)


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_each_user_gets_what_that_user_likes(preferring, flow_path, head, user):
    answer = send(preferring.url, user, prompt="a cat", n=2, best_of=6, seed=3, prefer=True)
    assert answer.status_code == 200, answer.text
    drawn = load(flow_path).generate("a cat", n=6, seed=3)
    known = "ann" if user == "ann" else None
    liked = head.scores([each.image for each in drawn], "a cat", known)
    order = sorted(range(6), key=lambda number: -liked[number])[:2]
    rows = answer.json()["data"]
    assert [row["seed"] for row in rows] == [drawn[number].seed for number in order]
    assert [row["score"] for row in rows] == pytest.approx([liked[n] for n in order], abs=1e-3)


def test_eight_are_drawn_for_each_that_is_kept(preferring, flow_path, head):
    (row,) = send(preferring.url, "ann", prompt="a dog", seed=3, prefer=True).json()["data"]
    drawn = load(flow_path).generate("a dog", n=8, seed=3)
    liked = head.scores([each.image for each in drawn], "a dog", "ann")
    assert row["seed"] == drawn[liked.index(max(liked))].seed


def test_what_does_not_go_together_is_refused(preferring, flow):
    answer = send(flow.url, "secret", prompt="a cat", prefer=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "prefer"
    assert "--preferences" in answer.json()["error"]["message"]
    answer = send(preferring.url, "ann", prompt="a cat", prefer=True, stream=True)
    assert answer.json()["error"]["param"] == "prefer"


def test_the_page_is_given_the_best_first(preferring):
    """Over its connection, with the bits and scores that the API answers with."""
    body = {"prompt": "a cat", "n": 2, "best_of": 5, "seed": 3, "prefer": True}
    rows = send(preferring.url, "ann", **body).json()["data"]
    with connect(preferring.url.replace("http", "ws") + "/v1/live") as live:
        live.send(json.dumps({"id": 1, "body": body, "key": "ann"}))
        shown = [json.loads(live.recv()) for _ in range(3)]
    assert [each["picture"] for each in shown[:2]] == [0, 1]
    for name in ("seed", "score"):
        assert [each[name] for each in shown[:2]] == [row[name] for row in rows]
    assert shown[2]["done"]


def test_models_say_whether_preferences_are_there(preferring, flow):
    for server, key, there in ((preferring, "ann", True), (flow, "secret", False)):
        headers = {"authorization": f"Bearer {key}"}
        rows = httpx.get(f"{server.url}/v1/models", headers=headers).json()["data"]
        assert {row["prefer"] for row in rows} == {there}
