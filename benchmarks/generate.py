"""How long a stranger waits for a picture: the cold command, the warm sampler, the memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COLD_RUNS = 5
WARM_RUNS = 15
PROMPT = "a red heart"


def cold(folder: Path) -> tuple[float, float]:
    """Wall seconds and peak resident GB of one ``limner generate`` in a new process."""
    command = [sys.executable, "-m", "limner", "generate", PROMPT, "--out", str(folder / "a.png")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"limner generate failed with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * unit / 1e9


def help_seconds() -> float:
    """Median wall seconds of ``limner --help``."""
    times = []
    for _ in range(COLD_RUNS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "limner", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def warm() -> tuple[float, float, bool]:
    """Median ms of sampling one picture, of a whole ``generate`` call, and if it is one-shot."""
    import limner
    from limner.models.rows import SampleRequest
    from limner.models.settings import Capability

    generator = limner.load()
    text = generator.encoder.encode([PROMPT])
    sampling, whole = [], []
    for i in range(WARM_RUNS + 2):
        request = SampleRequest(text=text, seeds=[i])
        started = time.perf_counter()
        generator.model.sample(request)
        sampled = time.perf_counter()
        generator.generate(PROMPT, seed=i)
        sampling.append(1000 * (sampled - started))
        whole.append(1000 * (time.perf_counter() - sampled))
    one_shot = Capability.STEPS not in generator.model.capabilities
    return statistics.median(sampling[2:]), statistics.median(whole[2:]), one_shot


def run() -> dict[str, Any]:
    """All figures, with the goals of the first issue."""
    with tempfile.TemporaryDirectory() as folder:
        colds = [cold(Path(folder)) for _ in range(COLD_RUNS)]
    sampling, whole, one_shot = warm()

    def lower(value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
        return {"value": round(value, 4), "unit": unit, "goal": goal, "better": "lower"}

    return {
        "figures": {
            "help": lower(help_seconds(), "s", 0.3),
            "cold generate": lower(statistics.median(s for s, _ in colds), "s", 6.0),
            "cold peak memory": lower(max(gb for _, gb in colds), "GB", 1.2),
            "sampling one picture": lower(sampling, "ms", 15.0 if one_shot else 300.0),
            "warm generate call": lower(whole, "ms"),
        },
        "one_shot": one_shot,
    }
