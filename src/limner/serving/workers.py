"""Drawing in processes of their own, so that several draw at once behind one queue.

A process has a :class:`~limner.serving.drawing.Drawer`, which it steps through as it is told over a
pipe; whoever serves stays in the process that listens. One that ends is started again, and what it
drew is begun anew by the batcher.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import cast

from limner.serving.drawing import Drawer, News, Work
from limner.serving.logs import LogFormat, set_logs
from limner.serving.starting import start_context

_END_SECONDS = 5.0


class WorkerLostError(Exception):
    """A process has ended, and with it its models and drawings; another is started."""


class Worker:
    """A drawer in another process, which is started when it is first told to do something.

    Args:
        device: where models draw.
        threads: of the CPU.
        logs: how its lines look.
    """

    def __init__(self, device: str, threads: int, logs: LogFormat) -> None:
        self._given = device, threads, logs
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process that there is now."""
        return None if self._process is None else self._process.pid

    def step(self, work: Work) -> list[News]:
        """See :meth:`limner.serving.drawing.Drawer.step`.

        Raises:
            WorkerLostError: the process has ended.
        """
        try:
            connection = self._connection or self._start()
            connection.send(work)
            return cast("list[News]", connection.recv())
        except (EOFError, OSError) as error:
            pid = self.pid
            self._end()
            raise WorkerLostError(f"the process {pid}, which draws, has ended") from error

    def close(self) -> None:
        """Let the process end."""
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
    """Do what the other end of a pipe says, until it is closed."""
    from limner.generation.prompts import PromptWarning
    from limner.threads import set_threads

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the process that serves does
    warnings.simplefilter("ignore", PromptWarning)  # whoever asked is told in the answer
    set_logs(logs)
    set_threads(threads)
    drawer = Drawer(device=device, threads=threads)
    with suppress(EOFError, OSError):
        while True:
            connection.send(drawer.step(connection.recv()))
    drawer.close()
