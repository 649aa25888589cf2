from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from limner.errors import RecipeError
from limner.training.loop import train
from limner.training.machine import compiled
from runs import records, same


def test_bfloat16_on_a_cpu_learns_and_is_resumed_exactly(recipe, tmp_path):
    settings = {"precision": "bf16", "steps": 12}
    train(recipe(settings), tmp_path / "whole", quiet=True)
    train(recipe(settings), tmp_path / "parts", steps=5, quiet=True)
    train(recipe({"steps": 12}), tmp_path / "fp32", quiet=True)
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "fp32"))
    assert all(bool(value.isfinite().all()) for value in one.values())
    assert not torch.equal(one["paint.weight"], other["paint.weight"])
    assert torch.allclose(one["paint.weight"], other["paint.weight"], atol=0.02)
    assert all(value.dtype == torch.float32 for value in one.values() if value.ndim)
    again = tmp_path / "again"
    train(recipe(settings), again, quiet=True)
    assert same(again, tmp_path / "whole")


def test_compiled_parts_learn_the_same(recipe, tmp_path):
    settings = {"steps": 3, "log_every": 1}
    train(recipe(settings, model={"dropout": 0}), tmp_path / "plain", quiet=True)
    train(recipe({**settings, "compile": True}, model={"dropout": 0}), tmp_path / "compiled",
          quiet=True)  # fmt: skip
    plain, fast = (records(tmp_path / n)[-1]["loss"] for n in ("plain", "compiled"))
    assert fast == pytest.approx(plain, rel=1e-4)
    names = (load_file(tmp_path / n / "model.safetensors").keys() for n in ("plain", "compiled"))
    assert next(names) == next(names)


def _broken(graph: object, inputs: object) -> None:
    raise OSError("no compiler here\nand more")


class _Wave(torch.nn.Module):
    """A layer of our own: torch.compile leaves torch's own layers as they are."""

    def forward(self, x):
        return x.sin() + 1


def test_what_cannot_be_compiled_is_one_sentence():
    layer = _Wave()
    layer.compile(backend=_broken)
    message = r"^train\.compile: torch\.compile gave up \(.*no compiler here\); leave the key out$"
    with pytest.raises(RecipeError, match=message), compiled(True):
        layer(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="mine"), compiled(True):
        raise RuntimeError("mine")


_CHURN = """
import resource, sys
import torch
from limner.training.machine import keep_freed_memory

def churn():
    return [torch.ones(1 << 20) for _ in range(10)]  # ten times 4 MiB, freed at once

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for kept in (False, True):
    if kept:
        keep_freed_memory()
    churn(), churn(), churn()
    before = faults()
    for _ in range(10):
        churn()
    print((faults() - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_freed_memory_is_kept_for_the_next_step():
    done = subprocess.run(
        [sys.executable, "-c", _CHURN], capture_output=True, text=True, check=True
    )
    given_back, kept = map(float, done.stdout.split())
    assert given_back > 1000  # pages of 4 KiB a round: what there is to save
    assert kept < given_back / 10


_SIGNALS = """
import signal, sys, time
from limner.training import machine

machine._SAME_SECONDS = float(sys.argv[1])
# A suite that a shell runs in the background inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with machine.stop_signals() as asked:
    signal.raise_signal(signal.SIGINT)
    assert asked.wait(600)
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.01)
    print("still here")
"""


@pytest.mark.parametrize(("seconds", "output"), [("1e9", "still here\n"), ("-1", "")])
def test_a_signal_that_is_passed_on_again_counts_once(seconds, output):
    words = [sys.executable, "-c", _SIGNALS, seconds]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == output
    assert ("KeyboardInterrupt" in done.stderr) == (not output)
