"""Drawing beside other work: what the number of threads costs, on a busy and on a quiet machine.

Each setting draws the same prompts in a process of its own, in turn, several rounds; the busy
rounds run beside one training process for every CPU. ``spinning`` is how OpenMP waits where
nobody says otherwise (and how limner waited before it chose): what is drawn within a limit
then stands for the rest.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from limner.threads import usable_cpus

THINGS = ("cat", "dog", "heart", "rocket", "house", "tree", "apple", "banana", "star", "fish")
PROMPTS = [f"a {colour} {thing}" for colour in ("red", "blue") for thing in THINGS]
ROUNDS = 3
LIMIT_SECONDS = 20
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "default": ("default", {}),
    "one thread": ("1", {}),
    "two threads": ("2", {}),
    "two threads, spinning": ("2", {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}),
}
_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def draw(threads: str) -> None:
    """Draw the prompts; print seconds on the clock and of the processor, for all of them."""
    import limner

    generator = limner.load(threads=None if threads == "default" else int(threads))
    generator.generate("a hat", seed=1)
    clock, cpu, count = time.perf_counter(), time.process_time(), 0
    for _ in generator.stream(PROMPTS, seed=1):
        count += 1
        if time.perf_counter() - clock > LIMIT_SECONDS:
            break
    share = count / len(PROMPTS)
    seconds = time.perf_counter() - clock, time.process_time() - cpu
    print(json.dumps([value / share for value in seconds]))


def train() -> None:
    """Train a small network on noise, on one thread, until ended."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.Flatten())
    optimizer = torch.optim.Adam(net.parameters())
    print("running", flush=True)
    while True:
        optimizer.zero_grad()
        net(torch.randn(16, 3, 32, 32)).square().mean().backward()
        optimizer.step()


@contextmanager
def busy() -> Iterator[None]:
    """One training process for every CPU."""
    command = [sys.executable, __file__, "train"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(usable_cpus())]
    try:
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        yield
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.communicate()


def measure(setting: str, cache: str) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    threads, extra = SETTINGS[setting]
    environment = {k: v for k, v in os.environ.items() if k not in _POLICIES}
    environment |= {"LIMNER_CACHE": cache, **extra}
    command = [sys.executable, __file__, "draw", threads]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    clock, cpu = json.loads(done.stdout)
    return clock, cpu


def rounds(cache: str) -> dict[str, dict[str, float]]:
    """Median seconds of every setting, by clock and by processor."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SETTINGS}
    for turn in range(ROUNDS):
        for name, times in found.items():
            if not turn or times[0][0] < LIMIT_SECONDS:  # one try beyond the limit says enough
                times.append(measure(name, cache))
    return {
        name: {"clock": statistics.median(t[0] for t in times),
               "cpu": statistics.median(t[1] for t in times)}
        for name, times in found.items()
    }  # fmt: skip


def run() -> dict[str, Any]:
    """Draw with every setting, quiet and busy."""
    with tempfile.TemporaryDirectory() as cache:
        measure("one thread", cache)  # the words are encoded once
        quiet = rounds(cache)
        with busy():
            beside = rounds(cache)
    figures: dict[str, Any] = {}
    for kind, found in (("quiet", quiet), ("busy", beside)):
        one = found["one thread"]
        for name, times in found.items():
            goal = None if "spinning" in name or name == "one thread" else 1.5
            figures[f"{kind}, {name}: seconds"] = {"value": round(times["clock"], 2), "unit": "s"}
            for key, what in (("clock", "seconds"), ("cpu", "CPU seconds")):
                figures[f"{kind}, {name}: {what} of one thread's"] = {
                    "value": round(times[key] / one[key], 2), "unit": "x", "goal": goal
                }  # fmt: skip
    notes = {"prompts": len(PROMPTS), "rounds": ROUNDS, "limit_seconds": LIMIT_SECONDS,
             "load": f"{usable_cpus()} training processes of one thread"}  # fmt: skip
    headline = "busy, default: CPU seconds of one thread's"
    return {"figures": figures, "headline": headline, **notes}


if __name__ == "__main__":
    if sys.argv[1] == "draw":
        draw(sys.argv[2])
    else:
        train()
