"""FID alone, as fast as it goes: the real side from the cache, the drawn side in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limner.data.selection import Selection
from limner.data.store import Store
from limner.errors import DataError
from limner.metrics.features import FeatureNetwork
from limner.metrics.frechet import Gaussian, Moments, frechet_distance
from limner.metrics.real import Advance, gaussian_of_rows


def real_gaussian(
    store: Store,
    network: FeatureNetwork,
    selection: Selection = Selection(),  # noqa: B008 - frozen
    advance: Advance | None = None,
) -> Gaussian:
    """Mean and covariance of a store's features, worked out once and then remembered on disk.

    Args:
        store: real pictures.
        network: looks at them.
        selection: which of them count.
        advance: called with a number of pictures looked at.
    """
    rows = selection.rows(store) if selection else np.arange(len(store), dtype=np.int64)
    return gaussian_of_rows(store, rows, network, advance=advance)


class FrechetScore:
    """FID over a stream of pictures: the metric contract of limner.

    Args:
        real: of the real pictures, from :func:`real_gaussian`.
        network: the one they were looked at with.
    """

    def __init__(self, real: Gaussian, network: FeatureNetwork) -> None:
        self.real, self.network = real, network
        self._moments = Moments()

    def update(self, images: Tensor, captions: Sequence[str] = ()) -> None:
        """Take in ``(B, 3, H, W)`` pictures in [-1, 1]; the captions do not matter.

        Raises:
            DataError: pictures hold numbers that are not finite.
        """
        if not bool(torch.isfinite(images).all()):
            raise DataError("a drawn picture is not made of finite numbers; its model is broken")
        self._moments.update(self.network.see(images).features)

    def compute(self) -> dict[str, float]:
        """``fid`` and ``count``.

        Raises:
            DataError: fewer than two pictures.
        """
        drawn = self._moments.gaussian()
        return {"fid": frechet_distance(self.real, drawn), "count": float(drawn.count)}
