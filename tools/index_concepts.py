"""Index the concepts that a published model knows, for a model file that has no such index.

    python tools/index_concepts.py src/limner/weights/limner-icons-64.safetensors STORE

Reads the names in the model's card, in all their languages, and keywords of the same concepts in
the store that it was trained on, with the model's text encoder (some minutes). Writes
``NAME.concepts.safetensors`` beside the file (:mod:`limner.models.concepts`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from limner.data.store import Store
from limner.modelfile import ModelInfo, read_info
from limner.models.concepts import ConceptIndex
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder
from limner.text.base import TextEncoder

LANGUAGES = ("en", "zh", "es")
LEAST_WEIGHT = 0.05
"""Of a keyword in the store; lighter ones (*face*) name many things, whose mean is a blur."""
_AT_ONCE = 64


def keywords(info: ModelInfo, store: Store) -> list[str]:
    """Captions of known concepts that are neither their names nor phrases around these."""
    concepts = {key.lower(): number for number, key in enumerate(info.concepts["keys"])}
    found: dict[str, None] = {}
    for picture in range(len(store)):
        concept = concepts.get(str(store.metadata(picture)["concept"]).lower())
        if concept is None:
            continue
        for caption in store.captions(picture):
            if caption.lang in LANGUAGES and caption.weight >= LEAST_WEIGHT:
                name = info.concepts[caption.lang][concept].lower()
                if name not in caption.text.lower():
                    found[caption.text] = None
    return list(found)


def read(encoder: TextEncoder, texts: list[str]) -> Tensor:
    """Sentence vectors, ``(N, D)``."""
    starts = range(0, len(texts), _AT_ONCE)
    return torch.cat([encoder.encode(texts[at : at + _AT_ONCE]).pooled for at in starts])


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    given = parser.parse_args()
    model: Path = given.model
    info = read_info(model)
    languages = sorted((key for key in info.concepts if key != "keys"), key="en".__ne__)
    rows = dict.fromkeys(
        (name, number) for lang in languages for number, name in enumerate(info.concepts[lang])
    )
    names, concepts = [name for name, _ in rows], [number for _, number in rows]
    encoder = load_encoder(info.encoder)
    others = keywords(info, Store.open(given.store))
    index = ConceptIndex.fit(
        captions=info.concepts["en"], names=names, concepts=concepts,
        vectors=read(encoder, names), keywords=read(encoder, others),
    )  # fmt: skip
    out = model.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = {f"{CONCEPTS_PREFIX}{name}": tensor for name, tensor in index.tensors().items()}
    write_tensors(out, tensors, {})
    print(f"{out}: {len(names):,} names of {len(index):,} concepts, {len(others):,} keywords")


if __name__ == "__main__":
    main()
