from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from limner.cli.data import register
from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.datasets.fashion import CLASSES, class_captions, pack_fashion
from limner.errors import DataError, LimnerError
from samples import png

app = typer.Typer()
register(app)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.output)


def test_pack_then_show(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(4)
    (folder / "0001.png").write_bytes(b"")
    out = tmp_path / "s"
    said = run("pack", folder, "--out", out, "--size", 16, "--fit", "pad", "--workers", 1)
    assert "3 pictures of 16x16" in said
    assert "1 empty file" in said
    sheet = tmp_path / "deep" / "sheet.png"
    summary = json.loads(run("show", out, "--json", "--out", sheet))
    assert (summary["pictures"], summary["size"]) == (3, 16)
    assert summary["skipped"] == {"empty file": 1}
    assert summary["examples"][0]["captions"] == ["picture 0"]
    with Image.open(sheet) as image:
        assert image.width > 3 * 64
    table = run("show", out)
    assert Store.open(out).fingerprint in table


def test_pack_options_reach_the_reader(tmp_path: Path) -> None:
    data = struct.pack(">HBBIII", 0, 8, 3, 2, 8, 8) + bytes(128)
    (tmp_path / "x-images-idx3-ubyte").write_bytes(data)
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2) + b"\0\1")
    (tmp_path / "names.txt").write_text("帽子\n鞋\n", encoding="utf-8")
    run(
        *("pack", tmp_path, "--out", tmp_path / "s", "--size", 8, "--workers", 1),
        *("--labels", tmp_path / "names.txt", "--template", "{}的照片", "--lang", "zh"),
        *("--licence", "CC0-1.0", "--name", "hats", "--format", "idx"),
    )
    store = Store.open(tmp_path / "s")
    assert store.captions(1) == (Caption("鞋的照片", "zh"),)
    assert store.licences == {"hats": "CC0-1.0"}
    assert "帽子的照片" in run("show", tmp_path / "s")


def test_mistakes_are_expected_errors(tmp_path: Path) -> None:
    for words in (
        ["show", tmp_path / "none"],
        ["pack", tmp_path, "--out", tmp_path / "s"],
        ["pack", tmp_path / "none", "--out", tmp_path / "s"],
        ["pack", tmp_path, "--out", tmp_path / "s", "--size", 0],
        ["icons", "--out", tmp_path / "s", "--sets", "nope"],
        ["icons", "--out", tmp_path / "s", "--from", tmp_path],
        ["fashion", "--out", tmp_path / "s", "--from", tmp_path / "none"],
    ):
        result = CliRunner().invoke(app, ["data", *map(str, words)])
        assert isinstance(result.exception, LimnerError), (words, result.output)
    assert list(tmp_path.iterdir()) == []


def fashion_files(folder: Path, name: str, count: int) -> None:
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    head = struct.pack(">HBBIII", 0, 8, 3, count, 28, 28)
    (folder / f"{name}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    head = struct.pack(">HBBI", 0, 8, 1, count)
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())


def test_fashion(tmp_path: Path) -> None:
    fashion_files(tmp_path / "f", "train", 20)
    fashion_files(tmp_path / "f", "t10k", 10)
    common = ("fashion", "--from", tmp_path / "f", "--workers", 1)
    run(*common, "--out", tmp_path / "s")
    run(*common, "--out", tmp_path / "t", "--split", "test", "--size", 28)
    store = Store.open(tmp_path / "s")
    assert (len(store), store.size, store.name) == (20, 32, "fashion-mnist-train")
    assert store.captions(9)[0].text == "a photo of an ankle boot"
    assert store.metadata(9)["concept"] == "fashion:ankle-boot"
    assert Caption("短靴", "zh", 0.7).text in [c.text for c in store.captions(9)]
    test = Store.open(tmp_path / "t")
    assert len(test) == 10
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
    np.testing.assert_array_equal(test.images[..., 0], images)


def test_fashion_articles() -> None:
    said = [class_captions(label)[0].text.removeprefix("a photo of ") for label in range(10)]
    assert said == [
        "a T-shirt", "a pair of trousers", "a pullover", "a dress", "a coat",
        "a sandal", "a shirt", "a sneaker", "a bag", "an ankle boot",
    ]  # fmt: skip
    assert len({chinese for _, chinese, _ in CLASSES}) == 10


def test_fashion_missing_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        pack_fashion(tmp_path / "s", folder=tmp_path / "none")


def test_sheets_survive_captions_that_their_font_lacks(tmp_path: Path) -> None:
    texts = ["一只可爱的小狗", "🐶", "שלום", "a very long caption " * 20, "é"]
    with StoreWriter(tmp_path / "s", 8, "x") as writer:
        for number, text in enumerate(texts):
            writer.add(np.full((8, 8, 3), number * 9, np.uint8), [Caption(text)])
        store = writer.finish()
    run("show", store.path, "--out", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 5 * (64 + 4) + 4
        greys = [sheet.getpixel((36 + 68 * number, 36)) for number in range(5)]
    assert greys == [(9 * number,) * 3 for number in range(5)]
    words = ["data", "show", str(store.path), "--out", str(tmp_path / "sheet.bmp")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, LimnerError)
    assert "'sheet.bmp' the ending .png" in str(result.exception)
    assert not (tmp_path / "sheet.jpg").exists()


def test_help_lists_every_command() -> None:
    listed = run("--help")
    assert all(re.search(rf"\b{name}\b", listed) for name in ("pack", "icons", "fashion", "show"))


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ("red, blue", ["a photo of red", "a photo of blue"]),
        (",".join(f"n{number}" for number in range(100)), ["a photo of n0", "a photo of n1"]),
        (b"\xef\xbb\xbfred\r\nblue\r\n\r\n", ["a photo of red", "a photo of blue"]),
        (b"a\xe2\x80\xa8b\nblue", ["a photo of a b", "a photo of blue"]),
        (b"red\n\nblue\n", "the class 1 has an empty name"),
        ("red,,blue", "the class 1 has an empty name"),
        ("lables.txt", "neither a file of UTF-8 text nor a list"),
        (b"\xff\xfe", "neither a file of UTF-8 text nor a list"),
    ],
)
def test_names_of_classes(tmp_path: Path, labels: str | bytes, wanted: list[str] | str) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))
    (tmp_path / "list.csv").write_text("image,label\na.png,0\nb.png,1\n")
    if isinstance(labels, bytes):
        (tmp_path / "names.txt").write_bytes(labels)
        labels = str(tmp_path / "names.txt")
    command = ["data", "pack", str(tmp_path / "list.csv"), "--out", str(tmp_path / "s")]
    result = CliRunner().invoke(app, [*command, "--size", "8", "--labels", labels])
    if isinstance(wanted, str):
        assert isinstance(result.exception, LimnerError)
        assert wanted in str(result.exception)
    else:
        store = Store.open(tmp_path / "s")
        assert [store.captions(i)[0].text for i in range(2)] == wanted


def test_what_is_left_out_goes_to_stderr(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(9)
    for number in range(1, 8):
        (folder / f"{number:04d}.png").write_bytes(b"")
    words = ["data", "pack", str(folder), "--out", str(tmp_path / "s"), "--size", "8"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "2 pictures of 8x8" in result.stdout
    named = [line for line in result.stderr.splitlines() if line.startswith("left out: ")]
    assert named == [f"left out: {number:04d}.png: empty file" for number in range(1, 6)]
    assert "left out 7: 7 empty file" in result.stderr
    assert "left out" not in result.stdout


def test_an_unfinished_pack_is_resumed_with_a_message(
    captioned: Callable[[int], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = captioned(9)

    def stop(done: int, _: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    options = PackOptions(cleaning=Cleaning(size=8), workers=1)
    with pytest.raises(KeyboardInterrupt):
        pack(folder, tmp_path / "s", options, on_progress=stop)
    assert not caplog.messages
    with caplog.at_level("WARNING", "limner"):
        pack(folder, tmp_path / "s", options)
    assert caplog.messages == ["resuming the unfinished pack: 5 entries are done"]


@pytest.mark.parametrize("option", ["--count", "--seed"])
def test_options_of_a_sheet_need_a_sheet(tmp_path: Path, option: str) -> None:
    result = CliRunner().invoke(app, ["data", "show", str(tmp_path), option, "5"])
    assert isinstance(result.exception, LimnerError)
    assert "give its --out" in str(result.exception)


def test_captions_of_other_kinds_are_told(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    """A folder with text files and a listing is packed by one of them, and the other is named."""
    folder = captioned(3)
    (folder / "0001.txt").unlink()
    (folder / "0002.txt").unlink()
    assert "too" not in run("pack", folder, "--out", tmp_path / "a", "--size", 16, "--workers", 1)
    (folder / "metadata.jsonl").write_text('{"file_name": "0001.png", "text": "a dog"}')
    (folder / "0002.json").write_text('{"caption": "a cat"}')
    said = run("pack", folder, "--out", tmp_path / "b", "--size", 16, "--workers", 1)
    assert "captions for --format jsonl and json, too: pack each" in said
    for kind in ("jsonl", "json"):
        how = ("--out", tmp_path / kind, "--size", 16, "--workers", 1, "--format", kind)
        said = run("pack", folder, *how)
        assert "1 pictures of 16x16" in said and "too:" not in said


def test_commands_that_are_advised_can_be_typed(
    captioned: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = captioned(3).rename(tmp_path / "my photos")
    (folder / "0001.txt").unlink()
    (folder / "metadata.jsonl").write_text('{"file_name": "0001.png", "text": "a dog"}')
    said = run("check", folder, "--size", 16, "--workers", 1, "--aligner", "none")
    assert f"limner data clean '{folder}' --out STORE2" in said
    assert f"limner data check '{folder}' --page report.html" in said
    assert "captions for --format jsonl, too: pack each" in said
