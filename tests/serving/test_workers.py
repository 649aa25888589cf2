"""Several processes that draw behind one queue, by the command."""

from __future__ import annotations

import base64
import io
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from limner.generation.generator import load
from limner.improve.refine import Refiner
from serving.test_run import start
from tiny_models import save_tiny
from waiting import wait_until


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("workers") / "flow.safetensors", "flow")


@pytest.fixture(scope="module")
def server(path, own_cache) -> Iterator[tuple[str, int]]:
    """The address of a server with two workers, and its process."""
    process, url = start("--model", str(path), "--workers", "2", "--no-gallery")
    yield url, process.pid
    process.terminate()
    assert process.wait() == 0


def ask(url: str, **body: object) -> httpx.Response:
    body = {"prompt": "a cat"} | body
    return httpx.post(f"{url}/v1/images/generations", json=body)


def pixels(answer: httpx.Response) -> list[np.ndarray]:
    data = answer.raise_for_status().json()["data"]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each["b64_json"])))) for each in data]


@pytest.fixture(scope="module")
def alone(path, own_cache) -> Iterator[Callable[..., list[np.ndarray]]]:
    """What is drawn without a server, by one thread, as each worker has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = load(path, threads=1)
    yield lambda **options: [
        np.asarray(each.image) for each in generator.generate("a cat", **options)
    ]
    torch.set_num_threads(threads)


def children(pid: int) -> list[int]:
    """The processes that draw: copies of the one that a server has started for that."""

    def of(parent: int) -> list[int]:
        lists = [
            each.read_text("ascii") for each in Path(f"/proc/{parent}/task").glob("*/children")
        ]
        return [int(each) for each in sorted(" ".join(lists).split()) if forked(each)]

    def forked(child: str) -> bool:
        try:
            return b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            return False

    return [each for copied in of(pid) for each in of(copied)]


def used(pid: int) -> int:
    """Processor time of a process, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_bits_are_the_same_whichever_process_draws(server, alone):
    url, pid = server
    workers, rounds = children(pid), count()
    assert len(workers) == 2
    before = [used(each) for each in workers]

    def both_have_drawn() -> bool:
        seed = 8 * next(rounds)
        with ThreadPoolExecutor(4) as clients:
            seeds = range(seed, seed + 8, 2)
            some = list(clients.map(lambda s: pixels(ask(url, seed=s, n=2, steps=20)), seeds))
        assert np.array_equal(np.concatenate(some), alone(seed=seed, n=8, steps=20))
        return all(used(each) > then for each, then in zip(workers, before, strict=True))

    wait_until(both_have_drawn)


def test_tasks_are_done_by_the_processes_that_draw(server, path):
    url, _ = server
    body = {"prompt": "a cat", "seed": 4, "budget": 2, "target": 1}
    found = httpx.post(f"{url}/v1/refinements", json=body).raise_for_status().json()
    wanted = Refiner(load(path)).refine("a cat", budget=2, target=1, seed=4)
    assert found["data"][0]["seed"] == wanted.picture.seed
    assert found["score"] == pytest.approx(wanted.best.score.total, abs=1e-3)
    explained = httpx.post(f"{url}/v1/explanations", json={"prompt": "a cat"})
    assert [each["text"] for each in explained.json()["words"]] == ["a", "cat"]


def test_what_a_killed_process_drew_is_drawn_again(server, alone):
    url, pid = server
    killed, _ = children(pid)
    before = used(killed)
    with ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(ask, url, seed=4 * k, n=4, steps=60) for k in range(3)]
        # It draws, or all is drawn already where this process was kept from looking.
        wait_until(lambda: used(killed) > before or all(each.done() for each in asked))
        os.kill(killed, signal.SIGKILL)
        drawn = [pixels(each.result()) for each in asked]
    assert np.array_equal(np.concatenate(drawn), alone(seed=0, n=12, steps=60))
    wait_until(lambda: len(children(pid)) == 2)


def test_a_changed_file_is_drawn_with_after_sighup(server, path, alone, tmp_path):
    url, pid = server
    other = save_tiny(tmp_path / "other.safetensors", "flow", seed=1)
    model = httpx.get(f"{url}/v1/models/flow").json()["hash"]
    other.replace(path)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: httpx.get(f"{url}/v1/models/flow").json()["hash"] != model)
    assert not np.array_equal(pixels(ask(url, seed=1)), alone(seed=1))
