from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.metrics.intervals import wilson


# Figures of R's prop.test(x, n, correct=FALSE)$conf.int.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (5, 10, 0.2365931, 0.7634069),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (1, 1, 0.2065493, 1.0),
    ],
)
def test_known_intervals(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ends_solve_the_defining_equation(case):
    successes, trials = case
    share = successes / trials
    low, high = wilson(successes, trials, 0.95)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            reach = 1.959963985 * math.sqrt(end * (1 - end) / trials)
            assert abs(share - end) == pytest.approx(reach, rel=1e-6, abs=1e-9)


def test_nothing_known_and_nonsense():
    assert wilson(0, 0) == (0.0, 1.0)
    for bad in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)):
        with pytest.raises(ValueError, match="no interval"):
            wilson(*bad)
