from __future__ import annotations

import json
from pathlib import Path

import pytest

from limner.data.readers import ReaderOptions, SourceEntry, open_source
from limner.errors import DataError
from samples import png


def put(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(seed))
    return root


def read(source: Path, **options: object) -> list[SourceEntry]:
    reader = open_source(source, ReaderOptions(**options))
    assert reader.name == "json"
    return list(reader)


def captions(items: list[SourceEntry]) -> dict[str, list[str]]:
    return {Path(str(i.image)).name: [c.text for c in i.captions] for i in items if not i.problem}


@pytest.mark.parametrize(
    "content",
    [
        [{"image": "images/a.png", "caption": "a cat"}, {"image": "b.png", "caption": "a dog"}],
        {"data": [{"path": "a.png", "text": "a cat"}, {"path": "b.png", "text": "a dog"}]},
        {"images/a.png": "a cat", "images/b.png": "a dog"},
        {"/home/me/images/a": {"caption": "a cat"}, "images/b": {"caption": "a dog"}},
    ],
)
def test_lists_and_captions_by_name(tmp_path: Path, content: object) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    (tmp_path / "list.json").write_text(json.dumps(content), encoding="utf-8")
    items = read(tmp_path)
    if "/home/me/images/a" in str(content):  # a path of another machine is not looked up
        assert captions(items) == {"b.png": ["a dog"]}
        assert items[0].problem == "path leads outside the source"
    else:
        assert captions(items) == {"a.png": ["a cat"], "b.png": ["a dog"]}


def test_captions_of_coco(tmp_path: Path) -> None:
    put(tmp_path, "train2017/a.png", "train2017/b.png", "val2017/c.png")
    for split, names in (("train", "ab"), ("val", "c")):
        content = {
            "info": {},
            "images": [{"id": ord(n), "file_name": f"{n}.png", "width": 8} for n in names],
            "annotations": [
                {"id": i, "image_id": ord(n), "caption": f"{word} {n}"}
                for i, n in enumerate(names)
                for word in ("one", "two")
            ],
        }
        path = tmp_path / "annotations" / f"captions_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "annotations" / "instances_val2017.json").write_text(
        json.dumps({"images": [], "annotations": [{"image_id": 99, "category_id": 1}]})
    )
    items = read(tmp_path)
    assert captions(items) == {f"{n}.png": [f"one {n}", f"two {n}"] for n in "abc"}
    assert [i.key for i in items if i.problem] == ["annotations/instances_val2017.json"]


def test_a_file_beside_each_picture(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    folder = tmp_path / "images"
    (folder / "a.json").write_text(json.dumps({"caption": "a cat", "image": "elsewhere.jpg"}))
    (folder / "b.png.json").write_text(json.dumps({"caption": "a dog", "url": "https://x"}))
    (folder / "c.json").write_text(json.dumps({"width": 8}))
    items = read(tmp_path)
    assert captions(items) == {"a.png": ["a cat"], "b.png": ["a dog"]}
    assert [i.problem for i in items if i.problem] == ["no caption"]


def test_other_json_is_no_listing(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "dog/b.png")
    facts = {"features": {"image": {"_type": "Image"}}, "splits": {"train": {"num_examples": 2}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(facts))
    (tmp_path / "broken.json").write_text("{")
    assert open_source(tmp_path).name == "imagefolder"
    with pytest.raises(DataError, match=r"dataset_info\.json names no pictures with captions"):
        list(open_source(tmp_path / "dataset_info.json", kind="json"))
    with pytest.raises(DataError, match=r"broken\.json is not JSON"):
        list(open_source(tmp_path / "broken.json", kind="json"))


def test_a_path_that_is_not_there_means_the_one_picture_of_that_name(tmp_path: Path) -> None:
    put(tmp_path, "deep/a.png", "left/b.png", "right/b.png")
    lines = ["path,text", "a,without ending", "a.png,moved", "b.png,which", "left/b.png,left"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    items = list(open_source(tmp_path))
    named = [(i.image and i.image.relative_to(tmp_path).as_posix(), i.problem) for i in items]
    assert named[:4] == [
        ("deep/a.png", None),
        ("deep/a.png", None),
        (None, "file not found, and several pictures in other folders have its name"),
        ("left/b.png", None),
    ]


def test_a_folder_that_says_nothing_is_no_class(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    with pytest.raises(DataError, match=r"the folder images does not say .* --format imagefolder"):
        open_source(tmp_path)
    (tmp_path / "captions.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"captions\.xlsx is read as no listing of them; write one"):
        open_source(tmp_path)
    items = list(open_source(tmp_path, kind="imagefolder"))
    assert captions(items) == {name: ["a photo of images"] for name in ("a.png", "b.png")}
    (tmp_path / "images").rename(tmp_path / "hot_dog")
    with pytest.raises(DataError, match=r"captions\.xlsx is read as no listing"):
        open_source(tmp_path)
    (tmp_path / "captions.xlsx").unlink()
    assert open_source(tmp_path).name == "imagefolder"
