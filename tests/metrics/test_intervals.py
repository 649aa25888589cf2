from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.metrics.intervals import (
    bootstrap_weights,
    mean_interval,
    median_interval,
    share_of,
    t_interval,
    wilson,
)


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


def test_a_share_carries_its_interval():
    found = share_of(0.25, 40)
    assert (found.value, found.count) == (0.25, 40)
    assert (found.low, found.high) == wilson(10, 40)


def test_resamples_are_draws_with_replacement_and_always_the_same():
    weights = bootstrap_weights(50, 300)
    assert weights.shape == (300, 50) and bool((weights.sum(1) == 50).all())
    assert torch.equal(weights, bootstrap_weights(50, 300))
    # The count of one sample is binomial: mean 1, variance 1 - 1 / N.
    assert weights.var().item() == pytest.approx(1 - 1 / 50, rel=0.05)


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)) * 3 + 1
    low, high = mean_interval(x, 1000)
    reach = 1.96 * x.std().item() / 20
    assert (low + high) / 2 == pytest.approx(x.mean().item(), abs=1e-6)
    assert (high - low) / 2 == pytest.approx(reach, rel=0.1)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    """Of samples of an exponential distribution, whose median is ln 2, in 95 of 100."""
    assert median_interval(torch.arange(101.0).flip(0)) == (40.0, 60.0)  # 1.96 * 10.05 / 2 = 9.8
    assert median_interval(torch.tensor([3.0])) == (3.0, 3.0)
    samples = torch.empty(2000, 81, dtype=torch.float64).exponential_(
        generator=torch.Generator().manual_seed(0)
    )
    held = [low <= math.log(2) <= high for low, high in map(median_interval, samples)]
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.015)


def test_students_interval_is_that_of_the_tables():
    assert t_interval([1.0, 3.0]) == pytest.approx((2 - 12.706, 2 + 12.706))
    for count, quantile in ((11, 2.2281), (21, 2.0860), (121, 1.9799)):
        values = [float(number) for number in range(count)]
        low, high = t_interval(values)
        assert (high - low) / 2 == pytest.approx(
            quantile * statistics.stdev(values) / count**0.5, rel=1e-4
        )
    # n = 5, standard deviation 1.5811: 2.776 * 1.5811 / sqrt(5)
    assert t_interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(
        (3 - 1.9629, 3 + 1.9629), abs=1e-3
    )
