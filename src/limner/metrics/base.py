"""The contract of every measure over a stream of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from limner.errors import DataError


@runtime_checkable
class Metric(Protocol):
    """Takes pictures in as they are drawn and never keeps their pixels."""

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Take in B pictures, ``(B, 3, H, W)`` float32 in [-1, 1], and their captions."""
        ...

    def compute(self) -> dict[str, float]:
        """Named figures over everything taken in so far."""
        ...


@runtime_checkable
class PerPicture(Protocol):
    """A measure that also scores each picture, so that pictures can be ranked and filtered."""

    def per_picture(self) -> dict[str, Tensor]:
        """Named scores ``(N,)`` of the N pictures taken in, in their order."""
        ...


def check_finite(images: Tensor) -> None:
    """Refuse pictures that hold NaN or infinity: any comparison with such a number is wrong.

    Raises:
        DataError: there is one.
    """
    if not bool(torch.isfinite(images).all()):
        raise DataError("a picture holds numbers that are not finite; the model that drew it is "
                        "broken")  # fmt: skip
