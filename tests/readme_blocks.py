"""Finds the fenced blocks of a README and runs them as a reader would.

What is above a block in a comment says how the tests treat it:

* ``<!-- test: skip WHY -->``: it needs a network, npm or hours, and is not run;
* ``<!-- test: env NAME=VALUE ... -->``: it is run with these variables besides.

Blocks that hold ``pip install`` are skipped too: ``.ci/run`` runs them in fresh environments.
Trainings are cut short, and nothing else is changed: see :func:`shortened`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from limner.datasets.sample import make_sample
from waiting import LONGEST

STEPS, BATCH, SAMPLES = 2, 8, 60
_MARK = re.compile(r"<!--\s*test:\s*(.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its first line's number, its text, how it is treated."""

    language: str
    line: int
    text: str
    skip: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"line {self.line}: {self.text.splitlines()[0][:40]}"


def blocks(markdown: str) -> list[Block]:
    """The bash and python blocks, in order."""
    found: list[Block] = []
    mark, opened, language, body = "", 0, "", list[str]()
    for number, line in enumerate(markdown.splitlines(), start=1):
        if opened:
            if line.strip() == "```":
                if language in {"bash", "python"}:
                    found.append(_block(language, opened, body, mark))
                opened, mark = 0, ""
            else:
                body.append(line)
        elif line.startswith("```"):
            opened, language, body = number + 1, line[3:].strip(), []
        elif line.strip():
            match = _MARK.fullmatch(line.strip())
            mark = match[1] if match else ""
    assert not opened, f"the block that begins at line {opened} never ends"
    return found


def _block(language: str, line: int, body: list[str], mark: str) -> Block:
    text = "\n".join(body)
    kind, _, rest = mark.partition(" ")
    assert kind in {"", "skip", "env"}, f"line {line}: unknown test mark {mark!r}"
    assert kind != "skip" or rest, f"line {line}: say why the block is skipped"
    skip = rest if kind == "skip" else ""
    if "pip install" in text:
        skip = "installs: .ci/run runs it"
    env = dict(word.split("=", 1) for word in rest.split()) if kind == "env" else {}
    return Block(language, line, text, skip, env)


def shortened(text: str) -> str:
    """The same lines with every command that learns held to a few steps of small batches.

    ``limner train`` takes two steps, three where it resumes. ``limner compare`` and ``limner tune``
    make two of each training and two trials, and a comparison draws few pictures.
    """
    return "\n".join(map(_short, text.splitlines()))


def _short(line: str) -> str:
    words = line.split()[:2]
    if words == ["limner", "tune"]:
        line = re.sub(r"--trials \d+", "--trials 2", line)
        return f"{line} train.minutes=null train.steps={STEPS} train.batch_size={BATCH}"
    if words not in (["limner", "train"], ["limner", "compare"]) or "--dry-run" in line:
        return line
    line = re.sub(r" --minutes \d+", "", line)
    line = re.sub(r"--samples \d+", f"--samples {SAMPLES}", line)
    line += f" --steps {STEPS + 1 if '--resume' in line else STEPS}"
    if words[1] == "compare":
        return f"{line} --set train.batch_size={BATCH}"
    return f"{line} train.batch_size={BATCH}"


def run(block: Block, folder: Path, timeout: float = LONGEST, commands: Path | None = None) -> str:
    """Run a block in a folder; what it printed. Fails if a line or a promised file is missing.

    Args:
        block: what to run.
        folder: where.
        timeout: in seconds.
        commands: folder of a ``limner`` and a ``python`` that go before those installed.
    """
    before = () if commands is None else (str(commands),)
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join((*before, scripts, os.environ.get("PATH", "")))
    assert shutil.which("limner", path=path), "limner is not installed beside this Python"
    text = shortened(block.text)
    python = sys.executable if commands is None else commands / "python"
    command = [python, "-c", text]
    if block.language == "bash":
        command = ["bash", "-euo", "pipefail", "-c", text]
    env = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", **block.env}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=timeout,
        check=False,
    )  # fmt: skip
    said = f"{block}\n{text}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    if block.language == "bash":
        for name in re.findall(r"--out (\S+)", text):
            if "--dry-run" not in text.partition(name)[2].partition("\n")[0]:
                assert (folder / name).exists(), f"no {name} after {said}"
    return done.stdout


def make_pictures(folder: Path) -> Path:
    """The folder that README tells a reader to make: ``limner data sample --out my-pictures``."""
    target = folder / "my-pictures"
    make_sample(target)
    return target
