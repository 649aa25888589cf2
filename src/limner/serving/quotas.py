"""How much of what a key may ask for is left: requests a minute, drawings a day.

Periods are those of the clock (UTC), and counts begin anew with each. They are kept in the
gallery's database, so that all processes of one gallery count together and a restart forgets
nothing; without a gallery in memory, where a restart begins anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from limner.serving.errors import ApiError
from limner.serving.keys import Key
from limner.serving.logs import request_facts

Spend = Callable[[str, str, int, int, int], int]
"""Adds an amount to what a user has spent of something in a period, unless that would be more than
there is: ``(user, what, period, amount, most)``; returns what was spent before."""


class _Kind(NamedTuple):
    name: str
    seconds: int
    code: str


class Limited(Enum):
    """What is limited: its name in headers, its period in seconds, and the code of a refusal."""

    REQUESTS = _Kind("requests", 60, "rate_limit_exceeded")
    PICTURES = _Kind("images", 86_400, "quota_exceeded")


class Quotas:
    """What users have left.

    Args:
        keys: by their users.
        spend: where it is counted; None for in memory.
    """

    def __init__(self, keys: Mapping[str, Key], spend: Spend | None = None) -> None:
        self._keys, self._spend = keys, spend or _Memory().spend

    def limit(self, user: str, what: Limited) -> int | None:
        """How much a user may have in a period; None for any amount."""
        key = self._keys.get(user)
        if key is None:
            return None
        return key.rate if what is Limited.REQUESTS else key.pictures

    def spend(self, user: str, what: Limited, amount: int = 1) -> None:
        """Count what a user asks for; headers of the answer say what is left, as upstream's do.

        Raises:
            ApiError: it is more than is left, with the time when the next period begins.
            DataError: the database that counts cannot be used.
        """
        most = self.limit(user, what)
        if most is None:
            return
        name, seconds, code = what.value
        now = time.time()
        spent = self._spend(user, name, int(now // seconds), amount, most)
        reset = seconds - now % seconds
        left = most - spent - (amount if spent + amount <= most else 0)
        said = {"limit": most, "remaining": left, "reset": f"{reset:.0f}s"}
        request_facts().headers.update(
            {f"x-ratelimit-{each}-{name}": str(value) for each, value in said.items()}
        )
        if spent + amount > most:
            period = "minute" if what is Limited.REQUESTS else "day"
            raise ApiError(
                429, f"this key may have {most:,} {name} a {period}, and {left:,} are left, less "
                f"than {amount:,}; try again in {reset:.0f} seconds",
                code=code, retry_after=reset,
            )  # fmt: skip


class _Memory:
    """Counts of this process."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def spend(self, user: str, what: str, period: int, amount: int, most: int) -> int:
        """See :data:`Spend`."""
        with self._lock:
            known, count = self._counts.get((user, what), (period, 0))
            spent = count if known == period else 0
            if spent + amount <= most:
                self._counts[user, what] = period, spent + amount
            return spent
