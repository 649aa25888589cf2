"""Things that are painted part by part: their table, and what it paints."""

from __future__ import annotations

import numpy as np
import pytest

from limner.scenes.painted_things import SHAPES, _parts, painted, painted_names
from limner.scenes.paints import PAINTS
from limner.scenes.sizes import singular

_LENGTHS = {"oval": 4, "box": 5}


def test_every_row_of_the_table_can_be_painted():
    for name, parts in _parts().items():
        assert not parts[0].inside, name
        for part in parts:
            assert part.colour in PAINTS, (name, part)
            assert part.shape in SHAPES, (name, part)
            count = len(part.lengths)
            assert count == _LENGTHS.get(part.shape, count), (name, part)
            if part.shape not in _LENGTHS:
                assert count % 2 == (part.shape in ("line", "curve")), (name, part)


def test_no_name_is_that_of_two_things():
    names = [name for name, first in painted_names().items() if name == first]
    assert sorted(names) == sorted(_parts())


@pytest.mark.parametrize("name", list(_parts()))
def test_a_thing_is_of_several_colours_on_white_and_reaches_no_edge(name):
    pixels = painted(name, 64)
    assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge > 240).all()
    ink = pixels.min(-1) < 250
    assert 0.08 < ink.mean() < 0.85
    assert len(np.unique(pixels[ink] // 32, axis=0)) > 3
    assert singular(name) in (None, name) or name in ("curtains",)


def test_a_part_inside_another_is_seen_there_alone():
    pixels = painted("light house", 100).astype(int)
    left, middle = pixels[45, 30], pixels[45, 42]
    assert (left > 250).all()  # beside the tower
    assert middle[0] > middle[1] + 80  # its red band


def test_the_same_thing_has_the_same_bits_at_any_time():
    first = painted("air balloon", 48).copy()
    painted.cache_clear()
    assert (painted("air balloon", 48) == first).all()
