from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import limner
from limner.cli.bench import GROUPS, verdict

ROOT = Path(__file__).parents[2]
RESULTS = Path(limner.__file__).parent / "evaluation" / "results"

BENCHMARK = """
from typing import Any


def run() -> dict[str, Any]:
    speed = {"value": 1234.5, "unit": "pictures/s", "goal": 1000, "better": "higher"}
    wait = {"value": 2.5, "unit": "s", "goal": 2, "better": "lower", "low": 2.25, "high": 3.0}
    return {"figures": {"speed": speed, "wait": wait, "bare": 3}, "headline": "wait", "seen": 7}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose only benchmark is quick, with a copy of this limner inside."""
    left_out = shutil.ignore_patterns("__pycache__", "*.safetensors", RESULTS.name)
    shutil.copytree(Path(limner.__file__).parent, tmp_path / "src" / "limner", ignore=left_out)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "quick.py").write_text(BENCHMARK)
    (tmp_path / "benchmarks" / "helper.py").write_text("VALUE = 3\n")
    return tmp_path


def bench(checkout: Path, *args: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(checkout / 'src')!r});"
        f"sys.argv[0] = 'limner'; from limner.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "bench", *args],
        cwd=checkout, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


def test_measure_write_and_print(checkout):
    done = bench(checkout, "--run", "quick")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0].startswith("quick (")
    assert lines[1:] == [
        "speed 1,234 pictures/s >= 1,000 pass",
        "wait 2.5 s (2.25 to 3) <= 2 FAIL",
        "bare 3",
        "measured by: limner bench --run quick",
    ]
    path = checkout / "src" / "limner" / "evaluation" / "results" / "quick.json"
    result = json.loads(path.read_text())
    assert result["notes"] == {"seen": 7}
    assert result["machine"]["cores"] >= 1
    assert result["headline"] == "wait"
    summary = [" ".join(line.split()) for line in bench(checkout).stdout.splitlines()]
    assert summary == [
        "quick wait 2.5 s <= 2 FAIL",
        "Whole tables: limner bench NAME. Measure again: limner bench --run NAME.",
    ]
    again = bench(checkout, "quick", "--json")
    assert json.loads(again.stdout) == [result]
    unknown = bench(checkout, "slow")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "limner: error: there is no result of 'slow'; there are: quick\n"
    unknown = bench(checkout, "--run", "helper")
    assert unknown.returncode == 2
    assert "choose one of: quick" in unknown.stderr
    path.write_text("[]")
    damaged = bench(checkout)
    assert damaged.returncode == 2
    assert "quick.json is not a benchmark result" in damaged.stderr


@pytest.mark.parametrize(
    ("value", "goal", "better", "said"),
    [
        (1, 1, "lower", "pass"),
        (2, 1, "lower", "FAIL"),
        (1, 1, "higher", "pass"),
        (0.5, 1, "higher", "FAIL"),
        (1, None, "lower", ""),
        ("none", 1, "lower", ""),
    ],
)
def test_verdicts(value, goal, better, said):
    assert verdict({"value": value, "goal": goal, "better": better}) == said


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_committed_results_are_whole(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["name"] == path.stem
    assert {"date", "machine", "command"} <= set(result)
    assert result["headline"] in result["figures"]
    for name, figure in result["figures"].items():
        assert figure["better"] in ("lower", "higher"), name
        assert isinstance(figure["value"], int | float), name


def test_a_group_stands_for_its_benchmarks(cli):
    done = cli("bench", "improve", "refine", "--json")
    assert done.code == 0, done.err
    assert [each["name"] for each in json.loads(done.out)] == [*GROUPS["improve"]]


def test_all_benchmarks_fit_on_a_screen():
    done = subprocess.run(
        [sys.executable, "-m", "limner", "bench"], capture_output=True, encoding="utf-8", check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 120
    assert sum(not line.startswith(" ") for line in lines) == len(list(RESULTS.glob("*.json"))) + 1
    assert any(line.startswith("composition") and ">= 0.85" in line for line in lines)
