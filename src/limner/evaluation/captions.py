"""``limner evaluate --suite captions``: what a captioner says of a store's pictures, scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

import limner
from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.captions import caption_scores
from limner.shipped import find_model
from limner.tensorfile import file_hash
from limner.text.base import TextEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from limner.reading.captions import Captioner

SAMPLES = 1000
_FEWEST = 10


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LanguageScores(_Part):
    """Captions in one language.

    Attributes:
        language: code.
        pictures: how many were captioned.
        scores: ``bleu4``, ``cider``, ``retrieval_top1``, ``retrieval_top5``.
        real: the same of what people said: each picture's first caption by its other ones, of the
            pictures that have several; empty where fewer than ten have.
        chance: the same captions by the references of another picture.
        examples: a few captions, the best of each picture.
    """

    language: str
    pictures: int
    scores: dict[str, float]
    real: dict[str, float]
    chance: dict[str, float]
    examples: tuple[str, ...]


class CaptionReport(_Part):
    """Scores with everything needed to measure them again."""

    limner: str = limner.__version__
    model: str
    model_hash: str
    store: str
    store_fingerprint: str
    reader: str
    groups: tuple[LanguageScores, ...]
    seconds: float
    command: str

    def card(self) -> dict[str, Any]:
        """What goes into the model file."""
        rounded = {
            each.language: {key: round(value, 4) for key, value in each.scores.items()}
            for each in self.groups
        }
        return {"captions": rounded, "captions_store": self.store_fingerprint}


def evaluate_captions(
    captioner: Captioner,
    path: Path,
    store: Store,
    encoder: TextEncoder,
    languages: Sequence[str],
    *,
    samples: int = SAMPLES,
    command: str = "",
    advance: Callable[[float], Any] | None = None,
) -> CaptionReport:
    """Caption pictures of a store in every language and score the captions.

    Args:
        captioner: who speaks.
        path: its model file.
        store: pictures with captions; those that it learned from flatter it.
        encoder: reads captions, for retrieval; it sees no picture.
        languages: each scored apart, by the captions of the store in it.
        samples: pictures of each language, at most.
        command: written into the report.
        advance: called with a number of pictures captioned.

    Raises:
        DataError: too few pictures have a caption in a language.
        UsageError: the captioner does not speak one.
    """
    start = time.monotonic()
    groups = [
        _scored(captioner, store, encoder, language, samples=samples, advance=advance)
        for language in languages
    ]
    return CaptionReport(
        model=path.name,
        model_hash=file_hash(find_model(path)),
        store=store.name,
        store_fingerprint=store.fingerprint,
        reader=encoder.fingerprint,
        groups=tuple(groups),
        seconds=round(time.monotonic() - start, 1),
        command=command,
    )


def _scored(
    captioner: Captioner,
    store: Store,
    encoder: TextEncoder,
    language: str,
    *,
    samples: int,
    advance: Callable[[float], Any] | None,
) -> LanguageScores:
    rows, references = _references(store, language, samples)
    said = []
    for row in rows:
        found = captioner.caption(store.batch(np.array([row]))[0], language)
        said.append(found[0].text if found else "")
        if advance is not None:
            advance(1)
    keys = [_shows(store, row) for row in rows]

    def read(texts: Sequence[str]) -> Any:
        return encoder.encode([text or " - " for text in texts]).pooled

    several = [i for i, each in enumerate(references) if len(each) > 1]
    real: dict[str, float] = {}
    if len(several) >= _FEWEST:
        real = caption_scores(
            [references[i][0] for i in several], [references[i][1:] for i in several], read,
            [keys[i] for i in several],
        )  # fmt: skip
    return LanguageScores(
        language=language,
        pictures=len(rows),
        scores=caption_scores(said, references, read, keys),
        real=real,
        chance=caption_scores(said[1:] + said[:1], references, read, keys),
        examples=tuple(said[:8]),
    )


def _references(store: Store, language: str, samples: int) -> tuple[list[int], list[list[str]]]:
    """Pictures in a fixed random order with their captions in a language, the heaviest first."""
    rows: list[int] = []
    references: list[list[str]] = []
    for row in np.random.default_rng(0).permutation(len(store)).tolist():
        mine = [each for each in store.captions(row) if each.lang == language]
        if mine:
            mine.sort(key=lambda each: -each.weight)
            rows.append(row)
            references.append([each.text for each in mine])
        if len(rows) == samples:
            break
    if len(rows) < _FEWEST:
        raise DataError(
            f"{len(rows)} pictures of the store {store.path} have a caption in {language}; "
            f"{_FEWEST} are needed"
        )
    return rows, references


def _shows(store: Store, row: int) -> Hashable:
    """What a picture shows, the same for several drawings of it; else the picture itself."""
    facts = store.metadata(row)
    return facts.get("concept") or facts.get("label") or row
