"""How much of the machine's arithmetic training uses: the shipped recipe against plain products.

    python benchmarks/training.py

Ten points of the run's budget are visited, because a family may do different work at each. At
every point real updates of the real loop alternate with fp32 matrix products, so that both sides
see the same machine. The pictures are random: what they show changes no speed.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from _recipes import read
from _training import random_store, trainer
from limner.data.store import Store
from limner.training.flops import Costs, count
from limner.training.loop import Trainer

RECIPE = "icons-64"
PICTURES, SIZE = 256, 64
STEPS = 1000
POINTS = tuple(0.05 + 0.1 * k for k in range(10))
WARM, MEASURED = 5, 8
HALVED, PAIRS = ("flow-64", "vae-64"), 7
SIDE = 1536


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """Wall seconds of some calls."""
    started = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - started


def measure(
    run: Trainer, costs: Costs, progress: float, a: torch.Tensor
) -> tuple[float, float, float, float]:
    """At one point of the budget: operations and seconds of training, then of products."""
    step = int(progress * STEPS)
    for offset in range(WARM):
        run.update(step + offset)
    train = product = 0.0
    for offset in range(MEASURED):
        train += seconds_of(lambda offset=offset: run.update(step + WARM + offset), 1)
        product += seconds_of(lambda: a @ a, 10)
    pictures = MEASURED * run.section.batch_size
    return (
        pictures * costs.per_picture(progress),
        train,
        MEASURED * 10 * 2 * SIDE**3,
        product,
    )


def bf16_gain(name: str, store: Store, folder: Path, threads: int) -> float:
    """How much faster updates of a recipe are in bfloat16: the median of pairs, taken in turn."""
    ratios: list[float] = []
    with ExitStack() as opened:
        runs = [
            trainer(
                name, read(name), store, folder / f"{name}-{way}", opened,
                precision=way, threads=threads, device="cpu",
            )
            for way in ("fp32", "bf16")
        ]  # fmt: skip
        for step in range(2 + PAIRS):
            one, other = (
                seconds_of(lambda run=run, step=step: run.update(step), 1) for run in runs
            )
            ratios.append(one / other)
    return statistics.median(ratios[2:])


def run() -> dict[str, Any]:
    """Training rate, product rate and their quotient, on all cores; and what bfloat16 gains."""
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    a = torch.randn(SIDE, SIDE)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        store = random_store(Path(folder) / "store", PICTURES, SIZE)
        training = trainer(
            RECIPE, read(RECIPE), store, Path(folder) / "run", opened,
            steps=STEPS, threads=threads, device="cpu",
        )  # fmt: skip
        seconds_of(lambda: a @ a, 10)
        costs = count(training.model, training.loader.batch(0, ahead=False), POINTS)
        rows = [measure(training, costs, progress, a) for progress in POINTS]
        gains = {name: bf16_gain(name, store, Path(folder), threads) for name in HALVED}
    work, spent, products, waited = (sum(column) for column in zip(*rows, strict=True))
    rate, peak = work / spent / 1e9, products / waited / 1e9
    shown = len(POINTS) * MEASURED * training.section.batch_size / spent
    points = {
        f"{progress:.2f}": round(row[0] / row[1] / (row[2] / row[3]), 3)
        for progress, row in zip(POINTS, rows, strict=True)
    }
    return {
        "figures": {
            "share of the fp32 product rate": {
                "value": round(rate / peak, 3), "goal": 0.6, "better": "higher",
            },
            "training": {"value": round(rate, 1), "unit": "GFLOP/s", "better": "higher"},
            "fp32 products": {"value": round(peak, 1), "unit": "GFLOP/s", "better": "higher"},
            "pictures": {"value": round(shown, 1), "unit": "1/s", "better": "higher"},
            **{
                f"{name}: bf16 over fp32": {"value": round(gain, 2), "better": "higher"}
                for name, gain in gains.items()
            },
        },
        "share by progress": points,
        "threads": threads,
        "batch": training.section.batch_size,
        "parameters": training.session.parameter_count,
    }  # fmt: skip


if __name__ == "__main__":
    result = run()
    for name, figure in result.pop("figures").items():
        print(f"{name}: {figure['value']} {figure.get('unit', '')}")
    print(result)
