"""The Python example of docs/training.md runs as it stands there, but for the length."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

import training_tiny as tiny

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_example_of_training_from_python_runs(tmp_path, monkeypatch):
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example.count("minutes=5") == 1
    monkeypatch.chdir(tmp_path)
    tiny.make_store(tmp_path / "stores" / "small", count=40, size=64)
    exec(compile(example.replace("minutes=5", "steps=2"), str(PAGE), "exec"), {})
    with Image.open("heart.png") as picture:
        assert picture.size == (64, 64)
