"""Whole files with many writers, exclusive creation, and locks that end with their process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.errors import DataError, TrainingError
from limner.files import check_writable, locked, remove_parts, whole_file, write_json, write_text

HOLDER = """
import sys, time
from pathlib import Path
from limner.errors import TrainingError
from limner.files import locked
with locked(Path(sys.argv[1]), TrainingError, "the folder"):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_many_threads_write_one_file_and_every_write_succeeds(tmp_path):
    path = tmp_path / "a.txt"
    texts = [str(n) * 5000 for n in range(10)]
    start = threading.Barrier(8)

    def write(worker: int) -> None:
        start.wait()
        for _ in range(20):
            write_text(path, texts[worker], DataError)
            assert path.read_text() in texts

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("letter", ["a", "字"])
def test_names_as_long_as_the_system_allows_can_be_written(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    assert write_json(tmp_path / "new" / name, {"a": 1}, DataError).read_text() == '{\n "a": 1\n}\n'


def test_exclusive_creation_lets_exactly_one_of_many_writers_win(tmp_path, monkeypatch):
    def create(path: Path, text: str) -> bool:
        try:
            with whole_file(path, DataError, exclusive=True) as part:
                part.write_text(text)
        except FileExistsError:
            return False
        return True

    for links in (True, False):
        if not links:  # as on a file system without hard links

            def refuse(*_: object) -> None:
                raise OSError(95, "Operation not supported")

            monkeypatch.setattr(os, "link", refuse)
        path = tmp_path / f"{links}.txt"
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda text, path=path: create(path, text), map(str, range(8))))
        assert sum(won) == 1
        assert path.read_text() == str(won.index(True))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old", DataError)
    with pytest.raises(RuntimeError), whole_file(path, DataError, sync=True) as part:
        part.write_text("half")
        raise RuntimeError
    full = pytest.raises(DataError, match=r"cannot write .*a\.txt: No space")
    with full, whole_file(path, DataError):
        raise OSError(28, "No space left on device")
    no_folder = pytest.raises(DataError, match="cannot write")
    with no_folder, whole_file(path / "b.txt", DataError, exclusive=True):
        pass
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
    with whole_file(path, DataError, sync=True) as part:
        part.write_text("new")
        assert part.stat().st_mode == path.stat().st_mode
    assert path.read_text() == "new"
    (tmp_path / ".0123456789ab-456789abcdef.part").touch()  # of a writer that was killed
    (tmp_path / ".mine.part").touch()
    remove_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.part", "a.txt"]


def test_a_lock_names_its_owner_and_dies_with_it(tmp_path):
    path = tmp_path / "lock"
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        said = rf"^the run is in use by process {holder.pid} on"
        with pytest.raises(TrainingError, match=said), locked(path, TrainingError, "the run"):
            pass
        holder.kill()
        assert holder.wait() == -signal.SIGKILL
    for _ in range(2):
        twice = pytest.raises(TrainingError, match=f"process {os.getpid()} on")
        with locked(path, TrainingError, "it"), twice, locked(path, TrainingError, "it"):
            pass
    assert not path.exists()
    none = pytest.raises(TrainingError, match="cannot lock the run: No such file")
    with none, locked(tmp_path / "none" / "lock", TrainingError, "the run"):
        pass


def test_a_lock_file_that_a_killed_process_left_names_its_next_owner_alone(tmp_path):
    path = tmp_path / "lock"
    path.write_text("process 123456789 on a machine with a long name\n", "utf-8")
    with locked(path, TrainingError, "the run"):
        assert path.read_text("utf-8") == f"process {os.getpid()} on {socket.gethostname()}\n"
    assert not path.exists()


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    check_writable(None, DataError)
    check_writable(tmp_path / "file", DataError)
    check_writable(tmp_path / "new" / "deep" / "a.html", DataError)
    monkeypatch.chdir(tmp_path)
    check_writable(Path("a.html"), DataError)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"], "nothing is made"
    with pytest.raises(DataError, match="it is a folder; name a file"):
        check_writable(tmp_path, DataError)
    with pytest.raises(DataError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "deep" / "a.html", DataError)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for others than root
    with pytest.raises(DataError, match=r"cannot write .*a.html: nothing may be written in"):
        check_writable(tmp_path / "new" / "a.html", DataError)
