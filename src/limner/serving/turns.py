"""Long calls of the thread that draws: they go on by turns, and can be ended between two."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
Pause = Callable[[float], None]
"""Gives the turn back; takes the number of pictures that are drawn so far."""


class DroppedError(BaseException):
    """Raised in a call that is not wanted any more; no call catches it."""


class Turns(Generic[_Result]):
    """A call that has a thread of its own, and runs only while whoever waits gives it a turn.

    So it may use what the waiting thread uses, such as a model, without a lock.

    Args:
        call: is given what it calls at every place where it can wait.

    Attributes:
        drawn: pictures that the call has drawn so far, as it says.
    """

    def __init__(self, call: Callable[[Pause], _Result]) -> None:
        self._call = call
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._dropped = False
        self._result: list[_Result] = []
        self._error: BaseException | None = None
        self.drawn = 0.0
        self.ended = False

    def turn(self) -> bool:
        """Let the call go on to its next pause; whether it has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="limner-task", daemon=True)
            self._thread.start()
        self._go.release()
        self._paused.acquire()
        if self.ended:
            self._thread.join()
        return self.ended

    def drop(self) -> None:
        """End the call where it waits; it has ended when this returns."""
        self._dropped = True
        while self._thread is not None and not self.ended:
            self.turn()

    @property
    def result(self) -> _Result:
        """What the call has returned; raises what it has raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._dropped:
                self._result.append(self._call(self._pause))
        except BaseException as error:
            self._error = error
        self.ended = True
        self._paused.release()

    def _pause(self, drawn: float) -> None:
        self.drawn = drawn
        self._paused.release()
        self._go.acquire()
        if self._dropped:
            raise DroppedError
