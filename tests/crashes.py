"""Work that dies in the middle of what it writes: at each change of a file, and within files."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from limner.errors import LimnerError

_CHANGES = frozenset({
    "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod",
})  # fmt: skip
_FAILED = 2
"""Exit code of work that fails with an error for users."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(change: int, work: Callable[[], object]) -> bool:
    """Do some work in a process of its own that is killed before it changes a file again.

    Args:
        change: number of the change that is not made, from 0: a file that is opened for writing,
            renamed, removed, linked, or a folder that is made.
        work: to be done.

    Returns:
        Whether there was such a change; else the work is done.
    """

    def begin() -> None:
        left = change

        def count(event: str, given: tuple[Any, ...]) -> None:
            nonlocal left
            if event in _CHANGES or (event == "open" and given[2] & _WRITES):
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(count)

    return _ended(begin, work) == -signal.SIGKILL


def stopped_within(size: int, work: Callable[[], object]) -> bool:
    """As :func:`killed_at`, but stopped as it writes more than so many bytes to a file.

    It is killed, or, where some of the bytes were still written, fails as on a full disk.
    """

    def begin() -> None:
        import resource  # which Windows has not

        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return _ended(begin, work) in (-signal.SIGXFSZ, _FAILED)


def _ended(begin: Callable[[], None], work: Callable[[], object]) -> int:
    """Do work in a fork of this process; minus the signal that ended it, or its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            begin()
            work()
            code = 0
        except LimnerError:
            code = _FAILED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended != 1, "the work failed before it was stopped"
    return ended
