"""Whether words find pictures that the aligner never saw drawn that way.

``limner bench --run align`` asks the shipped aligner, or the one that ``LIMNER_ALIGNER`` names, for
every concept of the OpenMoji set, which no shipped model learned from, by its name in English and
in Chinese, among all of that set's pictures; and for every picture its name among all names.
``LIMNER_OPENMOJI`` names a packed store of the set; it is made where none is named.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from evaluate import packed
from limner.data.store import Store
from limner.datasets.icons import IconOptions
from limner.metrics.intervals import wilson
from limner.metrics.memorisation import pixels
from limner.metrics.retrieval import ranks, recall_at
from limner.reading.aligner import load_aligner

GROUPS = (
    "smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects",
)  # fmt: skip
GOAL = 0.75


def named(store: Store, language: str) -> dict[str, tuple[int, str]]:
    """Concept -> its first picture and its name."""
    found: dict[str, tuple[int, str]] = {}
    for row in range(len(store)):
        facts = store.metadata(row)
        if facts.get("group") not in GROUPS or str(facts["concept"]) in found:
            continue
        mine = [c for c in store.captions(row) if c.lang == language]
        if mine:
            best = max(mine, key=lambda c: c.weight)
            found[str(facts["concept"])] = (row, best.text)
    return found


def run() -> dict[str, Any]:
    """Ask and count."""
    aligner = load_aligner(os.environ.get("LIMNER_ALIGNER"))
    store = packed("LIMNER_OPENMOJI", "openmoji-64", IconOptions(size=64, sets=("openmoji",)))
    figures: dict[str, Any] = {}
    for language in ("en", "zh"):
        things = named(store, language)
        rows, texts = zip(*things.values(), strict=True)
        seen = aligner.encode_images(pixels(store, np.array(rows)))
        scores = aligner.encode_texts(texts) @ seen.T
        for way, table in (("text to picture", scores), ("picture to text", scores.T)):
            found = ranks(table, texts, texts)  # two concepts of one name are both right
            for k in (1, 5):
                share = recall_at(found, k)
                low, high = wilson(round(share * len(found)), len(found))
                figures[f"{language}, {way}: recall@{k}"] = {
                    "value": share, "better": "higher", "low": low, "high": high,
                    "goal": GOAL if (way, k) == ("text to picture", 5) else None,
                }  # fmt: skip
        figures[f"{language}: concepts"] = {"value": float(len(texts))}
    return {
        "figures": figures,
        "headline": "en, text to picture: recall@5",
        "aligner": aligner.fingerprint,
        "store": store.fingerprint,
    }
