"""Speed and memory of drawing, measured in a separate process.

What is timed is what a user waits for once the model is loaded; the prompt is encoded before. The
memory is the largest that the whole process ever held.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from limner.errors import ModelFileError

BATCHES = (1, 64)
SECONDS = 3.0
_LEAST, _MOST = 3, 30


def measure_apart(
    model: Path, caption: str, *, threads: int | None = None, seconds: float = SECONDS
) -> dict[str, float]:
    """Measure in a fresh process.

    Returns:
        ``ms_1`` and ``ms_64``: milliseconds a picture when 1 or 64 are asked for at once, the
        median of several; ``sampling_mb``: peak memory in MB, where the system reports it.

    Raises:
        ModelFileError: the process failed.
    """
    asked = {"model": str(model), "caption": caption, "threads": threads, "seconds": seconds}
    command = [sys.executable, "-m", "limner.evaluation.speed", json.dumps(asked)]
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise ModelFileError(f"the speed of {model} cannot be measured: {last}") from error
    return found


def peak_mb(pid: int | None = None) -> float:
    """Most memory a running process has held, in MB; 0 where the system does not report it.

    From Linux's ``/proc``: what ``getrusage`` reports of a child includes the memory of the
    process that started it.

    Args:
        pid: of the process; None for this one.
    """
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 / 1e6 if lines else 0.0


def _measure(model: str, caption: str, threads: int | None, seconds: float) -> dict[str, float]:
    from limner.generation.generator import load
    from limner.generation.requests import DrawRequest
    from limner.models.settings import Settings

    generator = load(model, threads=threads)
    figures: dict[str, float] = {}
    for batch in BATCHES:
        requests = [DrawRequest(caption, seed, Settings(scenes=False)) for seed in range(batch)]
        # A tile or two to warm up, and to encode the prompt: more would be drawn alike.
        list(generator.draw(requests[: generator.at_once]))
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < _LEAST or time.perf_counter() - start < seconds:
            before = time.perf_counter()
            list(generator.draw(requests))
            times.append(time.perf_counter() - before)
            if len(times) >= _MOST or time.perf_counter() - start > 5 * seconds:
                break
        figures[f"ms_{batch}"] = 1000 * statistics.median(times) / batch
    if peak := peak_mb():
        figures["sampling_mb"] = peak
    return figures


if __name__ == "__main__":
    print(json.dumps(_measure(**json.loads(sys.argv[1]))))
