"""Who ends what draws, where it has not finished in time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from limner.generation.generator import load
from limner.serving.batcher import Batcher
from limner.serving.metrics import Metrics
from limner.serving.model_runner import StepInput, StepOutput
from limner.serving.models import Models
from waiting import LONGEST, wait_until


class Slow:
    """Draws for as long as it is not let go, and knows by which thread it was closed."""

    def __init__(self) -> None:
        self.steps, self.go = threading.Event(), threading.Event()
        self.closed_by: list[str] = []

    def step(self, work: StepInput) -> list[StepOutput]:
        self.steps.set()
        assert self.go.wait(LONGEST)
        assert not self.closed_by, "it was closed in the middle of a step"
        return []

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)


def test_what_draws_is_closed_between_two_steps_and_nothing_more_is_begun(flow_path):
    runner = Slow()
    batcher = Batcher(Models.of(load(flow_path)), [runner], Metrics(lambda: 0, lambda: 0))
    batcher.start()
    assert runner.steps.wait(LONGEST)
    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(batcher.stop, 0.0)
        wait_until(lambda: batcher._ended)
        assert not runner.closed_by
        runner.go.set()
        stopped.result()
    batcher._join(LONGEST)
    assert runner.closed_by == ["limner-batcher"]
