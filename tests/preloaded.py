"""The commands ``limner`` and ``python`` in processes that have imported everything already.

A process that has imported limner and torch, which takes seconds, waits at a socket; every command
is a fork of it with the arguments, folder, environment and streams of its own, and ends with its
own exit status. What is run is the same ``limner.cli.main``, the code after ``-c``, the module
after ``-m`` or the file that is named; what these start as ``sys.executable`` is this ``python``,
too. A signal that cannot be passed on, as SIGKILL, is sent to a :class:`Forked` one.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
passed = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
signal.pthread_sigmask(signal.SIG_BLOCK, passed)  # until it is known to whom
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    answers = server.makefile()
    child = int(answers.readline())
    for number in passed:
        signal.signal(number, lambda number, _: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, passed)
    status = int(answers.readline())
sys.exit(status if status >= 0 else 128 - status)
"""


@contextmanager
def preloaded(folder: Path) -> Iterator[Path]:
    """A folder with such commands, to be put first in ``PATH``."""
    address, scripts = folder / "socket", folder / "bin"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        command = [sys.executable, __file__, str(listener.fileno()), str(scripts / "python")]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    scripts.mkdir()
    for name in ("limner", "python"):
        script = scripts / name
        script.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
        script.chmod(0o755)
    try:
        yield scripts
    finally:
        server.terminate()
        server.wait()


class Forked:
    """One such command, begun without a process between: its ``pid`` is its own.

    Args:
        command: the words; the first is the path of a ``limner`` or ``python`` made here.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(Path(command[0]).parents[1] / "socket"))
        asked = json.dumps([list(command), str(Path.cwd()), dict(os.environ)]).encode()
        socket.send_fds(self._server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
        self._server.sendall(asked)
        self._answers = self._server.makefile()
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status as :class:`subprocess.Popen` gives it; None while it runs."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit status."""
        if self.returncode is None:
            self._server.settimeout(timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _serve(listener: socket.socket) -> None:
    """Fork for every connection, for ever."""
    from limner import cli
    from limner.generation import generator  # noqa: F401 - and torch
    from limner.training import loop  # noqa: F401

    sys.executable = sys.argv[2]
    gc.collect()
    gc.freeze()  # what is shared by all forks is not gone through, and copied, in each
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _supervise(connection, cli.main)
        connection.close()


def _supervise(connection, main) -> None:  # type: ignore[no-untyped-def]
    """Run one command in a process, and say which that is and how it ended."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    text = connection.makefile("rb").read(int.from_bytes(head, "big"))
    child = os.fork()
    if child == 0:
        connection.close()
        sys.argv, folder, environment = json.loads(text)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        try:
            _run(main)
        except SystemExit as ended:
            if not isinstance(ended.code, int | None):
                raise
            _end(ended.code or 0)
        _end(0)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(main) -> None:  # type: ignore[no-untyped-def]
    """Do what the words of ``sys.argv`` say."""
    if Path(sys.argv[0]).name != "python":
        sys.exit(main())
    words = [word for word in sys.argv[1:] if word != "-u"]
    flag, code, *rest = words if words[0] in ("-c", "-m") else ("", *words)
    sys.argv, sys.path[0] = [flag or code, *rest], ""
    if flag == "-c":
        exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
    elif flag == "-m":
        runpy.run_module(code, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(code).parent)
        runpy.run_path(code, run_name="__main__")


def _end(status: int) -> None:
    """End as the interpreter does, without taking apart what was imported: that takes longest."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
