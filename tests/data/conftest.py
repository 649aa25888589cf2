from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from samples import png


@pytest.fixture
def captioned(tmp_path: Path) -> Callable[[int], Path]:
    """Make a folder of so many pictures, each with a .txt beside it."""

    def make(count: int) -> Path:
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        for number in range(count):
            (folder / f"{number:04d}.png").write_bytes(png(number))
            (folder / f"{number:04d}.txt").write_text(f"picture {number}\n", encoding="utf-8")
        return folder

    return make
