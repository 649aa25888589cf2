"""Writers of stores that die at each change of a file, and within files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resource")

from crashes import killed_at, stopped_within
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError


def write(path: Path, tint: int, *, overwrite: bool = True) -> Store:
    settings = {"tint": tint}
    with StoreWriter(path, 8, "n", settings=settings, overwrite=overwrite) as writer:
        for number in writer.rest(range(3), str):
            image = np.full((8, 8, 3), 10 * number + tint, np.uint8)
            writer.add(image, [Caption(f"picture {number}")], {"id": str(number)})
            writer.flush()
        return writer.finish()


def check_after(folder: Path, path: Path, kill: Callable[[Callable[[], object]], bool]) -> bool:
    """Replace a store by a writer that dies: one of both is there, and the next run has the other.

    Returns:
        Whether the writer died.
    """
    old = write(path, 1).fingerprint
    (path / "notes.txt").write_text("mine")
    dead = kill(lambda: write(path, 2))
    if path.exists():
        found = Store.open(path)
        assert found.images[0, 0, 0, 0] == (1 if found.fingerprint == old else 2)
        assert len(found.captions(2)) == 1
    new = write(path, 2)
    assert new.images[:, 0, 0, 0].tolist() == [2, 12, 22] and new.column("id") == ["0", "1", "2"]
    assert (path / "notes.txt").read_text() == "mine"
    assert [each.name for each in folder.iterdir()] == [path.name], "nothing is left"
    shutil.rmtree(path)
    return dead


def test_a_writer_killed_at_any_change_of_a_file_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    alive = (not check_after(tmp_path, path, partial(killed_at, change)) for change in count())
    assert sum(1 for _ in takewhile(lambda done: not done, alive)) > 30


@pytest.mark.parametrize("size", [0, 1, 20, 100, 191, 192, 300, 400, 570])
def test_a_writer_stopped_within_a_file_is_resumed(tmp_path: Path, size: int) -> None:
    assert check_after(tmp_path, tmp_path / "s", partial(stopped_within, size))


def test_a_store_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    """The writer died between its two renames, and the next one is of something else."""
    path = tmp_path / "s"
    write(path, 1)
    path.rename(tmp_path / ".s.old")
    with pytest.raises(DataError, match="exists already; pass --overwrite"):
        write(path, 3, overwrite=False)
    assert Store.open(path).images[0, 0, 0, 0] == 1
    assert not (tmp_path / ".s.old").exists()
    assert write(path, 3).images[0, 0, 0, 0] == 3
