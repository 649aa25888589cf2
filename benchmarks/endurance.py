"""The server under mixed load at twice what it can draw, and killed in the middle of it.

Requests come at a fixed rate, whatever is answered: pictures of several sizes and formats, edits,
captions, streams that are closed early, and requests that are wrong. Every one must be answered as
it should: drawn, refused with the time to come back, or refused for what is wrong with it.
LIMNER_ENDURANCE_MINUTES says how long (20); less than 20 minutes also means five kills, not twenty.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from limner.serving.gallery import Gallery

MINUTES = float(os.environ.get("LIMNER_ENDURANCE_MINUTES", "20"))
KILLS = 20 if MINUTES >= 20 else 5
OVERLOAD, CLIENTS, CAPACITY_SECONDS = 2.0, 16, 15.0
MEMORY_GOAL = 5.0
WORDS = (
    "a cat", "a red car", "a fox in the snow", "una bicicleta", "一朵花", "two apples and a pear",
    "a blurple zork", "a boat at sunset", "ein grünes Haus",
)  # fmt: skip
GENERATIONS, EDITS, CAPTIONS = "/v1/images/generations", "/v1/images/edits", "/v1/captions"
RETRY = "retry-after-ms"


@dataclass
class Outcome:
    """What became of the requests.

    Attributes:
        kinds: how many of each kind were answered how.
        wrong: what was not answered as it should, with how often.
        refused: how many were told when to come back.
        milliseconds: of those that were drawn.
        kept: ids of pictures that were answered.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    milliseconds: list[float] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)


@contextmanager
def started(gallery: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, once it is ready."""
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--gallery", str(gallery),
               "--most-waiting", "64", "--log-format", "json"]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            match = re.search(r"http://[0-9.]+:\d+", process.stdout.readline())
            assert match is not None, "the server did not start"
            for _ in range(600):
                with suppress(httpx.HTTPError):
                    if httpx.get(f"{match[0]}/health/ready").status_code == 200:
                        break
                time.sleep(0.2)
            yield process, match[0]
        finally:
            process.terminate()
            process.wait(60)


class Load:
    """Requests of all kinds to one server.

    Args:
        url: of the server.
        seed: of what is asked for.
    """

    def __init__(self, url: str, seed: int = 0) -> None:
        limits = httpx.Limits(max_connections=None)
        self.client = httpx.AsyncClient(base_url=url, timeout=180, limits=limits)
        self.outcome, self.random, self.number = Outcome(), random.Random(seed), 0
        buffer = io.BytesIO()
        Image.linear_gradient("L").convert("RGB").save(buffer, "PNG")
        self.picture = buffer.getvalue()

    async def one(self) -> None:
        """A request of any kind, and whether it was answered as it should be."""
        self.number += 1
        kinds: list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]] = [
            (60, self._drawn), (10, self._drawn_otherwise), (12, self._left), (6, self._edit),
            (4, self._caption), (8, self._wrong),
        ]  # fmt: skip
        weights = [weight for weight, _ in kinds]
        (kind,) = self.random.choices([each for _, each in kinds], weights)
        try:
            await kind()
        except httpx.HTTPError as error:
            self.outcome.wrong[f"{kind.__name__}: {type(error).__name__}"] += 1
        except Exception as error:  # a picture that is not whole, an answer without its fields
            self.outcome.wrong[f"{kind.__name__}: {error}"[:200]] += 1

    def _body(self, **more: Any) -> dict[str, Any]:
        return {"prompt": self.random.choice(WORDS), "seed": self.number} | more

    async def _drawn(self) -> None:
        await self._ask("drawn", GENERATIONS, json=self._body())

    async def _drawn_otherwise(self) -> None:
        other = self.random.choice([
            {"size": "512x512", "output_format": "webp"}, {"output_format": "svg"}, {"n": 3},
            {"size": "96x64", "output_format": "gif", "frame_count": 4},
            {"size": "1024x1024", "output_format": "jpeg"}, {"response_format": "url"},
        ])  # fmt: skip
        await self._ask("drawn otherwise", GENERATIONS, json=self._body(**other))

    async def _edit(self) -> None:
        fields = {"prompt": self.random.choice(WORDS), "seed": str(self.number)}
        files = {"image": ("a.png", self.picture)}
        await self._ask("edited", EDITS, data=fields, files=files)

    async def _caption(self) -> None:
        await self._ask("read", CAPTIONS, files={"image": ("a.png", self.picture)})

    async def _ask(self, kind: str, route: str, **given: Any) -> None:
        began = time.perf_counter()
        answer = await self.client.post(route, **given)
        if self._is_refused(answer):
            return
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:100]}"
        data = answer.json()["data"]
        self.outcome.milliseconds.append(1000 * (time.perf_counter() - began))
        self.outcome.kinds[kind] += 1
        self.outcome.kept |= {each["id"] for each in data if "id" in each}
        file = base64.b64decode(data[0].get("b64_json", ""))
        if file and not file.startswith(b"<") and self.number % 8 == 0:
            with Image.open(io.BytesIO(file)) as image:
                image.load()

    async def _left(self) -> None:
        """A stream that is closed after a moment."""
        body = self._body(n=2, stream=True, partial_images=2)
        async with self.client.stream("POST", GENERATIONS, json=body) as answer:
            if self._is_refused(answer):
                return
            assert answer.status_code == 200, str(answer.status_code)
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    break
        self.outcome.kinds["left early"] += 1

    async def _wrong(self) -> None:
        body, status = self.random.choice([
            ({"content": b"{"}, 400), ({"json": self._body(sede=1)}, 400), ({"json": [1]}, 400),
            ({"json": self._body(size="1x100000")}, 400), ({"content": b" " * 2_000_000}, 413),
            ({"json": self._body(model="none")}, 404), ({"json": {"prompt": "a" * 40_000}}, 400),
        ])  # fmt: skip
        headers = {"content-type": "application/json"}
        answer = await self.client.post(GENERATIONS, headers=headers, **body)
        assert answer.status_code == status, f"{answer.status_code} instead of {status}"
        assert answer.json()["error"]["message"]
        self.outcome.kinds["wrong"] += 1

    def _is_refused(self, answer: httpx.Response) -> bool:
        if answer.status_code != 429:
            return False
        assert int(answer.headers.get(RETRY, 0)) > 0, "refused without the time to come back"
        self.outcome.refused += 1
        return True


async def capacity(url: str) -> float:
    """Requests a second that are answered where each of some clients waits for its answer."""
    load = Load(url, 1)
    until = time.monotonic() + CAPACITY_SECONDS

    async def client() -> None:
        while time.monotonic() < until:
            await load.one()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    assert not load.outcome.wrong, load.outcome.wrong
    return sum(load.outcome.kinds.values()) / CAPACITY_SECONDS


async def overloaded(url: str, rate: float, seconds: float) -> tuple[Outcome, list[float]]:
    """What becomes of requests that come at a rate, and the memory in bytes at equal intervals."""
    load, memory = Load(url, 2), list[float]()
    tasks: set[asyncio.Task[None]] = set()
    began = watched = time.monotonic()
    number = 0
    while (now := time.monotonic()) < began + seconds:
        while number < (now - began) * rate:
            task = asyncio.create_task(load.one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        if now >= watched:
            watched += seconds / 100
            memory.append(await resident(load.client))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    return load.outcome, memory


async def resident(client: httpx.AsyncClient) -> float:
    """Bytes of the server's process that are in memory."""
    text = (await client.get("/metrics")).text
    match = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    assert match is not None
    return float(match[1])


def killed(folder: Path, moments: random.Random) -> tuple[int, int]:
    """Pictures in the gallery of a server that is killed under load, and how many are not whole.

    What was answered before must be there, too.
    """
    with started(folder) as (process, url):

        async def run() -> Outcome:
            load = Load(url, moments.randrange(2**32))
            tasks = [asyncio.create_task(load.one()) for _ in range(60)]
            while not load.outcome.kept:  # it draws by now
                await asyncio.sleep(0.01)
            await asyncio.sleep(moments.uniform(0.0, 2.0))
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
            return load.outcome

        outcome = asyncio.run(run())
    gallery = Gallery(folder)
    rows, broken = {row.id: row for row in gallery.all()}, 0
    for row in rows.values():
        try:
            data = gallery.read(row)
            if row.format == "svg":
                assert data.rstrip().endswith(b"</svg>")
            else:
                with Image.open(io.BytesIO(data)) as image:
                    image.load()
        except Exception as error:
            print(f"{row.id} is not whole: {error}", file=sys.stderr)
            broken += 1
    broken += len(outcome.kept - set(rows)) + gallery.sweep(0)[1]
    gallery.close()
    return len(rows), broken


def run() -> dict[str, Any]:
    """Measure the shipped model."""
    with tempfile.TemporaryDirectory() as folder:
        with started(Path(folder) / "long") as (process, url):
            able = asyncio.run(capacity(url))
            outcome, memory = asyncio.run(overloaded(url, OVERLOAD * able, 60 * MINUTES))
            crashed = process.poll() is not None
        moments = random.Random(5)
        kills = [killed(Path(folder) / "killed", moments) for _ in range(KILLS)]
    for what, count in outcome.wrong.most_common():
        print(f"{count} x {what}", file=sys.stderr)
    fifth = len(memory) // 5
    grown = statistics.median(memory[-fifth:]) / statistics.median(memory[fifth : 2 * fifth]) - 1
    took = sorted(outcome.milliseconds)
    figures = {
        "answered otherwise than they should": (sum(outcome.wrong.values()), "", 0),
        "crashes": (int(crashed), "", 0),
        "memory after warm-up": (100 * grown, "%", MEMORY_GOAL),
        "minutes": (MINUTES, "", None),
        "requests a second, twice what can be answered": (OVERLOAD * able, "/s", None),
        "answered": (sum(outcome.kinds.values()), "", None),
        "refused with the time to come back": (outcome.refused, "", None),
        "p50 of what is drawn": (statistics.median(took), "ms", None),
        "p99 of what is drawn": (took[int(0.99 * len(took))], "ms", None),
        "resident memory at the end": (memory[-1] / 1e6, "MB", None),
        "killed with SIGKILL": (KILLS, "times", None),
        "pictures then not whole, or lost after they were answered": (
            sum(broken for _, broken in kills), f"of {kills[-1][0]}", 0,
        ),
    }  # fmt: skip
    return {
        "headline": "answered otherwise than they should",
        "kinds": dict(outcome.kinds),
        "figures": {
            name: {"value": value, "unit": unit, "better": "lower", "goal": goal}
            for name, (value, unit, goal) in figures.items()
        },
    }
