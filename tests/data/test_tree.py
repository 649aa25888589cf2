from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from limner.data.store import Caption
from limner.data.tree import FileTree, sidecar_path
from limner.errors import DataError


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    return root


def texts(root: Path) -> dict[str, list[tuple[str, str]]]:
    tree = FileTree(root)
    return {
        tree.name(picture): [(tree.name(file), lang) for file, lang in tree.texts(picture)]
        for picture in tree.pictures
    }


def test_files_are_walked_in_a_fixed_order_without_hidden_ones(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a/z.png", "a/b/c.png", "c.txt", ".git/x.png", ".hidden.png", "a/.x")
    tree = FileTree(tmp_path)
    assert [tree.name(file) for file in tree.files] == ["a/b/c.png", "a/z.png", "b.png", "c.txt"]
    assert [tree.name(file) for file in tree.top] == ["b.png", "c.txt"]
    assert FileTree(tmp_path / "b.png").top == [tmp_path / "b.png"]
    with pytest.raises(DataError, match="cannot list"):
        FileTree(tmp_path / "none").files  # noqa: B018


def test_links_are_followed_and_circles_are_cut(tmp_path: Path) -> None:
    put(tmp_path, "blobs/0a", "in/real.png", "elsewhere/deep.png")
    root = tmp_path / "in"
    (root / "link.png").symlink_to(tmp_path / "blobs" / "0a")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "lost.png").symlink_to(tmp_path / "nothing")
    (root / "self").symlink_to(root)
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    (root / "knot").symlink_to(root / "knot")
    os.mkfifo(root / "pipe.png")
    tree = FileTree(root)
    names = [tree.name(file) for file in tree.pictures]
    assert names == ["folder/deep.png", "link.png", "real.png"]
    assert {tree.name(path): reason for path, reason in tree.problems.items()} == {
        "folder/up/elsewhere": "link to a folder that holds it",
        "folder/up/in": "link to a folder that holds it",
        "knot": "cannot be read (Too many levels of symbolic links)",
        "lost.png": "link to nothing",
        "pipe.png": "not a regular file",
        "self": "link to a folder that holds it",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "lost+found/b.png")
    (tmp_path / "lost+found").chmod(0)
    tree = FileTree(tmp_path)
    try:
        assert [tree.name(file) for file in tree.pictures] == ["a.png"]
        assert list(tree.problems.values()) == ["cannot be read (Permission denied)"]
    finally:
        (tmp_path / "lost+found").chmod(0o755)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["cat.txt"], ["cat.txt"]),
        (["cat.TXT"], ["cat.TXT"]),
        (["CAT.txt"], ["CAT.txt"]),
        (["cat.caption"], ["cat.caption"]),
        (["cat.png.txt"], ["cat.png.txt"]),
        (["cat.png.txt", "cat.txt"], ["cat.png.txt"]),
        (["cat.txt", "CAT.txt"], ["cat.txt"]),
        (["cat.zh.txt"], ["cat.zh.txt:zh"]),
        (["cat.zh_CN.txt"], ["cat.zh_CN.txt:zh-CN"]),
        (["cat.png.pt-BR.caption"], ["cat.png.pt-BR.caption:pt-BR"]),
        (["cat.txt", "cat.yue.txt"], ["cat.txt", "cat.yue.txt:yue"]),
        (["cat.001.txt"], []),
        (["cat.png.old.txt", "cat.raw.txt", "cats.txt", "ca.txt", ".txt"], []),
    ],
)
def test_which_text_captions_a_picture(tmp_path: Path, names: list[str], wanted: list[str]) -> None:
    put(tmp_path, "cat.png", *names)
    found = texts(tmp_path)["cat.png"]
    assert sorted(f"{file}:{lang}".rstrip(":") for file, lang in found) == sorted(wanted)


def test_a_text_belongs_to_the_picture_it_spells_most_fully(tmp_path: Path) -> None:
    put(
        tmp_path,
        *("cat.png", "cat.txt", "cat.001.png", "cat.001.txt", "cat.zh.png", "cat.zh.txt"),
        *("dog.png", "dog.jpg", "dog.jpg.txt", "dog.txt", "deep/cat.png", "lonely.txt"),
    )
    assert texts(tmp_path) == {
        "cat.001.png": [("cat.001.txt", "")],
        "cat.png": [("cat.txt", "")],
        "cat.zh.png": [("cat.zh.txt", "")],
        "deep/cat.png": [],
        "dog.jpg": [("dog.jpg.txt", "")],
        "dog.png": [("dog.txt", "")],
    }
    put(tmp_path, "notes.pdf")
    tree = FileTree(tmp_path)
    assert {tree.name(file): reason for file, reason in tree.unused(tree.pictures)} == {
        "lonely.txt": "caption file without a picture of its own",
        "notes.pdf": "not named like a picture",
    }


def test_accents_spelled_in_two_ways_are_one_name(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "café")
    put(tmp_path, f"{composed}.png", f"{unicodedata.normalize('NFD', composed)}.txt")
    assert len(texts(tmp_path)[f"{composed}.png"]) == 1


def test_captions_are_the_lines(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\n\r  two \rone".encode())
    (tmp_path / "a.caption").write_text("two\nthree", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"\xff\x00bad")
    (tmp_path / "b.zh.txt").write_text("二", encoding="utf-8")
    tree = FileTree(tmp_path)
    captions, problems = tree.captions(tmp_path / "a.png", "de")
    assert {caption.text for caption in captions} == {"one\u2028still one", "two", "one", "three"}
    assert {caption.lang for caption in captions} == {"de"}
    assert (len(captions), problems) == (4, [])
    captions, problems = tree.captions(tmp_path / "b.png")
    assert captions == [Caption("二", "zh")]
    assert problems == [
        "caption file is not UTF-8 text (name its encoding, as in --encoding cp1252)"
    ]


@pytest.mark.parametrize("lang", ["", "zh"])
def test_a_sidecar_is_found_for_its_picture_alone(tmp_path: Path, lang: str) -> None:
    names = (
        "cat.png",
        "cat.jpg",
        "dog.png",
        "cat.zh.png",
        "a.b.png",
        "a.png",
        "dog.zh.jpg",
        "A.gif",
    )
    put(tmp_path, *names)
    for name in names:
        put(tmp_path, sidecar_path(tmp_path / name, lang).name)
    for name, found in texts(tmp_path).items():
        assert found == [(sidecar_path(tmp_path / name, lang).name, lang)]
    assert sidecar_path(tmp_path / "a.b.png").name == "a.b.txt"
    assert sidecar_path(tmp_path / "cat.png").name == "cat.png.txt"
