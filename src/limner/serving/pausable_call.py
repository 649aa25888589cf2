"""Calls that pause: long tasks of a model runner, interleaved with its network evaluations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
Pause = Callable[[float], None]
"""Pauses the call until it is resumed; takes the number of pictures drawn so far."""


class CallCancelledError(BaseException):
    """Raised inside a call that was cancelled; no call may catch it."""


class PausableCall(Generic[_Result]):
    """A function in a thread of its own, which runs only while :meth:`resume` waits for it.

    It never runs at the same time as the thread that resumes it, so the two can share objects such
    as a model without a lock.

    Args:
        call: the function; it is given a :data:`Pause`, to call wherever it can be interrupted.

    Attributes:
        drawn: number of pictures drawn so far, as last passed to the :data:`Pause`.
        ended: whether the function has returned or raised.
    """

    def __init__(self, call: Callable[[Pause], _Result]) -> None:
        self._call = call
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._cancelled = False
        self._result: list[_Result] = []
        self._error: BaseException | None = None
        self.drawn = 0.0
        self.ended = False

    def resume(self) -> bool:
        """Run the call up to its next pause; whether it has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="limner-task", daemon=True)
            self._thread.start()
        self._go.release()
        self._paused.acquire()
        if self.ended:
            self._thread.join()
        return self.ended

    def cancel(self) -> None:
        """Raise :class:`CallCancelledError` in the call, and wait until it has ended."""
        self._cancelled = True
        while self._thread is not None and not self.ended:
            self.resume()

    @property
    def result(self) -> _Result:
        """The return value of the call; raises the exception that it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._cancelled:
                self._result.append(self._call(self._pause))
        except BaseException as error:
            self._error = error
        self.ended = True
        self._paused.release()

    def _pause(self, drawn: float) -> None:
        self.drawn = drawn
        self._paused.release()
        self._go.acquire()
        if self._cancelled:
            raise CallCancelledError
