"""Parts of masks against a flood fill."""

from __future__ import annotations

import numpy as np
import pytest

from limner.vision.masks import largest_part, parts_of


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The connected parts of a mask, each as its pixels, in the order of their first ones."""
    left, found = {(int(y), int(x)) for y, x in np.argwhere(mask)}, []
    for start in sorted(left):
        if start not in left:
            continue
        part, edge = set(), [start]
        while edge:
            y, x = edge.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                edge += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        found.append(part)
    return found


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.9])
def test_parts_are_those_of_a_flood_fill(share):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((17, 23)) < share
        parts, known = parts_of(mask), flooded(mask)
        assert (parts == 0).sum() == (~mask).sum()
        assert len(known) == len(np.unique(parts[mask]))
        for part in known:
            rows, columns = np.transpose(sorted(part))
            assert len(np.unique(parts[rows, columns])) == 1
        best = max(known, key=len)
        assert {(int(y), int(x)) for y, x in np.argwhere(largest_part(mask))} == best


def test_an_empty_mask_has_no_part():
    nothing = np.zeros((5, 4), np.bool_)
    assert not largest_part(nothing).any()
    assert not parts_of(nothing).any()
