"""A real HTTP server on this machine that answers as chat models behind an endpoint do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(ThreadingHTTPServer):
    """Speaks /v1/chat/completions; fails as often as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[dict[str, str], dict[str, object]]] = []
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.answer: str | None = "a red field"
        self.wait = 0.0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(({**headers, "path": self.path}, body))
        self.server.stopped.wait(self.server.wait)
        if self.server.failures:
            status, headers = self.server.failures.pop(0)
            return self._send(
                status, {"error": {"message": "not now", "type": "server_error"}}, headers
            )
        message = {"role": "assistant", "content": self.server.answer}
        return self._send(
            200,
            {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
             "choices": [{"index": 0, "finish_reason": "stop", "message": message}]},
        )  # fmt: skip

    def _send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    """An endpoint while the block runs."""
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
