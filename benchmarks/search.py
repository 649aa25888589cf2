"""Search among a million vectors: how fast, how much memory, and how much is found.

``limner bench --run search`` makes vectors as an aligner gives them (unit length, many near others
of their kind), builds the graph that ``limner index`` builds of that many pictures, and asks it one
question at a time on one thread. The truth is a comparison with every vector. The environment
changes it: ``LIMNER_SEARCH_COUNT``, ``LIMNER_SEARCH_DIM``, ``LIMNER_SEARCH_QUESTIONS``.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from limner.arrays import Floats
from limner.reading.search import Neighbours

WANTED = 10
KINDS = 50_000
SPREAD = 0.8
"""How far a vector lies from the middle of its kind, whose length is 1."""
RECALL, MILLISECONDS = 0.95, 10.0


def vectors(count: int, dim: int, centres: Floats, seed: int) -> Floats:
    """Unit vectors around the centres, ``(count, dim)``."""
    rng = np.random.default_rng(seed)
    found = np.empty((count, dim), np.float32)
    for start in range(0, count, 100_000):
        part = slice(start, min(count, start + 100_000))
        size = part.stop - part.start
        noise = rng.standard_normal((size, dim), np.float32) * np.float32(SPREAD / dim**0.5)
        rows = centres[rng.integers(len(centres), size=size)] + noise
        found[part] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def peak_mb() -> float:
    """Most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def truth(base: Floats, asked: Floats) -> list[set[int]]:
    """The nearest of each, by comparing with all."""
    found = []
    for part in np.array_split(asked, max(1, len(asked) // 50)):
        scores = part @ base.T
        best = np.argpartition(-scores, WANTED - 1, axis=1)[:, :WANTED]
        found += [set(row.tolist()) for row in best]
    return found


def timed(index: Neighbours, asked: Floats) -> tuple[list[set[int]], list[float]]:
    """What is found, and milliseconds a question."""
    found, spent = [], []
    for wanted in asked:
        start = time.perf_counter()
        rows, _ = index.nearest(wanted, WANTED)
        spent.append(1000 * (time.perf_counter() - start))
        found.append(set(rows.tolist()))
    return found, spent


def run() -> dict[str, Any]:
    """Build, ask, compare."""
    count = int(os.environ.get("LIMNER_SEARCH_COUNT", "1000000"))
    dim = int(os.environ.get("LIMNER_SEARCH_DIM", "192"))
    questions = int(os.environ.get("LIMNER_SEARCH_QUESTIONS", "1000"))
    rng = np.random.default_rng(0)
    kinds = max(1, min(KINDS, count // 20))
    centres = rng.standard_normal((kinds, dim), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    base, asked = vectors(count, dim, centres, 1), vectors(questions, dim, centres, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.usearch"
        before, start = peak_mb(), time.monotonic()
        Neighbours(base, path)
        built, taken = time.monotonic() - start, peak_mb() - before
        size = path.stat().st_size / 2**20
        index = Neighbours(base, path)
        timed(index, asked[:50])
        found, spent = timed(index, asked)
    known = truth(base, asked)
    shared = sum(len(a & b) for a, b in zip(found, known, strict=True))
    exact = timed(Neighbours(base), asked[:20])[1]
    figures = {
        "recall@10": {"value": shared / (WANTED * questions), "goal": RECALL, "better": "higher"},
        "p50": {"value": float(np.median(spent)), "unit": "ms", "goal": MILLISECONDS},
        "p95": {"value": float(np.quantile(spent, 0.95)), "unit": "ms"},
        "exact search, p50": {"value": float(np.median(exact)), "unit": "ms"},
        "building": {"value": built / 60, "unit": "min"},
        "graph on disk": {"value": size, "unit": "MB"},
        "memory while building, beside the vectors": {"value": taken, "unit": "MB"},
        "vectors": {"value": count * dim * 4 / 2**20, "unit": "MB"},
    }
    return {"figures": figures, "count": count, "dim": dim, "questions": questions}
