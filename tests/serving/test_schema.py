"""Whatever the OpenAPI document allows is answered, and never with an error of the server's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402

from limner.generation.generator import load  # noqa: E402
from waiting import LONGEST  # noqa: E402

HTTP_ERROR, SERVER_ERROR = 400, 500
EXAMPLES = int(os.environ.get("LIMNER_SCHEMA_EXAMPLES", "5"))
"""Of each operation."""


@pytest.fixture(scope="module")
def url(running, tiny_model: Path) -> Iterator[str]:
    """A server whose model draws in no time."""
    server = running(load(tiny_model))
    yield server.url
    server.stop()


def statuses_of(operation) -> set[int]:
    """What generated requests of one operation are answered with."""
    found = set()

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case) -> None:
        answer = case.call(timeout=LONGEST)
        found.add(answer.status_code)
        assert answer.status_code < SERVER_ERROR, answer.text
        if answer.status_code >= HTTP_ERROR:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"} and error["message"]

    ask()
    return found


@pytest.mark.slow
def test_no_request_breaks_the_server(url):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]
    found = {f"{each.method.upper()} {each.path}": statuses_of(each) for each in operations}
    assert {"POST /v1/images/edits", "POST /v1/search", "POST /sdapi/v1/txt2img"} <= set(found)
    assert 200 in found["POST /v1/images/generations"]
