"""Batches: the same bits as alone, nothing lost or drawn twice, bad jobs named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli import build_app
from limner.errors import UsageError
from limner.files import locked
from limner.generation.batch import FAILURES, Batch, BatchReport, read_jobs
from limner.generation.generator import Generator, load
from limner.generation.inpainting import MaskedPicture
from limner.generation.lists import read_list
from limner.generation.records import read_record
from limner.generation.restoring import Restorer
from tiny_models import SIZE, save_tiny

JOBS = [
    {"prompt": "a cat", "n": 2, "seed": 7, "steps": 5},
    {"prompt": "a dog", "id": "dog", "steps": 2, "guidance": 3.5, "style": "noto"},
    {"picture": "in.png", "box": [4, 4, 9, 9], "prompt": "a hat", "seed": 3},
    {"prompt": "a heart", "size": 64},
    {"prompt": "一只猫", "n": 3},
]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("batch") / "tiny.safetensors")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path


def lines(jobs: list[dict[str, object]]) -> str:
    return "".join(json.dumps(job) + "\n" for job in jobs)


def run(
    jobs: list[dict[str, object]], here: Path, model: Path, out: str = "out", **more
) -> BatchReport:
    found = read_jobs(lines(jobs), "jobs.jsonl", here, **more.pop("options", {}))
    progress = more.pop("on_progress", None)
    batch = Batch(
        found, here / out, load=more.pop("load", lambda name: load(name or model)),
        restorer=Restorer, **more,
    )  # fmt: skip
    return batch.run(progress)


def manifest(folder: Path) -> list[dict[str, object]]:
    return [
        json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()
    ]


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_the_same_bits_as_alone(here, flow):
    report = run(JOBS, here, flow)
    assert (report.total, report.drawn, report.kept, report.failed) == (8, 8, 0, [])
    generator, out = load(flow), here / "out"
    assert sorted(pictures(out)) == [
        "000001-0.png", "000001-1.png", "000003.png", "000004.png", "000005-0.png",
        "000005-1.png", "000005-2.png", "dog.png",
    ]  # fmt: skip
    hole = MaskedPicture.open(here / "in.png", box=(4, 4, 9, 9))
    dog = read_record(out / "dog.png").seed
    for name, alone in {
        "000001-1": generator.generate("a cat", seed=8, steps=5),
        "dog": generator.generate("a dog", seed=dog, steps=2, guidance=3.5, style="noto"),
        "000003": generator.inpaint(hole, "a hat", seed=3),
    }.items():
        with Image.open(out / f"{name}.png") as image:
            assert image.tobytes() == alone[0].image.tobytes(), name
    told = manifest(out)
    assert {(e["line"], e["number"]) for e in told} == {
        (1, 0), (1, 1), (2, 0), (3, 0), (4, 0), (5, 0), (5, 1), (5, 2)
    }  # fmt: skip
    listed = {(e.text, e.seed) for e in read_list((out / "manifest.jsonl").read_text("utf-8"), "m")
              if e.text == "a cat"}  # fmt: skip
    assert listed == {("a cat", 7), ("a cat", 8)}, "a manifest of jobs is a list of prompts, too"


def test_a_picture_is_changed_as_by_itself(here, flow):
    job = {"picture": "in.png", "strength": 0.4, "prompt": "a hat", "seed": 3}
    assert run([job], here, flow).failed == []
    alone = load(flow).restyle(here / "in.png", "a hat", strength=0.4, seed=3)[0]
    with Image.open(here / "out" / "000001.png") as image:
        assert image.tobytes() == alone.image.tobytes()


def test_a_model_is_loaded_once(here, flow, tmp_path):
    other = save_tiny(tmp_path / "gan.safetensors", "gan")
    loaded: list[Generator] = []

    def loading(name: str | None) -> Generator:
        loaded.append(load(name or flow))
        return loaded[-1]

    jobs = [
        {"prompt": f"a cat {i}", "steps": 4 + i % 3, **({"model": str(other)} if i % 2 else {})}
        for i in range(8)
    ]
    for job in jobs[1::2]:
        del job["steps"]
    report = run(jobs, here, flow, load=loading)
    assert (report.drawn, [each.model.family for each in loaded]) == (8, ["flow", "gan"])


def test_it_goes_on_where_it_was_interrupted(here, flow):
    run(JOBS, here, flow, "whole")
    for stop in (1, 3, 6):

        def progress(done: float, _: float | None, stop: int = stop) -> None:
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(JOBS, here, flow, on_progress=progress)
        with (here / "out" / "manifest.jsonl").open("a") as file:
            file.write('{"path": "00000')  # a line that a killed process began
    report = run(JOBS, here, flow)
    assert (report.kept, report.drawn) == (6, 2)
    assert pictures(here / "out") == pictures(here / "whole")
    told = manifest(here / "out")
    assert len(told) == len({(e["line"], e["number"]) for e in told}) == 8
    assert run(JOBS, here, flow).drawn == 0
    (here / "out" / "dog.png").unlink()
    run(JOBS, here, flow)
    assert pictures(here / "out") == pictures(here / "whole")


KILLED = """
import os, signal, sys
from limner.cli import main
from limner.generation.batch import Batch

keep, asked = Batch._keep, []

def keeps(batch, *given):
    asked.append(given)
    if len(asked) > int(os.environ["KEPT"]):
        os.kill(os.getpid(), signal.SIGKILL)  # the file is there, and no line of it
    keep(batch, *given)
    if len(asked) == int(os.environ["KEPT"]) and os.environ["WITH_ITS_LINE"]:
        os.kill(os.getpid(), signal.SIGKILL)

Batch._keep = keeps
main()
"""


@pytest.mark.parametrize("line", ["", "yes"])
def test_killed_nothing_is_lost_or_drawn_twice(here, flow, line):
    jobs = [{"prompt": f"a cat {i}", "steps": 10} for i in range(24)]
    (here / "jobs.jsonl").write_text(lines(jobs))
    out = here / "out"
    command = [sys.executable, "-c", KILLED, "batch", "jobs.jsonl", "--out", "out",
               "--model", str(flow), "--threads", "1"]  # fmt: skip
    environment = os.environ | {"KEPT": "5", "WITH_ITS_LINE": line}
    died = subprocess.run(command, cwd=here, env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    before = {name: (out / name).stat().st_mtime_ns for name in pictures(out)}
    had = (out / "manifest.jsonl").read_text("utf-8").count("\n")
    assert had == 5 and len(pictures(out)) >= 5 + (not line)
    half = out / f".{'0' * 12}-{'0' * 12}.part"
    half.touch()
    report = run(jobs, here, flow)
    assert (report.kept, report.drawn) == (had, 24 - had)
    kept = {str(entry["path"]) for entry in manifest(out)[:had]}
    assert all((out / name).stat().st_mtime_ns == before[name] for name in kept)
    assert len(pictures(out)) == len({str(entry["path"]) for entry in manifest(out)}) == 24
    assert not half.exists() and not list(out.glob(".*.part")), "half files are removed"


def test_what_cannot_be_done_is_named_and_the_others_are_drawn(here, flow, capsys):
    jobs = [
        {"prompt": "a cat"},
        {"prompt": "a cat", "style": "crayon of nowhere"},
        {"picture": "missing.png", "box": [0, 0, 3, 3]},
        {"picture": "in.png", "box": [0, 0, 3, 3], "size": 64},
        {"prompt": "a dog", "reference": "in.png", "n": 2},
    ]
    (here / "jobs.jsonl").write_text(lines(jobs))
    command = ["batch", str(here / "jobs.jsonl"), "--out", str(here / "out"), "--model", str(flow)]
    with pytest.raises(SystemExit) as left:
        build_app()(command, prog_name="limner")
    assert left.value.code == 2
    told = capsys.readouterr()
    assert "1 drawn, 0 were there, of 6" in told.out and "line 2 of" in told.err
    failed = [json.loads(line) for line in (here / "out" / FAILURES).read_text().splitlines()]
    assert [each["line"] for each in failed] == [2, 3, 4, 5]
    for text, each in zip(("crayon", "missing.png", "takes no size", "reference"), failed,
                          strict=True):  # fmt: skip
        assert text in each["error"]
    Image.new("RGB", (SIZE, SIZE), "red").save(here / "missing.png")
    assert [each["line"] for each in run(jobs, here, flow).failed] == [2, 4, 5]
    assert {entry["line"] for entry in manifest(here / "out")} == {1, 3}


def test_a_folder_is_of_one_file_of_jobs(here, flow, tmp_path):
    run(JOBS[:2], here, flow)
    assert run([*JOBS[:2], {"prompt": "one more"}], here, flow).drawn == 1
    changed = [{"prompt": "a bird"}, JOBS[1]]
    with pytest.raises(UsageError, match="another job on line 1"):
        run(changed, here, flow)
    with pytest.raises(UsageError, match="another job on line 2"):
        run(JOBS[:2], here, flow, options={"variety": 0.5})
    (here / "out" / "000001-0.png").unlink()
    other = save_tiny(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(UsageError, match="another job on line 3"):
        run(JOBS[:2], here, flow)
    asked = [*JOBS[:2], {"prompt": "one more"}]
    with pytest.raises(UsageError, match="begun with another model"):
        run(asked, here, other)
    with (
        locked(here / "out" / ".lock", UsageError, "it"),
        pytest.raises(UsageError, match="in use"),
    ):
        run(JOBS[:2], here, flow)
    (here / "mine").mkdir()
    (here / "mine" / "dog.png").write_bytes(b"a dog")
    with pytest.raises(UsageError, match=r"already holds dog\.png"):
        run(JOBS[:2], here, flow, "mine")
    assert (here / "mine" / "dog.png").read_bytes() == b"a dog"


@pytest.mark.parametrize(("text", "name", "message"), [
    ("", "j.jsonl", "there is no job in j.jsonl"),
    ('{"prompt": "a cat"}\n{"prompt": "a', "j.jsonl", "line 2 of j.jsonl is not JSON"),
    ('{"prompt": "a", "colour": "red"}', "j.jsonl", "there is no 'colour' in a job"),
    ('{"prompt": "a", "n": 0}', "j.jsonl", "line 1 of j.jsonl: n = 0 is refused"),
    ('{"prompt": "a", "steps": 0}', "j.jsonl", "steps = 0 is refused"),
    ('{"seed": 3}', "j.jsonl", "there is no prompt"),
    ('{"prompt": "a", "id": "../a"}', "j.jsonl", "id = '../a' is refused"),
    ('{"prompt": "a", "id": "b-1"}\n{"prompt": "a", "id": "b", "n": 2}', "j.jsonl",
     "line 2 of j.jsonl has the file name of line 1: b-1"),
    ('{"prompt": "a", "box": [1, 1, 2, 2]}', "j.jsonl", "needs a picture"),
    ('{"prompt": "a", "picture": "b.png"}', "j.jsonl", "say what to do with the picture"),
    ('{"prompt": "a", "picture": "b.png", "strength": 0.5, "box": [1, 1, 2, 2]}', "j.jsonl",
     "change it .strength., or restore it"),
    ('{"picture": "b.png", "strength": 0.5}', "j.jsonl", "say what to change the picture into"),
    ('{"prompt": "a", "picture": "b.png", "strength": 2}', "j.jsonl", "strength = 2 is refused"),
    ('{"restore": "auto"}', "j.jsonl", "restoring needs a picture"),
    ('{"restore": "polish", "picture": "a.png"}', "j.jsonl", "restore = 'polish' is refused"),
    ('{"prompt": "a", "scale": 2}', "j.jsonl", "scale is for restoring"),
    ("prompt,box\na cat,\"1,2,3\"\n", "j.csv", "line 2 of j.csv: box"),
])  # fmt: skip
def test_lines_that_cannot_be(text, name, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        read_jobs(text, name, tmp_path)


def test_tables_and_plain_lines(tmp_path):
    table = 'prompt,seed,n,box,picture,steps\na cat,4,2,,,7\na hat,,,"1,2,3,4",in.png,\n'
    cat, hat = read_jobs(table, "jobs.csv", tmp_path, guidance=2.0)
    assert (cat.first_seed, cat.fields.n, cat.settings.steps, cat.settings.guidance) == (4, 2, 7, 2)
    assert (hat.fields.box, hat.path("in.png")) == ((1, 2, 3, 4), tmp_path / "in.png")
    plain = read_jobs("a cat\n\na cat\n", "jobs.txt", tmp_path)
    assert [job.line for job in plain] == [1, 3]
    assert plain[0].first_seed != plain[1].first_seed, "each line has a seed of its own"
    again = read_jobs("a cat\n\na cat\n", "jobs.txt", tmp_path)
    assert [job.first_seed for job in again] == [job.first_seed for job in plain]
