"""Several processes that train one model: each computes some of the micro-batches of a batch.

The micro-batches are those of ``train.accumulate``, so that a recipe means the same in one process
and in many. Gradients are summed over the processes after the backward pass by an explicit
all-reduce, because losses with second derivatives (R1) would trigger hooks inside it twice.
"""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

import limner.errors
from limner.errors import LimnerError, MissingExtraError, TrainingError, first_line
from limner.models.layers import sent
from limner.training.machine import signal_handler

_AGREE_SECONDS = 0.2
"""Between two times that the processes compare their clocks."""
_GRACE_SECONDS = 5.0
_BUCKET_BYTES = 25 * 2**20
"""Of what is exchanged at once, as DistributedDataParallel has it."""
_OBSERVED = ("validated", "should_stop", "interrupted")


class RunObserver(Protocol):
    """Follows a run from outside, as a hyper-parameter search does."""

    def validated(self, progress: float, figures: dict[str, float]) -> None:
        """A validation has been done, at a share of the budget; the metric and losses by name."""

    def should_stop(self) -> bool:
        """Whether the run shall end now; asked after every step."""

    def interrupted(self) -> None:
        """The run was stopped by Ctrl-C or SIGTERM; its state is saved."""


class ProcessLostError(TrainingError):
    """Another process of the run has ended; its own message says why."""


class ProcessGroup:
    """The processes of a run. This class is the group of one process, with nothing to exchange.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files, logs and draws samples."""
        return self.rank == 0

    def micro_batches(self, accumulate: int) -> tuple[int, range]:
        """The number of micro-batches of a batch, and the numbers of this process's own."""
        total = math.lcm(accumulate, self.size)
        each = total // self.size
        return total, range(self.rank * each, (self.rank + 1) * each)

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of process 0."""

    def broadcast_values(self, values: Sequence[float]) -> list[float]:
        """The values of process 0, in every process."""
        return list(values)

    def barrier(self) -> None:
        """Wait until every process is here."""

    def all_reduce_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients; a parameter that has none in any process keeps none."""

    def close(self) -> None:
        """Leave the process group."""


class _DistributedGroup(ProcessGroup):
    """Exchanges through torch.distributed, as accelerate sets it up from the environment."""

    def __init__(self, cpu: bool) -> None:
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MissingExtraError("accelerate", "scale", "training in processes") from error
        try:
            self.state = PartialState(cpu=cpu)
        except (RuntimeError, ValueError) as error:
            reason = first_line(error)
            raise TrainingError(f"the processes cannot find each other: {reason}") from error
        self.rank, self.size = self.state.process_index, self.state.num_processes
        self.device = self.state.device

    @contextmanager
    def _collective(self) -> Iterator[Any]:
        from torch import distributed

        try:
            yield distributed
        except RuntimeError as error:
            raise ProcessLostError(
                f"another process of this run has ended, and so does number {self.rank}"
            ) from error

    def _flat(self, tensors: Sequence[Tensor], start: Callable[[Any, Tensor], Any]) -> None:
        """Exchange tensors in buckets: one is on its way while the next is put together."""
        begun: list[tuple[list[Tensor], Tensor, Any]] = []
        with self._collective() as distributed:
            for members in _buckets(tensors):
                flat = torch.cat([member.detach().flatten() for member in members])
                begun.append((members, flat, start(distributed, flat)))
            for members, flat, work in begun:
                work.wait()  # of a GPU only its queue waits
                sizes = [member.numel() for member in members]
                for member, piece in zip(members, torch.split(flat, sizes), strict=True):
                    member.detach().copy_(piece.view(member.shape))

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        self._flat(tensors, lambda distributed, flat: distributed.all_reduce(flat, async_op=True))

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        self._flat(tensors, lambda distributed, flat: distributed.broadcast(flat, 0, async_op=True))

    def broadcast_values(self, values: Sequence[float]) -> list[float]:
        shared = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        self.broadcast([shared])
        return shared.tolist()

    def barrier(self) -> None:
        self.broadcast_values([0.0])

    def all_reduce_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        # Who lacks some sums zeros, and only that process asks afterwards whether anybody had them:
        # nobody waits for the answer where all have all, as in nearly every step of every family.
        without = [p for p in parameters if p.grad is None]
        have = sent(torch.tensor([float(p.grad is not None) for p in parameters]), self.device)
        for parameter in without:
            parameter.grad = torch.zeros_like(parameter)
        self.all_reduce([have, *(p.grad for p in parameters if p.grad is not None)])
        if without:
            for parameter, count in zip(parameters, have.tolist(), strict=True):
                if not count:
                    parameter.grad = None

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.state.destroy_process_group()
        self.state._reset_state()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one dtype, and of some megabytes together where there are more."""
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        members = kinds.setdefault(tensor.dtype, [])
        if members and sum(member.nbytes for member in members) >= _BUCKET_BYTES:
            yield members.copy()
            members.clear()
        members.append(tensor)
    yield from kinds.values()


class SharedClock:
    """The clock of process 0, and whether any process was asked to stop, in every process.

    The processes wait for each other and for their devices whenever they compare, so they do it
    every few steps only, about every 0.2 seconds.

    Args:
        group: the processes.
        device: where the numbers are exchanged.
        step: updates done when the run began or was resumed.
        elapsed: seconds of training until then.
    """

    def __init__(
        self, group: ProcessGroup, device: torch.device, step: int, elapsed: float
    ) -> None:
        self._group, self._device = group, device
        self._next, self._last = 0, (step, elapsed)

    def due(self, step: int) -> bool:
        """Whether to compare after this step; all processes find the same."""
        return step >= self._next

    def agree(self, step: int, elapsed: float, stop: bool) -> tuple[float, bool]:
        """Compare: the seconds by the clock of process 0, and whether any process is to stop.

        Args:
            step: updates done.
            elapsed: seconds of training by the clock of this process.
            stop: whether this process was asked to stop.
        """
        if self._group.size == 1:
            return elapsed, stop
        values = [elapsed if self._group.is_main else 0.0, float(stop)]
        shared = torch.tensor(values, dtype=torch.float64, device=self._device)
        self._group.all_reduce([shared])
        clock, asked = shared.tolist()
        last, then = self._last
        each = (clock - then) / max(1, step - last)
        self._next = step + max(1, int(_AGREE_SECONDS / max(each, 1e-6)))
        self._last = step, clock
        return clock, bool(asked)


def launched() -> int:
    """How many processes a launcher (ours, ``accelerate launch`` or torchrun) has started, or 1."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdigit() and "LOCAL_RANK" in os.environ else 1


def join(device: str) -> ProcessGroup:
    """The group of the processes that this one was started with.

    Raises:
        MissingExtraError: there are several and accelerate is not installed.
        TrainingError: they cannot find each other.
    """
    if launched() == 1:
        return ProcessGroup()
    return _DistributedGroup(cpu=device == "cpu" or not torch.cuda.is_available())


def launch(
    count: int,
    task: Callable[..., Path],
    *args: Any,
    observer: RunObserver | None = None,
    **options: Any,
) -> Path:
    """Run one task in several new processes that can :func:`join`; the result of process 0.

    The task is an importable function; its arguments must be picklable. The observer stays in this
    process: the task of process 0 gets an option ``observer`` that calls it from there.

    Raises:
        LimnerError: what the first process that failed raised; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    threads = os.environ.get("OMP_NUM_THREADS", max(1, torch.get_num_threads() // count))
    environment = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(), "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count, "OMP_NUM_THREADS": threads,
    }  # fmt: skip
    children: list[tuple[Any, Connection]] = []
    for rank in range(count):
        ours, theirs = context.Pipe()
        observed = rank == 0 and observer is not None
        words = (theirs, task, args, options, observed)
        child = context.Process(target=_child, args=words, daemon=True)
        with _environment({**environment, "RANK": rank, "LOCAL_RANK": rank}):
            child.start()
        theirs.close()
        children.append((child, ours))

    def forward(number: int, frame: object) -> None:
        """Pass a signal on to the children, which save their state and end."""
        for child, _ in children:
            if child.is_alive():
                os.kill(child.pid, number)

    with signal_handler(forward):
        return _gather(children, observer)


def _gather(children: Sequence[tuple[Any, Connection]], observer: RunObserver | None) -> Path:
    """Wait for the children and answer what they ask the observer; the result of the first."""
    results: dict[int, tuple[str, Any]] = {}
    deadline: float | None = None
    try:
        while len(results) < len(children):
            pipes = {pipe: n for n, (_, pipe) in enumerate(children) if n not in results}
            ready = wait(list(pipes), deadline and max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for pipe in ready:
                assert isinstance(pipe, Connection)
                kind, value = _receive(pipes[pipe], children[pipes[pipe]][0], pipe)
                if observer is not None and kind in _OBSERVED:
                    answer = getattr(observer, kind)(*value)
                    with contextlib.suppress(OSError):  # the child has ended
                        pipe.send(answer)
                    continue
                results[pipes[pipe]] = kind, value
                if kind != "done":
                    deadline = deadline or time.monotonic() + _GRACE_SECONDS
    finally:
        for child, _ in children:
            if len(results) < len(children) or any(kind != "done" for kind, _ in results.values()):
                child.kill()
            child.join()
    problems = [(kind, what) for kind, what in results.values() if kind != "done"]
    if not problems:
        path: Path = results[0][1]
        return path
    # A process that lost the others does not know why.
    kind, what = min(problems, key=lambda problem: problem[0] == ProcessLostError.__name__)
    failure = getattr(limner.errors, kind, TrainingError)
    error = LimnerError.__new__(failure)
    error.args = (what,)
    raise error


def _receive(number: int, child: Any, pipe: Connection) -> tuple[str, Any]:
    try:
        kind, what = pipe.recv()
    except (EOFError, OSError):
        child.join()
        code = child.exitcode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        return "TrainingError", f"process {number} of the run {how}; the others were stopped"
    return kind, what


class _RemoteObserver:
    """Calls the observer in the process that launched this one."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def _call(self, name: str, *values: Any) -> Any:
        self._pipe.send((name, values))
        return self._pipe.recv()

    def validated(self, progress: float, figures: dict[str, float]) -> None:
        self._call("validated", progress, figures)

    def should_stop(self) -> bool:
        return bool(self._call("should_stop"))

    def interrupted(self) -> None:
        self._call("interrupted")


def _child(
    pipe: Connection,
    task: Callable[..., Path],
    args: tuple[Any, ...],
    options: dict[str, Any],
    observed: bool,
) -> None:
    # A process group of its own: Ctrl-C reaches the launcher alone, which passes it on once.
    os.setpgrp()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    logging.basicConfig(format="limner: warning: %(message)s", level=logging.WARNING)
    if observed:
        options = {**options, "observer": _RemoteObserver(pipe)}
    try:
        pipe.send(("done", task(*args, **options)))
    except LimnerError as error:
        pipe.send((type(error).__name__, str(error)))
    except KeyboardInterrupt:
        pipe.send(("TrainingError", "interrupted"))
    except Exception as error:
        number = os.environ["RANK"]
        what = f"process {number} failed: {type(error).__name__}: {first_line(error)}"
        pipe.send(("TrainingError", what))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def _environment(values: dict[str, object]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
