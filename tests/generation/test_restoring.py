"""Restoring: tiles, tasks, what is kept of a picture, what is refused."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw
from typer.testing import CliRunner

import limner
from limner.cli import build_app
from limner.data.degrade import Degradation, degrade, enlarged, rounded
from limner.data.textures import dead_leaves
from limner.errors import DataError, LimnerError, ModelFileError, UsageError
from limner.generation.records import read_any_record
from limner.generation.restoring import RestorationRecord, Restorer
from tiny_models import save_tiny

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restorer of random weights."""
    return save_tiny(tmp_path_factory.mktemp("restorer") / "tiny.safetensors", "restorer")


@pytest.fixture(scope="module")
def tiny(tiny_path: Path) -> Restorer:
    return Restorer(tiny_path)


@pytest.fixture(scope="module")
def shipped() -> Restorer:
    return Restorer()


def test_without_a_model_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("limner.shipped.shipped_folder", lambda: tmp_path)
    with pytest.raises(ModelFileError, match="name a model file, or train one with"):
        Restorer()


def drawing(side: int = 96) -> np.ndarray:
    """Flat shapes that nobody trained on, ``(3, side, side)`` in [0, 1]."""
    image = Image.new("RGB", (4 * side, 4 * side), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 50, 250, 270), "#3a7bd5", "black", 10)
    draw.rectangle((180, 160, 360, 350), "#f2c14e", "#553311", 8)
    draw.polygon([(60, 350), (160, 210), (230, 370)], "#d1495b")
    draw.line((20, 20, 370, 120), "black", 9)
    small = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 255


def image_of(picture: np.ndarray) -> Image.Image:
    return Image.fromarray((picture * 255).round().astype(np.uint8).transpose(1, 2, 0).copy())


def psnr(image: Image.Image | np.ndarray, real: np.ndarray) -> float:
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    return float(-10 * np.log10(np.square(image - real).mean()))


# -- tiles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(150, 203), (96, 64)])
def test_tiles_are_the_whole_picture(tiny, scale, height, width):
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    told = Degradation(noise=0.1, scale=scale)
    whole = tiny._restored(pixels, told, None, tile=4096)
    tiles = tiny._restored(pixels, told, None, tile=48)
    assert whole.shape == (height * scale, width * scale, 3)
    off = abs(whole.astype(int) - tiles)
    assert off.max() <= 1 and (off > 0).mean() < 0.001  # rounding alone
    if scale == 1:
        assert abs(whole.astype(int) - pixels).max() > 8  # the network did something


def test_memory_does_not_grow_with_the_picture(tiny_path):
    program = (
        "import numpy as np, sys; from limner.generation.restoring import Restorer; "
        "from limner.evaluation.speed import peak_mb as peak; found = Restorer(sys.argv[1]); "
        "small = np.zeros((1000, 1000, 3), np.uint8); found.restore(small, 'denoise'); "
        "before = peak(); pixels = np.zeros((2000, 3000, 3), np.uint8); "
        "found.restore(pixels, 'denoise'); print(peak() - before, peak())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tiny_path)], capture_output=True, text=True, check=True
    )
    grown, peak = (1e6 * float(each) for each in found.stdout.split())
    assert grown < 25 * 3000 * 2000, "more than some copies of its 8 bits"
    assert peak < 1e9


# -- tasks ------------------------------------------------------------------------------------

CASES = {
    "denoise": Degradation(noise=0.1), "deblur": Degradation(blur=1.5),
    "deblock": Degradation(jpeg=0.8), "upscale": Degradation(scale=2),
}  # fmt: skip


@pytest.mark.parametrize("task", CASES)
@pytest.mark.parametrize("kind", ["drawing", "texture"])
def test_the_shipped_restorer_is_better_than_nothing(shipped, task, kind):
    real = drawing() if kind == "drawing" else rounded(dead_leaves(96, np.random.default_rng(5)))
    given = degrade(real, CASES[task], 7)
    before = psnr(enlarged(given, 96, 96) if task == "upscale" else given, real)
    after = psnr(shipped.restore(image_of(given), task).image, real)
    least = 1 if task == "deblock" else 2  # dB
    assert after - before > (least if kind == "drawing" else 0)


def test_auto_says_what_it_sees(shipped):
    real = drawing(192)
    for name, low, high in (("noise", 0.06, 0.14), ("jpeg", 0.6, 1.0), ("blur", 0.8, 2.0)):
        given = {"noise": 0.1, "jpeg": 0.8, "blur": 1.5}[name]
        found = shipped.restore(image_of(degrade(real, Degradation(**{name: given}), 3)))
        assert low < getattr(found.removed, name) < high, (name, found.removed)
        assert psnr(found.image, real) > psnr(degrade(real, Degradation(**{name: given}), 3), real)
        assert {"noise": "noise", "jpeg": "JPEG", "blur": "blur"}[name] in found.summary


def test_a_good_drawing_is_left_as_it_is(shipped):
    clean = image_of(drawing(192))
    found = shipped.restore(clean)
    assert found.removed == Degradation() and found.summary == "nothing found"
    assert np.array_equal(np.asarray(found.image), np.asarray(clean))


def test_grey_pictures_stay_grey_until_they_are_coloured(shipped):
    given = image_of(degrade(drawing(), Degradation(grey=True, noise=0.1), 0)).convert("L")
    denoised = np.asarray(shipped.restore(given, "denoise").image)
    assert (denoised == denoised[..., :1]).all()


def test_a_grey_drawing_takes_the_colours_of_what_it_shows(shipped, tmp_path):
    red, green = ImageColor.getrgb("#d22f27"), ImageColor.getrgb("#5c9e31")
    image = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 80, 260, 290), red, "black", 6)
    draw.ellipse((150, 20, 230, 75), green, "black", 6)
    given, real = image.convert("L"), np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    found = shipped.restore(given, "colorize", prompt="a red apple")
    before = np.asarray(given.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    assert psnr(found.image, real) - psnr(before, real) > 3
    assert abs(np.asarray(found.image.convert("L"), int) - np.asarray(given, int)).max() <= 1
    assert found.coloured_as == "a red apple" and "coloured as 'a red apple'" in found.summary
    with Image.open(found.save(tmp_path / "apple.png")) as file:
        record = RestorationRecord.model_validate_json(file.text["limner"])
    assert record.coloured_as == "a red apple"
    r, g, b = np.asarray(shipped.restore(given, "colorize", prompt="a blue apple").image)[200, 150]
    assert b > r + 50 and b > g + 30


def test_what_is_like_nothing_that_is_known_is_left_grey(shipped):
    texture = image_of(dead_leaves(96, np.random.default_rng(5))).convert("L")
    found = shipped.restore(texture, "colorize", prompt="a red apple")
    assert np.array_equal(np.asarray(found.image)[..., 1], np.asarray(texture))
    assert found.removed == Degradation() and "left grey" in found.summary
    blank = shipped.restore(Image.new("L", (64, 64), "white"), "colorize", scale=2)
    assert blank.image.size == (128, 128) and blank.summary == "enlarged 2 times, left grey"


def test_the_same_bits_every_time_and_with_any_prompt_its_own(tiny):
    pixels = RNG.integers(0, 256, (40, 40, 3), np.uint8)
    one, again, other = (
        np.asarray(tiny.restore(pixels, "upscale", prompt=prompt).image)
        for prompt in (None, None, "a cat")
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


# -- what is kept and what is refused ---------------------------------------------------------


def test_transparency_and_depth_are_kept(tiny, tmp_path):
    clear = Image.fromarray(RNG.integers(0, 256, (40, 44, 4), np.uint8))
    clear.save(tmp_path / "clear.png")
    for given in (clear, tmp_path / "clear.png", (tmp_path / "clear.png").read_bytes()):
        found = tiny.restore(given, "denoise").image
        assert found.mode == "RGBA"
        assert np.array_equal(np.asarray(found)[..., 3], np.asarray(clear)[..., 3])
    assert tiny.restore(clear, "upscale").image.size == (88, 80)
    deep = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = np.asarray(tiny.restore(tmp_path / "deep.png").image)
    assert found.shape == (40, 40, 3) and found.max() > 200 > 50 > found.min()


def test_one_pixel_is_a_picture(tiny):
    assert tiny.restore(Image.new("RGB", (1, 1))).image.size == (1, 1)
    assert tiny.restore(Image.new("RGB", (3, 1)), scale=4).image.size == (12, 4)


def huge(path: Path) -> None:
    """A small file whose header promises 40,000 x 40,000 pixels."""
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 40_000, 40_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


def animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def cut(path: Path) -> None:
    image_of(drawing()).save(path)
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("huge.png", huge, "too many pixels"),
        ("moving.gif", animated, "animated"),
        ("cut.png", cut, "broken picture"),
        ("none.png", lambda path: None, "file not found"),
        ("text.png", lambda path: path.write_text("hello"), "not a picture"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(tiny_path, tmp_path, name, make, reason):
    path = tmp_path / name
    make(path)
    before = hashlib.sha256(path.read_bytes()).digest() if path.exists() else None
    out = tmp_path / "out.png"
    words = ["restore", str(path), "--model", str(tiny_path), "--out", str(out)]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 2, result.output
    assert reason in result.stderr and "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1 and str(path) in result.stderr
    assert not out.exists()
    if before is not None:
        assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task": "shine"}, "no task 'shine'; choose one of: auto, denoise"),
        ({"scale": 3}, "the scale is 2 or 4, not 3"),
        ({"scale": 0}, "the scale is 2 or 4"),
        ({"task": "upscale", "scale": 1}, "the scale is 2 or 4, not 1"),
    ],
)
def test_bad_options_are_refused(tiny, options, reason):
    with pytest.raises(UsageError, match=reason):
        tiny.restore(np.zeros((8, 8, 3), np.uint8), **options)


def test_pictures_that_would_be_too_large_are_refused(tiny):
    with pytest.raises(UsageError, match="would have 16000 x 16000 pixels"):
        tiny.restore(Image.new("RGB", (4000, 4000)), scale=4)
    with pytest.raises(DataError, match="more than 64,000,000 pixels"):
        tiny.restore(Image.new("1", (20_000, 20_000)))


def test_other_models_are_refused():
    with pytest.raises(UsageError, match="of the vae family, none that restores pictures"):
        Restorer("drawings-256")


# -- files ------------------------------------------------------------------------------------


def test_the_command_writes_new_files_with_a_record(tiny_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        image_of(drawing(40)).save(name)
    common = ["--model", str(tiny_path), "--task", "upscale"]
    run = lambda *words: CliRunner().invoke(build_app(), ["restore", *words, *common])  # noqa: E731
    assert run("a.png", "--prompt", "shapes").exit_code == 0
    assert run("a.png").exit_code == 0
    assert sorted(p.name for p in tmp_path.glob("a-*")) == ["a-restored-1.png", "a-restored.png"]
    found = run("a.png", "b.png", "--out", "new/", "--json")
    assert [each["path"] for each in json.loads(found.stdout)] == ["new/a.png", "new/b.png"]
    with Image.open("a-restored.png") as image:
        record = RestorationRecord.model_validate_json(image.info["limner"])
    assert (record.task, record.scale, record.prompt) == ("upscale", 2, "shapes")
    assert record.model == hashlib.sha256(tiny_path.read_bytes()).hexdigest()[:16]
    assert record.removed == {"scale": 2}
    with pytest.raises(LimnerError, match="was restored from another picture"):
        read_any_record(tmp_path / "a-restored.png")
    for words, reason in (
        (["a.png", "--out", "b.png"], "b.png is there already"),
        (["a.png", "b.png", "--out", "c.png"], "2 pictures do not fit in c.png"),
        (["a.png", "--out", "c.svg"], "write 'c.svg' as .png"),
        (["a.png", "--out", "c.xyz"], "limner writes PNG"),
        (["a.png", "--quality", "3"], "PNG has no quality"),
    ):
        refused = run(*words)
        assert refused.exit_code == 2 and reason in refused.stderr, refused.output


def test_the_function_restores_with_the_shipped_model(shipped, tmp_path):
    real = drawing()
    given = image_of(degrade(real, Degradation(noise=0.1), 1))
    found = limner.restore(given, "denoise")
    assert psnr(found.image, real) > 27
    found.save(tmp_path / "new.webp")
    with pytest.raises(FileExistsError):
        found.save(tmp_path / "new.webp", exclusive=True)
