"""Stores written for other programs, and packed again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.data.export import export
from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    writer = StoreWriter(tmp_path / "store", 8, "things", licences={"things": "MIT"})
    noise = np.random.default_rng(1)
    for number in range(12):
        pixels = noise.integers(0, 256, (8, 8, 3), np.uint8)
        captions = (Caption(f"thing {number}"), Caption("thing"), Caption("东西", "zh"))
        writer.add(pixels, captions, {"id": f"{number}", "concept": "thing"})
    return writer.finish()


@pytest.mark.parametrize("layout", ["folder", "jsonl"])
def test_what_is_written_is_packed_again_with_the_same_bits(
    store: Store, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.data.export._PICTURES_A_FOLDER", 5)
    assert export(store, tmp_path / "out", layout) == len(store)
    cleaning = Cleaning(size=8, min_side=1)
    again = pack(tmp_path / "out", tmp_path / "again", PackOptions(cleaning=cleaning, workers=1))
    assert np.array_equal(again.images, store.images)
    for number in (0, 9, 11):
        texts = [each.text for each in store.captions(number)]
        assert [each.text for each in again.captions(number)] == texts
    if layout == "folder":
        assert again.fingerprint == store.fingerprint
    else:
        assert again.metadata(7)["concept"] == "thing"
        rows = (tmp_path / "out/metadata.jsonl").read_text("utf-8").splitlines()
        row = json.loads(rows[10])
        assert row["file_name"] == "002/10.png"
        with Image.open(tmp_path / "out" / row["file_name"]) as image:
            assert np.array_equal(np.asarray(image), store.images[10])
        assert row["lang"] == ["en", "en", "zh"]
    with pytest.raises(DataError, match="is not empty"):
        export(store, tmp_path / "out", layout)
