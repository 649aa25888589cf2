"""How many processes draw where nobody says: as many as cores and memory have room for."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from limner.errors import UsageError
from limner.hub import is_hub
from limner.serving.models import Models
from limner.serving.settings import ServerSettings
from limner.threads import physical_cores

_PROCESS_BYTES = 250_000_000
"""What a process that draws takes beside its models: Python, PyTorch, and what drawing needs.

By the memory of such a process that it shares with no other, with the shipped model, under load.
"""
_SHARE = 0.5
"""Of the memory that is free; the rest is left to other programs and to the server itself."""
_MOST = 8
"""Processes; one more would wait for the process that listens, which makes the files."""


def workers_for(models: Models, settings: ServerSettings) -> int:
    """Processes that draw: what the settings say, else one of a thread for each core.

    One alone draws on a GPU and with a model of the hub, whose drawings take long, so that a lone
    one should have all threads; and with a model in memory, which another process has not.

    Args:
        models: that are served.
        settings: how the server is run.
    """
    if settings.workers is not None:
        return settings.workers
    versions = [each.version for each in models.served.values()]
    alone = any(each.given or is_hub(each.outline.source or "") for each in versions)
    if alone or torch.device(settings.device).type != "cpu":
        return 1
    own = sum(each.bytes for each in versions)
    rooms = [physical_cores() // (settings.threads or 1), _MOST]
    if settings.memory is not None:
        rooms.append(int(settings.memory // own))
        own = min(own, int(settings.memory))
    free = available_memory()
    if free is not None:
        rooms.append(int(_SHARE * free) // (_PROCESS_BYTES + own))
    return max(1, min(rooms))


def check_memory(models: Models, settings: ServerSettings) -> None:
    """Refuse memory that one of the models does not fit into, alone in each process that draws.

    Args:
        models: that are served.
        settings: how the server is run.

    Raises:
        UsageError: ``settings.memory`` is too little.
    """
    workers = workers_for(models, settings)
    largest = max(models.served.values(), key=lambda each: each.version.bytes)
    need = largest.version.bytes * workers
    if settings.memory is None or need <= settings.memory:
        return
    each = f" in each of {workers} workers" if workers > 1 else ""
    fewer = ", or fewer --workers" if workers > 1 else ""
    raise UsageError(
        f"--memory {settings.memory / 1e9:g} is too little: {largest.name} takes "
        f"{largest.version.bytes / 1e9:.2f} GB{each}; give at least "
        f"{math.ceil(need / 1e7) / 100:.2f}{fewer}"
    )


def available_memory() -> int | None:
    """Bytes that this process and others it starts may still use; None where nobody knows."""
    rooms = []
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        rooms += [int(each.split()[1]) * 1024 for each in lines if each.startswith("MemAvailable")]
    except (OSError, ValueError, IndexError):
        pass
    group = Path("/sys/fs/cgroup")  # as a container sees its own
    try:
        most, used = ((group / f"memory.{name}").read_text("ascii") for name in ("max", "current"))
        rooms.append(max(0, int(most) - int(used)))
    except (OSError, ValueError):  # none, or "max"
        pass
    return min(rooms, default=None)
