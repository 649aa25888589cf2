from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from limner.cli import main
from waiting import LONGEST


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Run the command line in this process, in an empty folder, as its own process would."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["limner", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Result]:
    """Run the command line in a process of its own, in an empty folder."""

    def run(*args: str | Path) -> Result:
        command = [sys.executable, "-m", "limner", *map(str, args)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, timeout=LONGEST, check=False,
            encoding="utf-8",
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def refused(result: Result, *words: str) -> bool:
    """Exit 2 and exactly one line on stderr that has all the words."""
    lines = result.err.splitlines()
    assert result.code == 2, result
    assert len(lines) == 1, result.err
    assert lines[0].startswith("limner: error: ")
    for word in words:
        assert word in lines[0]
    return True


@pytest.fixture(name="refused")
def refused_fixture() -> Callable[..., bool]:
    return refused
