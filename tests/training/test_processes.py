from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed

from failing_process import fail
from limner.errors import RecipeError, TrainingError, UsageError
from limner.models.base import families
from limner.training import checkpoint, processes
from limner.training.loop import train
from limner.training.processes import ProcessGroup, launch
from optional_modules import needed
from preloaded import Forked
from runs import command, records
from tiny_configs import tiny_config
from waiting import wait_until

needed("accelerate")

QUIET = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "capture_output": True, "text": True}
TINY = {"steps": 6, "log_every": 2, "balance": "gradnorm"}
"""Two optimizer groups, a loss with noise, dropout, and gradients taken apart from the backward."""


@pytest.fixture
def line(commands: Path) -> Callable[..., list[str]]:
    """The words that train a recipe of the tiny family in a process that need not import."""
    return partial(command, commands)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(words), **QUIET, check=False)


def test_two_processes_are_one_with_the_batch_in_two_parts(recipe, line, tmp_path):
    """The law: equal bit for bit, as two terms have one sum; more parts differ by rounding."""
    whole = recipe({**TINY, "accumulate": 2})
    train(whole, tmp_path / "one", quiet=True)
    out = tmp_path / "two"
    done = run(*line(recipe({**TINY, "accumulate": 1}), out, "--processes", "2"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    one, two = (load_file(path / "model.safetensors") for path in (tmp_path / "one", out))
    for name in one:
        if not name.startswith(("norm.running", "norm.num")):  # of a process's own pictures
            assert torch.equal(one[name], two[name]), name
    assert records(out) == records(tmp_path / "one")
    # It goes on in one process, exactly where it was: the recipe means the same there.
    for path, parts in ((tmp_path / "one", 2), (out, 1)):
        assert checkpoint.load_checkpoint(path / checkpoint.NAME)[0].step == 6, parts
    done = run(*line(recipe({**TINY, "accumulate": 1}), out, "--processes", "2", "--resume",
                     "--steps", "8"))  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    train(whole, tmp_path / "one", steps=8, resume=True, quiet=True)
    assert records(out)[-1]["step"] == 8
    assert torch.equal(*(load_file(path / "model.safetensors")["paint.weight"]
                         for path in (tmp_path / "one", out)))  # fmt: skip


def test_a_launcher_gives_the_same(recipe, line, tmp_path, monkeypatch):
    base = recipe({**TINY, "accumulate": 2})
    train(base, tmp_path / "one", quiet=True)
    out = tmp_path / "two"
    python, *words = line(base, out)
    monkeypatch.setitem(QUIET["env"], "PYTHON_EXEC", python)  # what torchrun starts
    torchrun = [python, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--master-port", "0", "--standalone"]  # fmt: skip
    done = run(*torchrun, *words)
    assert done.returncode == 0, done.stderr
    one, two = (load_file(path / "model.safetensors") for path in (tmp_path / "one", out))
    assert torch.equal(one["paint.weight"], two["paint.weight"])


class Observer:
    """Asks a run to stop after its second validation."""

    def __init__(self) -> None:
        self.found: list[tuple[float, dict[str, float]]] = []

    def validated(self, progress: float, figures: dict[str, float]) -> None:
        self.found.append((progress, figures))

    def should_stop(self) -> bool:
        return len(self.found) >= 2

    def interrupted(self) -> None:
        raise AssertionError("nobody interrupted it")


def test_an_observer_follows_several_processes(recipe, tmp_path):
    tiny = tiny_config(families()["flow"].config_class, text_dim=8, styles=("flat",))
    data = {**recipe().data.model_dump(), "holdout": 0.3}
    stop = {"every_steps": 3, "patience": None}
    sections = {"family": "flow", "model": tiny.model_dump(mode="json", exclude={"size"})}
    long = recipe({"steps": 100_000, "stop": stop}, data=data, **sections)
    observer = Observer()
    train(long, tmp_path / "run", processes=2, quiet=True, observer=observer)
    logged = [line["held_out"] for line in records(tmp_path / "run", "held_out")]
    assert [figures for _, figures in observer.found] == logged[: len(observer.found)]
    assert len(observer.found) >= 2
    assert [progress for progress, _ in observer.found[:2]] == pytest.approx([3e-5, 6e-5])
    assert checkpoint.load_checkpoint(tmp_path / "run" / checkpoint.NAME)[0].step < 100_000


def test_what_fails_in_one_process_is_one_sentence(recipe, line, tmp_path):
    poisoned = recipe({**TINY}, model={"poison": 0.5})
    done = run(*line(poisoned, tmp_path / "run", "--processes", "2"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "the loss is no longer a number at step" in done.stderr


def test_a_killed_process_ends_all(recipe, line, tmp_path, capfd):
    out = tmp_path / "run"
    long = recipe({**TINY, "steps": 100_000, "checkpoint_every_minutes": 60})
    process = Forked(line(long, out, "--processes", "2"))

    def trains() -> bool:
        assert process.poll() is None
        return (out / "log.jsonl").exists() and len(records(out)) >= 2

    wait_until(trains)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(int(workers[-1]), signal.SIGKILL)
    assert process.wait() == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1
    assert "was killed by signal 9" in error


def test_parts_are_shared_out():
    group = ProcessGroup()
    assert group.micro_batches(3) == (3, range(3))
    group.rank, group.size = 1, 2
    assert group.micro_batches(1) == (2, range(1, 2))
    assert group.micro_batches(4) == (4, range(2, 4))
    assert group.micro_batches(3) == (6, range(3, 6))


def test_bad_numbers_are_refused(recipe, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="--processes 0 does not fit"):
        train(recipe(), tmp_path / "a", processes=0)
    monkeypatch.setattr(ProcessGroup, "size", 3)
    with pytest.raises(RecipeError, match=r"batch_size: 8 pictures cannot be cut in 6 equal parts"):
        train(recipe(), tmp_path / "b", quiet=True)


def test_failures_come_back_as_sentences():
    with pytest.raises(TrainingError, match=r"process 0 failed: ValueError: two$"):
        launch(1, fail, "raise")
    with pytest.raises(TrainingError, match="process 0 of the run ended with code 3"):
        launch(1, fail, "exit")


@pytest.fixture
def alone() -> Iterator[ProcessGroup]:
    """A process group of torch.distributed with one member, in this process."""
    environment = {
        "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(processes._free_port()), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    with processes._environment(environment):
        distributed.init_process_group("gloo", rank=0, world_size=1)
        group = processes._DistributedGroup(cpu=True)
        yield group
        group.close()


def test_gradients_are_exchanged_together(alone, monkeypatch):
    """In as few pieces as there are buckets, beside what says who has which; nothing is lost."""
    shapes = [(3, 4), (7,), (2, 2, 2), (5,)]
    mine = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    mine.append(torch.nn.Parameter(torch.randn(3).double()))
    for parameter in mine:
        parameter.grad = torch.randn_like(parameter)
    wanted = [parameter.grad.clone() for parameter in mine]
    mine[1].grad = None
    calls: list[int] = []
    usual = distributed.all_reduce

    def counted(flat, **options):
        calls.append(flat.numel())
        return usual(flat, **options)

    monkeypatch.setattr(distributed, "all_reduce", counted)
    alone.all_reduce_gradients(mine)
    assert calls == [5 + 12 + 7 + 8 + 5, 3]  # of float32, of float64
    assert mine[1].grad is None
    for place in (0, 2, 3, 4):
        assert torch.equal(mine[place].grad, wanted[place])
    monkeypatch.setattr(processes, "_BUCKET_BYTES", 40)
    calls.clear()
    alone.all_reduce_gradients(mine)
    assert calls == [5 + 12, 7 + 8, 5, 3]
    assert mine[1].grad is None
    assert all(torch.equal(mine[place].grad, wanted[place]) for place in (0, 2, 3, 4))
