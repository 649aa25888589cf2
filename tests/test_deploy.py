"""What `deploy/` says, held against the command line and the tools that read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from limner.cli import build_app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def options() -> set[str]:
    """Of `limner serve`."""
    import typer

    command = typer.main.get_command(build_app()).commands["serve"]
    return {name for each in command.params for name in each.opts}


def test_the_dockerfile_copies_what_is_there_and_starts_what_there_is():
    text = (DEPLOY / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / each).exists() for each in sources.split())
    entry, command, check = (
        json.loads(re.search(rf"^{name}.*?(\[.*\])$", text, re.MULTILINE)[1])
        for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK")
    )
    assert {each for each in entry + command if each.startswith("--")} <= options()
    compile(check[-1], "health", "exec")
    assert "/health/ready" in check[-1]
    assert text.index("\nUSER limner") < text.index("\nENTRYPOINT")


def test_the_compose_file_is_whole():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    limner = compose["services"]["limner"]
    assert (DEPLOY / limner["build"]["context"] / limner["build"]["dockerfile"]).exists()
    assert {each for each in limner["command"] if each.startswith("--")} <= options()
    assert set(limner["depends_on"]) < set(compose["services"])
    assert set(limner["secrets"]) == set(compose["secrets"])
    named = {
        each.partition(":")[0] for one in compose["services"].values() for each in one["volumes"]
    }
    assert named == set(compose["volumes"])
    assert all(each.startswith("127.0.0.1:") for each in limner["ports"])


def test_the_unit_is_accepted_by_systemd(tmp_path):
    text = (DEPLOY / "limner.service").read_text()
    start = re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)[1].split()
    assert {each for each in start if each.startswith("--")} <= options()
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "limner.service"  # what it starts must be there
    unit.write_text(text.replace(start[0], shutil.which("true") or "/bin/true"))
    found = subprocess.run([tool, "verify", str(unit)], check=False, capture_output=True, text=True)
    said = [line for line in found.stderr.splitlines() if "limner.service" in line]
    assert not said and found.returncode == 0, found.stderr


def test_the_source_distribution_has_all_that_is_committed():
    """Tests read the benchmarks, and the page is built from its sources."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all((ROOT / each.removeprefix("/")).exists() for each in named)
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    tops = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert {each for each in tops if each[0] != "."} - {"pyproject.toml"} == {
        each.removeprefix("/") for each in named
    }
