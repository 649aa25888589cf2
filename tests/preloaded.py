"""The commands ``limner`` and ``python`` in processes that have imported everything already.

A process that has imported limner and torch, which takes seconds, waits at a socket; every command
is a fork of it with the arguments, folder, environment and streams of its own, and ends with its
own exit status. What is run is the same ``limner.cli.main``, the code after ``-c``, or the module
after ``-m``; what these start as ``sys.executable`` is this ``python``, too.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    answers = server.makefile()
    child = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
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


def _serve(listener: socket.socket) -> None:
    """Fork for every connection, for ever."""
    from limner import cli
    from limner.generation import generator  # noqa: F401 - and torch
    from limner.training import loop  # noqa: F401

    sys.executable = sys.argv[2]
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
        if Path(sys.argv[0]).name == "python":
            _, flag, code, *rest = sys.argv
            assert flag in ("-c", "-m"), "only python -c and -m are known here"
            sys.argv, sys.path[0] = [flag, *rest], ""
            if flag == "-m":
                runpy.run_module(code, run_name="__main__", alter_sys=True)
                sys.exit()
            exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
            sys.exit()
        sys.exit(main())
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
