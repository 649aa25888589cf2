"""Several models in one server: chosen by name, loaded and unloaded within a budget, swapped."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from limner.errors import ModelFileError, UsageError
from limner.generation.generator import load
from limner.models.settings import Settings
from limner.serving.errors import ApiError
from limner.serving.keys import Key
from limner.serving.model_runner import ModelFile, ModelLoaded, ModelRunner, StepInput
from limner.serving.models import Models
from limner.serving.settings import ServerSettings
from limner.text import load_encoder
from tiny_models import save_tiny
from waiting import wait_until

FAMILIES = ("flow", "vae", "gan", "ar")


def save(path: Path, family: str, seed: int = 0) -> Path:
    """A tiny model whose text encoder takes no time to load."""
    encoder = load_encoder("random:384", cache=False)
    facts = {"encoder": encoder.spec, "encoder_fingerprint": encoder.fingerprint}
    size = 16 if family == "ar" else None  # what may be asked for begins there
    return save_tiny(path, family, seed, size=size, **facts)


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {family: save(folder / f"{family}.safetensors", family) for family in FAMILIES}


@pytest.fixture(scope="module")
def one_at_a_time(paths, running, own_cache):
    """A server of four models whose memory is enough for one."""
    found = running(Models.read(list(paths.values())), ServerSettings(memory=1))
    yield found
    found.stop()


def test_options_of_the_shipped_model_are_checked_without_its_weights():
    """As ``limner serve`` does, whose other processes have them."""
    (model,) = Models.read([None]).served.values()
    assert {each.device.type for each in model.outline.model.parameters()} == {"meta"}
    for style in (*model.outline.styles, "line drawing"):
        model.check_options(Settings(style=style))
    model.check_options(Settings(size=512, transparent=True, variety=0.5))
    with pytest.raises(ApiError, match="no style 'nope'"):
        model.check_options(Settings(style="nope"))
    with pytest.raises(ApiError, match="steps"):
        model.check_options(Settings(steps=4))


def ask(url: str, key: str = "", **body: object) -> httpx.Response:
    body, headers = {"prompt": "a cat", "seed": 3} | body, {"authorization": f"Bearer {key}"}
    url = f"{url}/v1/images/generations"
    return httpx.post(url, json=body, headers=headers if key else None)


def pixels(answer: httpx.Response) -> list[np.ndarray]:
    files = [
        base64.b64decode(each["b64_json"]) for each in answer.raise_for_status().json()["data"]
    ]
    return [np.asarray(Image.open(io.BytesIO(file))) for file in files]


def loaded(url: str) -> set[str]:
    data = httpx.get(f"{url}/v1/models").json()["data"]
    return {each["id"] for each in data if each["loaded"] and not each["id"].startswith("gpt-")}


def test_each_model_draws_what_it_draws_alone(one_at_a_time, paths):
    url = one_at_a_time.url
    assert loaded(url) == {"flow"}
    with ThreadPoolExecutor(8) as clients:
        names = [*FAMILIES, *(f"gpt-image-{family}" for family in FAMILIES)]
        answers = dict(
            zip(names, clients.map(lambda n: ask(url, model=n, n=2), names), strict=True)
        )
    for family, path in paths.items():
        alone = load(path).generate("a cat", n=2, seed=3)
        for name in (family, f"gpt-image-{family}"):
            same = zip(pixels(answers[name]), alone, strict=True)
            assert all(np.array_equal(mine, np.asarray(each.image)) for mine, each in same)
    assert len(loaded(url)) == 1
    same = [pixels(ask(url, model=name, seed=8))[0] for name in ("dall-e-3", "flow")]
    assert np.array_equal(*same)
    assert loaded(url) == {"flow"}


def test_models_are_listed_with_their_size_and_options_are_those_of_the_model(one_at_a_time):
    data = {each["id"]: each for each in httpx.get(f"{one_at_a_time.url}/v1/models").json()["data"]}
    assert set(data) == {f"{before}{name}" for name in FAMILIES for before in ("", "gpt-image-")}
    assert data["flow"]["family"] == "flow" and "steps" in data["flow"]["capabilities"]
    assert 0 < data["flow"]["bytes"] < 1e9
    refused = ask(one_at_a_time.url, model="gan", steps=3)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "steps")
    assert ask(one_at_a_time.url, model="../flow").status_code == 404


def test_a1111_clients_choose_a_model(one_at_a_time):
    url = f"{one_at_a_time.url}/sdapi/v1"
    assert [each["title"] for each in httpx.get(f"{url}/sd-models").json()] == list(FAMILIES)
    assert httpx.post(f"{url}/options", json={"sd_model_checkpoint": "ar"}).status_code == 200
    try:
        assert httpx.get(f"{url}/options").json()["sd_model_checkpoint"] == "ar"
        drawn = httpx.post(f"{url}/txt2img", json={"prompt": "a cat", "seed": 1}).json()
        assert '"sd_model_name": "ar"' in drawn["info"]
        other = {"prompt": "a cat", "override_settings": {"sd_model_checkpoint": "vae [0123]"}}
        drawn = httpx.post(f"{url}/txt2img", json=other).json()
        assert '"sd_model_name": "vae"' in drawn["info"]
    finally:
        httpx.post(f"{url}/options", json={"sd_model_checkpoint": "flow"})


def test_a_model_that_waits_for_memory_gets_it_from_one_that_is_always_busy(one_at_a_time):
    url, ended = one_at_a_time.url, threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            ask(url, model="flow", steps=50).raise_for_status()

    with ThreadPoolExecutor(3) as clients:
        busy = [clients.submit(go_on) for _ in range(3)]
        try:
            assert ask(url, model="vae").status_code == 200
        finally:
            ended.set()
        for each in busy:
            each.result()


def test_names_are_unique(paths, tmp_path):
    (tmp_path / "run").mkdir()
    run = save(tmp_path / "run" / "model.safetensors", "vae")
    assert list(Models.read([run.parent]).served) == ["run"]
    other = tmp_path / "flow.safetensors"
    other.write_bytes(paths["flow"].read_bytes())
    with pytest.raises(UsageError, match="would both be served as 'flow'"):
        Models.read([paths["flow"], other])
    with pytest.raises(UsageError, match="would both be served as 'flow'"):
        Models.read([paths["flow"], paths["flow"]])
    with pytest.raises(ModelFileError, match="no model file"):
        Models.read([tmp_path / "none.safetensors"])


SWITCHES = """
import sys
from pathlib import Path
from limner.generation.requests import DrawRequest
from limner.serving.model_runner import DrawJob, ModelLoaded, ModelRunner, PictureReady, StepInput
from limner.serving.models import ModelVersion

runner, versions = ModelRunner(), [ModelVersion.read(Path(each)) for each in sys.argv[1:]]

def resident():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096

def switch(number):
    version = versions[number % len(versions)]
    news = runner.step(StepInput(loads=[version.file]))
    while not news:
        news = runner.step(StepInput())
    assert news == [ModelLoaded(version.number)]
    request = DrawRequest("a cat", number)
    news = runner.step(StepInput([DrawJob(number, version.number, request)]))
    while not any(isinstance(each, PictureReady) for each in news):
        news = runner.step(StepInput())
    assert runner.step(StepInput(unloads=[version.number])) == []

for number in range(8):
    switch(number)
before = resident()
for number in range(100):
    switch(number)
runner.close()
print(resident() - before)
"""


def test_memory_returns_to_where_it_was_after_a_hundred_switches(paths, commands):
    """In a process of its own, where no other server uses any meanwhile."""
    words = [commands / "python", "-c", SWITCHES, paths["vae"], paths["gan"]]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    assert int(done.stdout) < 4_000_000


@pytest.fixture
def swapped(tmp_path, running, own_cache):
    """A server whose model can be reloaded by the user admin."""
    path = save(tmp_path / "flow.safetensors", "flow")
    keys = {name: Key(hashlib.sha256(name.encode()).hexdigest()) for name in ("ann", "admin")}
    found = running(Models.read([path]), ServerSettings(keys=keys))
    yield found, path
    found.stop()


def test_a_changed_file_is_loaded_beside_what_is_drawn(swapped, tmp_path):
    """Under load no request is dropped, and each is drawn by what was served when it came."""
    running, path = swapped
    other = save(tmp_path / "other.safetensors", "flow", seed=1)
    alone = [load(each).generate("a cat", seed=3, steps=9)[0] for each in (path, other)]
    reload = f"{running.url}/v1/models/flow/reload"
    ended, reloaded = threading.Event(), threading.Event()
    known, fresh = [[list[int]() for _ in range(4)] for _ in range(2)]

    def go_on(client: int) -> None:
        while not ended.is_set():
            which = fresh if reloaded.is_set() else known
            answer = ask(running.url, key="ann", steps=9)
            (mine,) = pixels(answer)
            same = [np.array_equal(mine, np.asarray(each.image)) for each in alone]
            assert sum(same) == 1
            which[client].append(same.index(True))

    def all_have(drawn: list[list[int]], count: int) -> bool:
        assert not any(each.done() for each in busy), "a client failed"
        return all(len(each) >= count for each in drawn)

    with ThreadPoolExecutor(4) as clients:
        busy = [clients.submit(go_on, number) for number in range(4)]
        try:
            wait_until(lambda: all_have(known, 1))
            other.replace(path)
            answer = httpx.post(reload, headers={"authorization": "Bearer admin"})
            reloaded.set()
            assert answer.json()["reloaded"] and answer.json()["hash"] == load(path).hash
            wait_until(lambda: all_have(fresh, 3))
        finally:
            ended.set()
        for each in busy:
            each.result()
    for drawn in known:  # of one client, in the order of its requests
        assert drawn == sorted(drawn) and drawn[0] == 0
    assert {each for drawn in fresh for each in drawn} == {1}


def test_a_file_that_cannot_be_loaded_changes_nothing(swapped):
    running, path = swapped
    reload = f"{running.url}/v1/models/flow/reload"
    admin = {"authorization": "Bearer admin"}
    assert httpx.post(reload, headers=admin).json()["reloaded"] is False
    drawn = pixels(ask(running.url, key="ann"))
    for damaged in (path.read_bytes()[:-100], b"", not_finite(path)):
        new = path.with_suffix(".new")
        new.write_bytes(damaged)
        new.replace(path)
        refused = httpx.post(reload, headers=admin)
        assert refused.status_code == 409 and "stays as it was" in refused.text
        assert np.array_equal(pixels(ask(running.url, key="ann")), drawn)
    assert httpx.post(reload, headers={"authorization": "Bearer ann"}).status_code == 403
    assert httpx.post(reload).status_code == 401


def not_finite(path: Path) -> bytes:
    """A file of a model whose last weights are not numbers."""
    return path.read_bytes()[:-40] + 10 * np.float32(np.nan).tobytes()


def test_common_names_are_read_ahead(own_cache):
    generator = load()
    names = generator.common_names(4)
    assert len(names) == 8 and all(generator.concepts.named(name) for name in names)
    colourful = generator.concepts.styles.sum(1).max()
    assert generator.concepts.styles_of([names[0]]) and colourful > 20
    runner = ModelRunner({7: generator})
    runner.step(StepInput(loads=[ModelFile(7, None, generator.hash)]))
    while not any(isinstance(each, ModelLoaded) for each in runner.step(StepInput())):
        pass
    runner._reader.shutdown()  # what was begun is read
    encoded = []
    generator.encoder.encoder.embed = encoded.extend
    generator.encoder.encode(generator.common_names(256))
    assert not encoded
