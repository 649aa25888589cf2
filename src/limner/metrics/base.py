"""The contract of every measure over a stream of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from limner.errors import DataError


class Stream(ABC):
    """A measure over a stream of pictures; it keeps features, never pixels."""

    def update(self, images: Tensor, captions: Sequence[str] = ()) -> None:
        """Take in B pictures, ``(B, 3, H, W)`` float32 in [-1, 1], and what they were drawn from.

        Raises:
            DataError: a picture holds numbers that are not finite.
        """
        check_finite(images)
        self._take(images, captions)

    @abstractmethod
    def _take(self, images: Tensor, captions: Sequence[str]) -> None: ...

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Named figures over everything taken in so far.

        Raises:
            DataError: that was too little.
        """


def check_finite(images: Tensor) -> None:
    """Refuse pictures that hold NaN or infinity: any comparison with such a number is wrong.

    Raises:
        DataError: there is one.
    """
    if not bool(torch.isfinite(images).all()):
        raise DataError("a picture holds numbers that are not finite; the model that drew it is "
                        "broken")  # fmt: skip
