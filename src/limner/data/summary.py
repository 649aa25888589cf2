"""What a store holds: counts, licences and examples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from limner.data.store import Store


def summarise(store: Store) -> dict[str, Any]:
    """Count what a store holds, JSON-able by name, with five examples."""
    table = store.caption_table()
    styles = Counter(int(style) for style in store.style_ids)
    languages = np.bincount(table.lang, minlength=len(table.languages))
    spread = np.linspace(0, len(store) - 1, min(5, len(store))).astype(int).tolist()
    return {
        "name": store.name,
        "path": str(store.path),
        "pictures": len(store),
        "size": store.size,
        "bytes": int(store.images.nbytes),
        "fingerprint": store.fingerprint,
        "licences": store.licences,
        "styles": {
            ("(none)" if style < 0 else store.styles[style]): count
            for style, count in sorted(styles.items())
        },
        "captions": {
            name: int(count) for name, count in zip(table.languages, languages, strict=True)
        },
        "captions_per_picture": round(len(table.text_index) / len(store), 2),
        "unique_texts": len(table.texts),
        "skipped": store.header.report,
        "examples": [
            {
                "picture": index,
                "captions": [caption.text for caption in store.captions(index)[:4]],
                "metadata": store.metadata(index),
            }
            for index in spread
        ],
    }
