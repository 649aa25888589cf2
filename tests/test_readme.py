"""The README's own lines, run in order in one folder, with the commands a reader has installed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from readme_blocks import BATCH, SAMPLES, STEPS, Block, blocks, run, shortened

README = Path(__file__).parents[1] / "README.md"
BLOCKS = blocks(README.read_text(encoding="utf-8"))

SMALL = """
# A page

```bash
python3 -m venv .venv && .venv/bin/pip install .
```

<!-- test: skip needs npm -->
```bash
exit 3
```

A block with a variable:

<!-- test: env LIMNER_WORD=kettle -->

```bash
echo "$LIMNER_WORD" > word.txt
limner --version
```

```text
not run
```

```python
from pathlib import Path

print(Path("word.txt").read_text() * 2, end="")
```
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("LIMNER_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block: Block, folder: Path, commands: Path):
    if block.skip:
        pytest.skip(block.skip)
    said = run(block, folder, commands=commands)  # which fails by itself on status and files
    assert "Traceback" not in said


def test_a_preloaded_command_is_the_command(commands: Path, tmp_path: Path):
    """Arguments, folder, environment, streams, exit status and signals are its own."""
    for words, said in (
        ("--version", "limner "),
        ("data show none", ""),
        ("text show 'a fox'", ""),
    ):
        ways = [
            subprocess.run(
                ["bash", "-c", f"{limner} {words} 2>&1"], cwd=tmp_path, capture_output=True,
                encoding="utf-8", env=os.environ | {"PATH": f"{commands}:{os.environ['PATH']}"},
                check=False,
            )
            for limner in ("limner", f"{sys.executable} -m limner")
        ]  # fmt: skip
        assert (ways[0].returncode, ways[0].stdout) == (ways[1].returncode, ways[1].stdout)
        assert ways[0].stdout.startswith(said)
    said = subprocess.run(
        [commands / "python", "-c", "import sys; print(__name__, sys.argv, sys.path[0] == '')"],
        capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip
    assert said == "__main__ ['-c'] True\n"
    waiting = subprocess.Popen([commands / "limner", "generate"], stdin=subprocess.PIPE)
    assert waiting.stdin is not None
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait() != 0


def test_the_promises_of_the_readme_are_among_what_is_run():
    text = "\n".join(block.text for block in BLOCKS if not block.skip)
    for words in ("limner generate", "limner data pack my-pictures", "limner train", "limner.load"):
        assert words in text


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README.read_text(encoding="utf-8")):
        assert "://" in target or (README.parent / target).exists(), target


def test_blocks_are_found_and_run_in_order(tmp_path):
    found = blocks(SMALL)
    assert [(b.language, b.line, b.skip) for b in found] == [
        ("bash", 5, "installs: .ci/run runs it"),
        ("bash", 10, "needs npm"),
        ("bash", 18, ""),
        ("python", 27, ""),
    ]
    assert found[2].env == {"LIMNER_WORD": "kettle"}
    assert run(found[2], tmp_path).startswith("limner ")
    assert run(found[3], tmp_path) == "kettle\nkettle\n"


@pytest.mark.parametrize(
    "text", ["false\ntrue", "false | true", "echo $unset_variable", "echo --out gone.png"]
)
def test_a_line_that_fails_or_leaves_no_file_is_noticed(text, tmp_path):
    with pytest.raises(AssertionError, match="line 1"):
        run(Block("bash", 1, text), tmp_path)
    run(Block("bash", 1, "touch here.png; echo --out here.png"), tmp_path)


def test_marks_must_be_understood():
    for mark in ("skp needs npm", "skip"):
        with pytest.raises(AssertionError, match="line 3"):
            blocks(f"<!-- test: {mark} -->\n```bash\ntrue\n```\n")
    with pytest.raises(AssertionError, match="never ends"):
        blocks("```bash\ntrue\n")


def test_only_trainings_are_shortened():
    given = (
        "limner train a --out r --minutes 5\nlimner train a --out r --minutes 6 --resume\n"
        "limner train a --out r\nlimner train a --dry-run\nlimner generate x --steps 3\n"
        "limner compare a b --minutes 10 --samples 500 --out c\n"
        "limner tune a --minutes 60 --trials 8 --out t"
    )
    small = f"train.batch_size={BATCH}"
    assert shortened(given).splitlines() == [
        f"limner train a --out r --steps {STEPS} {small}",
        f"limner train a --out r --resume --steps {STEPS + 1} {small}",
        f"limner train a --out r --steps {STEPS} {small}",
        "limner train a --dry-run",
        "limner generate x --steps 3",
        f"limner compare a b --samples {SAMPLES} --out c --steps {STEPS} --set {small}",
        f"limner tune a --minutes 60 --trials 2 --out t train.minutes=null train.steps={STEPS} "
        f"{small}",
    ]
