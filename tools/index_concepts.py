"""Index the concepts that a published model knows, for a model file that has no such index.

    python tools/index_concepts.py src/limner/weights/limner-icons-64.safetensors STORE

Reads the names in the model's card in all their languages, and the keywords of the same concepts in
the store that it was trained on, with the model's text encoder (some minutes). Writes
``NAME.concepts.safetensors`` beside the file (:mod:`limner.models.concepts`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from limner.data.store import Store
from limner.modelfile import ModelInfo, read_info
from limner.models.concepts import ConceptIndex
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder

KEYWORD_LANGUAGES = ("en", "zh", "es")
LEAST_WEIGHT = 0.02
"""Of a caption that is indexed; lighter keywords (*face*, *food*) name kinds of things."""
_AT_ONCE = 64


def names(info: ModelInfo) -> Iterator[tuple[str, int, float]]:
    """Names of concepts in all languages of the card, each with its concept and weight."""
    for language in sorted((key for key in info.concepts if key != "keys"), key="en".__ne__):
        for concept, name in enumerate(info.concepts[language]):
            yield name, concept, 1.0


def keywords(info: ModelInfo, store: Store) -> Iterator[tuple[str, int, float]]:
    """Captions of the same concepts that are neither their names nor phrases around these."""
    pictures: dict[str, int] = {}
    for picture in range(len(store)):
        pictures.setdefault(str(store.metadata(picture)["concept"]).lower(), picture)
    for concept, key in enumerate(info.concepts["keys"]):
        for caption in store.captions(pictures[key.lower()]):
            if caption.lang in KEYWORD_LANGUAGES and caption.weight >= LEAST_WEIGHT:
                name = info.concepts[caption.lang][concept].lower()
                if name not in caption.text.lower():
                    yield caption.text, concept, min(caption.weight, 0.3)


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    given = parser.parse_args()
    info = read_info(given.model)
    rows = [*names(info), *keywords(info, Store.open(given.store))]
    texts = list(dict.fromkeys(text for text, _, _ in rows))
    encoder = load_encoder(info.encoder)
    vectors = torch.cat([
        encoder.encode(texts[start : start + _AT_ONCE]).pooled
        for start in range(0, len(texts), _AT_ONCE)
    ])  # fmt: skip
    places = {text: place for place, text in enumerate(texts)}
    index = ConceptIndex.fit(
        captions=info.concepts["en"],
        names=[text for text, _, _ in rows],
        concepts=[concept for _, concept, _ in rows],
        weights=[weight for _, _, weight in rows],
        vectors=vectors[[places[text] for text, _, _ in rows]],
    )
    out = given.model.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = {f"{CONCEPTS_PREFIX}{name}": tensor for name, tensor in index.tensors().items()}
    write_tensors(out, tensors, {})
    print(f"{out}: {len(rows):,} names and keywords of {len(index):,} concepts")


if __name__ == "__main__":
    main()
