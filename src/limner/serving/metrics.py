"""What an operator watches: figures of the running server, in the text format of Prometheus.

No label holds what a client chooses: routes are named by their templates, methods that HTTP does
not know are ``other``, models and formats are those that the server has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

Stage = Literal["understanding", "drawing", "encoding"]
TaskOutcome = Literal["done", "refused", "dropped"]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 64)
_STAGE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_REQUEST_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The figures of one application, in a registry of its own.

    Args:
        waiting: how many pictures wait to be drawn.
        drawing: how many are being drawn.
    """

    def __init__(self, waiting: Callable[[], float], drawing: Callable[[], float]) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        pictures = Gauge(
            "limner_pictures_queued", "Pictures that wait or are being drawn.", ["state"],
            registry=registry,
        )  # fmt: skip
        pictures.labels("waiting").set_function(waiting)
        pictures.labels("drawing").set_function(drawing)
        self._rows = Histogram(
            "limner_evaluation_rows", "Rows of a network evaluation.",
            buckets=_ROWS, registry=registry,
        )  # fmt: skip
        self._stages = Histogram(
            "limner_stage_seconds", "Of reading prompts, one advance of the network, a file.",
            ["stage"], buckets=_STAGE_SECONDS, registry=registry,
        )  # fmt: skip
        self._pictures = Counter(
            "limner_pictures", "Pictures answered.", ["model", "format"], registry=registry
        )
        self._remembered = Counter(
            "limner_pictures_remembered", "Pictures that had been drawn already.",
            registry=registry,
        )  # fmt: skip
        self._tasks = Counter(
            "limner_tasks", "Explanations and refinements that have ended.", ["task", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._task_pictures = Counter(
            "limner_task_pictures", "Pictures that they drew.", ["task"], registry=registry
        )
        self._refusals = Counter(
            "limner_refusals", "Errors answered, by their code.", ["code"], registry=registry
        )
        self._flags = Counter(
            "limner_flags", "What moderation flagged, by its category and stage.",
            ["category", "stage"], registry=registry,
        )  # fmt: skip
        self._requests = Histogram(
            "limner_request_seconds", "From a request's first byte to its answer's last.",
            ["method", "route", "status"], buckets=_REQUEST_SECONDS, registry=registry,
        )  # fmt: skip

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Count the seconds of a stage, also of one that fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.took(stage, time.perf_counter() - began)

    def took(self, stage: Stage, seconds: float) -> None:
        """Count the seconds of a stage."""
        self._stages.labels(stage).observe(seconds)

    def evaluated(self, rows: int) -> None:
        """Count a network evaluation of so many rows."""
        self._rows.observe(rows)

    def answered(self, model: str, kind: str) -> None:
        """Count a picture that was answered.

        Args:
            model: the server's own name of it.
            kind: format of the file, or ``live`` for one of the page's.
        """
        self._pictures.labels(model, kind).inc()

    def remembered(self, pictures: int) -> None:
        """Count pictures that were not drawn again."""
        self._remembered.inc(pictures)

    def task_ended(self, kind: str, outcome: TaskOutcome) -> None:
        """Count a task: done, refused, or dropped, as it was too late or the client had left."""
        self._tasks.labels(kind, outcome).inc()

    def task_drew(self, kind: str, pictures: int) -> None:
        """Count pictures that a task has drawn on its way."""
        self._task_pictures.labels(kind).inc(pictures)

    def refused(self, code: str) -> None:
        """Count an error by its code."""
        self._refusals.labels(code).inc()

    def flagged(self, category: str, stage: str) -> None:
        """Count what moderation found."""
        self._flags.labels(category, stage).inc()

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: as it was sent.
            route: template of its route; empty where there is none.
            status: of the answer.
            seconds: that it took.
        """
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route or "none", status).observe(seconds)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All figures and their media type, in the format that an ``accept`` header asks for."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type
