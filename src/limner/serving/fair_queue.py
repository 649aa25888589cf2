"""A queue of pictures: first in, first out for each user, and round-robin between users."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence

from limner.serving.tickets import Ticket, Waiting


class FairQueue:
    """Pictures in the queue: FIFO for each user, round-robin between users.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Number of pictures in the queue."""
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        """All pictures in the queue, user by user."""
        return itertools.chain.from_iterable(self._queues.values())

    def add(self, ticket: Ticket, numbers: Sequence[int]) -> None:
        """Queue some of a request's pictures."""
        queue = self._queues.setdefault(ticket.user, deque())
        queue.extend((ticket, number) for number in numbers)
        self._count += len(numbers)

    def put_back(self, ticket: Ticket, number: int) -> None:
        """Put a picture back at the head of its user's queue."""
        self._queues.setdefault(ticket.user, deque()).appendleft((ticket, number))
        self._count += 1

    def take(self, fits: Callable[[Ticket], bool]) -> Waiting | None:
        """Take the first picture that fits, of the next user in turn; None if none fits."""
        for _ in range(len(self._queues)):
            user, queue = next(iter(self._queues.items()))
            self._queues.move_to_end(user)
            place = next((i for i, (ticket, _) in enumerate(queue) if fits(ticket)), None)
            if place is None:
                continue
            found = queue[place]
            del queue[place]
            self._count -= 1
            if not queue:
                del self._queues[user]
            return found
        return None

    def drop(self, is_over: Callable[[Ticket], bool]) -> list[Ticket]:
        """Remove the pictures of some requests; returns these requests."""
        dropped: dict[Ticket, None] = {}
        for user, queue in list(self._queues.items()):
            kept = deque(each for each in queue if not is_over(each[0]))
            if len(kept) == len(queue):
                continue
            staying = {ticket for ticket, _ in kept}
            dropped |= {ticket: None for ticket, _ in queue if ticket not in staying}
            self._count -= len(queue) - len(kept)
            self._queues[user] = kept
            if not kept:
                del self._queues[user]
        return list(dropped)
