"""What a run that adds pictures says of what it has learned."""

from __future__ import annotations

import torch

from icon_store import drawing
from limner.training.additions import _recognised, _spread


def test_drawings_are_recognised_that_are_nearest_to_a_picture_of_their_name():
    rows = [torch.from_numpy(drawing(n, 0)) for n in range(5)]
    true = torch.stack(rows).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    names = ["cat", "dog", "cat", "house", "tree"]
    assert _recognised(0.98 * true, true, names) == 5
    swapped = true[[2, 0, 0, 3, 4]]  # a cat as the other cat, a cat as a dog
    assert _recognised(swapped, true, names) == 4
    assert _recognised(true[[1, 2, 3, 4, 0]], true, names) == 0
    assert _recognised(true[:0], true[:0], []) == 0


def test_what_is_looked_at_is_spread_evenly():
    assert _spread(10, 4).tolist() == [0, 3, 6, 9]
    assert _spread(3, 8).tolist() == [0, 1, 2] and _spread(0, 4).tolist() == []
