"""Agreement of captions with reference captions: BLEU, CIDEr-D, retrieval.

Words are lower-cased runs of letters and digits; scripts that write no spaces (Chinese, Japanese,
Thai) count letter by letter, as is usual for their captions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from statistics import fmean

from torch import Tensor
from torch.nn import functional as F

from limner.errors import DataError
from limner.metrics.retrieval import ranks, recall_at
from limner.text.spaceless import SPACELESS

ORDERS = 4
"""N-grams of one to four words."""
LENGTH_SIGMA = 6.0
"""Width of CIDEr-D's penalty on a difference of lengths, in words."""
TOP = (1, 5)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*[\u0300-\u036f\u0900-\u0dff]*")

Words = tuple[str, ...]
Grams = Counter[Words]
Embed = Callable[[Sequence[str]], Tensor]
"""T texts to ``(T, D)``: an aligner's vectors, or an encoder's pooled ones."""


def words(text: str) -> Words:
    """The words of a caption in order; single characters for scripts without spaces."""
    found: list[str] = []
    for run in _WORD.findall(text.lower()):
        found.extend(run if SPACELESS.search(run) else [run])
    return tuple(found)


def grams(captions: Words, most: int = ORDERS) -> Grams:
    """How often each run of one to ``most`` words occurs."""
    return Counter(
        captions[start : start + size]
        for size in range(1, most + 1)
        for start in range(len(captions) - size + 1)
    )


def _checked(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[Words], list[list[Words]]]:
    if len(captions) != len(references) or not captions:
        raise DataError(
            f"{len(captions)} captions cannot be scored by {len(references)} references"
        )
    for number, each in enumerate(references, 1):
        if not each:
            raise DataError(f"caption {number} has no reference to be scored by")
    return [words(text) for text in captions], [[words(t) for t in each] for each in references]


def bleu(captions: Sequence[str], references: Sequence[Sequence[str]], most: int = ORDERS) -> float:
    """BLEU of a corpus, in [0, 1]: no smoothing, so 0 where some order never matches.

    Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002,
    section 2.3. Counts are clipped by the reference that has most of them; the length that counts
    is that of the reference nearest in length, the first of several.

    Args:
        captions: one caption a picture.
        references: reference captions of each; at least one.
        most: longest n-gram.

    Raises:
        DataError: numbers that do not fit, or a picture without a reference.
    """
    heads, tails = _checked(captions, references)
    hits, tries = [0] * most, [0] * most
    length, wanted = 0, 0
    for mine, theirs in zip(heads, tails, strict=True):
        length += len(mine)
        wanted += len(min(theirs, key=lambda each: abs(len(each) - len(mine))))
        allowed: Grams = Counter()
        for each in theirs:
            allowed |= grams(each, most)
        counted = grams(mine, most)
        for gram, count in counted.items():
            tries[len(gram) - 1] += count
            hits[len(gram) - 1] += min(count, allowed[gram])
    if min(hits) == 0:
        return 0.0
    precision = fmean(math.log(hit / tried) for hit, tried in zip(hits, tries, strict=True))
    brevity = 0.0 if length > wanted else 1 - wanted / length
    return math.exp(precision + brevity)


def cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D of every caption, in [0, 10]; a corpus' score is their mean.

    Vedantam et al., CIDEr: Consensus-based Image Description Evaluation, CVPR 2015, eq. 4 and 5:
    the cosine of n-gram counts weighted by how few pictures' references hold them, counts clipped
    by the reference's, times ``exp(-(difference of lengths)^2 / (2 * 6^2))``, a mean over the
    references and over n = 1 to 4, times ten.

    Args:
        captions: one caption a picture; of a single picture no n-gram is rare, and the score is 0.
        references: reference captions of each; at least one.

    Raises:
        DataError: numbers that do not fit, or a picture without a reference.
    """
    heads, tails = _checked(captions, references)
    held = Counter(g for theirs in tails for g in {g for each in theirs for g in grams(each)})
    rarity = {gram: math.log(len(tails) / count) for gram, count in held.items()}
    unheld = math.log(len(tails))

    def weighted(counts: Grams) -> list[dict[Words, float]]:
        orders: list[dict[Words, float]] = [{} for _ in range(ORDERS)]
        for gram, count in counts.items():
            orders[len(gram) - 1][gram] = count * rarity.get(gram, unheld)
        return orders

    found = []
    for mine, theirs in zip(heads, tails, strict=True):
        own = weighted(grams(mine))
        each = [
            math.exp(-((len(mine) - len(other)) ** 2) / (2 * LENGTH_SIGMA**2))
            * fmean(map(_clipped_cosine, own, weighted(grams(other))))
            for other in theirs
        ]
        found.append(10 * fmean(each))
    return found


def _clipped_cosine(mine: dict[Words, float], theirs: dict[Words, float]) -> float:
    lengths = math.hypot(*mine.values()) * math.hypot(*theirs.values())
    if not lengths:
        return 0.0
    return sum(min(mine[g], theirs[g]) * theirs[g] for g in mine.keys() & theirs.keys()) / lengths


def retrieval(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    embed: Embed,
    keys: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """How often a caption retrieves its own picture by the reference captions of all pictures.

    A picture is as near as its nearest reference.

    Args:
        captions: one caption a picture.
        references: reference captions of each; at least one.
        embed: text to vectors.
        keys: what each picture shows, where several show the same and all are right; None where
            only the own picture is.

    Returns:
        ``retrieval_top1`` and ``retrieval_top5`` in [0, 1].

    Raises:
        DataError: numbers that do not fit, or a picture without a reference.
    """
    _checked(captions, references)
    texts = list(dict.fromkeys(text for each in references for text in each))
    row = {text: i for i, text in enumerate(texts)}
    near = F.normalize(embed(captions), dim=1) @ F.normalize(embed(texts), dim=1).T  # N T
    scores = near.new_empty(len(captions), len(references))
    for i, each in enumerate(references):
        scores[:, i] = near[:, [row[text] for text in each]].amax(1)
    owners = list(range(len(captions))) if keys is None else list(keys)
    found = ranks(scores, owners, owners)
    return {f"retrieval_top{k}": recall_at(found, k) for k in TOP}


def caption_scores(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    embed: Embed | None = None,
    keys: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """``bleu4`` in [0, 1], ``cider`` in [0, 10], with ``embed`` also :func:`retrieval`, ``count``.

    Raises:
        DataError: numbers that do not fit, or a picture without a reference.
    """
    figures = {"bleu4": bleu(captions, references), "cider": fmean(cider(captions, references))}
    if embed is not None:
        figures |= retrieval(captions, references, embed, keys)
    return figures | {"count": float(len(captions))}
