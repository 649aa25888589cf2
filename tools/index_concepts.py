"""Index the concepts that a published model knows, for a model file that has no such index.

    python tools/index_concepts.py src/limner/weights/limner-icons-64.safetensors

Reads the names in the model's card, in all their languages, with the model's text encoder (some
minutes), and writes ``NAME.concepts.safetensors`` beside the file (:mod:`limner.models.concepts`).
Keywords (*awful* for a crying face) do not belong there: several concepts share them, and in a
trial with those of three languages fewer things were found in free prompts, not more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from limner.modelfile import read_info
from limner.models.concepts import ConceptIndex
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder

_AT_ONCE = 64


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    model: Path = parser.parse_args().model
    info = read_info(model)
    languages = sorted((key for key in info.concepts if key != "keys"), key="en".__ne__)
    rows = dict.fromkeys(
        (name, number) for lang in languages for number, name in enumerate(info.concepts[lang])
    )
    names, concepts = [name for name, _ in rows], [number for _, number in rows]
    encoder = load_encoder(info.encoder)
    vectors = [
        encoder.encode(names[start : start + _AT_ONCE]).pooled
        for start in range(0, len(names), _AT_ONCE)
    ]
    index = ConceptIndex.fit(
        captions=info.concepts["en"], names=names, concepts=concepts, vectors=torch.cat(vectors)
    )
    out = model.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = {f"{CONCEPTS_PREFIX}{name}": tensor for name, tensor in index.tensors().items()}
    write_tensors(out, tensors, {})
    print(f"{out}: {len(names):,} names of {len(index):,} concepts")


if __name__ == "__main__":
    main()
