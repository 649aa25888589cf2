"""Which captions describe another picture, where most pictures have a caption of their own.

Two judges: an aligner as it is, and a linear map from its vectors of pictures to those of
captions, fitted to nine tenths of the data set for the last tenth, in turn. How well a caption
fits a picture is the sum of what the two say, each over its deviation among other captions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limner.reading.aligner import caption_vectors
from limner.vision.aligner import Aligner

OTHERS = 256
"""Other captions that each picture's own is compared with."""
_FOLDS, _RIDGE = 10, 0.3
"""Parts that are judged in turn; ridge over the mean square of the vectors' numbers."""
_NEAREST, _SEEN = 10, 1024
"""A caption is as common as its mean cosine with the nearest ten of so many pictures."""
_TILE = 1024
_UNIFORM = (0.5, 0.6, 0.7, 0.8)
"""Shares above which few right captions lie: the density there is that of wrong ones."""
_MOST_FALSE, _CAREFUL = 0.03, 0.0025
"""Share of all captions that may be right and doubted, as estimated: where the density above a half
tells; and else, where the least density does. The second is so small because some right captions
lie that high where pictures are known badly: on held-out drawings 1 to 2 % were doubted."""

Scores = NDArray[np.float32]
Vectors = Callable[[NDArray[np.int64]], Tensor]
"""``(B, E)`` of some of R pictures, by their numbers."""


def better_captions(
    vectors: Vectors, texts: Sequence[str], own: NDArray[np.int64], aligner: Aligner
) -> Scores:
    """The share of other captions that fit each picture better than its own.

    How well a caption fits is twice its cosine less its mean cosine with the pictures nearest to it
    (CSLS, Conneau et al. 2018, arXiv:1710.04087, eq. 2): captions that fit everything fit nothing.

    Args:
        vectors: of some of the R pictures.
        texts: the different captions.
        own: ``(R,)`` which of them each picture has.
        aligner: made the vectors, and encodes the captions.

    Returns:
        ``(R,)`` float32: 0 where the own caption fits best, about a half by chance.
    """
    needed, place = np.unique(own, return_inverse=True)
    words, sentences = caption_vectors(aligner, [texts[each] for each in needed.tolist()])
    place = place.astype(np.int64)
    both = torch.cat([_centred(words, place), _centred(sentences, place)], 1)
    judges = (_Fit(vectors, words, place), _Fit(_mapped(vectors, both, place), both, place))
    found = np.zeros(len(own), np.float32)
    for part in _parts(len(own)):
        said = [judge.fits(part) for judge in judges]
        mine = sum((each / over for each, _, over in said), torch.zeros(len(part)))
        rest = sum((others / over[:, None] for _, others, over in said), torch.zeros(len(part), 1))
        found[part] = (rest > mine[:, None] + 1e-5).double().mean(1).numpy()
    return found


def careful_threshold(scores: Scores, least: float) -> float:
    """The share above which captions are doubted, so that few right ones are.

    Of wrong captions 1 - t have a share above t (:func:`wrong_among`); the others that do are
    right.

    Args:
        scores: ``(R,)`` of :func:`better_captions`.
        least: the threshold where what judges the captions knows such pictures.

    Returns:
        ``least`` where it is careful enough, else the smallest threshold that is.
    """
    ranked = np.sort(scores)
    places = np.unique(np.append(scores[scores > least], np.float32(least)))
    above = 1 - np.searchsorted(ranked, places, "right") / len(scores)
    if above[0] - _density(scores, _UNIFORM[0]) * (1 - least) <= _MOST_FALSE:
        return least
    careful = above - share_wrong(scores) * (1 - places) <= _CAREFUL
    return max(least, float(places[careful].min()))


def wrong_among(scores: Scores, listed: NDArray[np.bool_], wrong: float) -> tuple[float, float]:
    """How many of the captions that are doubted most are of other pictures, by their shares.

    The caption of another picture has a rank among others' that is as good as random, so that its
    share is uniform in [0, 1] (as p-values are where there is nothing to find; Storey 2002, "A
    direct approach to false discovery rates", section 3): 1 - t of them lie above t.

    Args:
        scores: ``(R,)`` of :func:`better_captions`.
        listed: ``(R,)`` which are, those with the greatest scores.
        wrong: share of all captions that are of other pictures, which the scores do not tell.

    Returns:
        The share of those listed that are wrong, and of the wrong ones that are listed.
    """
    if not listed.any():
        return 0.0, 0.0
    found = 1 - float(scores[listed].min())
    return min(1.0, wrong * found / float(listed.mean())), found


def share_wrong(scores: Scores) -> float:
    """The share of captions that are of other pictures, roughly (Storey 2002, equation 6).

    Of wrong captions, 1 - t lie above t, so that those above t, over 1 - t, are no fewer than the
    wrong ones, but for chance. The least over some t of 0.5 to 0.8: higher ones have few captions
    above them.
    """
    return min(1.0, *(_density(scores, place) for place in _UNIFORM))


def _density(scores: Scores, place: float) -> float:
    """Of scores above a place."""
    return float((scores > place).mean() / (1 - place))


def _centred(rows: Tensor, own: NDArray[np.int64]) -> Tensor:
    """Rows less their mean over the pictures, of unit length."""
    return F.normalize(rows - rows[torch.from_numpy(own)].mean(0), dim=1)


def _mapped(vectors: Vectors, words: Tensor, own: NDArray[np.int64]) -> Vectors:
    """Pictures mapped to captions by ridge regressions that were not fitted to them.

    Args:
        vectors: ``(B, E)`` of some of R pictures.
        words: ``(T, F)`` of the captions.
        own: ``(R,)`` which of them each picture has.

    Returns:
        ``(B, F)`` of unit length of some pictures.
    """
    count = len(own)
    fold = np.random.default_rng(0).permutation(count) % _FOLDS
    mean = torch.stack([vectors(part).double().sum(0) for part in _parts(count)]).sum(0) / count
    answers = words.double()
    squares = torch.zeros(_FOLDS, len(mean), len(mean), dtype=torch.float64)
    products = torch.zeros(_FOLDS, len(mean), words.shape[1], dtype=torch.float64)
    for part in _parts(count):
        seen, said = vectors(part).double() - mean, answers[torch.from_numpy(own[part])]
        for turn in range(_FOLDS):
            these = torch.from_numpy(fold[part] == turn)
            squares[turn] += seen[these].T @ seen[these]
            products[turn] += seen[these].T @ said[these]
    total, both = squares.sum(0), products.sum(0)
    ridge = _RIDGE * total.trace() / len(mean) * torch.eye(len(mean), dtype=torch.float64)
    maps = torch.stack([
        torch.linalg.lstsq(total - squares[turn] + ridge, both - products[turn]).solution
        for turn in range(_FOLDS)
    ])  # fmt: skip

    def mapped(part: NDArray[np.int64]) -> Tensor:
        seen = vectors(part).double() - mean
        found = torch.empty(len(part), words.shape[1], dtype=torch.float64)
        for turn in range(_FOLDS):
            these = torch.from_numpy(fold[part] == turn)
            found[these] = seen[these] @ maps[turn]
        return F.normalize(found, dim=1).float()

    return mapped


class _Fit:
    """How well captions fit pictures, by vectors of both.

    Args:
        vectors: ``(B, E)`` of some of R pictures.
        words: ``(T, E)`` of the captions.
        own: ``(R,)`` which of them each picture has.
    """

    def __init__(self, vectors: Vectors, words: Tensor, own: NDArray[np.int64]) -> None:
        rng = np.random.default_rng(0)
        self.vectors, self.words, self.own = vectors, words, own
        seen = vectors(np.sort(rng.permutation(len(own))[:_SEEN]))
        nearest = min(_NEAREST, len(seen))
        self.common = torch.cat([
            (part @ seen.T).topk(nearest, 1).values.mean(1) for part in torch.split(words, _TILE)
        ])  # fmt: skip
        self.others = torch.from_numpy(rng.permutation(len(words))[:OTHERS])

    def fits(self, part: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Of B pictures: of the own captions ``(B,)``, of others ``(B, O)``, and how they vary."""
        images, mine = self.vectors(part), torch.from_numpy(self.own[part])
        own = 2 * (images * self.words[mine]).sum(1) - self.common[mine]
        others = 2 * images @ self.words[self.others].T - self.common[self.others]
        return own, others, others.std(1).clamp_min(1e-6)


def _parts(count: int) -> list[NDArray[np.int64]]:
    """The numbers below a count, in parts."""
    return [np.arange(start, min(start + _TILE, count)) for start in range(0, count, _TILE)]
