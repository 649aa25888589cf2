"""Waiting for a state that will come, however long that takes on a machine that is busy."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 600.0
"""Seconds; pytest ends a test after 900 (pyproject.toml), and says less of why."""


def wait_until(holds: Callable[[], object], otherwise: str = "it never came") -> None:
    """Wait until something holds; it is asked a hundred times a second.

    Args:
        holds: is asked; may fail by itself where what is waited for cannot come any more.
        otherwise: what is said where it does not hold in the end.
    """
    end = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)
