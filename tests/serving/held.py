"""Drawing that stands still, so that what a test looks at is not over before it looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from limner.generation.generator import Generator
from limner.generation.session import DrawingSession
from limner.serving.tasks import Explain, Refine
from waiting import LONGEST

_PAUSES = 20
"""Of a task that goes on for ever: it has drawn by then, and is not done."""


class Held:
    """How far the drawing in this process has come, and whether it may go on.

    Args:
        most: network evaluations before it stands still.
    """

    def __init__(self, most: int) -> None:
        self._left, self._go = most, threading.Event()
        self.evaluations = 0

    def wait(self) -> None:
        """Stand still, unless there is something left or it was released."""
        if self.evaluations >= self._left:
            assert self._go.wait(LONGEST), "it was never released"
        self.evaluations += 1

    def release(self) -> None:
        """Let it go on."""
        self._go.set()


@contextmanager
def held(evaluations: int = 0) -> Iterator[Held]:
    """Let drawing stand still after so many network evaluations, until released or at the end."""
    state, advance = Held(evaluations), DrawingSession.advance

    def waits(session: DrawingSession, most: int | None = None) -> Any:
        state.wait()
        return advance(session, most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawingSession, "advance", waits)
        try:
            yield state
        finally:
            state.release()


@contextmanager
def endless_tasks() -> Iterator[None]:
    """Let explanations and refinements begin as ever, and pause again and again until dropped."""

    def endless(run: Callable[..., Any]) -> Callable[..., Any]:
        def runs(task: object, generator: Generator, scorer: object, pause: Any) -> Any:
            pauses = 0

            def paused(drawn: float) -> None:
                nonlocal pauses
                pauses += 1
                pause(drawn)
                while pauses >= _PAUSES:
                    pause(drawn)

            return run(task, generator, scorer, paused)

        return runs

    with pytest.MonkeyPatch.context() as patch:
        for task in (Explain, Refine):
            patch.setattr(task, "run", endless(task.run))
        yield
