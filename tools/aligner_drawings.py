"""Choose the drawings that the shipped aligner learns from.

    python tools/aligner_drawings.py --drawings STORE --out STORE64

STORE is a store of ``limner data drawings``. Of its pictures the even rows are written, at 64 px:
the odd ones are what ``benchmarks/doctor.py`` measures on. Left out are the sets that nothing is
learned from (:data:`UNSEEN`), so that it can be said what the aligner does with drawings of other
hands, and every picture that looks like an odd row or like one of those sets: many icon sets draw
a thing twice, as an outline and filled. Captions are the names and synonyms; what only wraps a name
in other words (*a picture of a …*) is left to the icons.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from limner.data.store import Store
from limner.data.writer import StoreWriter
from limner.improve.duplicates import near_pairs
from limner.improve.picture_measures import THUMB

SIDE = 64
UNSEEN = ("noto-v1", "streamline-freehand-color")
"""Sets of drawings that the aligner never sees, of two kinds: emoji, and drawn by hand."""
ALIKE = 0.4
"""Distance, over the usual one, below which two drawings look alike: that of the doctor."""
LEAST_WEIGHT = 0.2


def small(store: Store, row: int, side: int) -> np.ndarray:
    """A picture at another size, ``(S, S, 3)`` uint8."""
    image = Image.fromarray(store.images[row])
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))


def main() -> None:
    """Choose and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    store = Store.open(args.drawings)
    count = len(store)
    thumbs = np.empty((count, THUMB, THUMB, 3), np.uint8)
    for row in range(count):
        thumbs[row] = small(store, row, THUMB)
    unseen = np.isin(store.style_ids, [store.styles.index(name) for name in UNSEEN])
    apart = unseen | (np.arange(count) % 2 == 1)
    pairs = near_pairs(thumbs, ALIKE)
    crossing = apart[pairs.first] != apart[pairs.second]
    both = np.concatenate([pairs.first[crossing], pairs.second[crossing]])
    like = np.zeros(count, bool)
    like[both] = True
    rows = np.flatnonzero(~apart & ~like)
    left = int((like & ~apart).sum())
    print(f"{count} drawings; {len(rows)} chosen, {left} left out that are like others")
    with StoreWriter(args.out, SIDE, args.out.name, licences=store.licences) as writer:
        for row in rows.tolist():
            captions = [each for each in store.captions(row) if each.weight >= LEAST_WEIGHT]
            if captions:
                writer.add(small(store, row, SIDE), captions, store.metadata(row))
        writer.finish()


if __name__ == "__main__":
    main()
