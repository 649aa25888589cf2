"""Distances of the shares of categories that were drawn from shares that they are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from limner.metrics.intervals import Interval, wilson


def total_variation(drawn: Sequence[str], reference: Mapping[str, float]) -> tuple[float, Interval]:
    """Total variation distance of drawn categories from reference shares, with its interval.

    It is half the sum of ``|p - q|`` over the categories, which is ``P(A) - Q(A)`` for the set A of
    those that are drawn more often than by the reference (Levin, Peres and Wilmer, Markov Chains
    and Mixing Times, proposition 4.2): the interval is Wilson's of the share of A, less ``Q(A)``.

    Args:
        drawn: the category of each of N independent pictures.
        reference: category -> share; the shares sum to one.

    Raises:
        ValueError: nothing was drawn, or the shares do not sum to one.
    """
    if not drawn or not math.isclose(sum(reference.values()), 1.0, abs_tol=1e-6):
        raise ValueError("shares are compared of at least one picture, with shares that sum to one")
    count = len(drawn)
    shares = {each: drawn.count(each) / count for each in {*drawn}}
    more = [each for each, share in shares.items() if share > reference.get(each, 0.0)]
    ours = sum(shares[each] for each in more)
    theirs = sum(reference.get(each, 0.0) for each in more)
    low, high = wilson(ours * count, count)
    return max(0.0, ours - theirs), (max(0.0, low - theirs), min(1.0, max(0.0, high - theirs)))


def sampling_variation(reference: Mapping[str, float], count: int) -> float:
    """The distance that N pictures have by chance whose categories are drawn by the reference.

    Half the sum of the mean absolute deviations of the shares, each that of a normal distribution
    of a binomial share's variance: ``sqrt(2 q (1 - q) / (pi N))``.
    """
    return sum(math.sqrt(2 * q * (1 - q) / (math.pi * count)) for q in reference.values()) / 2
