"""How sure a measured share is."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
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
