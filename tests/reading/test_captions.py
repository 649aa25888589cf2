"""Captioning files and folders: whole lines, gone on with, nothing overwritten, bad files named."""

from __future__ import annotations

import json
import os
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
from limner.reading.captions import (
    CaptionFile,
    caption_picture,
    find_pictures,
    load_captioner,
)
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


def test_two_at_once_do_not_add_to_one_file(folder: Path, model: Path, tmp_path: Path):
    out = tmp_path / "captions.jsonl"
    early = CaptionFile(out)
    with CaptionFile(out) as held:
        _, err = run(folder / "a.png", "--model", model, "--out", out, code=2)
        assert "captions.jsonl is in use by process" in err and len(err.splitlines()) == 1
        held.add(caption_picture(load_captioner(model), folder / "a.png"))
    with pytest.raises(DataError, match="another process has added to"), early:
        pass
    run(folder / "b.png", "--model", model, "--out", out)
    assert len(lines(out)) == 2 and sorted(tmp_path.glob(".*")) == []


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
    with pytest.raises(UsageError, match="does not write 'fr'"):
        load_captioner(model).caption(np.zeros((9, 9, 3), np.uint8), "fr")
    with pytest.raises(ModelFileError, match="no model file"):
        load_captioner(tmp_path / "none.safetensors")
    vae = save_tiny(tmp_path / "vae.safetensors", "vae")
    with pytest.raises(UsageError, match=r"vae family, none that captions .* captioner-64"):
        load_captioner(vae)


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.read_bytes().split(b"\n") if line]


def test_both_outputs_get_what_each_of_them_lacks(folder: Path, model: Path, tmp_path: Path):
    out = tmp_path / "new" / "captions.jsonl"
    run(folder / "a.png", "--model", model, "--sidecars")
    (folder / "b.txt").write_text("mine\n", "utf-8")
    run(folder, "--model", model, "--sidecars", "--out", out, "-q")
    names = sorted(Path(str(row["picture"])).name for row in lines(out))
    assert names == ["a.png", "b.png", "broken.png", "c.png"]
    assert (folder / "b.txt").read_text("utf-8") == "mine\n" and (folder / "deep/c.txt").exists()
    (folder / "a.txt").unlink()
    before = out.read_bytes()
    run(folder, "--model", model, "--sidecars", "--out", out, "-q")
    assert (folder / "a.txt").exists() and out.read_bytes() == before


def test_another_request_is_not_taken_for_done(folder: Path, model: Path, tmp_path: Path):
    out, picture = tmp_path / "captions.jsonl", folder / "a.png"
    other = save_tiny(tmp_path / "other.safetensors", "captioner", seed=1)
    for count, options in enumerate([(), ("--lang", "zh"), ("-n", 2), ("--model", other)], 1):
        for _ in range(2):
            run(picture, "--model", model, "--out", out, *options)
            assert len(lines(out)) == count
    Image.new("RGB", (41, 30), "blue").save(picture)
    run(picture, "--model", model, "--out", out)
    assert len(lines(out)) == 5


def test_lines_of_older_versions_count(folder: Path, model: Path, tmp_path: Path):
    out = tmp_path / "captions.jsonl"
    old = {
        "picture": str(folder / "a.png"),
        "captions": [{"text": "x", "score": -1}],
        "problem": "",
    }
    out.write_text(json.dumps(old), "utf-8")  # whole, though without the line's end
    run(folder, "--model", model, "--out", out, "-q")
    rows = lines(out)
    assert rows[0] == old and len(rows) == 4


@pytest.mark.parametrize("text", ["[1]\n", "a caption\n", '{"file_name": "a.png"}\n', "torn"])
def test_a_file_of_something_else_is_left_as_it_is(text: str, folder: Path, model: Path):
    out = folder / "mine.jsonl"
    out.write_text(text, "utf-8")
    _, err = run(folder / "a.png", "--model", model, "--out", out, code=2)
    assert "mine.jsonl, line 1" in err and out.read_text("utf-8") == text


@pytest.mark.parametrize("out", [".", "a.png/c.jsonl", "/proc/none/c.jsonl", "/dev/full"])
def test_a_file_that_cannot_be_written_is_one_sentence(
    out: str, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    _, err = run("a.png", "--model", model, "--out", out, code=2)
    assert err.startswith("limner: error: cannot ") and len(err.splitlines()) == 1


def test_pictures_of_one_stem_have_a_sidecar_each(folder: Path, model: Path):
    Image.new("RGB", (9, 9), "white").save(folder / "a.jpg")
    run(folder, "--model", model, "--sidecars", "-q")
    assert (folder / "a.png.txt").is_file() and (folder / "a.jpg.txt").is_file()
    assert not (folder / "a.txt").exists() and (folder / "b.txt").is_file()
    found = {item.key: item.captions for item in open_source(folder) if item.captions}
    assert len(found["a.png"]) == len(found["a.jpg"]) == 1
    before = sorted(folder.rglob("*"))
    run(folder, "--model", model, "--sidecars", "-q")
    assert sorted(folder.rglob("*")) == before


def test_a_sidecar_in_capitals_counts(folder: Path, model: Path):
    (folder / "a.TXT").write_text("mine\n", "utf-8")
    run(folder, "--model", model, "--sidecars", "-q")
    assert not (folder / "a.txt").exists()


def test_any_file_name_is_captioned(model: Path, tmp_path: Path):
    place, out = tmp_path / "in", tmp_path / "captions.jsonl"
    place.mkdir()
    names = [b"caf\xe9.png", b"two\nlines.png", b"x" * 250 + b".png", b"\xe2\x80\xa8.png", b"z.png"]
    for name in names:
        Image.new("RGB", (9, 9), "red").save(place / os.fsdecode(name))
    printed, _ = run(place, "--model", model, "-q")
    assert len(printed.splitlines()) == len(names)
    for _ in range(2):
        run(place, "--model", model, "--out", out, "--sidecars", "-q")
        found = [os.fsencode(Path(str(row["picture"])).name) for row in lines(out)]
        assert sorted(found) == sorted(names)
    assert len(list(place.glob("*.txt"))) == len(names)
    _, err = run(place, "--model", model, "--sidecars", "--lang", "zh", "-q")
    assert "its text file would be too long" in err and (place / "z.zh.txt").is_file()


def test_a_named_picture_that_cannot_be_read_is_an_error(folder: Path, model: Path):
    bad, good = folder / "broken.png", folder / "a.png"
    out, err = run(bad, good, "--model", model, code=2)
    assert out.startswith(f"{good}\t") and "1 of 2 pictures could not be captioned" in err
    run(bad, "--model", model, code=2)
    for name in ("a.png", "b.png", "deep/c.png"):
        (folder / name).unlink()
    run(folder, "--model", model, code=2)


@pytest.mark.parametrize("lang", ["../x", "e", "", "en/zh", "en.txt"])
def test_what_is_no_language_is_refused(lang: str, folder: Path, model: Path):
    _, err = run(folder / "a.png", "--model", model, "--lang", lang, code=2)
    assert "no language code" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every folder")
def test_a_picture_in_a_folder_that_cannot_be_listed(folder: Path, model: Path):
    folder.chmod(0o311)
    try:
        run(folder / "a.png", "--model", model)
        _, err = run(folder / "a.png", "--model", model, "--sidecars", code=2)
        assert "cannot list" in err
    finally:
        folder.chmod(0o755)
