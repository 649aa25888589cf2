"""Worker processes, so that several model runners work in parallel on one queue.

Each process has a :class:`~limner.serving.model_runner.ModelRunner` and executes the steps that it
receives over a pipe; the HTTP server stays in the main process. A process that dies is restarted,
and the batcher requeues what it was drawing.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import cast

from limner.serving.logs import LogFormat, set_logs
from limner.serving.model_runner import ModelRunner, StepInput, StepOutput
from limner.serving.starting import start_context

_END_SECONDS = 5.0


class WorkerLostError(Exception):
    """A worker process has died, with its models and drawings; another one is started."""


class Worker:
    """A model runner in a process of its own, which is started by the first step.

    Args:
        device: device of the models.
        threads: number of CPU threads.
        logs: format of its log.
    """

    def __init__(self, device: str, threads: int, logs: LogFormat) -> None:
        self._given = device, threads, logs
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Id of the current process; None before the first step."""
        return None if self._process is None else self._process.pid

    def step(self, work: StepInput) -> list[StepOutput]:
        """See :meth:`limner.serving.model_runner.ModelRunner.step`.

        Raises:
            WorkerLostError: the process has died.
        """
        try:
            connection = self._connection or self._start()
            connection.send(work)
            return cast("list[StepOutput]", connection.recv())
        except (EOFError, OSError) as error:
            pid = self.pid
            self._end()
            raise WorkerLostError(f"the worker process {pid} has died") from error

    def close(self) -> None:
        """End the process."""
        self._closed = True
        self._end()

    def _start(self) -> Connection:
        if self._closed:
            raise EOFError
        context = start_context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_draw, args=(theirs, *self._given), daemon=True
        )
        self._process.start()
        theirs.close()
        # Before multiprocessing waits for its children, which wait for the connection's end.
        atexit.register(self.close)
        return self._connection

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        process, self._process = self._process, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.join(_END_SECONDS)
            process.kill()
        atexit.unregister(self.close)


def _draw(connection: Connection, device: str, threads: int, logs: LogFormat) -> None:
    """Execute the steps received over a pipe, until it is closed."""
    from limner.generation.prompts import PromptWarning
    from limner.threads import set_threads

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the main process
    warnings.simplefilter("ignore", PromptWarning)  # the response has these warnings
    set_logs(logs)
    set_threads(threads)
    runner = ModelRunner(device=device, threads=threads)
    with suppress(EOFError, OSError):
        while True:
            connection.send(runner.step(connection.recv()))
    runner.close()
