"""The machine of a run: device, precision, name, memory, signals."""

from __future__ import annotations

import ctypes
import math
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limner.errors import RecipeError

_SAME_SECONDS = 1.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3): bytes at the top of the heap that are kept, size that gets its own pages."""


def training_device(wanted: str) -> torch.device:
    """The device of ``train.device``; ``auto`` takes a GPU where there is one.

    Raises:
        RecipeError: a GPU is asked for and there is none.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise RecipeError("train.device: this machine has no CUDA device that torch can use")
        torch.set_float32_matmul_precision("high")
    return torch.device(wanted)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next step, instead of giving it back.

    Every step frees some megabytes for each activation and asks for them again. Given back to the
    kernel in between, their pages would have to be mapped and cleared anew each time. Of glibc
    alone; elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for option, most in ((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_THRESHOLD, 2**25)):
        library.mallopt(option, most)


def compile_parts(model: nn.Module) -> None:
    """Compile the model's parts in place; names in the state dict stay what they are."""
    for child in model.children():
        for part in child if isinstance(child, nn.ModuleList) else [child]:
            part.compile()


@contextmanager
def compiled(wanted: bool) -> Iterator[None]:
    """Turn the errors of torch.compile into one sentence.

    Args:
        wanted: whether ``train.compile`` is on; otherwise this does nothing.

    Raises:
        RecipeError: torch.compile gave up.
    """
    try:
        yield
    except Exception as error:
        known = (
            type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
            or "torch.compile" in str(error)
            or "double backward" in str(error)
        )
        if not wanted or not known:
            raise
        lines = [
            line.strip() for line in str(error).splitlines()
        ]  # "backend=... raised:" comes first
        reason = next((line for line in lines if line and line[-1] != ":"), type(error).__name__)
        raise RecipeError(
            f"train.compile: torch.compile gave up ({reason[:200]}); leave the key out"
        ) from error


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal acts as it always does.

    Signals within a second of the first count as the same one: a launcher passes Ctrl-C on to
    processes that the terminal has sent it to already.
    """
    asked = threading.Event()
    first = math.inf

    def ask(number: int, frame: object) -> None:
        nonlocal first
        if not asked.is_set():
            asked.set()
            first = time.monotonic()
        elif time.monotonic() - first > _SAME_SECONDS:
            restore()
            signal.raise_signal(number)

    with signal_handler(ask) as restore:
        yield asked


@contextmanager
def signal_handler(handler: Callable[[int, object], None]) -> Iterator[Callable[[], None]]:
    """Handle SIGINT and SIGTERM; gives a function that restores the handlers before the end.

    Only the main thread can handle signals; in others nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    previous = {number: signal.signal(number, handler) for number in numbers}

    def restore() -> None:
        for number, before in previous.items():
            signal.signal(number, before)

    try:
        yield restore
    finally:
        restore()


def autocast(wanted: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of ``train.precision``; ``auto`` is bfloat16 on GPUs that support it."""
    if wanted == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported()
        wanted = "bf16" if able else "fp32"
    if wanted == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def cpu_name() -> str:
    """The processor in words, such as ``AMD EPYC``."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def hardware(device: torch.device) -> str:
    """The machine in words, such as ``AMD EPYC, 2 threads`` or ``NVIDIA H100 80GB``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"
