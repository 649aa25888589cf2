"""What an operator reads of the running server, by the parser of Prometheus' own client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from waiting import wait_until

KEY = {"authorization": "Bearer secret"}
Figures = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def figures_of(running) -> Figures:
    """All samples, by their name and labels; 0 for one that is not there."""
    answer = httpx.get(f"{running.url}/metrics", headers=KEY)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: defaultdict = defaultdict(float)
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def sample(figures: Figures, name: str, **labels: str) -> float:
    return figures[f"limner_{name}", frozenset(labels.items())]


def draw(running, **body: object) -> int:
    url = f"{running.url}/v1/images/generations"
    return httpx.post(url, json={"prompt": "a cat"} | body, headers=KEY).status_code


@pytest.fixture(scope="module")
def grown(flow):
    """How much a sample has grown by four requests, one of which is refused."""
    wait_until(lambda: flow.state.batcher.waiting == 0)  # what other tests have left
    before = figures_of(flow)
    assert draw(flow, n=2, steps=3, output_format="webp") == 200
    assert draw(flow, steps=5, output_format="webp") == 200
    assert draw(flow, sede=1) == 400
    httpx.request("PROPFIND", f"{flow.url}/no/route/of/ours", headers=KEY)
    after = figures_of(flow)
    return lambda name, **labels: sample(after, name, **labels) - sample(before, name, **labels)


def test_requests_pictures_and_refusals_are_counted(grown, flow):
    assert grown("pictures_total", model=flow.state.models.default.name, format="webp") == 3
    route = {"method": "POST", "route": "/v1/images/generations"}
    assert grown("request_seconds_count", status="200", **route) == 2
    assert grown("request_seconds_count", status="400", **route) == 1
    assert grown("request_seconds_bucket", status="200", le="+Inf", **route) == 2
    assert grown("refusals_total", code="unknown_parameter") == 1
    assert grown("request_seconds_count", method="other", route="none", status="404") == 1


def test_rows_and_stages_are_measured(grown):
    assert grown("evaluation_rows_sum") == 2 * 5 + 9  # Heun: twice a step but for the last
    assert 5 + 9 <= grown("evaluation_rows_count") <= 2 * 5 + 9
    assert grown("stage_seconds_count", stage="encoding") == 3
    assert 2 <= grown("stage_seconds_count", stage="understanding") <= 3
    assert grown("stage_seconds_sum", stage="drawing") > 0


def test_the_queue_and_the_memory_are_told(flow):
    wait_until(lambda: flow.state.batcher.waiting == 0)
    figures = figures_of(flow)
    for state in ("waiting", "drawing"):
        assert sample(figures, "pictures_queued", state=state) == 0
    assert figures["process_resident_memory_bytes", frozenset()] > 50_000_000


def test_only_a_key_reads_them_and_they_hold_nothing_that_clients_choose(flow):
    assert httpx.get(f"{flow.url}/metrics").status_code == 401
    httpx.get(f"{flow.url}/v1/models/secret-name", headers=KEY)
    draw(flow, prompt="a secret wish", model="secret-model")
    text = httpx.get(f"{flow.url}/metrics", headers=KEY).text
    assert "/v1/models/{name}" in text
    assert "secret" not in text and "BREW" not in text
