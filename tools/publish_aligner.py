"""Make the shipped aligner of the last run and of the weights that it started from.

    python tools/publish_aligner.py --before BEFORE --runs RUN RUN --share 0.85 --out FILE

BEFORE is the aligner that the first of the runs went on from, with its history and its concepts.
The weights are averaged, SHARE of those of the last run and the rest of BEFORE's (Wortsman et al.
2022, arXiv:2109.01903, eq. 1): what was known before is kept better than by the last weights alone.
New styles add rows to the embedding of styles, of which only the last one, of no style, is used.
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
    """Average, describe, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.85)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    before, earlier = load_model(args.before)
    net, info = load_model(args.runs[-1])
    weights, old = net.state_dict(), before.state_dict()
    for name, mine in weights.items():
        if old[name].shape == mine.shape:
            mine.lerp_(old[name], 1 - args.share)
        else:
            mine[-1].lerp_(old[name][-1], 1 - args.share)
    net.load_state_dict(weights)
    training = published_training(
        info, [read_info(path) for path in args.runs[:-1]], earlier.training.get("history", [])
    )
    training["averaged"] = {"share of these weights": args.share, "rest": "those started from"}
    licences = {**earlier.licences, **info.licences}
    card = info.model_copy(update={
        "training": training, "quality": {}, "limits": list(LIMITS), "concepts": earlier.concepts,
        "licences": {k: v for k, v in licences.items() if not k.endswith(UNSEEN)},
    })  # fmt: skip
    save_model(args.out, net, card, "float16")


if __name__ == "__main__":
    main()
