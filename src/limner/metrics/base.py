"""The contract of every score over a stream of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Metric(Protocol):
    """Takes pictures in as they are drawn and never keeps their pixels."""

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures, ``(B, 3, H, W)`` float32 in [-1, 1], and their captions."""
        ...

    def compute(self) -> dict[str, float]:
        """Named figures over everything taken in so far."""
        ...
