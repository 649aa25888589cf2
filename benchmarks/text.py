"""How long words take: a new prompt, a prompt seen before, a table of captions."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from limner.text.bulk import encode_table
from limner.text.cache import CachedEncoder
from limner.text.e5 import E5Encoder

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
THINGS = ("apple", "house", "boat", "cat", "rocket", "umbrella", "clock", "tree")
ROUNDS = 20
CAPTIONS = 60_000


def prompts(pattern: str) -> Iterator[str]:
    """Prompts that differ from each other."""
    for first in THINGS:
        for second in reversed(THINGS):
            for colour in COLOURS:
                yield pattern.format(colour=colour, first=first, second=second)


def median_ms(call: Callable[[str], Any], texts: list[str]) -> float:
    """Median milliseconds of a call over texts."""
    times = []
    for text in texts:
        started = time.perf_counter()
        call(text)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def run() -> dict[str, Any]:
    """Milliseconds a prompt, new and seen, and seconds for 60,000 captions that were seen."""
    encoder = E5Encoder()
    encoder.encode(["warm up"])
    simple = list(prompts("{colour} {first}"))[:ROUNDS]
    composed = list(prompts("a {colour} {first} next to a green {second}"))[:ROUNDS]
    figures: dict[str, Any] = {
        "new prompt, two words": _ms(median_ms(lambda t: encoder.encode([t]), simple)),
        "new prompt, two phrases and a relation": _ms(
            median_ms(lambda t: encoder.encode([t]), composed)
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        first = CachedEncoder(encoder, Path(folder))
        first.encode(composed)
        memory = median_ms(lambda t: first.encode([t]), composed)
        second = CachedEncoder(encoder, Path(folder))
        second.encode(composed[:1])
        disk = median_ms(lambda t: second.encode([t]), composed[1:])
        table = [text for text in prompts("{colour} {first}, {second}") for _ in range(160)]
        table = [f"{text} {index % 7}" for index, text in enumerate(table)][:CAPTIONS]
        encode_table(first, table, max_tokens=8)
        started = time.perf_counter()
        rows = encode_table(CachedEncoder(encoder, Path(folder)), table, max_tokens=8)
        seconds = time.perf_counter() - started
        first.disk.close()
        second.disk.close()
    figures["prompt in memory"] = _ms(memory, goal=1)
    figures["prompt on disk"] = _ms(disk, goal=1)
    figures[f"{len(rows):,} captions, {len(set(table)):,} different, all seen"] = {
        "value": round(seconds, 2),
        "unit": "s",
    }
    return {"figures": figures, "encoder": encoder.spec, "fingerprint": encoder.fingerprint}


def _ms(value: float, goal: float | None = None) -> dict[str, Any]:
    figure: dict[str, Any] = {"value": round(value, 3), "unit": "ms"}
    return figure if goal is None else {**figure, "goal": goal, "better": "lower"}


if __name__ == "__main__":
    for name, figure in run()["figures"].items():
        print(f"{name}: {figure['value']} {figure['unit']}")
