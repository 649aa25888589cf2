"""``limner vary``, ``restyle`` and ``morph``: what they draw and write, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from limner.generation.records import read_record


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_variations_of_a_drawing_are_of_its_words_and_others_are_read(
    photo, tiny_model, tmp_path, cli, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    to = ["--model", str(tiny_model), "--seed", "3"]
    done = cli("restyle", str(photo), "--prompt", "a cat", "--strength", "0.4", "--style", "noto",
               "--out", "cat.png", *to)  # fmt: skip
    assert (done.code, done.out, done.err) == (0, "cat.png\n", "")
    record = read_record(tmp_path / "cat.png")
    assert (record.prompt, record.settings.strength, len(record.inpainted)) == ("a cat", 0.4, 64)
    with Image.open("cat.png") as image:
        assert image.size == (32, 21)
    before = photo.read_bytes()
    done = cli("vary", "cat.png", "-n", "2", "--json", *to)
    entries = json.loads(done.out)
    facts = [(e["prompt"], e["seed"], e["style"], e["strength"]) for e in entries]
    assert facts == [("a cat", 3, "noto", 0.3), ("a cat", 4, "noto", 0.3)] and not done.err
    done = cli("vary", str(photo), "--out", "one.png", *to)
    assert done.out.splitlines() == ["one.png"], "a file holds one picture"
    done = cli("vary", str(photo), "--out", "varied/", *to)
    assert done.code == 0 and "is taken for" in done.err
    assert len(list((tmp_path / "varied").glob("*.png"))) == 4
    assert photo.read_bytes() == before


def test_what_is_changed_without_words_is_named_after_the_picture(
    photo, tmp_path, cli, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = cli("restyle", str(photo), "--style", "line drawing", "--strength", "1", "--seed", "3")
    assert (done.out, done.err) == ("photo-3.png\n", "")
    done = cli("edit", str(photo), "--box", "1,1,9,9", "--seed", "4")
    assert (done.out, done.err) == ("photo-4.png\n", "")
    done = cli("edit", str(photo), "--box", "1,1,9,9", "--seed", "4", "--prompt", "a kite")
    assert done.out == "a-kite-4.png\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to change: give --prompt, --style or --reference"),
        (["--prompt", "a cat", "--strength", "1.5"], "strength = 1.5 is refused"),
        (["--prompt", "a cat", "--strength", "-0.1"], "strength = -0.1 is refused"),
        (["--prompt", "a cat", "--out", "PHOTO"], "is not replaced: give --out another name"),
        (["--prompt", "a cat", "--style", "rembrandt"], "there is no style 'rembrandt'"),
        (["--prompt", "a cat", "--guidance", "3"], "does not take 'guidance'"),
    ],
)
def test_what_cannot_be_is_one_sentence(photo, tiny_model, cli, words, said):
    words = [str(photo) if word == "PHOTO" else word for word in words]
    done = cli("restyle", str(photo), *words, "--model", str(tiny_model))
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["truncated", "animated", "huge", "missing"])
def test_pictures_that_cannot_be_changed(tmp_path, cli, photo, kind):
    path, data = tmp_path / f"{kind}.png", photo.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "animated":
        frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
        frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=50)
    elif kind == "huge":  # 40,000 x 40,000 by its header
        path.write_bytes(data[:16] + (40_000).to_bytes(4, "big") * 2 + data[24:])
    for command in (["vary"], ["restyle", "--prompt", "a cat"]):
        done = cli(*command, str(path))
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert f"{path} cannot be edited: " in done.err


def test_a_walk_is_written_and_nothing_else_is_made(tiny_model, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    to = ["--model", str(tiny_model), "--frames", "5", "--fps", "10", "--quiet"]
    done = cli("morph", "a cat", "a heart", "--seed", "1", "--out", "walk.gif", *to)
    assert (done.code, done.out, done.err) == (0, "walk.gif\n", "")
    done = cli("morph", "a cat", "--seeds", "1,2 3", "--out", "seeds.webp", *to)
    assert (done.code, done.out) == (0, "seeds.webp\n")
    for name in ("walk.gif", "seeds.webp"):
        with Image.open(name) as image:
            assert image.n_frames == 5 and image.size == (32, 32)
    assert cli("replay", "walk.gif", "--out", "again.gif").err.count("draw it again with") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a cat"], "needs at least two drawings"),
        (["a cat", "a heart", "--frames", "1"], "1 frames are refused"),
        (["a cat", "a heart", "--seeds", "1,2"], "--seeds are of one prompt"),
        (["a cat", "--seeds", "1,x"], "--seeds takes whole numbers"),
        (["a cat", "a heart", "--out", "walk.avi"], "written as .gif, .webp or .mp4"),
    ],
)
def test_walks_that_cannot_be_are_one_sentence(tiny_model, tmp_path, cli, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    done = cli("morph", *words, "--model", str(tiny_model), "--quiet")
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
