"""What a GPU does: training and drawing there, beside the processor of the same machine.

Pictures and captions are random: what they show changes no speed. Training is the loop's own
update of a recipe, at a batch that suits the machine (``BATCH``); the share of the GPU's arithmetic
is that of a bfloat16 matrix product of side 8,192, measured in the same run. Needs a CUDA device.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _recipes import read
from _training import WORDS, random_store, trainer
from limner.data.store import Store
from limner.errors import UsageError
from limner.generation.generator import Generator, load
from limner.training.loop import Trainer

RECIPES = {"flow 8m": "flow-scenes-64", "flow 25m": "flow-scenes-64", "gan": "gan-64",
           "vae": "vae-64"}  # fmt: skip
BATCH = {"cpu": 64, "cuda": 512}
STEPS = {"cpu": (1, 3), "cuda": (8, 30)}
"""Steps that are not timed, and those that are."""
SIZE, PICTURES, SIDE = 64, 1024, 8192
DRAWN, FEW = 512, 16


def prepared(
    name: str, store: Store, out: Path, opened: ExitStack, device: str, **how: Any
) -> Trainer:
    """A recipe at a batch that suits the device, ready for its first update."""
    tree = read(RECIPES[name])
    tree["model"] = {**tree["model"], "size": SIZE}
    if name.startswith("flow"):
        tree["model"]["preset"] = name.split()[1]
    if name == "vae":
        tree["model"]["autoencode"] = tree["model"]["prior"] = 0.0  # all of it at once
    settings = {"device": device, "batch_size": BATCH[device], "threads": os.cpu_count(), **how}
    return trainer(name, tree, store, out, opened, **settings)


def seconds_of(call: Callable[[], Any], device: str) -> float:
    """Wall seconds, with what the GPU has still to do."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def updated(run: Trainer, steps: range) -> None:
    """Take some steps."""
    for step in steps:
        run.update(step)


def training_rate(name: str, store: Store, out: Path, device: str, **how: Any) -> dict[str, float]:
    """Pictures a second, and operations a second, of a recipe's updates."""
    warm, timed = STEPS[device]
    with ExitStack() as opened:
        run = prepared(name, store, out, opened, device, **how)
        updated(run, range(warm))
        spent = seconds_of(partial(updated, run, range(warm, warm + timed)), device)
        pictures = timed * BATCH[device] / spent
        return {"pictures": pictures, "operations": pictures * run.costs.per_picture(0.0)}


def product_rate() -> float:
    """Operations a second of bfloat16 products."""
    a = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)
    seconds_of(lambda: [a @ a for _ in range(3)], "cuda")
    return 10 * 2 * SIDE**3 / seconds_of(lambda: [a @ a for _ in range(10)], "cuda")


def untrained(store: Store, out: Path) -> Path:
    """A flow of 8 M parameters, saved after one step."""
    with ExitStack() as opened:
        run = prepared("flow 8m", store, out, opened, "cuda")
        updated(run, range(1))
        return run.save()


def drawing_rate(generator: Generator, device: str) -> float:
    """Pictures a second."""
    count = FEW if device == "cpu" else DRAWN
    prompts = [WORDS[number % len(WORDS)] for number in range(count)]
    generator.generate(prompts[:FEW], seed=0)
    return count / seconds_of(lambda: list(generator.stream(prompts, seed=1)), device)


def run() -> dict[str, Any]:
    """Measure this machine's GPU and its processor."""
    if not torch.cuda.is_available():
        raise UsageError("benchmarks/gpu.py measures a CUDA device, and torch finds none here")
    figures: dict[str, Any] = {}
    peak = product_rate()
    figures["bf16 products"] = {"value": peak / 1e12, "unit": "TFLOP/s", "better": "higher"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = random_store(folder / "store", PICTURES, SIZE)
        ways: dict[str, dict[str, Any]] = {
            "fp32": {"precision": "fp32"}, "bf16": {"precision": "bf16"},
            "bf16, compiled": {"precision": "bf16", "compile": True},
        }  # fmt: skip
        for family in RECIPES:
            cpu = training_rate(family, store, folder / f"{family}-cpu", "cpu", precision="fp32")
            figures[f"{family}: training, cpu"] = {
                "value": cpu["pictures"], "unit": "pictures/s", "better": "higher"}  # fmt: skip
            for way, how in ways.items():
                if how.get("compile") and not family.startswith("flow"):
                    continue
                found = training_rate(family, store, folder / f"{family}-{way}", "cuda", **how)
                figures[f"{family}: training, {way}"] = {
                    "value": found["pictures"], "unit": "pictures/s", "better": "higher",
                }  # fmt: skip
            figures[f"{family}: training, gpu over cpu"] = {
                "value": found["pictures"] / cpu["pictures"], "better": "higher"}  # fmt: skip
            figures[f"{family}: share of the bf16 product rate"] = {
                "value": found["operations"] / peak, "better": "higher"}  # fmt: skip
        model = untrained(store, folder / "drawn")
        rates = {device: drawing_rate(load(model, device=device), device)
                 for device in ("cpu", "cuda")}  # fmt: skip
        for device, rate in rates.items():
            figures[f"flow 8m, 12 Heun steps, guided: drawing, {device}"] = {
                "value": rate, "unit": "pictures/s", "better": "higher"}  # fmt: skip
        figures["flow 8m: drawing, gpu over cpu"] = {
            "value": rates["cuda"] / rates["cpu"], "better": "higher"}  # fmt: skip
        generator = load(model, device="cuda")
        some = generator.generate(WORDS, n=3, seed=5)
        alone = [generator.generate(word, seed=5)[0] for word in WORDS]
        same = [a.image.tobytes() == b.image.tobytes()
                for a, b in zip(some[::3], alone, strict=True)]  # fmt: skip
        figures["pictures of the same bits alone and in a batch"] = {
            "value": sum(same) / len(same), "goal": 1.0, "better": "higher"}  # fmt: skip
    return {
        "headline": "flow 8m: training, gpu over cpu",
        "figures": figures,
        "batch": BATCH,
        "memory": torch.cuda.max_memory_allocated() / 2**30,
    }
