"""A path that the system refuses is one sentence, whatever command it is given to."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from limner.cli import build_app

LONG = "a" * 300 + ".png"


@pytest.mark.parametrize(
    "arguments",
    [
        ("caption", LONG), ("index", LONG, "--out", "i"), ("index", "in", "--out", LONG),
        ("search", LONG, "red"), ("classify", LONG, "--as", "x"),
        ("replay", LONG, "--out", "z.png"),
        ("classify", "in/a.png", "--as", "x", "--aligner", LONG), ("info", LONG),
        ("caption", "in/a.png", "--out", LONG), ("generate", "x", "--out", LONG),
        ("data", "pack", LONG, "--out", "q"), ("data", "pack", "in", "--out", LONG),
        ("train", LONG, "--out", "r"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG"),
)  # fmt: skip
def test_a_name_that_is_too_long(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9, 9), "red").save("in/a.png")
    Path("in/a.txt").write_text("a red square", "utf-8")
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 2, done.exception
    line = done.stderr.splitlines()[-1]
    assert line.startswith("limner: error: ") and LONG in line
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
