"""Threads sleep while they wait, and nobody starts more of them than there are CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Barrier

import pytest
import torch

from limner.errors import UsageError
from limner.text.e5 import E5Encoder
from limner.threads import MOST_THREADS, bounded, set_threads, side_by_side, usable_cpus
from waiting import LONGEST

POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def policy_after_import(module: str = "limner", **given: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in POLICIES} | given
    code = f"import os, {module}; print(*(os.environ.get(k) for k in {POLICIES}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["limner", "limner.cli", "limner.training.loop"])
def test_threads_sleep_whatever_is_imported_first(module):
    assert policy_after_import(module) == "PASSIVE None 0"


@pytest.mark.parametrize("name", POLICIES)
def test_what_the_environment_says_is_left_alone(name):
    value = "active" if name == "OMP_WAIT_POLICY" else "7"
    wanted = " ".join(value if each == name else "None" for each in POLICIES)
    assert policy_after_import(**{name: value}) == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the OpenMP runtime says of itself")
def test_the_runtimes_of_torch_and_of_the_encoder_read_the_policy():
    code = (
        "import limner, torch; from limner.text.e5 import E5Encoder; E5Encoder(threads=2);"
        "torch.randn(9, 9) @ torch.randn(9, 9)"
    )
    env = {k: v for k, v in os.environ.items() if k not in POLICIES}
    env["OMP_DISPLAY_ENV"] = "true"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    assert said and all("PASSIVE" in line for line in said), done.stderr


def test_never_more_threads_than_cpus():
    assert bounded(1) == 1
    assert bounded(MOST_THREADS) == usable_cpus() <= (os.cpu_count() or 1)
    assert E5Encoder(threads=MOST_THREADS).threads == usable_cpus()
    before = torch.get_num_threads()
    try:
        set_threads(None)
        assert torch.get_num_threads() == before
        set_threads(MOST_THREADS)
        assert torch.get_num_threads() == usable_cpus()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [-1, 0, MOST_THREADS + 1, 100_000, 2**70])
def test_numbers_that_cannot_be_are_refused(threads):
    for use in (bounded, set_threads, lambda n: E5Encoder(threads=n)):
        with pytest.raises(UsageError, match=f"threads = {threads} is refused: use 1 to"):
            use(threads)


def test_tasks_side_by_side_have_a_thread_each():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    both = Barrier(2)

    def torch_threads(_: int) -> int:
        both.wait(LONGEST)  # each task in a thread of its own
        torch.randn(200, 200) @ torch.randn(200, 200)
        return torch.get_num_threads()

    try:
        assert list(side_by_side(2).map(torch_threads, range(4))) == [1] * 4
        assert torch.get_num_threads() == 2
        assert side_by_side(2) is side_by_side(2)
    finally:
        torch.set_num_threads(before)
