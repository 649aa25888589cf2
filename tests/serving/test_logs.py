"""The lines that the server logs: one a request, never a prompt, none that a client can forge."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from limner.generation.generator import load
from limner.serving.logs import LogFormat, set_logs
from limner.serving.settings import ServerSettings
from serving.test_run import start
from waiting import LONGEST

SECRET = "a zebra in the attic"


def raw(url: str, request: bytes) -> bytes:
    """What bytes are answered with."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=LONGEST) as connection:
        connection.sendall(request)
        return connection.recv(100_000)


def misbehave(url: str) -> None:
    """Requests that would like to be lines of the log."""
    body = {"prompt": SECRET, "seed": 1}
    route = f"{url}/v1/images/generations"
    httpx.post(route, json=body, headers={"x-request-id": 'mine"}{'})
    httpx.post(route, json=body | {"sede": SECRET}, headers={"x-request-id": "a b"})
    httpx.post(route, json=body | {"style": SECRET})
    httpx.get(f"{url}/v1/models/%0A%7B%22level%22:%22error%22%7D%0D%0A")
    raw(url, b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-request-id: a\x0b{}\r\n\r\n")
    raw(url, b"GET /\nforged HTTP/1.1\r\nhost: x\r\nx-request-id: a\r\n\r\n")


def test_lines_are_json_and_never_tell_a_prompt(tiny_model, commands):
    options = ("--model", str(tiny_model), "--no-gallery", "--log-format", "json")
    process, url = start(*options, commands=commands)
    misbehave(url)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate()
    assert SECRET not in text
    lines = [json.loads(line) for line in text.splitlines()]
    drawn, refused, style, missing = [line for line in lines if line.get("message") == "answered"]
    assert drawn["request_id"] == 'mine"}{'
    assert (drawn["status"], drawn["pictures"], drawn["user"]) == (200, 1, "127.0.0.1")
    assert (drawn["method"], drawn["route"]) == ("POST", "/v1/images/generations")
    assert drawn["milliseconds"] > 0
    assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z", drawn["time"])
    assert re.fullmatch(r"req_[0-9a-f]{24}", refused["request_id"])
    assert (refused["status"], style["status"], missing["status"]) == (400, 400, 404)
    assert missing["route"] == "/v1/models/{name}"


def test_lines_of_text_cannot_be_forged(running, tiny_model, logged):
    server = running(load(tiny_model), ServerSettings(log_prompts=True))
    misbehave(server.url)
    prompt = "two\nlines \x1b[31m\u202e"
    httpx.post(f"{server.url}/v1/images/generations", json={"prompt": prompt})
    server.stop()
    lines = logged.getvalue().splitlines()
    assert all(re.match(r"[0-9-]{10}T[0-9:.]{12}Z (info|warning) ", line) for line in lines)
    assert sum(SECRET in line for line in lines) == 1, "logged where that is asked for"
    assert r"two\nlines" in lines[-1]
    assert all(line.isprintable() for line in lines)


@pytest.mark.usefixtures("logged")
def test_a_server_replaces_what_the_command_line_prints_and_leaves_the_library_its_own():
    own, null = logging.getLogger("limner"), logging.NullHandler()
    own.handlers[:] = [null, logging.StreamHandler()]
    set_logs(LogFormat.TEXT, io.StringIO())
    assert own.handlers == [null]


def test_what_fails_in_the_thread_that_draws_names_its_request(running, flow_path, logged):
    server = running(load(flow_path))

    def broken(_: object) -> None:
        raise ZeroDivisionError("\n2026 forged")

    (runner,) = (state.runner for state in server.state.batcher._runners)
    (model,) = runner._models.values()
    model.session.advance = broken
    headers = {"x-request-id": "mine-1"}
    body = {"prompt": "a cat"}
    answer = httpx.post(f"{server.url}/v1/images/generations", json=body, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine-1")
    server.stop()
    lines = logged.getvalue().splitlines()
    assert any("says why mine-1" in line for line in lines)
    frames = [line for line in lines if line.startswith("    ") and "model_runner.py" in line]
    assert frames
    assert not any(line.startswith("2026 forged") for line in lines)
