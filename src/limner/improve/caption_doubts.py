"""How many of the captions that are doubted are wrong, estimated from their scores alone.

The score of a caption is the share of captions swapped on purpose that fit better
(``caption_matches``). That of a wrong caption is as good as random: uniform in [0, 1], as p-values
are where there is nothing to find.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

_UNIFORM, _HIGHEST = (0.5, 0.6, 0.7), (0.8, 0.85, 0.9)
"""Scores above which few right captions lie: the density there is that of wrong ones. Of the
highest the mean counts, since few captions lie above each."""
_KNOWN, _CAREFUL = 0.01, 0.0075
"""Share of all captions that may be right and doubted, as estimated: where the density above a half
tells, and else, where the least density does, which is less sure: on drawings that are not measured
about 1 % were doubted, and 2.4 % at most."""


def careful_threshold(scores: Floats, least: float) -> float:
    """The score above which captions are doubted, so that few right ones are.

    Of wrong captions 1 - t have a score above t (:func:`wrong_among`); the others that do are
    right.

    Args:
        scores: ``(R,)`` of :func:`limner.improve.caption_matches.better_captions`.
        least: the threshold where what judges the captions knows such pictures.

    Returns:
        ``least`` where it is careful enough, else the smallest threshold that is.
    """
    ranked = np.sort(scores)
    places = np.unique(np.append(scores[scores > least], np.float32(least)))
    above = 1 - np.searchsorted(ranked, places, "right") / len(scores)
    if above[0] - _density(scores, _UNIFORM[0]) * (1 - least) <= _KNOWN:
        return least
    careful = above - share_wrong(scores) * (1 - places) <= _CAREFUL
    return least if careful[0] else float(places[careful].min())


def wrong_among(scores: Floats, listed: NDArray[np.bool_], wrong: float) -> tuple[float, float]:
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


def share_wrong(scores: Floats) -> float:
    """The share of captions that are of other pictures, roughly (Storey 2002, equation 6).

    Of wrong captions, 1 - t lie above t, so that those above t, over 1 - t, are no fewer than the
    wrong ones, but for chance. The least over some t of 0.5 to 0.9: right ones that are known
    badly lie above lower ones.
    """
    highest = sum(_density(scores, place) for place in _HIGHEST) / len(_HIGHEST)
    return min(1.0, highest, *(_density(scores, place) for place in _UNIFORM))


def _density(scores: Floats, place: float) -> float:
    """Of scores above a place."""
    return float((scores > place).mean() / (1 - place))
