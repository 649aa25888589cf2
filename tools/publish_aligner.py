"""Make the shipped aligner of a run, or of several that went on from each other.

    python tools/publish_aligner.py --concepts MODEL --runs RUN … --out FILE

The card gets the runs' history, and the concepts of MODEL, which learned from the same icons. The
licences of the sets that nothing is learned from are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aligner_drawings import UNSEEN
from limner.modelfile import load_model, save_model
from limner.modelinfo import read_info
from limner.training.publish import published_training

LIMITS = (
    "It learned from icons, drawings and clip art of one thing on a plain ground, at 64 pixels; "
    "photographs, and pictures of several things, are read poorly.",
    "Drawings by hands that it has not seen, and things that only one drawing showed, are read far "
    "worse than emoji and icons.",
    "Things that differ in small parts alone, such as clocks at different hours and faces with "
    "different looks, are often taken for each other.",
    "Its captions are in eleven languages, those of clip art and of most sets of icons in English "
    "alone; words of others are understood as far as the text encoder brings them near.",
)


def main() -> None:
    """Describe, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concepts", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    net, info = load_model(args.runs[-1])
    training = published_training(info, [read_info(path) for path in args.runs[:-1]])
    card = info.model_copy(update={
        "training": training, "quality": {}, "limits": list(LIMITS),
        "concepts": read_info(args.concepts).concepts,
        "licences": {k: v for k, v in info.licences.items() if not k.endswith(UNSEEN)},
    })  # fmt: skip
    save_model(args.out, net, card, "int8")


if __name__ == "__main__":
    main()
