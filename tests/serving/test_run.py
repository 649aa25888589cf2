"""The command, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from limner.errors import DataError, UsageError
from limner.generation.generator import load
from limner.serving.run import run_server
from limner.serving.settings import GalleryPlace, Listening, ServerSettings
from serving.held import held
from waiting import wait_until


def start(
    *options: str, commands: Path | None = None, code: str = ""
) -> tuple[subprocess.Popen[str], str]:
    """A server and its address, once it can draw; in one process unless it is told otherwise.

    With ``commands`` the ``limner`` of that folder is started, which need not import anything; with
    ``code`` that, which does as ``limner`` does in the end, by the ``python`` of that folder.
    """
    if "--workers" not in options:
        options = (*options, "--workers", "1")
    limner = [sys.executable, "-m", "limner"] if commands is None else [commands / "limner"]
    if commands is not None and code:
        limner = [commands / "python", "-c", code]
    process = subprocess.Popen(
        [*limner, "serve", "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://\S+:\d+", line)
    assert match, (line, process.poll())
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        wait_until(lambda: client.get(f"{match[0]}/health/ready").status_code == 200)
    return process, match[0]


HELD = """
import time
from pathlib import Path
from limner.cli import main
from limner.generation.session import DrawingSession

advance = DrawingSession.advance

def held(session, most=None):
    while Path({path!r}).exists():
        time.sleep(0.01)
    return advance(session, most)

DrawingSession.advance = held
main()
"""


def test_accepted_requests_are_finished_when_the_server_is_told_to_end(
    flow_path, commands, tmp_path
):
    hold = tmp_path / "hold"
    code = HELD.format(path=str(hold))
    process, url = start("--model", str(flow_path), commands=commands, code=code)
    hold.touch()
    answers = []

    def ask() -> None:
        body = {"prompt": "a cat", "n": 4, "steps": 100}
        answers.append(httpx.post(f"{url}/v1/images/generations", json=body))

    def listens() -> bool:
        try:
            return httpx.get(f"{url}/health/live").status_code == 200
        except httpx.ConnectError:
            return False

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: httpx.get(f"{url}/health/live").json()["pictures"] == 4)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: not listens())
    assert thread.is_alive() and not answers, "nothing can be drawn before the server is to end"
    hold.unlink()
    thread.join()
    assert answers[0].status_code == 200
    assert len(answers[0].json()["data"]) == 4
    assert process.wait() == 0
    assert not listens()


def test_what_is_not_finished_in_time_is_told_so(running, flow_path, logged):
    """As every other refusal, and nothing is drawn for it any more."""
    server = running(load(flow_path))
    server.server.config.timeout_graceful_shutdown = 1
    answers = []

    def ask() -> None:
        body = {"prompt": "a cat", "n": 10, "steps": 1000}
        answers.append(httpx.post(f"{server.url}/v1/images/generations", json=body))

    thread = threading.Thread(target=ask)
    with held() as drawing:
        thread.start()
        wait_until(lambda: server.state.batcher.drawing)
        server.server.should_exit = True
        thread.join()  # told while its pictures are as they were
        drawing.release()
        server.stop()
        assert not server.thread.is_alive() and drawing.evaluations <= 2
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "5")
    assert answers[0].json()["error"]["code"] == "stopping"
    assert "Traceback" not in logged.getvalue() and " 503 " in logged.getvalue()


def test_it_listens_beyond_this_machine_only_with_keys():
    with pytest.raises(UsageError, match="--keys FILE"):
        run_server([None], Listening("0.0.0.0", 0))


def test_a_port_that_is_taken_is_said_before_anything_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            run_server(["no such model"], Listening(port=port))


def test_without_keys_it_is_called_by_names_of_this_machine_alone(running, flow_path):
    server = running(load(flow_path), ServerSettings(local_names=True))
    port = server.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"LOCALHOST:{port}", f"[::1]:{port}", "127.1.2.3"):
        assert httpx.get(f"{server.url}/v1/models", headers={"host": host}).status_code == 200
    for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "192.168.0.1"):
        answer = httpx.get(f"{server.url}/v1/models", headers={"host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unknown_host")
    server.stop()


@pytest.mark.parametrize(("origin", "said"), [
    ("*", "name the origins"), ("example.org", "is no origin"), ("https://a.b/c", "is no origin"),
])  # fmt: skip
def test_origins_that_cannot_be(tmp_path, origin, said):
    keys = tmp_path / "keys"
    keys.write_text(f"ann {'0' * 64}")
    with pytest.raises(UsageError, match=said):
        run_server([None], Listening(port=0, keys=keys, cors=[origin]))


@pytest.mark.usefixtures("logged")
def test_a_gallery_that_cannot_be_made_says_what_to_do(flow_path, tmp_path):
    (tmp_path / "file").write_text("x")
    place = GalleryPlace(tmp_path / "file" / "gallery")
    with pytest.raises(DataError, match=r"cannot make the folder .*--gallery.*--no-gallery"):
        run_server([flow_path], Listening(port=0), ServerSettings(workers=1), gallery=place)
