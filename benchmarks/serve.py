"""The server under load, beside the same weights behind a plain FastAPI handler.

Both are processes on loopback, take turns in one run, and answer the same prompts with the same
seeds; that the pictures are the same is checked. Clients are threads of this process, on the same
cores.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import connect

CLIENTS, PICTURES, ROUNDS = 64, 192, 2
OPEN_SECONDS, LOAD = 20.0, 0.7
SPEEDUP_GOAL, TAIL_GOAL, TYPED_GOAL = 4.0, 3.0, 100.0
WORDS = (
    "a cat", "a dog", "a red car", "a house", "a fox in the snow", "sushi", "a wizard",
    "una bicicleta", "一朵花", "a boat at sunset", "two apples", "a robot",
)  # fmt: skip

PLAIN = """
import base64, io, sys
import uvicorn
from fastapi import FastAPI
import limner
generator, app = limner.load(), FastAPI()
@app.post("/v1/images/generations")
def generations(body: dict):
    picture = generator.generate(body["prompt"], seed=body["seed"])[0]
    buffer = io.BytesIO()
    picture.image.save(buffer, "PNG")
    return {"data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}
print("http://127.0.0.1:" + sys.argv[1], flush=True)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


@contextmanager
def running(command: list[str]) -> Iterator[str]:
    """A server in a process of its own; its address, once it has drawn."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        match = re.search(r"http://[0-9.]+:\d+", process.stdout.readline())
        assert match is not None, "the server did not start"
        for _ in range(300):
            try:
                draw(match[0], 0)
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield match[0]
    finally:
        process.terminate()
        process.wait(60)


def draw(url: str, number: int) -> tuple[str, float]:
    """A hash of one picture's pixels, and how many milliseconds it took."""
    body = {"prompt": WORDS[number % len(WORDS)], "seed": number}
    began = time.perf_counter()
    answer = httpx.post(f"{url}/v1/images/generations", json=body, timeout=120)
    took = 1000 * (time.perf_counter() - began)
    file = base64.b64decode(answer.raise_for_status().json()["data"][0]["b64_json"])
    with Image.open(io.BytesIO(file)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest(), took


def throughput(url: str, first: int) -> tuple[float, list[str]]:
    """Pictures a second with so many clients that each wait for theirs."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(lambda number: draw(url, number), range(first, first + PICTURES)))
    return PICTURES / (time.perf_counter() - began), [each for each, _ in found]


def open_loop(url: str, rate: float) -> list[float]:
    """Milliseconds of each picture where requests come at a rate, whatever is answered."""
    took: list[float] = []
    threads = []
    began = time.perf_counter()
    for number in range(int(rate * OPEN_SECONDS)):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        thread = threading.Thread(target=lambda n: took.append(draw(url, n)[1]), args=(number,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return sorted(took)


def typed(url: str) -> float:
    """Median milliseconds from a request of the page to its picture, of known words."""
    took = []
    with connect(url.replace("http", "ws") + "/v1/live") as socket:
        for number in range(36):
            body = {"prompt": WORDS[number % 4], "seed": number}
            began = time.perf_counter()
            socket.send(json.dumps({"id": number, "body": body}))
            while "image" not in json.loads(socket.recv(timeout=60)):
                pass
            took.append(1000 * (time.perf_counter() - began))
            socket.recv(timeout=60)
    return statistics.median(took[4:])


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    ours = [sys.executable, "-m", "limner", "serve", "--port", "8124", "--most-waiting", "1000"]
    rates: dict[str, list[float]] = {"limner": [], "plain": []}
    with running(ours) as server, running([sys.executable, "-c", PLAIN, "8123"]) as handler:
        for number in range(ROUNDS):
            rate, pictures = throughput(server, 1000 * number)
            other, same = throughput(handler, 1000 * number)
            assert pictures == same, "the two drew other pictures"
            rates["limner"].append(rate)
            rates["plain"].append(other)
        best = statistics.median(rates["limner"])
        times = open_loop(server, LOAD * best)
        typing = typed(server)
    p50, p99 = statistics.median(times), times[int(0.99 * len(times))]
    gain = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    plain = statistics.median(rates["plain"])
    figures = {
        "pictures a second over a plain handler": (gain, "x", "higher", SPEEDUP_GOAL),
        f"pictures a second, {CLIENTS} clients": (best, "/s", "higher", None),
        "the same of a plain handler": (plain, "/s", "higher", None),
        "p50 at 70 % load": (p50, "ms", "lower", None),
        "p99 over p50 at 70 % load": (p99 / p50, "x", "lower", TAIL_GOAL),
        "typed to picture, p50": (typing, "ms", "lower", TYPED_GOAL),
    }
    return {
        "headline": "pictures a second over a plain handler",
        "figures": {
            name: {"value": value, "unit": unit, "better": better, "goal": goal}
            for name, (value, unit, better, goal) in figures.items()
        },
    }
