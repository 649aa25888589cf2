"""What was used last is remembered, up to a bound."""

import copy
import pickle

from limner.memory import RecentlyUsed


def test_memory_is_bounded_and_forgets_the_least_recent():
    memory = RecentlyUsed[str, bytes](3 * 64, len)
    for key in "abc":
        memory.put(key, bytes(64))
    memory.get("a")
    memory.put("d", bytes(64))
    assert len(memory) == 3
    assert memory.get("b") is None
    assert memory.get("a") is not None
    memory.put("d", bytes(10))  # in place of the larger one
    memory.put("e", bytes(54))
    assert len(memory) == 4
    memory.put("f", bytes(200))  # larger than all the room there is
    assert len(memory) == 0
    memory.put("g", bytes(192))
    assert memory.get("g") is not None


def test_each_counts_one_where_no_size_is_given_and_copies_are_empty():
    memory = RecentlyUsed[int, str](2)
    for number in range(3):
        memory.put(number, str(number))
    assert [memory.get(number) for number in range(3)] == [None, "1", "2"]
    for other in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        assert len(other) == 0
        for number in range(3):
            other.put(number, str(number))
        assert len(other) == 2
    memory.clear()
    memory.put(1, "one")
    assert memory.get(1) == "one" and len(memory) == 1
