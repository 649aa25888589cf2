"""Packing speed, and shuffled batches from the store against torch's DataLoader.

    python benchmarks/data.py [--pictures 12000] [--rounds 5]

Both loaders give the same thing, shuffled ``(256, 64, 64, 3)`` uint8 batches; they alternate
within one run, and the medians are compared. The files are in the page cache for both.
torch is imported late: the packing processes import this file again and do not need it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning
from limner.data.sampler import ShuffledIndices
from limner.data.store import Store

if TYPE_CHECKING:
    import torch

SIZE = 64
BATCH = 256
WORKERS = 2


class PngFolder:
    """What people write, a dataset by torch's protocol: open the file when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        import torch

        with Image.open(self.paths[index]) as image:
            return torch.from_numpy(np.array(image.convert("RGB")))


def make_pictures(folder: Path, count: int) -> None:
    """Write ``count`` captioned 64-px PNG files that compress like drawings."""
    folder.mkdir()
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for number in range(count):
        pixels = np.full((SIZE, SIZE, 3), 255, np.uint8)
        for _ in range(4):
            y, x, radius = random.integers(8, 56), random.integers(8, 56), random.integers(4, 24)
            inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            shade = np.linspace(0.7, 1, SIZE)[:, None, None] * random.integers(0, 256, 3)
            pixels[inside] = np.broadcast_to(shade, pixels.shape).astype(np.uint8)[inside]
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")
        (folder / f"{number:06d}.txt").write_text(f"drawing {number}", encoding="utf-8")


def _rate(batches: Iterator[Any], count: int) -> float:
    """Return pictures a second over ``count`` batches, after one to warm up."""
    next(batches)
    start = time.perf_counter()
    seen = sum(len(batch) for batch in islice(batches, count))
    return seen / (time.perf_counter() - start)


def _store_batches(store: Store, seed: int) -> Iterator[NDArray[np.uint8]]:
    sampler = ShuffledIndices(len(store), BATCH, seed)
    step = 0
    while True:
        yield store.batch(sampler.at(step))
        step += 1


def _loader_batches(folder: Path, workers: int) -> Callable[[int], Iterator[torch.Tensor]]:
    import torch
    from torch.utils.data import DataLoader

    def batches(seed: int) -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(
            PngFolder(folder), BATCH, shuffle=True, num_workers=workers, generator=generator
        )
        while True:
            yield from loader

    return batches


def measure_packing(folder: Path, scratch: Path, rounds: int) -> list[float]:
    """Return pictures a second of whole packs, processes started and store finished included."""
    rates = []
    options = PackOptions(cleaning=Cleaning(size=SIZE), workers=WORKERS)
    for number in range(rounds):
        start = time.perf_counter()
        store = pack(folder, scratch / f"pack-{number}", options)
        rates.append(len(store) / (time.perf_counter() - start))
    return rates


def measure(pictures: int = 12_000, rounds: int = 5, batches: int = 16) -> dict[str, Any]:
    """Measure.

    Args:
        pictures: how many PNG files to make, at least 512.
        rounds: alternations; medians are reported.
        batches: of 256 pictures, a round and loader.

    Returns:
        JSON-able figures: pictures a second of packing, of the store, of torch's DataLoader with
        0 and with 2 workers, and the ratio of the store to the better loader.
    """
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "png"
        make_pictures(folder, pictures)
        packing = measure_packing(folder, scratch, min(rounds, 3))
        store = Store.open(scratch / "pack-0")
        loaders = {workers: _loader_batches(folder, workers) for workers in (0, WORKERS)}
        rates: dict[str, list[float]] = {"store": [], **{f"loader_{w}": [] for w in loaders}}
        # A loader with workers keeps batches ready: only a run longer than that shelf counts.
        wanted = min(batches, max(1, pictures // BATCH - 1))
        for seed in range(rounds):
            rates["store"].append(_rate(_store_batches(store, seed), 4 * wanted))
            for workers, make in loaders.items():
                rates[f"loader_{workers}"].append(_rate(make(seed), wanted))
    middle = {key: statistics.median(values) for key, values in rates.items()}
    best = max(middle["loader_0"], middle[f"loader_{WORKERS}"])
    rate = {"unit": "1/s", "better": "higher"}
    figures = {
        "packing": {"value": statistics.median(packing), "goal": 2000, **rate},
        "store, shuffled batches": {"value": middle["store"], **rate},
        "DataLoader, 0 workers": {"value": middle["loader_0"], **rate},
        f"DataLoader, {WORKERS} workers": {"value": middle[f"loader_{WORKERS}"], **rate},
        "store over the better loader": {
            "value": middle["store"] / best,
            "goal": 10,
            "better": "higher",
        },
    }
    return {"figures": figures, "pictures": pictures, "rounds": rounds}


def run() -> dict[str, Any]:
    """Measure at the size that the published figures have."""
    return measure()


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.pictures, arguments.rounds), indent=1))


if __name__ == "__main__":
    main()
