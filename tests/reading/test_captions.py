"""Captioning files and folders: whole lines, gone on with, nothing overwritten, bad files named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.readers import open_source
from limner.errors import DataError, ModelFileError, UsageError
from limner.modelfile import load_model
from limner.reading.captions import find_pictures, load_captioner
from tiny_models import save_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("captioner") / "captioner.safetensors", "captioner")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    (place / "deep").mkdir(parents=True)
    for name, colour in (("a", "red"), ("b", "green"), ("deep/c", "blue")):
        Image.new("RGB", (40, 30), colour).save(place / f"{name}.png")
    (place / "broken.png").write_bytes(b"no picture")
    return place


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(build_app(), ["caption", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_the_own_captioner_sees_the_picture_whole_on_white(model: Path):
    captioner = load_captioner(model)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    square = Image.new("RGB", (40, 40), "white")
    square.paste(Image.fromarray(pixels), (0, 10))
    small = np.asarray(square.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0))
    network, _ = load_model(model)
    seen = torch.from_numpy(small.copy()).permute(2, 0, 1) / 127.5 - 1
    wanted = [said.text for said in network.eval().caption(seen, "zh", 3)]
    assert captioner.caption(pixels) == captioner.caption(pixels, "en")
    found = captioner.caption(pixels, "zh", 3)
    assert len(found) == 3 and len({said.text for said in found}) == 3
    assert [said.text for said in found] == wanted


def test_one_picture_prints_its_captions_and_several_their_names(folder: Path, model: Path):
    out, _ = run(folder / "a.png", "--model", model, "-n", 3, "--lang", "en")
    assert len(out.splitlines()) == 3 and "a.png" not in out
    out, err = run(folder, "--model", model, "--quiet")
    assert [line.split("\t")[0].removeprefix(f"{folder}/") for line in out.splitlines()] == [
        "a.png", "b.png", "deep/c.png",
    ]  # fmt: skip
    assert err.strip() == f"left out: {folder}/broken.png: not a picture of a known format"
    printed, _ = run(folder, "--model", model, "-q", "--json")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [len(row["captions"]) for row in rows] == [1, 1, 1] and "score" in rows[0]["captions"][0]


def test_a_file_of_captions_is_gone_on_with(folder: Path, model: Path, tmp_path: Path):
    out = tmp_path / "captions.jsonl"
    run(folder / "a.png", "--model", model, "--out", out)
    first = out.read_bytes()
    with out.open("ab") as file:
        file.write(b'{"picture": "torn')
    run(folder, "--model", model, "--out", out, "-q")
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert out.read_bytes().startswith(first)
    assert sorted(Path(row["picture"]).name for row in rows) == [
        "a.png", "b.png", "broken.png", "c.png",
    ]  # fmt: skip
    before = out.read_bytes()
    run(folder, "--model", model, "--out", out, "-q")
    assert out.read_bytes() == before
    out.write_text("[1]\n", "utf-8")
    failed = CliRunner().invoke(
        build_app(), ["caption", str(folder), "--model", str(model), "--out", str(out)]
    )
    assert failed.exit_code == 2


def test_sidecars_are_read_back_by_the_folder_reader(folder: Path, model: Path):
    (folder / "b.txt").write_text("mine\n", "utf-8")
    run(folder, "--model", model, "--sidecars", "-q")
    run(folder, "--model", model, "--sidecars", "--lang", "zh", "-n", 2, "-q")
    assert (folder / "b.txt").read_text("utf-8") == "mine\n"
    assert not (folder / "broken.txt").exists()
    found = {item.key: item.captions for item in open_source(folder) if item.captions}
    assert set(found) == {"a.png", "b.png", "deep/c.png"}
    assert sorted(c.lang for c in found["a.png"]) == ["en", "zh", "zh"]


def test_mistakes_are_named(folder: Path, model: Path, tmp_path: Path):
    with pytest.raises(DataError, match="no picture or folder"):
        find_pictures([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no picture in"):
        find_pictures([tmp_path / "empty"])
    with pytest.raises(UsageError, match="does not speak 'fr'"):
        load_captioner(model).caption(np.zeros((9, 9, 3), np.uint8), "fr")
    with pytest.raises(ModelFileError, match="no model file"):
        load_captioner(tmp_path / "none.safetensors")
    vae = save_tiny(tmp_path / "vae.safetensors", "vae")
    with pytest.raises(UsageError, match=r"vae family, none that captions .* captioner-64"):
        load_captioner(vae)
