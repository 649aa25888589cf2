"""``limner edit``: what it draws, where it writes, and what it refuses."""

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


def pixels_of(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_box_is_drawn_anew_and_nothing_else(photo, tiny_model, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = photo.read_bytes()
    words = ["edit", str(photo), "--box", "10,5,20,12", "--prompt", "a cat", "--seed", "3",
             "--model", str(tiny_model)]  # fmt: skip
    done = cli(*words, "-n", "2", "--json")
    assert done.code == 0, done.err
    entries = json.loads(done.out)
    assert [each["seed"] for each in entries] == [3, 4]
    drawn = [pixels_of(tmp_path / each["path"]) for each in entries]
    outside = np.ones((40, 60), bool)
    outside[5:17, 10:30] = False
    for each in drawn:
        assert np.array_equal(each[outside], pixels_of(photo)[outside])
        assert not np.array_equal(each[~outside], pixels_of(photo)[~outside])
    assert not np.array_equal(*drawn)
    assert photo.read_bytes() == before
    record = read_record(tmp_path / entries[0]["path"])
    assert (record.prompt, record.seed, len(record.inpainted)) == ("a cat", 3, 64)


def test_masks_margins_and_what_a_picture_is_taken_for(photo, tiny_model, tmp_path, cli):
    mask = Image.new("L", (60, 40))
    mask.paste(255, (40, 10, 60, 40))
    mask.save(tmp_path / "mask.png")
    to = ["--model", str(tiny_model), "--seed", "1", "--out"]
    out = tmp_path / "masked.png"
    done = cli("edit", str(photo), "--mask", str(tmp_path / "mask.png"), *to, str(out))
    assert done.code == 0 and "say what it shows with --prompt" in done.err
    assert np.array_equal(pixels_of(out)[:, :40], pixels_of(photo)[:, :40])
    wide = tmp_path / "wide.webp"
    # The record of the picture says what it shows.
    done = cli("edit", str(out), "--outpaint", "8,0,12,5", *to, str(wide))
    assert (done.code, done.err) == (0, "")
    assert pixels_of(wide).shape == (45, 80, 3)
    assert np.array_equal(pixels_of(wide)[:40, 8:68], pixels_of(out))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give exactly one of --mask, --box and --outpaint, or with --say"),
        (["--box", "1,1,2,2", "--outpaint", "1,1,1,1"], "give exactly one of"),
        (
            ["--box", "1,1,2"],
            "--box takes four whole numbers with commas between them, not '1,1,2'",
        ),
        (["--box", "1,1,2,x"], "--box takes four whole numbers"),
        (["--box", "50,1,20,2"], "is not inside the picture of 60 x 40 pixels"),
        (["--outpaint", "0,0,0,0"], "not all zero"),
        (["--mask", "PHOTO2"], "the mask has 30 x 20 pixels and the picture 60 x 40"),
        (
            ["--box", "1,1,2,2", "--out", "photo.png"],
            "photo.png is not replaced: give --out another",
        ),
        (["--mask", "none.png"], "none.png cannot be edited: file not found"),
        (["--box", "1,1,2,2", "--size", "64"], "inpainting takes no size"),
        (["--box", "0,0,60,40"], "the mask covers the whole picture"),
    ],
)
def test_what_cannot_be_is_one_sentence(photo, tiny_model, tmp_path, cli, words, said):
    Image.new("L", (30, 20), 255).save(tmp_path / "small.png")
    words = [str(tmp_path / "small.png") if word == "PHOTO2" else word for word in words]
    done = cli("edit", str(photo), *words, "--prompt", "a cat", "--model", str(tiny_model))
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["truncated", "animated", "huge", "text"])
def test_pictures_that_cannot_be_edited(tmp_path, cli, photo, kind):
    path = tmp_path / f"{kind}.png"
    data = photo.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "animated":
        frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
        frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=50)
    elif kind == "huge":  # 40,000 x 40,000 by its header
        path.write_bytes(data[:16] + (40_000).to_bytes(4, "big") * 2 + data[24:])
    else:
        path.write_text("no picture")
    done = cli("edit", str(path), "--box", "1,1,4,4", "--prompt", "a cat")
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert f"{path} cannot be edited: " in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--box", "1,1,2,2"], "--say changes what the picture's own record says; leave --box out"),
     (["-n", "2", "--style", "noto"], "leave --style, --n out"),
     ([], "was not drawn by limner")],
)  # fmt: skip
def test_say_goes_with_no_other_way_and_needs_a_record(photo, words, said, cli):
    before = photo.read_bytes()
    done = cli("edit", str(photo), "--say", "make the cat blue", *words)
    assert done.code == 2 and said in done.err.replace("\n", " ")
    assert photo.read_bytes() == before
