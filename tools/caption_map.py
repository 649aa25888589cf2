"""Fit the map of known drawings that the data-set doctor judges captions by.

    python tools/caption_map.py --stores STORE64 ICONS

The stores are those that the shipped aligner learned from: of ``tools/aligner_drawings.py``, and
the icons at 64 px. So none of the drawings that ``benchmarks/doctor.py`` measures on, and none that
looks like one of them, is among them, but a sixth of the measured ones are of the five sets of
icons. Each picture counts once, with its first English caption.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from limner.data.store import Store
from limner.improve.caption_map import SHIPPED_MAP, CaptionMap
from limner.reading.aligner import caption_vectors, load_aligner
from limner.vision.pixels import to_tensor

BATCH = 64


def main() -> None:
    """Encode, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=SHIPPED_MAP)
    args = parser.parse_args()
    aligner = load_aligner()
    vectors, texts, numbers = [], [], dict[str, int]()
    for store in map(Store.open, args.stores):
        for start in range(0, len(store), BATCH):
            rows = range(start, min(start + BATCH, len(store)))
            first = {row: next((c.text for c in store.captions(row) if c.lang == "en"), None)
                     for row in rows}  # fmt: skip
            said = {row: text for row, text in first.items() if text is not None}
            if said:
                vectors.append(aligner.encode_images(to_tensor(store.batch(list(said)))))
                texts += [numbers.setdefault(text, len(numbers)) for text in said.values()]
    sentences = caption_vectors(aligner, list(numbers))[1][torch.tensor(texts)]
    found = CaptionMap.fit(torch.cat(vectors), sentences)
    found.write(args.out, aligner.fingerprint)
    print(f"{len(texts)} drawings, {len(numbers)} captions; {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
