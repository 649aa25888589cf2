"""``limner set`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny_models import save_tiny


def test_a_list_of_names_is_drawn_once(cli, tmp_path: Path):
    model = save_tiny(tmp_path / "tiny.safetensors", "vae")
    (tmp_path / "names.txt").write_text("a cat\na dog\n", "utf-8")
    words = ("set", "names.txt", "--model", model, "--style", "noto", "--out", "drawn", "-q")
    done = cli(*words, "--palette", "#123456,#fed", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["drawn"] == 2
    assert {each.name for each in (tmp_path / "drawn").glob("*.png")} == {
        "000001.png", "000002.png", "sheet.png",
    }  # fmt: skip
    again = cli(*words, "--palette", "#123456,#fed")
    assert again.code == 0 and "0 drawn, 2 were there" in again.out
    other = cli(*words)
    assert other.code == 2 and "another job" in other.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--style"), (["--style", "noto", "--palette", "blue"], "'blue' in the palette"),
        (["--style", "noto", "--format", "jpeg"], "without loss"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(cli, tmp_path: Path, tiny_model: Path, words, said: str):
    (tmp_path / "names.txt").write_text("cat\n", "utf-8")
    result = cli("set", "names.txt", "--out", "o", "--model", tiny_model, *words)
    assert result.code == 2 and said in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "o").exists()
