"""The server as it is started, beside the same weights behind a plain FastAPI handler and litserve.

All are processes on loopback, take turns in one run, and answer the same prompts with the same
seeds; that the pictures are the same is checked. Clients are threads of this process, on the same
cores, whose connections stay open. litserve, which limner does not depend on, is left out where it
is not installed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import psutil
import torch
from PIL import Image
from websockets.sync.client import connect

from limner.generation.generator import load
from limner.modelfile import load_model, read_concepts, save_model
from limner.modelinfo import ModelInfo
from limner.models.base import build
from limner.models.image_model import ImageModel
from limner.models.rows import SampleRequest
from limner.models.settings import Settings
from limner.shipped import SHIPPED, find_model
from limner.text import load_encoder

CLIENTS, PICTURES, ROUNDS = 64, 128, 4
OPEN_SECONDS, LOAD = 20.0, 0.7
SPEEDUP_GOAL, TAIL_GOAL, TYPED_GOAL = 4.0, 3.0, 100.0
FLOW = {"preset": "8m", "patch": 16, "max_tokens": 16, "size": 64}
"""The configuration of recipes/flow-64.yaml."""
FLOW_STEPS = 4
WORDS = (
    "a cat", "a dog", "a red car", "a house", "a fox in the snow", "sushi", "a wizard",
    "una bicicleta", "一朵花", "a boat at sunset", "two apples", "a robot",
)  # fmt: skip
ONE = "1 process"
"""The server that is told to draw in the process that listens, with all threads."""

PLAIN = """
import base64, io, sys
import uvicorn
from fastapi import FastAPI
import limner
port, model = sys.argv[1:]
generator, app = limner.load(model), FastAPI()
@app.post("/v1/images/generations")
def generations(body: dict):
    picture = generator.generate(body.pop("prompt"), **body)[0]
    buffer = io.BytesIO()
    picture.image.save(buffer, "PNG")
    return {"data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}
print("http://127.0.0.1:" + port, flush=True)
uvicorn.run(app, port=int(port), log_level="warning")
"""
LITSERVE = """
import base64, io, sys
import litserve
port, model = sys.argv[1:]
class Drawing(litserve.LitAPI):
    def setup(self, device):
        import limner
        self.generator = limner.load(model)
    def decode_request(self, request):
        from limner.generation.requests import DrawRequest
        from limner.models.settings import make_settings
        return DrawRequest(request.pop("prompt"), request.pop("seed"), make_settings(**request))
    def predict(self, requests):
        return list(self.generator.draw(requests))
    def encode_response(self, picture):
        buffer = io.BytesIO()
        picture.image.save(buffer, "PNG")
        return {"data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}
if __name__ == "__main__":
    api = Drawing(max_batch_size=16, batch_timeout=0.01, api_path="/v1/images/generations")
    print("http://127.0.0.1:" + port, flush=True)
    litserve.LitServer(api, accelerator="cpu", timeout=600).run(
        host="127.0.0.1", port=int(port), generate_client_file=False, log_level="error")
"""


@dataclass(frozen=True)
class Server:
    """A server in a process of its own.

    Attributes:
        url: its address.
        pid: of the process.
    """

    url: str
    pid: int

    def cpu(self) -> float:
        """Milliseconds of CPU time that it and its processes have used."""
        own = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
        return 1000 * sum(each.user + each.system for each in times)


@dataclass(frozen=True)
class Throughput:
    """Of each server, in each round: pictures a second, and milliseconds of CPU a picture.

    Besides, the share of its pictures that are those of the plain handler to the bit.
    """

    rates: dict[str, list[float]]
    costs: dict[str, list[float]]
    alike: dict[str, list[float]]

    def gain(self, name: str, other: str) -> float:
        """How many times as fast one server is as another, in the same round."""
        pairs = zip(self.rates[name], self.rates[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def rate(self, name: str) -> float:
        """Pictures a second of one of them."""
        return statistics.median(self.rates[name])

    def cost(self, name: str) -> float:
        """Milliseconds of CPU time for one of its pictures."""
        return statistics.median(self.costs[name])


@contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """A server in a process of its own, once it has drawn."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        match = next(filter(None, (re.search(r"http://[0-9.]+:\d+", each) for each in lines)), None)
        assert match is not None, "the server did not start"
        threading.Thread(target=process.stdout.read, daemon=True).start()
        for _ in range(300):
            try:
                draw(match[0], {"prompt": "a cat", "seed": 0})
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield Server(match[0], process.pid)
    finally:
        process.terminate()
        process.wait(60)
        with suppress(ProcessLookupError):  # what litserve leaves behind
            os.killpg(process.pid, signal.SIGKILL)


def commands(folder: Path, model: str) -> dict[str, list[str]]:
    """What starts each server of a model."""
    ours = [sys.executable, "-m", "limner", "serve", "--model", model, "--port", "0",
            "--most-waiting", "1000", "--no-gallery"]  # fmt: skip
    found = {"limner": ours, ONE: [*ours, "--workers", "1"]}
    others = {"plain": PLAIN, "litserve": LITSERVE}
    if find_spec("litserve") is None:
        print("litserve is not installed, and left out: pip install litserve", file=sys.stderr)
        del others["litserve"]
    for name, source in others.items():
        script = folder / f"serve_{name}.py"  # not the name of a package
        script.write_text(source, encoding="utf-8")
        found[name] = [sys.executable, str(script), str(free_port()), model]
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def random_flow(path: Path) -> str:
    """A file of a flow of a recipe's size, which costs what a trained one does."""
    encoder = load_encoder()
    torch.manual_seed(0)
    model = build("flow", {**FLOW, "text_dim": encoder.dim})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    save_model(path, model, ModelInfo(
        family="flow", config=model.config.model_dump(mode="json"), encoder=encoder.spec,
        encoder_fingerprint=encoder.fingerprint,
    ))  # fmt: skip
    return str(path)


@functools.cache
def client() -> httpx.Client:
    """Keeps connections open: opening one by ``httpx.post`` costs as much as a picture.

    But none that has been idle for so long that a server may be closing it.
    """
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.0
    )
    return httpx.Client(timeout=300, limits=limits, trust_env=False)


def draw(url: str, body: Mapping[str, Any]) -> tuple[bytes, float]:
    """The answer with one picture, and how many milliseconds it took."""
    began = time.perf_counter()
    answer = client().post(f"{url}/v1/images/generations", json=body)
    took = 1000 * (time.perf_counter() - began)
    return answer.raise_for_status().content, took


def pixels(answer: bytes) -> str:
    """A hash of the pixels of the picture in an answer."""
    file = base64.b64decode(json.loads(answer)["data"][0]["b64_json"])
    with Image.open(io.BytesIO(file)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def bodies(
    first: int, count: int, words: Sequence[str] = WORDS, **more: Any
) -> list[dict[str, Any]]:
    """Requests of different prompts and seeds."""
    return [
        {"prompt": words[n % len(words)], "seed": n, **more} for n in range(first, first + count)
    ]


def many_names(count: int) -> list[str]:
    """So many things that the shipped model knows, spread over all of them."""
    concepts = read_concepts(find_model(SHIPPED))
    assert concepts is not None
    names = sorted(set(concepts.captions))
    return names[:: len(names) // count][:count]


def throughput(url: str, asked: list[dict[str, Any]]) -> tuple[float, list[bytes]]:
    """Pictures a second with so many clients that each wait for theirs, and their answers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(lambda body: draw(url, body), asked))
    return len(asked) / (time.perf_counter() - began), [each for each, _ in found]


def side_by_side(servers: Mapping[str, Server], count: int, **more: Any) -> Throughput:
    """The servers in turn; those whose processes have equal threads draw the same."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    found = Throughput(rates, {name: [] for name in servers}, {name: [] for name in servers})
    for number in range(ROUNDS):
        asked = bodies(count * number, count, **more)
        drawn = {}
        for name, server in servers.items():
            before = server.cpu()
            rate, answers = throughput(server.url, asked)
            found.costs[name].append((server.cpu() - before) / count)
            found.rates[name].append(rate)
            drawn[name] = list(map(pixels, answers))
        for name, pictures in drawn.items():
            same = fmean(a == b for a, b in zip(pictures, drawn["plain"], strict=True))
            assert same == 1 or name == "limner", f"{name} drew other pictures"
            found.alike[name].append(same)
    return found


def library_cost() -> float:
    """Milliseconds of CPU time for a picture where nothing is served: by the library, one thread.

    The seeds are not those that the servers draw; the words are.
    """
    generator = load(SHIPPED, threads=1)
    for count in (len(WORDS) * 4, PICTURES):  # the first of them to get warm
        began = time.process_time()
        for body in bodies(300_000 + count, count):
            generator.generate(body["prompt"], seed=body["seed"])
    return 1000 * (time.process_time() - began) / PICTURES


def floor(model: str) -> float:
    """Milliseconds of the arithmetic of a flow's picture where a core did nothing else.

    Its matrix products, convolutions and attention, as PyTorch counts them, at the speed of one
    thread in a product of large matrices.
    """
    from torch.utils.flop_counter import FlopCounterMode

    network, encoder = load_model(Path(model))[0].eval(), load_encoder()
    assert isinstance(network, ImageModel)
    with FlopCounterMode(display=False) as counter:
        for number, words in enumerate(WORDS):
            text, settings = encoder.encode([words]), Settings(steps=FLOW_STEPS)
            network.sample(SampleRequest(text, [number], settings))
    threads, side, times = torch.get_num_threads(), 1024, []
    torch.set_num_threads(1)
    square = torch.randn(side, side)
    for _ in range(20):
        began = time.process_time()
        torch.mm(square, square)
        times.append(time.process_time() - began)
    torch.set_num_threads(threads)
    speed = 2 * side**3 / min(times)
    return 1000 * counter.get_total_flops() / len(WORDS) / speed


def open_loop(url: str, rate: float) -> list[float]:
    """Milliseconds of each picture where requests come at a rate, whatever is answered."""
    took: list[float] = []
    threads = []
    began = time.perf_counter()
    for number, body in enumerate(bodies(100_000, int(rate * OPEN_SECONDS))):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        thread = threading.Thread(target=lambda b: took.append(draw(url, b)[1]), args=(body,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return sorted(took)


def one_by_one(url: str) -> list[float]:
    """Milliseconds of each picture where none waits for another: how unequal they are themselves.

    The least that a server can have between the tail and the middle, if it delays no easy picture.
    """
    return sorted(draw(url, body)[1] for body in bodies(400_000, 10 * len(WORDS)))


def typed(url: str) -> float:
    """Median milliseconds from a request of the page to its picture, of known words."""
    took = []
    with connect(url.replace("http", "ws") + "/v1/live") as socket:
        for number in range(36):
            body = {"prompt": WORDS[number % 4], "seed": 200_000 + number}
            began = time.perf_counter()
            socket.send(json.dumps({"id": number, "body": body}))
            while "image" not in json.loads(socket.recv(timeout=60)):
                pass
            took.append(1000 * (time.perf_counter() - began))
            socket.recv(timeout=60)
    return statistics.median(took[4:])


def run() -> dict[str, Any]:
    """Measure the shipped model, and a flow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ExitStack() as stack:
            started = commands(folder, SHIPPED)
            servers = {each: stack.enter_context(running(started[each])) for each in started}
            first = {name: servers[name] for name in ("limner", "plain")}
            others = side_by_side(first, PICTURES, words=many_names(PICTURES * ROUNDS))
            usual = side_by_side(servers, PICTURES)
            times = open_loop(servers["limner"].url, LOAD * usual.rate("limner"))
            unhurried = one_by_one(servers["limner"].url)
            typing = typed(servers["limner"].url)
        with ExitStack() as stack:
            drawn_by = random_flow(folder / "flow.safetensors")
            started = commands(folder, drawn_by)
            servers = {each: stack.enter_context(running(started[each])) for each in started}
            flow = side_by_side(servers, PICTURES // 2, steps=FLOW_STEPS)
        least = floor(drawn_by)
    alone = library_cost()
    p50, p99 = statistics.median(times), times[int(0.99 * len(times))]
    lone50, lone99 = statistics.median(unhurried), unhurried[int(0.99 * len(unhurried))]
    figures = {
        "pictures a second over a plain handler": (
            usual.gain("limner", "plain"), "x", "higher", SPEEDUP_GOAL
        ),
        "a plain handler's CPU time over the library's alone": (
            usual.cost("plain") / alone, "x", "higher", None
        ),
        "pictures a second over a plain handler, no thing twice": (
            others.gain("limner", "plain"), "x", "higher", None
        ),
        f"pictures a second, {CLIENTS} clients": (usual.rate("limner"), "/s", "higher", None),
        "p50 at 70 % load": (p50, "ms", "lower", None),
        "p99 over p50 at 70 % load": (p99 / p50, "x", "lower", TAIL_GOAL),
        "p50, one request at a time": (lone50, "ms", "lower", None),
        "p99 over p50, one request at a time": (lone99 / lone50, "x", "lower", None),
        "typed to picture, p50": (typing, "ms", "lower", TYPED_GOAL),
        "flow: pictures a second over a plain handler": (
            flow.gain("limner", "plain"), "x", "higher", SPEEDUP_GOAL
        ),
        "flow: CPU time of a picture, its arithmetic at full speed": (least, "ms", "lower", None),
        "CPU time of a picture, the library alone": (alone, "ms", "lower", None),
    }  # fmt: skip
    for name in others.rates:
        figures[f"pictures a second, {name}, no thing twice"] = (
            others.rate(name), "/s", "higher", None
        )  # fmt: skip
    for kind, measured in (("", usual), ("flow: ", flow)):
        for other in measured.rates:
            figures[f"{kind}CPU time of a picture, {other}"] = (
                measured.cost(other), "ms", "lower", None
            )  # fmt: skip
            if other != "limner":
                figures[f"{kind}pictures a second, {other}"] = (
                    measured.rate(other), "/s", "higher", None
                )  # fmt: skip
        figures[f"{kind}over {ONE}"] = (measured.gain("limner", ONE), "x", "higher", None)
        figures[f"{kind}pictures a second over a plain handler, {ONE}"] = (
            measured.gain(ONE, "plain"), "x", "higher", None
        )  # fmt: skip
        figures[f"{kind}same bits as the plain handler"] = (
            fmean(measured.alike["limner"]), "", "higher", 1
        )  # fmt: skip
        if "litserve" in measured.rates:
            figures[f"{kind}over litserve"] = (
                measured.gain("limner", "litserve"), "x", "higher", None
            )  # fmt: skip
    return {
        "headline": "pictures a second over a plain handler",
        "figures": {
            name: {"value": value, "unit": unit, "better": better, "goal": goal}
            for name, (value, unit, better, goal) in figures.items()
        },
    }
