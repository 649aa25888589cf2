from __future__ import annotations

import csv
import gzip
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limner.data.readers import READERS, ReaderOptions, SourceEntry, open_source
from limner.data.readers.idx import read_idx
from limner.data.store import Caption
from limner.errors import DataError
from samples import picture, png, tarball


def read(source: Path, kind: str | None = None, **options: object) -> list[SourceEntry]:
    return list(open_source(source, ReaderOptions(**options), kind))


def good(items: list[SourceEntry]) -> dict[str, list[str]]:
    return {i.key: [c.text for c in i.captions] for i in items if i.problem is None}


def problems(items: list[SourceEntry]) -> dict[str, str]:
    return {i.key: i.problem for i in items if i.problem is not None}


def put(root: Path, **files: int) -> Path:
    root.mkdir(exist_ok=True, parents=True)
    for name, seed in files.items():
        (root / f"{name}.png").write_bytes(png(seed))
    return root


def test_every_format_has_one_reader() -> None:
    wanted = "csv folder idx imagefolder json jsonl parquet tsv webdataset"
    assert sorted(reader.name for reader in READERS) == wanted.split()


def test_folder(tmp_path: Path) -> None:
    put(tmp_path, a=1, b=2, c=3)
    put(tmp_path / "deep", d=4)
    (tmp_path / "a.txt").write_text("a cat\n\n  a kitty  \n", encoding="utf-8")
    (tmp_path / "a.zh.txt").write_text("一只猫", encoding="utf-8-sig")
    (tmp_path / "b.txt").write_bytes(b"\xff\x00bad")
    (tmp_path / "deep" / "d.txt").write_text("deep", encoding="utf-8")
    (tmp_path / ".hidden.png").write_bytes(png(9))
    reader = open_source(tmp_path)
    assert reader.name == "folder"
    items = list(reader)
    assert reader.count() == len(items) == 4
    assert items[0].captions == (
        Caption("a cat"),
        Caption("a kitty"),
        Caption("一只猫", "zh"),
    )
    assert good(items).keys() == {"a.png", "deep/d.png"}
    assert problems(items) == {
        "b.png": "caption file is not UTF-8 text (name its encoding, as in --encoding cp1252)",
        "c.png": "no caption",
    }


def test_imagefolder(tmp_path: Path) -> None:
    put(tmp_path / "hot_dog", a=1, b=2)
    put(tmp_path / "cat", c=3)
    reader = open_source(tmp_path, ReaderOptions(template="an icon of {}!"))
    assert reader.name == "imagefolder"
    items = list(reader)
    assert good(items) == {
        "cat/c.png": ["an icon of cat!"],
        "hot_dog/a.png": ["an icon of hot dog!"],
        "hot_dog/b.png": ["an icon of hot dog!"],
    }
    assert items[0].metadata["label"] == "cat"
    assert reader.count() == 3


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("path_first", [False, True])
def test_tsv_either_way(tmp_path: Path, path_first: bool, header: bool) -> None:
    put(tmp_path, a=1, b=2)
    rows = [("a red thing", "a.png"), ("ein Ding, blau", "b.png")]
    if header:
        rows.insert(0, ("caption", "file"))
    lines = ["\t".join(reversed(row) if path_first else row) for row in rows]
    (tmp_path / "list.tsv").write_text("\n".join([*lines, "lonely", ""]), encoding="utf-8")
    items = read(tmp_path)
    assert list(good(items).values()) == [["a red thing"], ["ein Ding, blau"]]
    assert [item.image for item in items[:2]] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert list(problems(items).values()) == ["wrong number of columns"]


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/etc/passwd", "sub/../../secret.png", "C:\\x.png", "..\\secret.png"],
)
@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet"])
def test_paths_may_not_leave_the_source(tmp_path: Path, path: str, kind: str) -> None:
    root = put(tmp_path / "root", a=1)
    put(tmp_path, secret=2)
    rows = [{"path": "a.png", "text": "fine"}, {"path": path, "text": "escape"}]
    listing = root / f"list.{kind}"
    if kind == "tsv":
        listing.write_text("".join(f"{row['path']}\t{row['text']}\n" for row in rows))
    elif kind == "csv":
        listing.write_text("path,text\n" + "".join(f"{r['path']},{r['text']}\n" for r in rows))
    elif kind == "jsonl":
        listing.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet as parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), listing)
    items = read(root)
    assert list(good(items).values()) == [["fine"]]
    assert list(problems(items).values()) == ["path leads outside the source"]


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_links_in_the_folder_are_followed(tmp_path: Path, kind: str) -> None:
    root = put(tmp_path / "snapshot", a=1)
    put(tmp_path / "blobs", b=2)
    (root / "sub").symlink_to(tmp_path / "blobs", target_is_directory=True)
    (root / "c.png").symlink_to(Path("../blobs/b.png"))
    row = {"tsv": "{}\t{}\n", "csv": "{},{}\n", "jsonl": '{{"path": "{}", "text": "{}"}}\n'}[kind]
    names = ["a.png", "sub/b.png", "c.png"]
    text = "".join(row.format(name, f"of {name}") for name in names)
    (root / f"list.{kind}").write_text(text)
    assert list(good(read(root)).values()) == [[f"of {name}"] for name in names]


def test_csv_columns(tmp_path: Path) -> None:
    put(tmp_path, a=1, b=2)
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "title", "alt", "style"])
        writer.writerow(["a.png", "a, quoted\nline", "second", "oil"])
        writer.writerow(["b.png", "", "", "oil"])
    assert list(good(read(tmp_path)).values()) == [["a, quoted\nline"]]
    items = read(tmp_path / "x.csv", text_columns=("alt", "title"), image_column="file_name")
    assert list(good(items).values()) == [["second", "a, quoted\nline"]]
    assert items[0].metadata["style"] == "oil"
    assert list(problems(items).values()) == ["no caption"]
    with pytest.raises(DataError, match=r"no column 'nope'.*file_name, title"):
        read(tmp_path / "x.csv", text_columns=("nope",))
    (tmp_path / "x.csv").write_text("foo,bar\n1,2\n")
    with pytest.raises(DataError, match="--image-column"):
        read(tmp_path / "x.csv")


def test_jsonl_takes_lists_and_survives_bad_lines(tmp_path: Path) -> None:
    put(tmp_path, a=1)
    lines = ['{"image": "a.png", "text": ["one", "two", "one"]}', "not json", "[1]", ""]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    items = read(tmp_path)
    assert list(good(items).values()) == [["one", "two"]]
    assert list(problems(items).values()) == ["not a JSON object"] * 2


def test_parquet_with_embedded_pictures_and_hub_classes(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pyarrow.Table.from_pylist(
        [
            {"image": {"bytes": png(1), "path": "x.png"}, "label": 1},
            {"image": {"bytes": png(2), "path": None}, "label": 0},
            {"image": {"bytes": None, "path": None}, "label": 0},
        ]
    ).replace_schema_metadata({"huggingface": json.dumps(features)})
    for name in ("train-0.parquet", "train-1.parquet"):
        parquet.write_table(table, tmp_path / name)
    reader = open_source(tmp_path)
    assert reader.name == "parquet"
    items = list(reader)
    assert reader.count() == len(items) == 6
    assert list(good(items).values()) == [["a photo of dog"], ["a photo of cat"]] * 2
    assert items[0].image == png(1)
    assert set(problems(items).values()) == {"no picture in the row"}


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(">HBB", 0, 8, array.ndim)
    data += struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx(tmp_path: Path, ending: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 8), np.uint8)
    write_idx(tmp_path / f"t10k-images-idx3-ubyte{ending}", images)
    write_idx(tmp_path / f"t10k-labels-idx1-ubyte{ending}", np.array([1, 0, 1], np.uint8))
    items = read(tmp_path, labels=("boot", "hat"), template="one {}")
    assert list(good(items).values()) == [["one hat"], ["one boot"], ["one hat"]]
    np.testing.assert_array_equal(items[2].image, images[2])
    assert items[0].metadata == {"id": "t10k:0", "label": 1, "split": "t10k"}
    with pytest.raises(DataError, match="class 1 has no name"):
        read(tmp_path, labels=("boot",))
    assert good(read(tmp_path))["t10k:1"] == ["a photo of 0"]


def test_damaged_idx(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    write_idx(path, np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(DataError, match="no labels beside"):
        read(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="claims 48 bytes"):
        read_idx(path)
    path.write_bytes(struct.pack(">HBBIII", 0, 8, 3, 2**31, 2**31, 2**31))
    with pytest.raises(DataError, match="more than limner reads"):
        read_idx(path)
    path.write_bytes(b"ab")
    with pytest.raises(DataError, match="not a readable IDX"):
        read_idx(path)


def test_webdataset_tars(tmp_path: Path) -> None:
    names = json.dumps({"caption": "from json", "style": "ink"}).encode()
    tarball(
        tmp_path / "a-000.tar",
        [
            ("x/1.png", png(1)),
            ("x/1.txt", "one\n一\n".encode()),
            ("x/2.json", names),
            ("x/2.jpg", png(2)),
            ("x/3.png", png(3)),
            ("x/4.txt", b"no picture"),
        ],
    )
    tarball(tmp_path / "a-001.tar", [("5.webp", png(5)), ("5.cls", b"1")])
    items = read(tmp_path, labels=("cat", "dog"))
    assert good(items) == {
        "a-000.tar:x/1": ["one", "一"],
        "a-000.tar:x/2": ["from json"],
        "a-001.tar:5": ["a photo of dog"],
    }
    assert items[1].metadata["style"] == "ink"
    assert problems(items) == {
        "a-000.tar:x/3": "no caption",
        "a-000.tar:x/4": "no picture in the sample",
    }


def test_a_torn_tar_gives_what_it_has(tmp_path: Path) -> None:
    noise = os.urandom(40_000)
    path = tarball(tmp_path / "a.tar", [("1.png", png(1)), ("1.txt", b"one"), ("2.png", noise)])
    path.write_bytes(path.read_bytes()[:20_000])
    items = read(path)
    assert good(items) == {"a.tar:1": ["one"]}
    assert "tar ends in the middle or is damaged" in problems(items).values()


def test_links_in_a_tar_are_named_and_those_behind_them_are_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("0.png", png(1)), ("0.txt", b"one"), ("1.png", None), ("1.txt", b"no"),
                           ("2.png", png(2)), ("2.txt", b"two")):  # fmt: skip
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "0.png"
            member.size = len(data or b"")
            tar.addfile(member, io.BytesIO(data or b""))
    items = read(tmp_path / "a.tar")
    assert good(items) == {"a.tar:0": ["one"], "a.tar:2": ["two"]}
    assert problems(items) == {
        "a.tar:1.png": "not a regular file in a tar", "a.tar:1": "no picture in the sample",
    }  # fmt: skip


def test_tars_written_by_webdataset_itself(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "w.tar")) as sink:
        for number in range(3):
            pixels = np.asarray(picture(number))
            sink.write({"__key__": f"k{number}", "png": pixels, "txt": f"words {number}"})
    items = read(tmp_path / "w.tar")
    assert list(good(items).values()) == [["words 0"], ["words 1"], ["words 2"]]


def test_what_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing at"):
        open_source(tmp_path / "none")
    with pytest.raises(DataError, match="cannot tell"):
        open_source(tmp_path)
    (tmp_path / "cat.png").write_bytes(png(1))
    with pytest.raises(DataError, match=r"no picture in .* has a caption: put a text file beside"):
        open_source(tmp_path)
    with pytest.raises(DataError, match=r"no picture in .*cat\.png has a caption"):
        open_source(tmp_path / "cat.png")
    with pytest.raises(DataError, match="unknown format 'zip'"):
        open_source(tmp_path, kind="zip")
    with pytest.raises(DataError, match="exactly once"):
        ReaderOptions(template="no place")


def test_forced_format_wins(captioned: Callable[[int], Path]) -> None:
    folder = captioned(2)
    (folder / "class").mkdir()
    (folder / "class" / "x.png").write_bytes(png(9))
    items = read(folder, "imagefolder")
    assert good(items) == {"class/x.png": ["a photo of class"]}
    assert set(problems(items).values()) == {"not in a class folder"}


def test_readers_do_not_keep_streams_open(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(io.BytesIO(b"path,text\n\xff,\xff\n").getvalue())
    with pytest.raises(DataError, match="UTF-8"):
        read(tmp_path / "l.csv")
