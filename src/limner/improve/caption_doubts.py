"""How many of the captions that are doubted are wrong, estimated from their scores alone.

The score of a caption is the share of captions swapped on purpose that fit better
(``caption_matches``). That of a wrong caption is as good as random: uniform in [0, 1], as p-values
are where there is nothing to find.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_UNIFORM, _HIGHEST = (0.5, 0.6, 0.7), (0.8, 0.85, 0.9)
"""Scores above which few right captions lie: the density there is that of wrong ones. Of the
highest the mean counts, since few captions lie above each."""
_CAREFUL = 0.02
"""Share of all captions that may be right and doubted, as estimated: on drawings that are not
measured about 1.2 % were, and 2.5 % at most."""
_TAIL, _FIELDS = 0.1, 40
"""Score from which the distribution is looked at in so many fields: what lies below, nearly all of
the right captions, counts as one field."""
_SHAPES = np.geomspace(0.01, 2, 60)
_ROUNDS = 100

Scores = NDArray[np.float32]
Floats = NDArray[np.float64]


def careful_threshold(scores: Scores, least: float) -> float:
    """The score above which captions are doubted, so that few right ones are.

    The scores are taken for a mixture of wrong captions, uniform, and right ones, of the density
    a (a + 1) s^(a - 1) (1 - s): a beta distribution that vanishes at 1. Fitted is what says how
    many of either lie above any score; all scores have a say in that, where a share of the few
    above a single one would leave it to chance (Pounds and Morris 2003 fit p-values so, with 1 in
    place of 1 - s).

    Args:
        scores: ``(R,)`` of :func:`limner.improve.caption_matches.better_captions`.
        least: the threshold where what judges the captions knows such pictures.

    Returns:
        ``least`` where it is careful enough, else the smallest threshold that is.
    """
    wrong, shape = _mixture(scores)
    places = np.linspace(least, 1, 1 + round((1 - least) * 1000))
    right = (1 - wrong) * (1 - _right_below(places, shape))
    return float(places[(right <= _CAREFUL).argmax()])


def _mixture(scores: Scores) -> tuple[float, float]:
    """The share of wrong captions, and the shape a of the right ones, of greatest likelihood.

    For each shape of a grid the share is found by expectation and maximisation.
    """
    edges = np.append(0, np.linspace(_TAIL, 1, _FIELDS + 1))
    counts, even = np.histogram(scores, edges)[0], np.diff(edges)
    best = (-np.inf, 0.0, 1.0)
    for shape in _SHAPES.tolist():
        right, wrong = np.diff(_right_below(edges, shape)), 0.05
        for _ in range(_ROUNDS):
            share = wrong * even / (wrong * even + (1 - wrong) * right)
            wrong = float(counts @ share / counts.sum())
        logs = np.log(wrong * even + (1 - wrong) * right)
        best = max(best, (float(counts @ logs), wrong, shape))
    return best[1:]


def _right_below(places: Floats, shape: float) -> Floats:
    """The share of right captions with scores below some places, in [0, 1]."""
    found: Floats = (shape + 1) * places**shape - shape * places ** (shape + 1)
    return found


def wrong_among(scores: Scores, listed: NDArray[np.bool_], wrong: float) -> tuple[float, float]:
    """How many of the captions that are doubted most are of other pictures, by their scores.

    Of wrong captions 1 - t lie above t (Storey 2002, "A direct approach to false discovery rates",
    section 3).

    Args:
        scores: ``(R,)`` of :func:`limner.improve.caption_matches.better_captions`.
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
    wrong ones, but for chance. The least over some t of 0.5 to 0.9: right ones that are known
    badly lie above lower ones.
    """
    highest = sum(_density(scores, place) for place in _HIGHEST) / len(_HIGHEST)
    return min(1.0, highest, *(_density(scores, place) for place in _UNIFORM))


def _density(scores: Scores, place: float) -> float:
    """Of scores above a place."""
    return float((scores > place).mean() / (1 - place))
