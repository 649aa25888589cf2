"""A captioner's captions of a store's pictures, scored by the store's captions."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from limner.data.store import Store
from limner.errors import DataError
from limner.evaluation.part import Advance, EvaluationContext, InapplicableError, Part
from limner.evaluation.report import Figure, PartResult
from limner.metrics.captions import caption_scores, cider
from limner.metrics.intervals import mean_interval, wilson
from limner.progress import Meter
from limner.text import DEFAULT_ENCODER, load_encoder

SAMPLES = 1000
_FEWEST = 10
_FIGURES = {
    "retrieval_top1": ("retrieval top-1", "the caption retrieves its own picture first", "%"),
    "retrieval_top5": ("retrieval top-5", "the caption retrieves it among the first five", "%"),
    "cider": ("CIDEr-D", "0 to 10", ""),
    "bleu4": ("BLEU-4", "0 to 1", ""),
}


class CaptionsPart(Part):
    """Agreement of a captioner with the store's captions."""

    name = "captions"
    title = "Captions"
    options = ("samples", "languages")
    draws = False

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        if evaluation.subject.captioner is None:
            family = evaluation.subject.info.family
            raise InapplicableError(f"a {family} model writes no captions")
        self._captioner = evaluation.subject.captioner
        self._encoder = load_encoder(DEFAULT_ENCODER)

    def finish(self, meter: Meter) -> PartResult:
        """Caption pictures in every language and score the captions."""
        languages, warnings = self._languages()
        figures = [each for code in languages for each in self._scored(code, meter.advance)]
        return self.result(
            "Captions of pictures of the store. Upper bound: each picture's first caption by its "
            "others, where ten pictures or more have several. Lower bound: the same captions for "
            "other pictures.",
            figures,
            f"{languages[0]}: retrieval_top5",
            judge=f"{DEFAULT_ENCODER} {self._encoder.fingerprint}",
            protocol={"languages": languages},
            warnings=warnings,
        )

    def _languages(self) -> tuple[list[str], tuple[str, ...]]:
        """Those asked for that can be scored, and a sentence on the others.

        Raises:
            DataError: none can be.
        """
        asked, there = self.evaluation.options.languages, self.evaluation.store.header.languages
        written = self.evaluation.subject.info.config.get("languages", asked)
        found = [code for code in asked if code in written and code in there]
        left = [code for code in asked if code not in found]
        why = (
            f"nothing can be scored in {' and '.join(left)}: the captioner writes "
            f"{', '.join(written)}, and the store has captions in {', '.join(there)}"
        )
        if not found:
            raise DataError(f"{why}; name a language of both with --languages")
        return found, (why,) if left else ()

    def _scored(self, language: str, advance: Advance) -> Iterator[Figure]:
        store = self.evaluation.store
        most = self.evaluation.options.samples or SAMPLES
        rows, references = _references(store, language, most)
        captions = []
        for row in rows:
            found = self._captioner.caption(store.batch(np.array([row]))[0], language)
            captions.append(found[0].text if found else "")
            advance(1)
        keys = [_concept(store, row) for row in rows]

        def embed(texts: Sequence[str]) -> Any:
            return self._encoder.encode([text or " - " for text in texts]).pooled

        several = [i for i, each in enumerate(references) if len(each) > 1]
        people: dict[str, float] = {}
        if len(several) >= _FEWEST:
            people = caption_scores(
                [references[i][0] for i in several], [references[i][1:] for i in several], embed,
                [keys[i] for i in several],
            )  # fmt: skip
        scores = caption_scores(captions, references, embed, keys)
        chance = caption_scores(captions[1:] + captions[:1], references, embed, keys)
        count = len(rows)
        for key, (title, sentence, unit) in _FIGURES.items():
            interval = None
            if unit == "%":
                interval = wilson(scores[key] * count, count)
            elif key == "cider":
                interval = mean_interval(torch.tensor(cider(captions, references)))
            yield Figure(
                key=f"{language}: {key}", title=f"{language}: {title}", description=sentence,
                value=scores[key], interval=interval, lower_bound=chance[key],
                upper_bound=people.get(key), direction="higher", unit=unit, count=count,
            )  # fmt: skip


def _references(store: Store, language: str, most: int) -> tuple[list[int], list[list[str]]]:
    """Pictures in a fixed random order with their captions in a language, the heaviest first."""
    rows: list[int] = []
    references: list[list[str]] = []
    for row in np.random.default_rng(0).permutation(len(store)).tolist():
        mine = [each for each in store.captions(row) if each.lang == language]
        if mine:
            mine.sort(key=lambda each: -each.weight)
            rows.append(row)
            references.append([each.text for each in mine])
        if len(rows) == most:
            break
    if len(rows) < _FEWEST:
        raise DataError(
            f"{len(rows)} pictures of the store {store.path} have a caption in {language}; "
            f"{_FEWEST} are needed; name other languages with --languages"
        )
    return rows, references


def _concept(store: Store, row: int) -> Hashable:
    """What a picture shows, the same for several drawings of it; else the picture itself."""
    facts = store.metadata(row)
    return facts.get("concept") or facts.get("label") or row
