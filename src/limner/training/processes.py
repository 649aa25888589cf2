"""Several processes that train one model: each takes its part of every batch.

The parts are those of ``train.accumulate``, so that a recipe means the same on one process and on
many: gradients are summed over the processes after the backward pass, by an explicit all-reduce
rather than by hooks in it, which losses that differentiate twice would confuse.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import limner.errors
from limner.errors import LimnerError, MissingExtraError, TrainingError

_GRACE_SECONDS = 5.0


class LostError(TrainingError):
    """Another process of the run has ended; that one knows why."""


class Crowd:
    """The processes of a run; here: just this one.

    Attributes:
        rank: this process's number, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, logs and samples."""
        return self.rank == 0

    def parts(self, accumulate: int) -> tuple[int, range]:
        """In how many parts a batch is cut, and which are this process's."""
        total = math.lcm(accumulate, self.count)
        each = total // self.count
        return total, range(self.rank * each, (self.rank + 1) * each)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by the first process's."""

    def agree(self, values: Sequence[float]) -> list[float]:
        """The first process's values, in every process."""
        return list(values)

    def wait(self) -> None:
        """Wait for the others."""

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients; a parameter without one in every process stays without."""

    def close(self) -> None:
        """Leave the others."""


class _Many(Crowd):
    """Through torch.distributed, set up by accelerate from the environment of a launcher."""

    def __init__(self, cpu: bool) -> None:
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MissingExtraError("accelerate", "scale", "training in processes") from error
        try:
            self.state = PartialState(cpu=cpu)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"the processes cannot find each other: {_first_line(error)}"
            ) from error
        self.rank, self.count = self.state.process_index, self.state.num_processes
        self.device = self.state.device

    @contextmanager
    def _together(self) -> Iterator[Any]:
        from torch import distributed

        try:
            yield distributed
        except RuntimeError as error:
            raise LostError(
                f"another process of this run has ended, and so does number {self.rank}"
            ) from error

    def _flat(self, tensors: Sequence[Tensor], work: Callable[[Any, Tensor], None]) -> None:
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault(tensor.dtype, []).append(tensor)
        for members in kinds.values():
            flat = torch.cat([member.detach().flatten() for member in members])
            with self._together() as distributed:
                work(distributed, flat)
            sizes = [member.numel() for member in members]
            for member, piece in zip(members, torch.split(flat, sizes), strict=True):
                member.detach().copy_(piece.view(member.shape))

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""
        self._flat(tensors, lambda distributed, flat: distributed.all_reduce(flat))

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by the first process's."""
        self._flat(tensors, lambda distributed, flat: distributed.broadcast(flat, 0))

    def agree(self, values: Sequence[float]) -> list[float]:
        """The first process's values, in every process."""
        told = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        self.follow([told])
        return told.tolist()

    def wait(self) -> None:
        """Wait for the others."""
        self.agree([0.0])

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients; a parameter without one in every process stays without."""
        have = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        self.add([have])
        gradients = []
        for parameter, count in zip(parameters, have.tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        self.add(gradients)

    def close(self) -> None:
        """Leave the others."""
        with contextlib.suppress(RuntimeError):
            self.state.destroy_process_group()
        self.state._reset_state()


def launched() -> int:
    """Processes that a launcher (ours, ``accelerate launch`` or torchrun) has started; 1 alone."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdigit() and "LOCAL_RANK" in os.environ else 1


def join(device: str) -> Crowd:
    """The processes that this one was started with.

    Args:
        device: the recipe's ``train.device``.

    Raises:
        MissingExtraError: there are several and accelerate is not installed.
        TrainingError: they cannot find each other.
    """
    if launched() == 1:
        return Crowd()
    return _Many(cpu=device == "cpu" or not torch.cuda.is_available())


def launch(count: int, task: Callable[..., Path], *words: Any, **options: Any) -> Path:
    """Do one task in several new processes that can :func:`join`; the first's result.

    Args:
        count: how many.
        task: an importable function; what it is given must be picklable.
        words: its arguments.
        options: its keyword arguments.

    Raises:
        LimnerError: what the first process that failed raised; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    surroundings = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": os.environ.get(
            "OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // count))
        ),
    }
    children: list[tuple[Any, Connection]] = []
    with _surroundings(surroundings):
        for rank in range(count):
            ours, theirs = context.Pipe(duplex=False)
            os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
            child = context.Process(target=_child, args=(theirs, task, words, options), daemon=True)
            child.start()
            theirs.close()
            children.append((child, ours))
    with _forwarding([child for child, _ in children]):
        return _gather(children)


def _gather(children: Sequence[tuple[Any, Connection]]) -> Path:
    told: dict[int, tuple[str, Any]] = {}
    try:
        deadline = math.inf
        while len(told) < len(children) and time.monotonic() < deadline:
            left = {pipe: n for n, (_, pipe) in enumerate(children) if n not in told}
            ready = wait(list(left), timeout=max(0.0, min(3600.0, deadline - time.monotonic())))
            for pipe in ready:
                assert isinstance(pipe, Connection)
                number = left[pipe]
                told[number] = _told(number, children[number][0], pipe)
                if told[number][0] != "done":
                    deadline = min(deadline, time.monotonic() + _GRACE_SECONDS)
    finally:
        for child, _ in children:
            if len(told) < len(children) or any(kind != "done" for kind, _ in told.values()):
                child.kill()
            child.join()
    problems = [(kind, what) for kind, what in told.values() if kind != "done"]
    if not problems:
        path: Path = told[0][1]
        return path
    # Whoever only lost the others says nothing of why.
    kind, what = min(problems, key=lambda problem: problem[0] == LostError.__name__)
    failure = getattr(limner.errors, kind, TrainingError)
    error = LimnerError.__new__(failure)
    error.args = (what,)
    raise error


def _told(number: int, child: Any, pipe: Connection) -> tuple[str, Any]:
    try:
        kind, what = pipe.recv()
    except (EOFError, OSError):
        child.join()
        code = child.exitcode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        return "TrainingError", f"process {number} of the run {how}; the others were stopped"
    return kind, what


def _child(
    pipe: Connection, task: Callable[..., Path], words: tuple[Any, ...], options: dict[str, Any]
) -> None:
    # A group of its own: Ctrl-C reaches the launcher alone, which passes it on once.
    os.setpgrp()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    try:
        pipe.send(("done", task(*words, **options)))
    except LimnerError as error:
        pipe.send((type(error).__name__, str(error)))
    except KeyboardInterrupt:
        pipe.send(("TrainingError", "interrupted"))
    except Exception as error:
        number = os.environ["RANK"]
        what = f"process {number} failed: {type(error).__name__}: {_first_line(error)}"
        pipe.send(("TrainingError", what))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def _surroundings(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _forwarding(children: Sequence[Any]) -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to the children, who save and end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: Any) -> None:
        for child in children:
            if child.is_alive():
                os.kill(child.pid, number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "no reason given")[:300]
