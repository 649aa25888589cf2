from __future__ import annotations

import re
from pathlib import Path

from limner.data.readers import READERS
from limner.data.store import Store
from readme_blocks import blocks, make_pictures, run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_examples_of_the_docs_run(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    for block in blocks(DOCS.read_text(encoding="utf-8")):
        run(block, tmp_path)
    store = Store.open(tmp_path / "stores" / "hearts")
    assert [store.captions(i)[0].text for i in range(2)] == ["a red heart", "a blue heart"]


def test_the_docs_list_every_format() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(reader.name for reader in READERS)
