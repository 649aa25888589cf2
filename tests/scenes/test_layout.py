"""Where the things of a scene are put: all inside, none touching, as the words say."""

from itertools import combinations

import numpy as np
import pytest

from limner.metrics.composition import Detection, relations
from limner.scenes.layout import RELATIONS, arrange

CASES = [(1,), (2,), (3,), (4,), (5,), (6,), (7,), (9,), (11,), (1, 1), (2, 1), (3, 4), (1, 1, 1),
         (2, 2, 1)]  # fmt: skip


@pytest.mark.parametrize("counts", CASES)
@pytest.mark.parametrize("relation", [None, *RELATIONS])
def test_things_are_inside_and_do_not_touch(counts, relation):
    for seed in range(20):
        boxes = arrange(counts, [None] * len(counts), relation, np.random.default_rng(seed))
        assert len(boxes) == sum(counts)
        for box in boxes:
            assert box.side > 0.1
            assert min(box.x, box.y) - box.side / 2 >= -1e-9
            assert max(box.x, box.y) + box.side / 2 <= 1 + 1e-9
        for one, other in combinations(boxes, 2):
            gap = max(abs(one.x - other.x), abs(one.y - other.y)) - (one.side + other.side) / 2
            assert gap > 0, (counts, relation, seed)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (3, 3)])
def test_geneval_calls_the_relation_clear(counts, relation):
    for seed in range(20):
        boxes = arrange(counts, [None, None], relation, np.random.default_rng(seed))
        seen = [
            Detection("", (b.x - b.side / 2, b.y - b.side / 2, b.x + b.side / 2, b.y + b.side / 2))
            for b in boxes
        ]
        pairs = [(a, b) for a in seen[: counts[0]] for b in seen[counts[0] :]]
        assert any(relation in relations(a, b) for a, b in pairs)


def test_big_is_larger_than_small():
    boxes = arrange((1, 1), ["big", "small"], None, np.random.default_rng(0))
    assert boxes[0].side > 1.5 * boxes[1].side


@pytest.mark.parametrize("relation", [None, *RELATIONS])
def test_a_big_thing_has_the_larger_part_beside_small_ones(relation):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        big, *small = arrange((1, 2), ["big", "small"], relation, rng)
        assert all(big.side > 1.9 * box.side for box in small)
        for one, other in combinations([big, *small], 2):
            gap = max(abs(one.x - other.x), abs(one.y - other.y)) - (one.side + other.side) / 2
            assert gap > 0


def test_chance_decides_what_is_left_open_and_nothing_else():
    first, again, other = (arrange((3,), [None], None, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_looks_longer_has_the_larger_part():
    mouse, house = arrange((1, 1), [None, None], None, np.random.default_rng(0), lengths=(0.8, 1.2))
    assert mouse.side / house.side == pytest.approx(0.8 / 1.2)
    plain = arrange((1, 1), [None, None], None, np.random.default_rng(0))
    assert house.side > plain[0].side > mouse.side
    (one,), (alone,) = (arrange((1,), [None], None, np.random.default_rng(0), lengths=each)
                        for each in ((0.8,), None))  # fmt: skip
    assert one == alone, "beside nothing it is as large as ever"
