"""The order in which training draws its pictures, as a pure function of the step."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from limner.errors import DataError


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    order = generator.permutation(count).astype(np.int64)
    order.flags.writeable = False
    return order


class ShuffledIndices:
    """Endless shuffled batches; every epoch is another permutation of all pictures.

    Batches are always full: one that reaches the end of an epoch continues into the next, so every
    picture is drawn exactly once in every ``count`` draws. ``at(step)`` depends on the
    seed and the step alone (counter-based Philox, Salmon et al. 2011), so a resumed run
    starts at any step.

    Args:
        count: pictures in the store, at least 1.
        batch_size: pictures a batch, at least 1; it may exceed ``count``.
        seed: in [0, 2**64).

    Raises:
        DataError: an argument is out of range.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if count < 1 or batch_size < 1:
            raise DataError(f"cannot draw batches of {batch_size} from {count} pictures")
        if not 0 <= seed < 2**64:
            raise DataError(f"the seed {seed} is outside 0 … 2**64 - 1")
        self.count = count
        self.batch_size = batch_size
        self.seed = seed

    def at(self, step: int) -> NDArray[np.int64]:
        """Return the ``(batch_size,)`` int64 picture indices of step ``step`` (from 0)."""
        if step < 0:
            raise DataError(f"there is no step {step}; steps count from 0")
        position, wanted = step * self.batch_size, self.batch_size
        pieces = []
        while wanted:
            epoch, start = divmod(position, self.count)
            piece = _permutation(self.count, self.seed, epoch)[start : start + wanted]
            pieces.append(piece)
            position += len(piece)
            wanted -= len(piece)
        return np.concatenate(pieces)
