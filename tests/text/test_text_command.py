import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from limner.cli import build_app
from limner.text.wordfile import read_words, write_binary


@pytest.fixture
def words(tmp_path) -> Path:
    path = tmp_path / "w.bin"
    names = ["red", "apple", "cat", "dog", "house"]
    write_binary(path, names, np.eye(5, 8, dtype=np.float32))
    return path


def test_show_prints_every_token_with_its_neighbours(words, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    command = ["text", "show", "red apple on a cat", "--encoder", f"vectors:{words}"]
    options = ["--among", "apple, cat,dog,house", "--json"]
    result = CliRunner().invoke(build_app(), [*command, *options])
    assert result.exit_code == 0, result.output
    tokens = json.loads(result.output)["tokens"]
    assert [(t["kind"], t["text"]) for t in tokens] == [
        ("whole", "red apple on a cat"), ("phrase", "red apple"), ("relation", "on"),
        ("phrase", "a cat"), ("word", "red"), ("word", "apple"), ("word", "cat"),
    ]  # fmt: skip
    assert next(iter(tokens[-1]["nearest"])) == "cat"
    assert tokens[-1]["nearest"]["cat"] == pytest.approx(1, abs=1e-4)
    plain = CliRunner().invoke(build_app(), [*command, "--among", "cat"])
    assert "relation on" in plain.output


def test_show_prints_the_plan(own_cache):
    prompt = "two fish and a blue cat on a green background"
    result = CliRunner().invoke(build_app(), ["text", "show", prompt, "--json"])
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)["plan"]
    assert plan["things"] == [
        {"words": "fish", "count": 2, "size": None, "colour": None},
        {"words": "a cat", "count": 1, "size": None, "colour": "blue"},
    ]
    red, green, blue = bytes.fromhex(plan["background"].removeprefix("#"))
    assert green > max(red, blue)
    result = CliRunner().invoke(build_app(), ["text", "show", "a red cat left of a yellow house"])
    assert [line.split(maxsplit=1) for line in result.output.splitlines()[-4:]] == [
        ["draws", "1 x a cat, red"], ["draws", "1 x a house, yellow"],
        ["place", "the first is left of the second"], ["behind", "white"],
    ]  # fmt: skip
    result = CliRunner().invoke(build_app(), ["text", "show", "3d render of a donut", "--json"])
    plan = json.loads(result.output)["plan"]
    assert [thing["count"] for thing in plan["things"]] == [1]
    prompt = "please draw me a cat, transparent background, 4k"
    result = CliRunner().invoke(build_app(), ["text", "show", prompt])
    assert [line.split(maxsplit=1) for line in result.output.splitlines()[-3:]] == [
        ["asks", "a cat"], ["draws", "1 x a cat"], ["behind", "transparent"],
    ]  # fmt: skip


def test_no_plan_with_another_encoder(words):
    command = ["text", "show", "a cat", "--encoder", f"vectors:{words}"]
    assert json.loads(CliRunner().invoke(build_app(), [*command, "--json"]).output)["plan"] is None
    assert "no plan" in CliRunner().invoke(build_app(), command).output


def test_show_refuses_nothing_to_compare_with(words):
    result = CliRunner().invoke(
        build_app(), ["text", "show", "cat", "--encoder", f"vectors:{words}", "--among", " , "]
    )
    assert result.exit_code == 2
    assert "--among" in result.output


def test_vectors_are_trained_on_a_stores_captions(tmp_path):
    pytest.importorskip("gensim")
    from limner.data.store import Caption
    from limner.data.writer import StoreWriter

    writer = StoreWriter(tmp_path / "store", 8, name="tiny")
    for colour in ("red", "green", "blue"):
        image = np.zeros((8, 8, 3), np.uint8)
        writer.add(image, [Caption(f"a {colour} apple")], {"id": colour})
    writer.finish()
    out = tmp_path / "words.bin"
    result = CliRunner().invoke(
        build_app(), ["text", "vectors", str(tmp_path / "store"), "--out", str(out), "--dim", "8"]
    )
    assert result.exit_code == 0, result.output
    table = read_words(out)
    assert set(table.rows) == {"a", "red", "green", "blue", "apple"}
    assert table.vectors.shape == (5, 8)
