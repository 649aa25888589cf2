"""A store that is replaced takes nothing of the user's with it; folders of any name are packed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter


def store(path: Path, count: int, *, overwrite: bool = False) -> Store:
    with StoreWriter(path, 8, path.name, overwrite=overwrite) as writer:
        for number in range(count):
            pixels = np.full((8, 8, 3), number, np.uint8)
            writer.add(pixels, [Caption(f"shade {number}")], {"id": str(number)})
        return writer.finish()


def test_files_beside_a_replaced_store_are_kept(tmp_path: Path):
    path = tmp_path / "s"
    store(path, 3)
    own = {file.name for file in path.iterdir()}
    (path / "notes.txt").write_text("mine", "utf-8")
    (path / "more").mkdir()
    (path / "more" / "deep.txt").write_text("mine too", "utf-8")
    assert len(store(path, 2, overwrite=True)) == 2
    assert {file.name for file in path.iterdir()} == own | {"notes.txt", "more"}
    assert (path / "notes.txt").read_text("utf-8") == "mine"
    assert (path / "more" / "deep.txt").read_text("utf-8") == "mine too"
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


def test_a_store_whose_folder_is_not_named_in_utf8(tmp_path: Path):
    found = store(tmp_path / os.fsdecode(b"caf\xe9"), 1)
    assert found.header.name == "caf\ufffd" and len(Store.open(found.path)) == 1
