from __future__ import annotations

import numpy as np
import pytest

from limner.data.selection import Selection
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter

PICTURES = [
    ({"style": "ink", "number": 1}, [Caption("sun", "en"), Caption("太阳", "zh")]),
    ({"style": "oil", "number": 2}, [Caption("moon", "en")]),
    ({"style": "oil", "number": 1}, [Caption("月亮", "zh")]),
    ({"style": "ink", "number": 1}, [Caption("lake", "en")]),
    ({}, [Caption("star", "en")]),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("selection") / "store"
    with StoreWriter(path, 8, "five", licences={"made-up": "CC0-1.0"}) as writer:
        for number, (facts, captions) in enumerate(PICTURES):
            grey = np.full((8, 8, 3), 40 * number, np.uint8)
            writer.add(grey, captions, {"id": number, **facts})
        return writer.finish()


@pytest.mark.parametrize(
    ("selection", "rows"),
    [
        (Selection(), [0, 1, 2, 3, 4]),
        (Selection(languages=["zh"]), [0, 2]),
        (Selection({"style": ["oil"]}), [1, 2]),
        (Selection({"style": ["ink", "oil"], "number": ["1"]}), [0, 2, 3]),
        (Selection({"style": ["oil"]}, ["en", "es"]), [1]),
        (Selection({"colour": ["red"]}), []),
    ],
)
def test_rows_pass_every_filter_and_have_a_caption(
    store: Store, selection: Selection, rows: list[int]
):
    assert selection.rows(store).tolist() == rows
    assert bool(selection) == (selection != Selection())


def test_captions_count_by_their_language(store: Store):
    table = store.caption_table()
    kept = Selection(languages=["zh"]).caption_mask(table)
    assert [table.texts[i] for i in table.text_index[kept]] == ["太阳", "月亮"]
    assert Selection().caption_mask(table).all()
