"""A bounded, thread-safe cache of recently used values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class RecentlyUsed(Generic[_K, _V]):
    """The most recently used values by their keys, up to a sum of sizes; for several threads.

    Args:
        most: sum of the sizes of what is kept.
        size: of a value; each counts one where it is not given.
    """

    def __init__(self, most: int, size: Callable[[_V], int] | None = None) -> None:
        self._most, self._size = most, size or _one
        self._sum = 0
        self._values: OrderedDict[_K, _V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K) -> _V | None:
        """The value, which becomes the most recently used one; None if it is not here."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: _K, value: _V) -> None:
        """Keep a value, and drop the least recently used ones beyond the bound."""
        with self._lock:
            old = self._values.pop(key, None)
            self._sum += self._size(value) - (0 if old is None else self._size(old))
            self._values[key] = value
            while self._sum > self._most:
                self._sum -= self._size(self._values.popitem(last=False)[1])

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are empty."""
        return type(self), (self._most, self._size)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._values.clear()
            self._sum = 0


def _one(_: object) -> int:
    return 1
