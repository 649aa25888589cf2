"""How processes that draw are started: quickly, from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
import sys
from functools import cache
from multiprocessing.context import BaseContext


@cache
def start_context() -> BaseContext:
    """Of multiprocessing, for processes that draw.

    On Linux a process of one thread imports PyTorch and what draws once, while the server is
    still being put together, and each that draws is a copy of it, which shares that memory. On
    others, whose system libraries do not bear to be copied, each imports it anew.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limner.serving.workers", "limner.generation.prompts"])
    return context


def start_early() -> None:
    """Begin to import what processes that draw need."""
    if start_context().get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        ensure_running()
