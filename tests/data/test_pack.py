from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning
from limner.data.store import fingerprint
from limner.errors import DataError
from samples import png
from waiting import wait_until

SMALL = PackOptions(cleaning=Cleaning(size=16), workers=1, name="n", licence="CC0-1.0")


def test_pack_reports_what_it_left_out(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(5)
    (folder / "0001.png").write_bytes(b"")
    (folder / "0002.png").write_bytes(png(2, (4, 4)))
    (folder / "0003.txt").unlink()
    seen: list[tuple[int, int | None]] = []
    store = pack(folder, tmp_path / "s", SMALL, on_progress=lambda *now: seen.append(now))
    assert store.column("id") == ["0000.png", "0004.png"]
    assert store.captions(1)[0].text == "picture 4"
    assert store.licences == {"n": "CC0-1.0"}
    assert store.header.report == {"empty file": 1, "too small": 1, "no caption": 1}
    report = json.loads((store.path / "report.json").read_text())
    assert {"item": "0001.png", "reason": "empty file"} in report["items"]
    assert report["packed"] == 2
    assert seen == [(done, 5) for done in range(1, 6)]


def test_processes_change_nothing(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(150)
    (folder / "0070.png").write_bytes(b"broken")
    one = pack(folder, tmp_path / "one", SMALL)
    two = pack(folder, tmp_path / "two", PackOptions(cleaning=SMALL.cleaning, workers=2, name="n"))
    assert len(one) == 149
    assert one.fingerprint == two.fingerprint
    np.testing.assert_array_equal(one.images, two.images)


def test_limit_style_and_overwrite(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(6)
    options = PackOptions(cleaning=Cleaning(size=8), workers=1, limit=4, style="ink")
    store = pack(folder, tmp_path / "s", options)
    assert (len(store), store.styles, store.name) == (4, ("ink",), "s")
    with pytest.raises(DataError, match="--overwrite"):
        pack(folder, tmp_path / "s", options)
    assert len(pack(folder, tmp_path / "s", SMALL, overwrite=True)) == 6


class StoppedError(Exception):
    pass


def stop_at(number: int) -> Callable[[int, int | None], None]:
    def on_progress(done: int, _: int | None) -> None:
        if done == number:
            raise StoppedError

    return on_progress


def test_a_changed_source_is_not_mixed_in(captioned: Callable[[int], Path], tmp_path: Path) -> None:
    folder = captioned(9)
    with pytest.raises(StoppedError):
        pack(folder, tmp_path / "s", SMALL, on_progress=stop_at(5))
    assert not (tmp_path / "s").exists()
    (folder / "0002.png").unlink()
    with pytest.raises(DataError, match="has changed"):
        pack(folder, tmp_path / "s", SMALL)
    with pytest.raises(DataError, match="other options"):
        pack(folder, tmp_path / "s", PackOptions(workers=1, name="n"))
    assert len(pack(folder, tmp_path / "s", SMALL, restart=True)) == 8


KILLED_PACK = """
import os, signal, sys
from pathlib import Path
from limner.data.pack import PackOptions, pack
from limner.data.pictures import Cleaning

images = Path(sys.argv[2] + ".part", "images.u8")

def killed(done, total):
    if images.exists() and images.stat().st_size > 70 * 768:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]),
         PackOptions(cleaning=Cleaning(size=16), workers=int(sys.argv[3]), name="n"),
         on_progress=killed)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_pack_goes_on(
    captioned: Callable[[int], Path], tmp_path: Path, workers: int
) -> None:
    folder = captioned(300)
    script = tmp_path / "killed.py"
    script.write_text(KILLED_PACK)
    command = [sys.executable, str(script), str(folder), str(tmp_path / "s"), str(workers)]
    process = subprocess.Popen(command, start_new_session=True)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "s").exists()
    done = (tmp_path / "s.part" / "images.u8").stat().st_size // 768
    assert 0 < done < 300
    if workers == 2:
        wait_until_nobody_is_left(process.pid)
    first: list[int] = []
    options = PackOptions(cleaning=Cleaning(size=16), workers=1, name="n")
    resumed = pack(folder, tmp_path / "s", options, on_progress=lambda now, _: first.append(now))
    assert first[0] > 60, "it began again instead of going on"
    whole = pack(folder, tmp_path / "whole", options)
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.column("id") == whole.column("id")
    assert fingerprint(tmp_path / "s") == resumed.fingerprint


def wait_until_nobody_is_left(group: int) -> None:
    """Fail unless every process of the killed one's group ends by itself."""

    def is_empty() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        wait_until(is_empty, "decoding processes outlived the killed pack")
    except BaseException:
        os.killpg(group, signal.SIGKILL)
        raise
