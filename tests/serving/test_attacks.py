"""What attackers send, and what becomes of it; docs/security.md has the list."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from limner.generation.generator import load
from limner.generation.prompts import PromptWarning
from limner.serving import connections, middleware
from limner.serving.gallery import Gallery
from limner.serving.keys import Key
from limner.serving.model_runner import ModelRunner
from limner.serving.settings import ServerSettings
from limner.serving.wire import MOST_CHARACTERS
from waiting import LONGEST

JSON = {"content-type": "application/json"}
PATHS = ("../../../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "..\\..\\boot.ini",
         "file:///etc/passwd", "\0", "a" * 250)  # fmt: skip


@pytest.fixture(scope="module")
def url(running, tiny_model, own_cache, tmp_path_factory) -> Iterator[str]:
    """A server of two users with a gallery."""
    keys = {name: Key(hashlib.sha256(name.encode()).hexdigest()) for name in ("ann", "bob")}
    gallery = Gallery(tmp_path_factory.mktemp("attacked"))
    server = running(load(tiny_model), ServerSettings(keys=keys), gallery)
    yield server.url
    server.stop()


@pytest.fixture
def ann(url) -> Iterator[httpx.Client]:
    """One of them; the server still draws for her afterwards, whatever happened."""
    with httpx.Client(base_url=url, headers={"authorization": "Bearer ann"}) as client:
        yield client
        assert client.post("/v1/images/generations", json={"prompt": "a cat"}).status_code == 200


@pytest.fixture
def canary() -> Iterator[tuple[str, socket.socket]]:
    """An address that nobody may connect to, and what listens there."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.png", listening
        with pytest.raises(BlockingIOError):
            listening.accept()


def assert_refused(answer: httpx.Response, *statuses: int) -> dict:
    """The error in an answer, which must have one of the statuses (400) and a short message."""
    assert answer.status_code in (statuses or (400,)), answer.text[:300]
    error = answer.json()["error"]
    assert error["message"] and len(error["message"]) < 500
    return error


def draw(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/v1/images/generations", json={"prompt": "a cat"} | body)


def edit(client: httpx.Client, files: object, **fields: str) -> httpx.Response:
    return client.post("/v1/images/edits", data={"prompt": "a cat"} | fields, files=files)


def opened(url: str, request: bytes) -> socket.socket:
    """A connection over which bytes were sent."""
    where = urlsplit(url)
    connection = socket.create_connection((where.hostname, where.port), timeout=LONGEST)
    connection.sendall(request)
    return connection


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes a connection."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("path", PATHS)
def test_no_path_reaches_the_files(ann, path):
    assert_refused(draw(ann, model=path), 404)
    assert_refused(draw(ann, style=path))
    assert_refused(ann.post("/sdapi/v1/options", json={"sd_model_checkpoint": path}), 404)
    for route in ("/v1/models/", "/v1/gallery/", "/v1/images/files/", "/page/"):
        name = "".join(f"%{byte:02x}" for byte in path.encode())
        assert_refused(ann.get(route + name), 404)
    assert ann.post("/v1/search", json={"query": path}).status_code == 404, "there is no index"


def test_no_address_is_fetched(ann, canary):
    address, _ = canary
    for name in ("image", "image_url", "url", "reference", "init_images", "callback"):
        assert_refused(draw(ann, **{name: address}))
        assert_refused(edit(ann, {"image": ("a.png", b"x")}, **{name: address}))
    assert_refused(ann.post("/v1/captions", data={"image": address}))
    for text in (address, f"data:image/png;base64,{address}", base64.b64encode(
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>'.encode()
    ).decode()):  # fmt: skip
        body = {"prompt": "a cat", "init_images": [text]}
        assert_refused(ann.post("/sdapi/v1/img2img", json=body))


def gif(frames: int) -> bytes:
    """A file of many tiny frames."""
    buffer = io.BytesIO()
    first, other = (Image.new("P", (64, 64), colour) for colour in (1, 2))
    first.save(buffer, "GIF", save_all=True, append_images=[other, first] * (frames // 2))
    return buffer.getvalue()


def test_no_bomb_is_blown_up(ann):
    buffer = io.BytesIO()
    Image.new("L", (7900, 7900)).save(buffer, "PNG")  # 62 megapixels in a few kilobytes
    bombs = {
        "svg": b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg width="99999">&b;</svg>',
        "zip": b"PK\x03\x04" + bytes(1000), "tiff": b"II*\0" + b"\xff" * 100,
        "jpeg": b"\xff\xd8\xff\xe0" + bytes(100), "png": buffer.getvalue()[:300],
    }  # fmt: skip
    for name, data in bombs.items():
        error = assert_refused(edit(ann, {"image": (name, data)}))
        assert error["code"] in ("invalid_image", "unsupported_parameter")
    began = time.process_time()  # a second
    for data in (buffer.getvalue(), gif(2000)):
        answer = ann.post("/v1/captions", files={"image": ("a", data)})
        assert answer.status_code == 200
    assert time.process_time() - began < 30
    body = gzip.compress(b'{"prompt": "' + b"a" * 10_000_000 + b'"}')
    answer = ann.post(
        "/v1/images/generations", content=body, headers=JSON | {"content-encoding": "gzip"}
    )
    assert_refused(answer)  # what is packed is not unpacked


def test_bodies_of_too_many_or_too_deep_things(ann):
    many = {f"field{number}": "1" for number in range(10_000)}
    assert assert_refused(edit(ann, {"image": ("a", b"x")}, **many))["code"] == "invalid_form"
    assert assert_refused(ann.post("/v1/images/edits", data=many))["code"] == "invalid_form"
    assert assert_refused(draw(ann, **many))["code"] == "unknown_parameter"
    for deep in (b"[" * 400_000, b'{"prompt":' * 90_000, b'{"svg":' + b'{"a":' * 90_000 + b"1"):
        assert_refused(ann.post("/v1/images/generations", content=deep, headers=JSON))
        assert_refused(ann.post("/v1/search", content=deep, headers=JSON), 400, 404)
    assert_refused(ann.get("/v1/gallery", params={"query": "a " * 200}))
    assert_refused(ann.get("/v1/gallery", params={"query": "a" * 10_000}))


@pytest.mark.parametrize("kind", [
    "text/plain", "application/xml", "image/png", "application/x-www-form-urlencoded",
    "multipart/form-data", "application/json; charset=utf-16", "", "application/" + "x" * 9000,
])  # fmt: skip
def test_bodies_of_other_kinds(ann, kind):
    body = "<xml/>".encode("utf-16") if "16" in kind else b'{"prompt": "a cat"'
    for route in ("generations", "edits", "variations"):
        assert_refused(
            ann.post(f"/v1/images/{route}", content=body, headers={"content-type": kind})
        )


def test_a_slow_body_is_not_waited_for(url, ann, monkeypatch):
    monkeypatch.setattr(middleware, "_BODY_SECONDS", 0.5)
    head = (b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann\r\ncontent-type: %s\r\n"
            b"content-length: 100\r\n\r\n--x\r\n")  # fmt: skip
    kinds = ((b"/v1/images/generations", b"application/json"),
             (b"/v1/images/edits", b"multipart/form-data; boundary=x"))  # fmt: skip
    with ExitStack() as stack:
        slow = [stack.enter_context(opened(url, head % kind)) for kind in kinds * 10]
        assert ann.get("/health/live").status_code == 200  # all of them are waited for by now
        monkeypatch.undo()
        assert draw(ann).status_code == 200, "others are answered meanwhile"
        for connection in slow:
            answer = rest_of(connection)
            assert answer.startswith(b"HTTP/1.1 408") and b"connection: close" in answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_slow_headers_and_slow_readers_are_not_waited_for(url, ann, monkeypatch):
    monkeypatch.setattr(connections, "_HEADER_SECONDS", 0.5)
    monkeypatch.setattr(connections, "_READ_SECONDS", 0.5)
    for start in (b"", b"GET /health/live HT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT"):
        with opened(url, start) as connection:
            began = time.monotonic()
            rest_of(connection)
            assert time.monotonic() - began < 10
    request = b"GET /page/app.js HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)  # before it is connected
        reader.connect((urlsplit(url).hostname, urlsplit(url).port))
        until = time.monotonic() + LONGEST
        with pytest.raises(OSError):  # it is closed while nothing is read
            while time.monotonic() < until:
                reader.sendall(request)
                threading.Event().wait(0.02)


def test_prompts_that_are_very_long_cost_little(shipped, ann):
    assert assert_refused(draw(ann, prompt="a" * (MOST_CHARACTERS + 1)))["param"] == "prompt"
    for state in shipped.state.batcher._runners:
        if isinstance(state.runner, ModelRunner):
            state.runner._reader.submit(int).result()  # what is read ahead has been read
    signs = random.Random(0)

    def chinese(length: int) -> str:
        return "".join(chr(signs.randrange(0x4E00, 0x9FFF)) for _ in range(length))

    def spent(prompt: str) -> float:
        """Seconds of this process, and so of the server's threads, on the processor."""
        began = time.process_time()
        body = {"prompt": prompt[:MOST_CHARACTERS], "seed": 1}
        answer = httpx.post(f"{shipped.url}/v1/images/generations", json=body)
        assert answer.status_code in (200, 400)
        return time.process_time() - began

    for long, read in (  # of other words, so that nothing of it is known already
        ("a cat left of a dog and " * 2000, "a fox left of a cow and " * 42),
        (chinese(MOST_CHARACTERS), chinese(333)),
    ):
        assert spent(long) < 5 * spent(read)


def test_the_first_words_of_a_long_prompt_are_read():
    model = load()
    with pytest.warns(PromptWarning, match="the first 5 are read"):
        (long,) = model.generate("a cat " + "x" * 5000, seed=1)
    (short,) = model.generate("a cat", seed=1)
    assert long.image.tobytes() == short.image.tobytes()
    assert len(long.prompt) > 5000, "the record has all of it"


def test_no_header_is_injected(url, ann):
    bad = "a\r\nx-injected: 1"
    answer = draw(ann, safety_identifier=bad, user=bad, response_format="url")
    assert answer.status_code == 200 and "x-injected" not in answer.headers
    assert answer.json()["safety_identifier"] == bad
    image = ("a.png\r\nx-injected: 1", b"no picture")
    assert "x-injected" not in edit(ann, {"image": image}).headers
    with opened(url, b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-request-id: a\x01b\r\n"
                     b"connection: close\r\n\r\n") as connection:  # fmt: skip
        assert b"a\x01b" not in rest_of(connection)
    link = draw(ann, response_format="url").json()["data"][0]["url"]
    assert link.startswith(url)


def test_nobody_gets_or_ends_what_is_drawn_for_another(url, ann):
    bob = {"authorization": "Bearer bob"}
    (one,) = draw(ann, prompt="a private wish", response_format="url").json()["data"]
    assert_refused(httpx.get(f"{url}/v1/gallery/{one['id']}", headers=bob), 404)
    assert "private" not in httpx.get(f"{url}/v1/gallery", headers=bob).text
    name = one["url"].rpartition("/")[2]
    picture, until, signature, ending = name.split(".")
    for forged in (
        f"{picture}.{until}f.{signature}.{ending}", f"{picture}.{until}.{'0' * 64}.{ending}",
        f"{'0' * 32}.{until}.{signature}.{ending}", f"{picture}.{ending}",
    ):  # fmt: skip
        assert_refused(httpx.get(f"{url}/v1/images/files/{forged}"), 404)
    live = url.replace("http", "ws") + "/v1/live"
    with connect(live) as own, connect(live) as other:
        other.send(json.dumps({"id": 5, "key": "bob", "body": {"prompt": "a dog", "seed": 2}}))
        own.send(
            json.dumps({"id": 7, "key": "ann", "body": {"prompt": "a cat", "seed": 1, "n": 4}})
        )
        httpx.post(f"{url}/sdapi/v1/interrupt", headers=bob)
        found = [json.loads(own.recv()) for _ in range(5)]
    assert {each["id"] for each in found} == {7} and found[-1]["done"]
    assert sorted(each["seed"] for each in found[:-1]) == [1, 2, 3, 4]


def test_floods_of_the_pages_connection(url, ann):
    live = url.replace("http", "ws") + "/v1/live"
    with connect(live) as own:
        for number in range(1500):
            own.send(json.dumps({"id": number, "key": "ann", "body": {"prompt": f"cat {number}"}}))
        while not (last := json.loads(own.recv())).get("done") or last["id"] != 1499:
            pass
    for message, code in ((b"\0" * 100, 1003), ("x" * 200_000, 1009)):
        with connect(live) as own:
            own.send(message)
            with pytest.raises(ConnectionClosed) as caught:
                own.recv()
            assert caught.value.rcvd.code == code
    with connect(live) as own, pytest.raises(ConnectionClosed) as caught:
        own.send(["x" * 30_000] * 9)  # fragments of one message
        own.recv()
    assert caught.value.rcvd.code == 1009
    with ExitStack() as stack:
        many = [stack.enter_context(connect(live)) for _ in range(33)]
        with pytest.raises(ConnectionClosed) as caught:
            many[-1].recv()
        assert caught.value.rcvd.code == 1013


@pytest.mark.parametrize("prompt", [
    "\ud800", "a\ud800b", "a\0cat", "\u202egnp.tac", "\ufeffcat", "e\u0301" * 300, "\U0010ffff",
    "\x1b[31m", "﷽" * 500, "ก็" * 500,
])  # fmt: skip
def test_odd_signs(ann, prompt):
    content = json.dumps({"prompt": prompt, "user": prompt, "response_format": "url"})
    answer = ann.post("/v1/images/generations", content=content, headers=JSON)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        (one,) = answer.json()["data"]
        assert ann.get(f"/v1/gallery/{one['id']}").json()["prompt"] == prompt
    query = "".join(f"%{byte:02x}" for byte in prompt.encode(errors="surrogatepass"))
    assert ann.get(f"/v1/gallery?query={query}").status_code in (200, 400)
    assert ann.get(f"/v1/models/{query}").status_code in (400, 404)
    name = prompt.encode(errors="replace").decode()
    assert_refused(edit(ann, {"image": (name, b"no picture")}, **{"a" + name: "1"}))


@pytest.mark.parametrize("field", [
    '"n": 1e9', '"n": 0', '"n": -1', '"n": 1.5', '"n": "1e400"', '"n": 1e400',
    '"seed": 18446744073709551616', '"seed": -2', '"seed": 1e30', '"seed": NaN',
    '"steps": 1000000000', '"guidance": NaN', '"guidance": Infinity', '"variety": -0.1',
    '"variety": NaN', '"size": "1x100000"', '"size": "0x0"', '"size": "99999x99999"',
    '"size": "-1x64"', '"size": "６４x６４"', '"size": "64x64x64"', '"size": "1024x4097"',
    '"best_of": 1000000', '"output_compression": NaN, "output_format": "webp"',
    '"output_format": "gif", "frame_count": 99999999999999999999',
    '"output_format": "gif", "frame_duration_ms": -1', '"n": [1]', '"seed": {"a": 1}',
    '"seed": ' + "9" * 5000, '"partial_images": 1e308, "stream": true',
])  # fmt: skip
def test_numbers_at_and_beyond_their_limits(ann, field):
    content = f'{{"prompt": "a cat", {field}}}'
    assert_refused(ann.post("/v1/images/generations", content=content, headers=JSON))
    tail = content.replace('"n"', '"batch_size"').replace('"size"', '"width"')
    assert ann.post("/sdapi/v1/txt2img", content=tail, headers=JSON).status_code in (200, 400)
