"""What waits to be drawn: whose turn it is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from limner.generation.requests import DrawRequest
from limner.models.settings import Settings
from limner.serving.fair_queue import FairQueue
from limner.serving.tickets import Ticket


def ticket(user: str, pictures: int) -> Ticket:
    requests = [DrawRequest("a cat", seed, Settings()) for seed in range(pictures)]
    model, loop = SimpleNamespace(number=1), asyncio.new_event_loop()
    loop.close()
    return Ticket(model, requests, user, 0, since=0.0, deadline=1.0, loop=loop)


def test_users_take_turns_and_each_keeps_the_order():
    queue, ann, bob = FairQueue(), ticket("ann", 3), ticket("bob", 2)
    queue.add(ann, [0, 1, 2])
    queue.add(bob, [0, 1])
    taken = [queue.take(lambda _: True) for _ in range(5)]
    assert taken == [(ann, 0), (bob, 0), (ann, 1), (bob, 1), (ann, 2)]
    assert len(queue) == 0 and queue.take(lambda _: True) is None


def test_what_does_not_fit_stays_and_what_was_lost_comes_first():
    queue, other, mine, bob = FairQueue(), ticket("ann", 1), ticket("ann", 2), ticket("bob", 1)
    queue.add(other, [0])
    queue.add(mine, [0, 1])
    queue.add(bob, [0])
    assert queue.take(lambda each: each is mine) == (mine, 0)
    assert queue.take(lambda each: each.user == "cid") is None
    queue.put_back(mine, 0)
    assert len(queue) == 4
    assert [queue.take(lambda _: True) for _ in range(3)] == [(bob, 0), (mine, 0), (other, 0)]
    assert list(queue) == [(mine, 1)]


def test_what_is_over_is_left_out_once_for_each_request():
    queue, gone, stays = FairQueue(), ticket("ann", 3), ticket("ann", 1)
    queue.add(gone, [0, 1, 2])
    queue.add(stays, [0])
    assert queue.drop(lambda each: each is gone) == [gone]
    assert (len(queue), list(queue)) == (1, [(stays, 0)])
    assert queue.drop(lambda each: False) == []
    assert queue.drop(lambda each: True) == [stays] and len(queue) == 0


def test_who_comes_back_after_all_was_dropped_waits_behind_the_others():
    queue, gone, bob, again = FairQueue(), ticket("ann", 1), ticket("bob", 1), ticket("ann", 1)
    queue.add(gone, [0])
    queue.drop(lambda each: each is gone)
    queue.add(bob, [0])
    queue.add(again, [0])
    assert [queue.take(lambda _: True) for _ in range(2)] == [(bob, 0), (again, 0)]
