"""Data sets as people have them: hubs, trainers, spreadsheets, archives."""

from __future__ import annotations

import gzip
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning
from limner.data.readers import ReaderOptions, SourceEntry, open_source, tars
from limner.data.store import Caption, Store
from limner.errors import DataError
from samples import png, tarball

SMALL = Cleaning(size=8)


def put(root: Path, *names: str, **texts: str) -> Path:
    """Pictures by their names, and text files; ``__`` stands for a dot."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(seed))
    for name, text in texts.items():
        (root / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return root


def read(source: Path, kind: str | None = None, **options: object) -> list[SourceEntry]:
    return list(open_source(source, ReaderOptions(**options), kind))


def said(items: list[SourceEntry]) -> list[list[str]]:
    return [[caption.text for caption in item.captions] for item in items if item.problem is None]


def problems(items: list[SourceEntry]) -> dict[str, str]:
    return {item.key: item.problem for item in items if item.problem is not None}


def packed(source: Path, out: Path, **options: object) -> Store:
    return pack(
        source, out, PackOptions(cleaning=SMALL, workers=1, reader=ReaderOptions(**options))
    )


def parquet(path: Path, rows: list[dict]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as writer

    path.parent.mkdir(parents=True, exist_ok=True)
    writer.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


# -- hubs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_metadata_files_in_splits(tmp_path: Path, kind: str) -> None:
    for split in ("train", "test"):
        folder = put(tmp_path / split, "r.png", "sub/b.png", "extra.png")
        rows = [
            {"file_name": "r.png", "text": f"{split} red"},
            {"file_name": "sub/b.png", "text": f"{split} blue"},
        ]
        if kind == "jsonl":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "metadata.jsonl").write_text(lines)
        elif kind == "csv":
            lines = "".join(f"{row['file_name']},{row['text']}\n" for row in rows)
            (folder / "metadata.csv").write_text("file_name,text\n" + lines)
        else:
            parquet(folder / "metadata.parquet", rows)
    (tmp_path / "README.md").write_text("---\nconfigs: []\n---\n")
    reader = open_source(tmp_path)
    assert reader.name == kind
    items = list(reader)
    assert said(items) == [["test red"], ["test blue"], ["train red"], ["train blue"]]
    assert [item.metadata["split"] for item in items[:4]] == ["test", "test", "train", "train"]
    assert problems(items) == {
        "README.md": "not named like a picture",
        "test/extra.png": "picture that the source does not list",
        "train/extra.png": "picture that the source does not list",
    }


def test_parquet_shards_below_data(tmp_path: Path) -> None:
    for split, text in (("train", "a"), ("validation", "b")):
        rows = [{"image": {"bytes": png(1), "path": "x.png"}, "caption": text}]
        parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", rows)
    items = read(tmp_path)
    assert said(items) == [["a"], ["b"]]
    assert [item.metadata["split"] for item in items] == ["train", "validation"]


def test_a_listing_for_each_split(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.png",
        "b.png",
        train__csv="image,text\na.png,A\n",
        test__csv="image,text\nb.png,B\n",
    )
    assert said(read(tmp_path)) == [["B"], ["A"]]
    put(tmp_path, other__csv="image,text\nb.png,B\n")
    with pytest.raises(DataError, match="holds 3 csv listings; name one of them"):
        read(tmp_path, "csv")


def test_splits_are_no_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png", "test/b.png")
    with pytest.raises(DataError, match=r"\(test, train\) name splits"):
        read(tmp_path)
    put(tmp_path, "bus/a.png")
    assert said(read(tmp_path))[0] == ["a photo of bus"]
    put(tmp_path / "deep", "train/cat/a.png", "test/cat/b.png")
    items = read(tmp_path / "deep")
    assert said(items) == [["a photo of cat"]] * 2
    assert [item.metadata["split"] for item in items] == ["test", "train"]


def test_snapshots_of_links(tmp_path: Path) -> None:
    put(tmp_path, "blobs/0a.png")
    (tmp_path / "snapshots" / "x").mkdir(parents=True)
    (tmp_path / "snapshots" / "x" / "r.png").symlink_to(Path("../../blobs/0a.png"))
    (tmp_path / "snapshots" / "x" / "metadata.jsonl").write_text('{"file_name":"r.png","text":"t"}')
    store = packed(tmp_path / "snapshots" / "x", tmp_path / "s")
    assert store.captions(0) == (Caption("t"),)


@pytest.mark.parametrize(
    ("row", "captions"),
    [
        ({"jpg": png(1), "txt": "from txt", "json": {"caption": "no"}}, ["from txt"]),
        ({"jpg": png(1), "txt": b"from bytes"}, ["from bytes"]),
        ({"jpg": png(1), "__key__": "1", "json": {"caption": "from json"}}, ["from json"]),
        ({"png": png(1), "json": '{"caption": "JSON as text"}'}, ["JSON as text"]),
        ({"Image": {"bytes": png(1)}, "Text": ["one", "two"]}, ["one", "two"]),
    ],
)
def test_columns_of_parquet(tmp_path: Path, row: dict, captions: list[str]) -> None:
    items = read(parquet(tmp_path / "x.parquet", [row]))
    assert said(items) == [captions]
    assert items[0].image == png(1)


def test_columns_may_be_keys_of_objects(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    row = {"media": {"file": "a.png"}, "json": {"short": "s", "long": {"en": "l"}}}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    options = {"image_column": "media.file", "text_columns": ("json.long.en", "json.short")}
    with pytest.raises(DataError, match=r"no column 'json\.long\.en'"):
        read(tmp_path, **options)
    options["text_columns"] = ("json.short",)
    assert said(read(tmp_path, **options)) == [["s"]]
    with pytest.raises(DataError, match=r"no column 'json.shrt'.*json.short"):
        read(tmp_path, image_column="media.file", text_columns=("json.shrt",))


def test_lists_of_pictures(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    rows = [
        {"images": ["a.png", "b.png"], "text": "both"},
        {"images": ["a.png", "b.png"], "text": ["first", "second"]},
        {"images": ["a.png"], "text": ["one", "more"]},
        {"images": [], "text": "none"},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = read(tmp_path)
    assert said(items) == [["both"], ["both"], ["first"], ["second"], ["one", "more"]]
    assert [item.key for item in items[:2]] == ["x.jsonl:1.0", "x.jsonl:1.1"]
    assert problems(items) == {"x.jsonl:4": "no picture in the row"}
    embedded = [
        {"images": [{"bytes": png(1), "path": None}, {"bytes": png(2), "path": None}], "text": "t"}
    ]
    assert [item.image for item in read(parquet(tmp_path / "p.parquet", embedded))] == [
        png(1),
        png(2),
    ]


def test_damaged_pages_and_deep_json_are_errors(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", [{"image": png(1, (40, 40)), "text": "a"}] * 3)
    data = bytearray(path.read_bytes())
    data[4:64] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        packed(path, tmp_path / "s")
    put(tmp_path / "in", "a.png", x__jsonl="[" * 200_000 + '\n{"image": "a.png", "text": "t"}\n')
    items = read(tmp_path / "in")
    assert said(items) == [["t"]]
    assert problems(items) == {"x.jsonl:1": "not a JSON object"}
    tar = tarball(tmp_path / "a.tar", [("0.png", png(1)), ("0.json", b"[" * 200_000)])
    (problem,) = problems(read(tar)).values()
    assert problem.startswith("caption is not UTF-8 text") and problem.endswith("or JSON")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "gbk", "utf-8-sig"])
def test_texts_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    said_in = "红苹果" if encoding == "gbk" else "une crème à l'été"
    named = {} if encoding in ("utf-16", "utf-8-sig") else {"encoding": encoding}
    row = {"file_name": "a.png", "text": said_in}
    texts = {
        "a.txt": said_in, "list.csv": f"file_name,text\r\na.png,{said_in}\r\n",
        "list.jsonl": json.dumps(row, ensure_ascii=False),
    }  # fmt: skip
    for name, text in texts.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.png").write_bytes(png(1))
        (folder / name).write_bytes(text.encode(encoding))
        assert said(read(folder, **named)) == [[said_in]], name
    sample = [("0.png", png(1)), ("0.txt", said_in.encode(encoding))]
    assert said(read(tarball(tmp_path / "a.tar", sample), **named)) == [[said_in]]
    if named:  # what cannot be guessed is said, with what to do
        with pytest.raises(DataError, match="--encoding cp1252"):
            read(tmp_path / "list.csv")
    with pytest.raises(DataError, match="no encoding 'nope'"):
        read(tmp_path / "list.csv", encoding="nope")


# -- text tables -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "file_name,text\na.png,red; and round\nb.png,blue\n"),
        ("x.csv", 'file_name;text\na.png;"red; and round"\nb.png;blue\n'),
        ("x.csv", "file_name\ttext\na.png\tred; and round\nb.png\tblue\n"),
        ("x.csv", "text|file_name\nred; and round|a.png\nblue|b.png\n"),
        ("x.csv", "file_name text\na.png red; and round\nb.png  blue\n"),
        ("x.csv", "text file_name\nred; and round a.png\nblue b.png\n"),
        ("x.csv", "a.png,red; and round\nb.png,blue\n"),
        ("x.csv", "a.png red; and round\nb.png blue\n"),
        ("x.csv", "\ufefffile_name,text\r\na.png,red; and round\r\n\r\nb.png,blue\r\n"),
        ("x.csv", "file_name,text\ra.png,red; and round\rb.png,blue\r"),
        ("x.csv", "File_Name, Text\na.png, red; and round\nb.png, blue\n"),
        ("x.tsv", "a.png\tred; and round\nb.png\tblue\n"),
        ("x.tsv", "text\timage\nred; and round\ta.png\nblue\tb.png\n"),
        ("x.tsv", "file_name,text\na.png,red; and round\nb.png,blue\n"),
    ],
)  # fmt: skip
def test_the_separator_is_found_in_the_first_line(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / name).write_bytes(text.encode())
    items = read(tmp_path)
    assert said(items) == [["red; and round"], ["blue"]]
    assert [item.image for item in items] == [tmp_path / "a.png", tmp_path / "b.png"]


def test_a_comma_without_quotes_is_no_shorter_caption(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", x__csv="image,text\na.png,red, round\nb.png\n")
    items = read(tmp_path)
    assert problems(items) == {
        "x.csv:2": "wrong number of columns",
        "x.csv:3": "wrong number of columns",
        "a.png": "picture that the source does not list",
        "b.png": "picture that the source does not list",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "file_name,label\na.png,0\nb.png,1\n"),
        ("x.csv", "file_name;label\na.png;0\nb.png;1\n"),
        ("x.csv", "file_name label\na.png 0\nb.png 1\n"),
        ("x.tsv", "a.png\t0\nb.png\t1\n"),
        ("x.jsonl", '{"image":"a.png","label":0}\n{"image":"b.png","label":"1"}\n'),
    ],
)
def test_class_numbers_have_names(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / name).write_text(text)
    items = read(tmp_path, labels=("red", "blue"))
    assert said(items) == [["a photo of red"], ["a photo of blue"]]
    with pytest.raises(DataError, match="class 1 has no name"):
        read(tmp_path, labels=("red",))


def test_parquet_labels_win_over_the_names_in_the_file(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as writer

    info = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    rows = [{"image": png(1), "label": 1}, {"image": png(2), "label": -1}]
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps(info)}
    )
    writer.write_table(table, tmp_path / "x.parquet")
    assert said(read(tmp_path)) == [["a photo of dog"]]
    items = read(tmp_path, labels=("Katze", "Hund"))
    assert said(items) == [["a photo of Hund"]]
    assert problems(items) == {"x.parquet:1": "no caption"}  # -1 is "not labelled"


def test_urls_are_not_files(tmp_path: Path) -> None:
    put(tmp_path, x__csv="image,text\nhttps://example.org/a.png,red\n")
    assert problems(read(tmp_path)) == {"x.csv:2": "picture given by URL, not as a file"}


# -- trainers --------------------------------------------------------------------------------


def test_folders_with_repeats(tmp_path: Path) -> None:
    put(tmp_path / "img", "10_sks dog/a.png", "5_a_cat/b.png", "5_a_cat/c.png")
    items = read(tmp_path / "img", template="{}")
    assert said(items) == [["sks dog"], ["a cat"], ["a cat"]]
    assert [item.metadata["repeats"] for item in items] == [10, 5, 5]
    (tmp_path / "img" / "5_a_cat" / "b.caption").write_text("a striped cat")
    items = read(tmp_path / "img")
    assert open_source(tmp_path / "img").name == "folder"
    assert said(items) == [["a photo of sks dog"], ["a striped cat"], ["a photo of a cat"]]
    put(tmp_path / "mixed", "3_series/a.png", "truck/b.png")
    assert said(read(tmp_path / "mixed"))[0] == ["a photo of 3 series"]


def test_captions_of_one_language_or_in_capitals_are_found(tmp_path: Path) -> None:
    put(tmp_path / "zh", "cat.png")
    (tmp_path / "zh" / "cat.zh.txt").write_text("红色方块", encoding="utf-8")
    assert read(tmp_path / "zh")[0].captions == (Caption("红色方块", "zh"),)
    put(tmp_path / "big", "IMG_1.PNG", IMG_1__TXT="a red square")
    assert said(read(tmp_path / "big")) == [["a red square"]]


# -- archives --------------------------------------------------------------------------------


def test_the_same_name_twice_in_a_tar_is_two_samples(tmp_path: Path) -> None:
    parts = [
        ("0.png", png(1)),
        ("0.txt", b"red"),
        ("0.png", png(2)),
        ("0.txt", b"blue"),
        ("1.txt", b"x"),
    ]
    items = read(tarball(tmp_path / "a.tar", parts))
    assert [(item.key, item.image) for item in items[:2]] == [
        ("a.tar:0", png(1)),
        ("a.tar:0#2", png(2)),
    ]
    assert said(items) == [["red"], ["blue"]]
    assert problems(items) == {"a.tar:1": "no picture in the sample"}


def test_a_tar_that_unpacks_to_much_more_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file with an extended header of 200 MB, as tarfile reads whole."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 200 << 20
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(header.tobuf())
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        found = problems(read(bomb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == {"bomb.tar.gz:end": "tar ends in the middle or is damaged"}
    assert peak < 50 << 20

    monkeypatch.setattr(tars, "_LIMIT", 3000)
    parts = [("0.png", png(1)), ("0.txt", b"red"), *((f"0.{n}", bytes(1000)) for n in range(4))]
    items = read(tarball(tmp_path / "a.tar", parts))
    assert items[-1].image == png(1) and items[-1].captions
    assert "file too large in a tar" in problems(items).values()


def test_what_tar_captions_are_made_of(tmp_path: Path) -> None:
    inner = json.dumps({"recaption": "good", "meta": {"alt": "deep"}, "label": 1}).encode()
    parts = [("0.mask.png", png(2)), ("0.png", png(1)), ("0.txt", b"IMG_1.JPG"), ("0.json", inner)]
    tar = tarball(tmp_path / "train-0.tar", parts)
    items = read(tmp_path)
    assert said(items) == [["IMG_1.JPG"]]
    assert (items[0].image, items[0].metadata["split"]) == (png(1), "train")
    for columns, wanted in (
        (("recaption",), ["good"]),
        (("json.recaption", "txt"), ["good", "IMG_1.JPG"]),
        (("meta.alt",), ["deep"]),
        (("label",), ["a photo of dog"]),
    ):
        labels = ("cat", "dog") if columns == ("label",) else ()
        assert said(read(tar, text_columns=columns, labels=labels)) == [wanted]
    assert read(tar, image_column="mask.png")[0].image == png(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_columns": ("recaptoin",)}, "--text-column recaptoin was never needed"),
        (
            {"image_column": "gif"},
            "no entry of .* has column 'gif'|--image-column was never needed",
        ),
        ({"labels": ("red",)}, "--labels was never needed: no entry of .* has class numbers"),
        ({"template": "an icon of {}"}, "--template was never needed"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    source = tarball(tmp_path / "a.tar", [("0.png", png(1)), ("0.txt", b"red")])
    with pytest.raises(DataError, match=message):
        packed(source, tmp_path / "s", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


@pytest.mark.parametrize(
    "options", [{"text_columns": ("text",)}, {"image_column": "image"}, {"labels": ("red",)}]
)
def test_options_without_meaning_are_refused_at_once(tmp_path: Path, options: dict) -> None:
    put(tmp_path, "a.png", a__txt="red")
    with pytest.raises(DataError, match=r"has no meaning for .* which is read as folder"):
        open_source(tmp_path, ReaderOptions(**options))


# -- what is packed can be trained on -------------------------------------------------------


def test_captions_that_cannot_be_prompts_are_left_out_and_named(tmp_path: Path) -> None:
    root = put(
        tmp_path / "in", "a.png", "b.png", "c.png", "d.png", "e.png", a__txt="a  red\u00a0 thing"
    )
    put(root, b__txt="bl\x1bue", c__txt="\u200b\n", d__txt="word " * 8000, e__txt="good\nb\x07ad")
    store = packed(root, tmp_path / "s")
    assert [[c.text for c in store.captions(i)] for i in range(len(store))] == [
        ["a red thing"],
        ["good"],
    ]
    assert store.header.report == {"unusable caption": 3}
    assert dict(store.left_out()) == {
        "b.png": "unusable caption: the caption holds a control character (U+001B) at character 3; "
        "remove it",
        "c.png": "unusable caption: the caption is empty; write at least one word of what to draw",
        "d.png": "unusable caption: the caption is 39,999 characters long; shorten it to at most "
        "32,000",
    }
    report = json.loads((store.path / "report.json").read_text())
    assert report["handled"] == {"one of several captions unusable": 1}


def test_everything_else_in_a_folder_is_named(tmp_path: Path) -> None:
    root = put(tmp_path / "in", "a.png", a__txt="a", b__txt="lonely", c__psd="?", notes__md="?")
    (root / "d.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "d.txt").write_text("phone")
    (root / "gone.png").symlink_to(root / "nowhere")
    left_out = dict(packed(root, tmp_path / "s").left_out())
    assert left_out.pop("d.heic") in {
        "broken picture", "not a picture of a known format",
        "HEIF needs a decoder: pip install 'limner[formats]'",
    }  # fmt: skip
    assert left_out == {
        "b.txt": "caption file without a picture of its own",
        "c.psd": "not named like a picture",
        "gone.png": "link to nothing",
        "notes.md": "not named like a picture",
    }


def test_file_names_in_other_encodings(tmp_path: Path) -> None:
    root = put(tmp_path / "in", "b.png", b__txt="b")
    try:
        (root / "caf\udce9.png").write_bytes(png(1))
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system wants UTF-8")
    (root / "caf\udce9.txt").write_text("coffee")
    store = packed(root, tmp_path / "s")
    assert [store.captions(i)[0].text for i in range(2)] == ["b", "coffee"]
    assert store.column("id") == ["b.png", "caf\\udce9.png"]
