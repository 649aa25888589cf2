"""How far a refinement goes: pictures that are drawn, and the score that is enough."""

from __future__ import annotations

from limner.arguments import number, whole
from limner.errors import UsageError

BUDGET, MOST_BUDGET = 8, 256
TARGET = 0.97
"""Of the prompts for development more were right than with 0.95, by half a picture more each; than
with a higher one as many."""


def check_refined(budget: int, target: float) -> None:
    """Refuse what cannot be refined by.

    Raises:
        UsageError: the budget or the target is out of its range.
    """
    budget = whole("budget", budget)
    if not 1 <= budget <= MOST_BUDGET:
        raise UsageError(f"a budget of {budget} is refused: give 1 to {MOST_BUDGET} pictures")
    if not 0 < number("target", target) <= 1:
        raise UsageError(f"a target of {target} is refused: scores are above 0 and at most 1")
