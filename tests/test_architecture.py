"""docs/architecture.md names the modules that there are, each in the section of its package."""

import re
from pathlib import Path

import pytest

import limner

ROOT = Path(limner.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
LISTED = ("serving", "improve", "evaluation", "training", "generation", "metrics", "models",
          "scenes", "vision", "text")  # fmt: skip
_ELSEWHERE = {"loading", "image_encoders", "modelfile"}
"""Modules of the root that have a row in the table of packages."""


def section(title: str) -> str:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^### {title}\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def named(text: str) -> set[str]:
    return {name for name in re.findall(r"`(\w+)\.py`", text) if name != "NAME"}


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}


@pytest.mark.parametrize("package", LISTED)
def test_modules_of_a_package(package: str) -> None:
    there = modules(ROOT / package)
    if package == "generation":
        there |= modules(ROOT / package / "backends")
    assert named(section(package)) == there


def test_modules_of_the_root() -> None:
    assert named(section("Root modules")) == modules(ROOT) - _ELSEWHERE


def test_links() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (PAGE.parent / link).is_file(), link
