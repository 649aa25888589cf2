"""The examples of docs/api.md, run as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import limner
from readme_blocks import Block, blocks, make_pictures, run

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reader")
    make_pictures(place)
    return place


@pytest.mark.parametrize("block", blocks(TEXT), ids=str)
def test_example(block: Block, folder: Path, commands: Path):
    run(block, folder, commands=commands)
    wanted = [p for p in re.findall(r'"([\w-]+\.png)"', block.text) if "{" not in p]
    assert all((folder / name).is_file() for name in wanted)


def test_every_public_name_is_in_the_table():
    for name in limner.__all__:
        if not name.startswith("__"):
            assert f"limner.{name}" in TEXT


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target
