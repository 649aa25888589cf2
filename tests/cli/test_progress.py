from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from limner.progress import BarMeter, Meter, PlainMeter, progress

CODE = """
from limner.progress import progress
with progress(3, "packing", unit="pictures") as bar:
    for i in range(3):
        bar.advance(1, loss=0.123456)
    bar.note("one [strange] picture")
"""


def test_quiet_says_nothing(capsys):
    with progress(3, "packing", quiet=True) as bar:
        bar.advance(2)
        bar.note("secret")
    assert type(bar) is Meter
    assert bar.done == 2
    assert capsys.readouterr() == ("", "")


def test_quick_work_off_a_terminal_says_nothing(capsys):
    with progress(3, "packing") as bar:
        bar.advance(3)
    assert isinstance(bar, PlainMeter)
    assert capsys.readouterr() == ("", "")


def test_slow_work_gets_plain_lines(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress(100, "packing", unit="pictures") as bar:
        for _ in range(4):
            now[0] += 6
            bar.advance(12, loss=0.123456)
        bar.note("half")
        now[0] += 6
        bar.advance(52)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "packing: 24/100, 2.0 pictures/s, 0:38 left, loss 0.1235",
        "packing: 48/100, 2.0 pictures/s, 0:26 left, loss 0.1235",
        "half",
        "packing: 100/100, 3.3 pictures/s, loss 0.1235",
    ]


def test_work_of_unknown_length_and_a_failure(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with pytest.raises(RuntimeError), progress(None, "reading") as bar:
        now[0] += 2
        bar.advance(5)
        raise RuntimeError
    assert capsys.readouterr().err == "reading: 5, 2.5 items/s\n"


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", CODE]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        seen = b""
        try:  # while it is written: a terminal holds four kilobytes, and then its writer waits
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # the other end of the terminal is closed: all has been read
        os.close(ours)
        out, _ = process.communicate()
    assert (process.returncode, out) == (0, b"")
    for words in ("packing", "3/3", "pictures/s", "loss 0.1235", "one [strange] picture", "━"):
        assert words in seen.decode()


def test_a_bar_counts_without_a_terminal():
    bar = BarMeter(None, "reading", "items")
    bar.advance(0.5)
    bar.advance(0.5, lr=1e-3)
    bar.close()
    assert (bar.done, bar.fields) == (1.0, {"lr": "0.001"})
