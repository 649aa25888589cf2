"""95 % confidence intervals of measured figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, stdev

import torch
from torch import Tensor

REPLICATES = 200
"""Resamples of a bootstrap; its standard error then is known to about 5 %."""
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t distribution with 1 to 9 degrees of freedom."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Share:
    """A share with its interval, all in [0, 1].

    Attributes:
        value: the share.
        low: lower end of Wilson's interval at 95 %.
        high: its upper end.
        count: independent trials it was measured on.
    """

    value: float
    low: float
    high: float
    count: int

    @property
    def interval(self) -> Interval:
        """From ``low`` to ``high``."""
        return self.low, self.high


def wilson(successes: float, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share, (low, high) in [0, 1].

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927: the
    shares p for which ``|successes/trials - p| <= z sqrt(p (1 - p) / trials)``.

    Args:
        successes: in [0, trials]; fractions are fine, as where several seeds of one prompt are
            averaged and the prompt stays the unit.
        trials: 0 gives (0, 1), for nothing is known.
        confidence: in (0, 1).

    Raises:
        ValueError: a number out of range.
    """
    if not 0 <= successes <= trials or not 0 < confidence < 1:
        raise ValueError(f"no interval for {successes} of {trials} at {confidence}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    reach = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == trials else min(1.0, centre + reach)
    return low, high


def share_of(value: float, trials: int) -> Share:
    """A share measured on so many independent trials, with :func:`wilson`'s interval."""
    return Share(value, *wilson(value * trials, trials), trials)


def share_of_hits(hits: Tensor) -> Share:
    """The share of ``(N,)`` independent trials that are true."""
    count = int(hits.sum())
    return Share(count / len(hits), *wilson(count, len(hits)), len(hits))


def bootstrap_weights(count: int, replicates: int = REPLICATES, seed: int = 0) -> Tensor:
    """How often each of N samples comes in each resample, ``(replicates, N)`` float64.

    Efron, Bootstrap Methods: Another Look at the Jackknife, 1979: N draws with replacement. The
    same N gives the same numbers, so that models that are compared are resampled alike.
    """
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randint(count, (replicates, count), generator=rng)
    return torch.zeros(replicates, count, dtype=torch.float64).scatter_add_(
        1, rows, torch.ones((), dtype=torch.float64).expand_as(rows)
    )


def bootstrap_interval(value: float, replicates: Sequence[float] | Tensor) -> Interval:
    """``value`` plus or minus 1.96 standard deviations of its bootstrap replicates.

    Not the replicates' quantiles: a resample holds a sample several times, which shifts figures
    such as FID upwards but hardly changes how widely they spread.
    """
    reach = 1.96 * torch.as_tensor(replicates, dtype=torch.float64).std().item()
    return value - reach, value + reach


def mean_interval(scores: Tensor, replicates: int = REPLICATES) -> Interval:
    """Bootstrap interval of the mean of ``(N,)`` scores of independent pictures."""
    x = scores.double()
    weights = bootstrap_weights(len(x), replicates)
    return bootstrap_interval(x.mean().item(), weights @ x / len(x))


def median_interval(values: Tensor) -> Interval:
    """Interval of the median of ``(N,)`` independent values, whatever their distribution.

    Between two of the values: how many lie below the true median is binomial, with the deviation
    sqrt(N) / 2 (Conover, Practical Nonparametric Statistics, 1999, section 3.2).
    """
    ranked = values.double().sort().values
    reach, middle = round(1.96 * sqrt(len(ranked)) / 2), (len(ranked) - 1) // 2
    low, high = max(0, middle - reach), min(len(ranked) - 1, middle + reach)
    return ranked[low].item(), ranked[high].item()


def t_interval(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of n >= 2 independent runs, such as training seeds."""
    degrees = len(values) - 1
    quantile = _T[degrees - 1] if degrees <= len(_T) else _t_quantile(degrees)
    reach = quantile * stdev(values) / sqrt(len(values))
    return fmean(values) - reach, fmean(values) + reach


def _t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t with ten degrees of freedom or more, to 1e-4.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, eq. 26.7.5.
    """
    z = NormalDist().inv_cdf(0.975)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    return z + (z**3 + z) / (4 * degrees) + second + third
