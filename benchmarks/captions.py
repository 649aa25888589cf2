"""Whether a caption retrieves the picture that it was written for.

``limner bench --run captions`` takes the icons that the captioner's recipe held out: drawings that
it was not trained on, of things that it was trained on in other icon sets. Each is captioned in
English and in Chinese; the text encoder then retrieves the picture by the names of all of them.
BLEU and CIDEr-D compare the caption with all captions of the picture.

``LIMNER_CAPTIONER`` names the captioner (the shipped one where it does not), ``LIMNER_ICONS`` a
packed store.
"""

from __future__ import annotations

import os
from typing import Any

from evaluate import icons
from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.captions import caption_scores, retrieval
from limner.metrics.intervals import wilson
from limner.reading.captions import OwnCaptioner, load_captioner
from limner.text import DEFAULT_ENCODER, load_encoder
from limner.training.data import hold_out, open_pictures
from limner.training.recipe import DataSection

GOAL = 0.70


def held_out(captioner: OwnCaptioner, store: Store) -> list[int]:
    """Rows of the store that the captioner was not trained on.

    Raises:
        DataError: it was trained on another store, or no picture was held out.
    """
    if not captioner.info.trained_on(store.fingerprint):
        raise DataError(f"{captioner.spec} did not learn from {store.path}; set LIMNER_ICONS")
    recipe = captioner.info.training["recipe"]["data"]
    section = DataSection.model_validate({**recipe, "store": str(store.path)})
    if not section.holdout.share:
        raise DataError(f"{captioner.spec} was shown every picture; train one with data.holdout")
    _, held = hold_out(open_pictures(section, captioner.spec), section.holdout, captioner.spec)
    return [int(row) for row in held.rows]


def captions_of(store: Store, row: int, language: str) -> list[str]:
    """What the store says of a picture in a language, its name first."""
    mine = [caption for caption in store.captions(row) if caption.lang == language]
    return [caption.text for caption in sorted(mine, key=lambda c: -c.weight)]


def run() -> dict[str, Any]:
    """Caption, retrieve, count."""
    captioner = load_captioner(os.environ.get("LIMNER_CAPTIONER"))
    if not isinstance(captioner, OwnCaptioner):
        raise DataError("only a captioner of ours says which pictures it was not shown")
    store, encoder = icons(), load_encoder(DEFAULT_ENCODER)
    rows = held_out(captioner, store)
    keys = [str(store.metadata(row)["concept"]) for row in rows]
    figures: dict[str, Any] = {"pictures": {"value": float(len(rows))}}
    for language in ("en", "zh"):
        references = [captions_of(store, row, language) for row in rows]
        said = [captioner.caption(store.images[row], language)[0].text for row in rows]
        found = caption_scores(said, references)
        names = [each[:1] for each in references]
        found |= retrieval(said, names, lambda texts: encoder.encode(texts).pooled, keys)
        for k in (1, 5):
            share = found[f"retrieval_top{k}"]
            low, high = wilson(round(share * len(rows)), len(rows))
            figures[f"{language}: own picture in the top {k}"] = {
                "value": share, "better": "higher", "low": low, "high": high,
                "goal": GOAL if k == 5 else None,
            }  # fmt: skip
        same = sum(a == b[0] for a, b in zip(said, names, strict=True))
        figures[f"{language}: exactly its name"] = {
            "value": same / len(rows), "better": "higher",
        }  # fmt: skip
        figures[f"{language}: BLEU-4"] = {"value": found["bleu4"], "better": "higher"}
        figures[f"{language}: CIDEr-D"] = {"value": found["cider"], "better": "higher"}
    return {
        "figures": figures,
        "headline": "en: own picture in the top 5",
        "captioner": captioner.hash,
        "store": store.fingerprint,
    }
