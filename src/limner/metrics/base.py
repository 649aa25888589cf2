"""What every measure over a stream of pictures checks."""

from __future__ import annotations

import torch
from torch import Tensor

from limner.errors import DataError


def check_finite(images: Tensor) -> None:
    """Refuse pictures that hold NaN or infinity: any comparison with such a number is wrong.

    Raises:
        DataError: there is one.
    """
    if not bool(torch.isfinite(images).all()):
        raise DataError("a picture holds numbers that are not finite; the model that drew it is "
                        "broken")  # fmt: skip
