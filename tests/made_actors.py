"""Things of a scene with silhouettes of known shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from limner.scenes.actors import Actor
from limner.scenes.sizes import facts_of


def solid(wide: int, high: int) -> np.ndarray:
    """A cut-out rectangle, ``(high, wide, 4)``."""
    return np.ones((high, wide, 4), np.float32)


def person() -> np.ndarray:
    """A head of 20 columns and 36 rows in the middle, on a body of 40 columns."""
    cut = np.zeros((100, 40, 4), np.float32)
    cut[:36, 10:30] = 1
    cut[36:] = 1
    return cut


def actor(name: str, cut: np.ndarray | None = None, **changed: Any) -> Actor:
    """A thing of a known name, a square where no silhouette is given."""
    return Actor(solid(40, 40) if cut is None else cut, facts_of(name), **changed)
