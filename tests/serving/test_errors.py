"""Errors have codes that stay, which are documented and which the page can say in Chinese."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from limner.errors import DataError, MissingExtraError, PromptError
from limner.generation.requests import RefusedPromptError
from limner.serving.errors import ApiError, of_limner
from limner.serving.quotas import Limited

ROOT = Path(__file__).parents[2]
NEVER_SHOWN = {
    "invalid_json", "invalid_form", "invalid_content_type", "invalid_request", "unknown_parameter",
    "method_not_allowed", "unknown_origin", "client_gone",
}  # fmt: skip
"""What the page sends cannot be answered so, or nobody is there to read it."""


def codes() -> set[str]:
    """Every code that the sources give to an error."""
    folders = (ROOT / "src/limner/serving", ROOT / "src/limner/generation")
    found = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                said = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                found |= {each for each in said if isinstance(each, str) and "_" in each}
    limits = {each.value[2] for each in Limited}
    return found | limits | {"interrupted", "stopping", "timeout", "invalid_prompt"}


def test_every_code_is_documented():
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| status \| `code` \|\n(.+?)\n\n", page, re.DOTALL)
    documented = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", table)) - {"code", "say"}
    assert codes() - documented == set()
    assert documented - codes() - {"invalid_request", "body_too_large"} == set()


def test_the_page_says_every_code_in_chinese():
    words = (ROOT / "page/src/words.js").read_text(encoding="utf-8")
    (said,) = re.findall(r"REFUSED_IN_CHINESE = \{(.+?)\n\};", words, re.DOTALL)
    known = set(re.findall(r"^ *([a-z_]+):|(?<=[,，] )([a-z_]+):", said, re.MULTILINE))
    assert codes() - NEVER_SHOWN - {a or b for a, b in known} == set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418, 429, 500, 502, 503])
def test_an_error_without_a_code_has_that_of_its_status(status):
    assert re.fullmatch("[a-z_]+", ApiError(status, "why").body["error"]["code"])


@pytest.mark.parametrize("error", [
    RefusedPromptError(2, "why"), MissingExtraError("a", "b", "c"), PromptError("x", code="y"),
], ids=repr)  # fmt: skip
def test_errors_cross_processes_whole(error):
    """A pool that cannot read an exception again waits for it forever."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_a_refusal_of_limners_keeps_its_code():
    assert of_limner(PromptError("x", code="not_in_picture")).code == "not_in_picture"
    assert of_limner(PromptError("x")).code == "invalid_prompt"
    assert of_limner(DataError("x")).status == 500
