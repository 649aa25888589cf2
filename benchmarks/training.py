"""How much of the machine's arithmetic training uses: the shipped recipe against plain products.

    python benchmarks/training.py

Ten points of the run's budget are visited, because a family may do different work at each. At
every point real updates of the real loop alternate with fp32 matrix products, so that both sides
see the same machine. The pictures are random: what they show changes no speed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.progress import Meter
from limner.training.loop import Trainer
from limner.training.recipe import make_recipe
from limner.training.session import encode_captions, open_session

RECIPE = Path(__file__).parents[1] / "recipes" / "icons-64.yaml"
STYLES = ("emojione", "fluent-emoji-flat", "fxemoji", "noto", "twemoji")
PICTURES = 256
STEPS = 1000
POINTS = tuple(0.05 + 0.1 * k for k in range(10))
WARM, MEASURED = 5, 8
SIDE = 1536


def pack(path: Path, size: int) -> None:
    """A store of random pictures."""
    random = np.random.default_rng(0)
    writer = StoreWriter(path, size, "random", licences={"random": "CC0-1.0"})
    for i in range(PICTURES):
        pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
        captions = [Caption(f"thing number {i % 16}"), Caption("something")]
        writer.add(pixels, captions, {"id": str(i), "style": STYLES[i % len(STYLES)]})
    writer.finish()


def prepare(folder: Path, threads: int, opened: ExitStack) -> Trainer:
    """The shipped recipe, ready for its first update on the random store.

    Args:
        folder: for the store and the run.
        threads: of the CPU.
        opened: closes what the run opens.
    """
    tree = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    size = tree["model"].get("size", 64)
    pack(folder / "store", size)
    tree["data"] = {"store": str(folder / "store")}
    settings = {"steps": STEPS, "minutes": None, "threads": threads, "tensorboard": False}
    tree["train"] = {**tree["train"], **settings, "device": "cpu"}
    session = open_session(make_recipe(tree, str(RECIPE)))
    return Trainer(session, encode_captions(session), folder / "run", Meter(), opened=opened)


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """Wall seconds of some calls."""
    started = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - started


def measure(run: Trainer, progress: float, a: torch.Tensor) -> tuple[float, float, float, float]:
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
        pictures * run.costs.per_picture(run.schedule.progress(step)),
        train,
        MEASURED * 10 * 2 * SIDE**3,
        product,
    )


def run() -> dict[str, Any]:
    """Training rate, product rate and their quotient, on all cores."""
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    a = torch.randn(SIDE, SIDE)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        training = prepare(Path(folder), threads, opened)
        seconds_of(lambda: a @ a, 10)
        rows = [measure(training, progress, a) for progress in POINTS]
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
