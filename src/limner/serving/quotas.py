"""Quotas of API keys: requests per minute, drawings per day.

Periods are minutes and days of the clock (UTC); counts start at zero in each. They are stored in
the gallery's database, and so shared by all its processes and kept over restarts; without a gallery
they are kept in memory.
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
"""Adds to a user's count of a period unless it would exceed the limit:
``(user, what, period, amount, most)``; returns the count before."""


class _Kind(NamedTuple):
    name: str
    seconds: int
    code: str


class Limited(Enum):
    """A kind of limit: its name in headers, its period in seconds, and its error code."""

    REQUESTS = _Kind("requests", 60, "rate_limit_exceeded")
    PICTURES = _Kind("images", 86_400, "quota_exceeded")


class Quotas:
    """The quotas of all users.

    Args:
        keys: keys by user.
        spend: the counter; None for one in memory.
    """

    def __init__(self, keys: Mapping[str, Key], spend: Spend | None = None) -> None:
        self._keys, self._spend = keys, spend or _Memory().spend

    def limit(self, user: str, what: Limited) -> int | None:
        """The limit of a user per period; None for no limit."""
        key = self._keys.get(user)
        if key is None:
            return None
        return key.rate if what is Limited.REQUESTS else key.pictures

    def spend(self, user: str, what: Limited, amount: int = 1) -> None:
        """Charge a user's quota, and set the rate-limit headers of the response, as OpenAI does.

        Raises:
            ApiError: 429 if the quota is exceeded, with the time until the next period.
            DataError: the database cannot be used.
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
    """Counts in memory."""

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
