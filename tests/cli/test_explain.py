"""``limner explain``: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from limner.generation.records import read_record
from limner.shipped import SHIPPED_PLANNER, find_model


def test_a_picture_is_explained_into_a_folder(cli, tiny_model, tmp_path):
    done = cli("explain", "a cat", "--seed", "3", "--out", "why", "--model", tiny_model)
    assert done.code == 0 and not done.err
    page, *lines = done.out.splitlines()
    assert page == "why/index.html" and [line.split(":")[0] for line in lines] == ["a", "cat"]
    names = {path.name for path in (tmp_path / "why").iterdir()}
    assert {"index.html", "explanation.json", "picture.png", "01-a.png", "02-cat.png"} <= names
    assert read_record(tmp_path / "why" / "picture.png").seed == 3
    with Image.open(tmp_path / "why" / "02-cat.png") as image:
        assert image.size == (32, 32)
    done = cli("explain", "a cat", "--seed", "3", "--out", "why", "--maps", "change",
               "--model", tiny_model, "--json")  # fmt: skip
    found = json.loads(done.out)
    assert found["page"] == "why/index.html" and found["maps"] == "change"
    assert [word["text"] for word in found["words"]] == ["a", "cat"]
    assert -1 <= found["score"] <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a cat", "--out", "FILE"], "is not a folder"),
        (["a cat", "--maps", "attention"], "choose one of: gradient, change"),
        (["cat " * 33], "at most 32 are explained"),
        (["a cat", "--style", "lino"], "there is no style 'lino'"),
        (["a cat", "--store", "nowhere"], "nowhere"),
        (["  "], "is empty"),
    ],
)
def test_what_cannot_be_explained_is_one_line(cli, refused, tiny_model, tmp_path, given, said):
    (tmp_path / "FILE").write_text("mine", encoding="utf-8")
    assert refused(cli("explain", *given, "--model", tiny_model), said)
    assert not (tmp_path / "explained").exists()
    assert (tmp_path / "FILE").read_text(encoding="utf-8") == "mine"


def test_a_model_that_draws_nothing_is_refused(cli, refused):
    assert refused(cli("explain", "a cat", "--model", find_model(None, SHIPPED_PLANNER)), "planner")
