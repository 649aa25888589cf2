"""Index the concepts that a published model knows, for a model file that has no such index.

    python tools/index_concepts.py MODEL.safetensors STORE

Reads the names of the things in the model's card in a store that has them, the one it was trained
on or a wider one, with the model's text encoder (some minutes). Writes
``NAME.concepts.safetensors`` beside the file (:mod:`limner.models.concepts`).
``limner publish`` puts the index into the files that it writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from limner.data.store import Store
from limner.modelinfo import read_info
from limner.tensorfile import CONCEPTS_PREFIX, write_tensors
from limner.text import load_encoder
from limner.training.concept_index import index_concepts


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    given = parser.parse_args()
    model: Path = given.model
    info = read_info(model)
    index = index_concepts(
        Store.open(given.store), load_encoder(info.encoder),
        styles=info.config["styles"], keys=set(info.concepts["keys"]),
    )  # fmt: skip
    out = model.with_suffix(f".{CONCEPTS_PREFIX}safetensors")
    tensors = {f"{CONCEPTS_PREFIX}{name}": tensor for name, tensor in index.tensors().items()}
    write_tensors(out, tensors, {})
    print(f"{out}: {len(index.names):,} names of {len(index):,} concepts")


if __name__ == "__main__":
    main()
