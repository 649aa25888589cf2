"""``limner refine`` and ``limner generate --best-of``: what they write, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from limner.generation.records import read_record


def test_the_best_picture_and_the_trace_are_written(cli, tiny_model, tmp_path):
    done = cli("refine", "a cat", "--seed", "3", "--budget", "3", "--target", "1", "--out", "a.png",
               "--trace", "trace.html", "--model", tiny_model)  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["a.png", "trace.html"]
    assert "refined: 3 pictures; the best scores" in done.err
    page = (tmp_path / "trace.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 3 and "Looked for: 1 x cat" in page
    done = cli("refine", "a cat", "--seed", "3", "--budget", "3", "--target", "1", "--out", "b.png",
               "--json", "--model", tiny_model)  # fmt: skip
    facts = json.loads(done.out)
    assert facts["path"] == "b.png" and len(facts["attempts"]) == 3
    best = facts["attempts"][facts["best"]]
    assert best["seed"] == read_record(tmp_path / "a.png").seed


def test_a_reference_is_read_and_drawn_after(cli, tmp_path):
    """Of a real drawing without a prompt: its caption is drawn, in its style, and repeated."""
    done = cli("generate", "a pineapple", "--style", "noto", "--seed", "1", "--variety", "0",
               "--out", "seen.png")  # fmt: skip
    assert done.code == 0, done.err
    done = cli("refine", "--reference", "seen.png", "--seed", "3", "--budget", "2",
               "--out", "a.png", "--trace", "trace.html")  # fmt: skip
    assert done.code == 0, done.err
    record = read_record(tmp_path / "a.png")
    assert "pineapple" in record.prompt and record.settings.reference is not None
    page = (tmp_path / "trace.html").read_text(encoding="utf-8")
    assert f'it is read as "{record.prompt}"' in done.err
    assert (
        f"The reference picture is read as: {record.prompt}" in page and page.count("<figure") == 2
    )
    assert cli("replay", "a.png", "--out", "b.png", "--reference", "seen.png").code == 0
    first, second = (Image.open(tmp_path / name) for name in ("a.png", "b.png"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_the_best_of_several_is_kept(cli, tiny_model, tmp_path):
    done = cli("generate", "a cat", "--seed", "3", "--best-of", "3", "-n", "2", "--out", "cats/",
               "--model", tiny_model)  # fmt: skip
    assert done.code == 0, done.err
    seeds = {read_record(path).seed for path in (tmp_path / "cats").glob("*.png")}
    assert len(seeds) == 2 and seeds < {3, 4, 5}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["refine"], "nothing to refine"),
        (["refine", "a cat", "--budget", "0"], "a budget of 0 is refused"),
        (["refine", "a cat", "--target", "1.5"], "a target of 1.5 is refused"),
        (["refine", "a cat", "--trace", "t.txt"], "the ending .html"),
        (["refine", "a cat", "--reference", "nowhere.png"], "nowhere.png"),
        (["generate", "a cat", "--best-of", "2", "-n", "3"], "--best-of 2 is less than --n 3"),
    ],
)
def test_what_cannot_be_refined_is_one_line(cli, refused, tiny_model, tmp_path, given, said):
    assert refused(cli(*given, "--model", tiny_model), said)
    assert not list(tmp_path.glob("*.png"))
