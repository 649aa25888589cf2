from __future__ import annotations

import json
import os
import stat
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

import limner
from limner.errors import DataError, ModelFileError, UsageError
from limner.generation.animations import gif_bytes
from limner.generation.files import write_image, write_picture
from limner.generation.generator import load
from limner.generation.picture_folder import picture_folder, slug, write_new
from limner.generation.records import CHUNK, read_any_record, read_record
from limner.generation.replay import redraw, same_pixels
from limner.threads import usable_cpus
from tiny_models import save_tiny


@pytest.fixture(scope="module")
def generator(tiny_model):
    """Of one family: how a picture is written does not depend on what drew it."""
    return load(tiny_model)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WORDS = [
    "a red heart",
    "一只可爱的小狗",
    "👩🏽‍🚀 in space 🚀",
    "قلب أحمر",
    'quotes " \\ and\ttabs',
    "ÀÉÎ",
]


@pytest.mark.parametrize("prompt", WORDS)
def test_what_is_written_is_read(generator, tmp_path, prompt):
    picture = generator.generate(prompt, seed=2**62 + 1, style="noto")[0]
    path = picture.save(tmp_path / "a.png")
    record = read_record(path)
    assert (record.prompt, record.seed, record.model) == (prompt, 2**62 + 1, generator.hash)
    assert record.limner == limner.__version__
    assert record.encoder == generator.encoder.fingerprint
    assert record.settings == picture.settings
    assert record.settings.style == "noto"
    assert same_pixels(path, picture.image)
    with Image.open(path) as image:
        readable = image.info["parameters"]
    assert readable.startswith(prompt + "\n")
    assert f"Seed: {2**62 + 1}" in readable
    assert f"Model hash: {generator.hash}" in readable
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("ending", [".webp", ".jpg", ".svg"])
def test_every_format_carries_the_record(generator, tmp_path, ending):
    prompt = f"{WORDS[2]} قلب </metadata> & <b> -- \ufffe"
    (picture,) = generator.generate(prompt, seed=2**62 + 1, style="noto")
    path = picture.save(tmp_path / f"a{ending}")
    assert read_record(path) == read_record(picture.save(tmp_path / "a.png"))
    assert same_pixels(path, picture.image)
    again = redraw(path, generator.path)
    assert again.save(tmp_path / f"b{ending}").read_bytes() == path.read_bytes()
    (other,) = generator.generate("a house", seed=3)
    assert not same_pixels(path, other.image)
    assert names(tmp_path) == sorted(["a.png", f"a{ending}", f"b{ending}"])


def test_what_other_formats_hold(generator, tmp_path):
    (picture,) = generator.generate("a cat", seed=1)
    with Image.open(picture.save(tmp_path / "a.webp")) as image:
        assert image.format == "WEBP" and image.tobytes() == picture.image.tobytes()
        shown = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert shown.startswith(b"UNICODE\0") and shown[8:].decode("utf-16-be").startswith("a cat\n")
    smooth = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    picture = replace(picture, image=smooth)
    small = write_picture(picture, tmp_path / "small.jpg", quality=10)
    with Image.open(picture.save(tmp_path / "a.jpg")) as image:
        assert image.format == "JPEG"
        apart = np.abs(np.asarray(image, float) - np.asarray(picture.image))
    assert apart.mean() < 1
    assert small.stat().st_size < (tmp_path / "a.jpg").stat().st_size
    assert read_record(write_picture(picture, tmp_path / "b.webp", quality=50)).seed == 1
    assert same_pixels(tmp_path / "b.webp", picture.image)


def test_transparent_files(tmp_path):
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    image.paste((200, 30, 40, 255), (16, 16, 48, 48))
    image.putpixel((15, 20), (200, 30, 40, 128))
    for name in ("a.png", "a.webp"):
        with Image.open(write_image(image, tmp_path / name, {})) as read:
            assert read.mode == "RGBA" and read.tobytes() == image.tobytes()
    with pytest.raises(UsageError, match="JPEG has no transparency"):
        write_image(image, tmp_path / "a.jpg", {})
    assert names(tmp_path) == ["a.png", "a.webp"]


def test_more_than_a_jpeg_can_hold_is_refused(generator, tmp_path):
    (picture,) = generator.generate("a cat", seed=1)
    picture = replace(picture, prompt="狗" * 20_000, image=Image.new("RGB", (64, 64), "red"))
    with pytest.raises(UsageError, match="write it as PNG or SVG"):
        picture.save(tmp_path / "a.jpg")
    assert read_record(picture.save(tmp_path / "a.svg")).prompt == picture.prompt


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>', "document type"),
        ('<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>', "document type"),
        ("<svg><metadata id='limner'>", "damaged SVG"),
        ("<svg/>", "not drawn by limner"),
        ("<svg><metadata id='limner'>{}</metadata></svg>", "limner: Field required"),
        ("<svg><metadata>{}</metadata></svg>", "not drawn by limner"),
        ("<svg>" + " " * (9 << 20), "too large"),
        ("plain words", "not a PNG, WebP, JPEG or SVG"),
    ],
)
def test_svgs_nobody_should_trust(tmp_path, text, said):
    (tmp_path / "a.svg").write_text(text)
    with pytest.raises(DataError, match=said):
        read_record(tmp_path / "a.svg")


def test_replay_draws_the_same_bits(model_path, tmp_path):
    generator = load(model_path)
    options = {"steps": 3} if "steps" in generator.model.capabilities else {}
    pictures = generator.generate(["小狗, noto style", "a cat"], n=2, seed=4, **options)
    for i, picture in enumerate(pictures):
        path = picture.save(tmp_path / f"{i}.png")
        again = redraw(path, model_path)
        assert again.image.tobytes() == picture.image.tobytes()
        second = again.save(tmp_path / f"{i}-again.png")
        assert second.read_bytes() == path.read_bytes()


def test_replay_draws_in_the_same_tile(model_path, tmp_path):
    picture = load(model_path, tile=2).generate("a cat", n=3, seed=4)[2]
    path = picture.save(tmp_path / "a.png")
    assert read_record(path).tile == 2
    again = redraw(path, model_path)
    assert again.tile == 2
    assert again.save(tmp_path / "b.png").read_bytes() == path.read_bytes()


def test_replay_says_where_it_has_other_threads(model_path, tmp_path, keep_threads):
    path = load(model_path, threads=1).generate("a cat", seed=4)[0].save(tmp_path / "a.png")
    assert read_record(path).threads == 1
    torch.set_num_threads(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert redraw(path, model_path).threads == 1
    if usable_cpus() > 1:
        with pytest.warns(UserWarning, match="threads 1 and is drawn again .* threads 2"):
            assert redraw(path, model_path, threads=2).threads == 2


def test_records_without_a_tile_are_of_single_pictures(tmp_path):
    record = read_record(foreign(tmp_path / "a.png", **{CHUNK: good_record()}))
    assert (record.tile, record.threads) == (1, 0)


def test_replay_wants_the_same_model(generator, tmp_path):
    path = generator.generate("a cat", seed=1)[0].save(tmp_path / "a.png")
    other = save_tiny(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(ModelFileError, match=rf"drawn by model {generator.hash}, but .*other"):
        redraw(path, other)
    with pytest.raises(ModelFileError, match="--model PATH"):
        redraw(path)


def foreign(path, **chunks: str):
    info = PngInfo()
    for key, value in chunks.items():
        info.add_itxt(key, value, zip=True)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def good_record(**changes) -> str:
    record = {"limner": "0.1.0", "prompt": "a", "seed": 1, "model": "0" * 16, "encoder": "e"}
    return json.dumps(record | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("{" * 100_000, "damaged"),
        ("{}", "limner: Field required"),
        (good_record(seed=-1), "seed"),
        (good_record(seed=2**63), "seed"),
        (good_record(seed="1e9999"), "seed"),
        (good_record(model="../../etc/passwd"), "model"),
        (good_record(prompt="a" * 200_000), "prompt"),
        (good_record(prompt="a" * 600_000), "too long"),
        (good_record(settings={"steps": 10**12}), "steps"),
        (good_record(settings={"exec": "rm"}), "exec"),
        (good_record(format=99), "format 99"),
    ],
)
def test_recipes_nobody_should_trust(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_record(foreign(tmp_path / "a.png", **{CHUNK: text}))


def test_a_chunk_that_unpacks_to_much_is_refused(tmp_path):
    path = foreign(tmp_path / "bomb.png", **{CHUNK: "a" * 50_000_000})
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_record(path)


def saved_again(path, kind):
    """The PNG as other programs write it: its text as latin text, packed, or behind the pixels."""
    raw, at, kept, late = path.read_bytes(), 8, b"", b""
    while at < len(raw):
        (length,) = struct.unpack(">I", raw[at : at + 4])
        name, body = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        at += length + 12
        if name == b"iTXt":
            key, _, text = body.partition(b"\0")
            plain = text[4:]
            name, body = {
                "tEXt": (b"tEXt", key + b"\0" + plain),
                "zTXt": (b"zTXt", key + b"\0\0" + zlib.compress(plain)),
                "late": (name, body),
            }[kind]
        chunk = struct.pack(">I", len(body)) + name + body
        chunk += struct.pack(">I", zlib.crc32(name + body))
        if kind == "late" and name == b"iTXt":
            late += chunk
        else:
            kept += late + chunk if name == b"IEND" else chunk
    again = path.with_name(f"{kind}.png")
    again.write_bytes(raw[:8] + kept)
    return again


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "late"])
def test_pictures_that_were_saved_again(generator, tmp_path, kind):
    path = generator.generate("Grüße an 一只小狗 🚀", seed=2)[0].save(tmp_path / "a.png")
    assert read_record(saved_again(path, kind)) == read_record(path)


def test_foreign_files(tmp_path):
    with pytest.raises(DataError, match="not drawn by limner"):
        read_record(foreign(tmp_path / "a.png", parameters="a cat"))
    with pytest.raises(DataError, match="cannot read"):
        read_record(tmp_path / "none.png")
    with pytest.raises(DataError, match="cannot read"):
        read_record(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match="not a PNG"):
        read_record(tmp_path / "text.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg")
    with pytest.raises(DataError, match="not drawn by limner"):
        read_record(tmp_path / "b.jpg")


def test_cut_short_pngs_never_crash(generator, tmp_path):
    whole = generator.generate("a cat", seed=1)[0].save(tmp_path / "a.png").read_bytes()
    cut = tmp_path / "cut.png"
    for length in range(0, 700, 13):
        cut.write_bytes(whole[:length])
        try:
            read_record(cut)
        except DataError as error:
            assert "cut.png" in str(error)
        assert not same_pixels(cut, Image.new("RGB", (32, 32)))


def test_other_endings_are_refused(generator, tmp_path):
    for name in ("a.gif", "a", "a.png.exe"):
        with pytest.raises(UsageError, match=r"give '.*' the ending \.png"):
            write_picture(generator.generate("a cat", seed=1)[0], tmp_path / name)


def test_unwritable_places_leave_nothing(generator, tmp_path):
    picture = generator.generate("a cat", seed=1)[0]
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write"):
        picture.save(tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match="cannot write"):
        picture.save(tmp_path / "folder.png")
    assert names(tmp_path) == ["file", "folder.png"]
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if not os.access(locked, os.W_OK):  # root may write anywhere
        with pytest.raises(DataError, match="cannot write"):
            picture.save(locked / "a.png")


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    write_image(Image.new("RGB", (4, 4), "red"), path, {})
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_image(Image.new("RGB", (4, 4)), path, {"limner": "half a pair \ud83d"})
    with pytest.raises(DataError):
        write_image(Image.new("F", (4, 4)), path, {})
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red heart!", "a-red-heart"),
        ("一只可爱的小狗", "一只可爱的小狗"),
        ("🚀", "picture"),
        ("../../etc/passwd", "etc-passwd"),
        ("  ", "picture"),
        ("corazón rojo", "corazón-rojo"),
        ("a\0b\nc", "a-b-c"),
    ],
)
def test_slugs(prompt, name):
    assert slug(prompt) == name


def test_slugs_are_short():
    assert slug("word " * 1000) == "-".join(["word"] * 9) + "-wor"
    assert len(slug("狗" * 1000).encode()) <= 48


def written(folder, stem):
    image = Image.new("RGB", (4, 4))
    return write_new(lambda path: write_image(image, path, {}, exclusive=True), folder, stem).name


def test_new_names_replace_nothing(tmp_path):
    assert written(tmp_path, "a") == "a.png"
    assert written(tmp_path, "a") == "a-1.png"
    (tmp_path / "a-2.png").symlink_to(tmp_path / "nowhere")
    assert written(tmp_path, "a") == "a-3.png"
    assert names(tmp_path) == ["a-1.png", "a-2.png", "a-3.png", "a.png"]


def test_writers_at_once_replace_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: written(tmp_path, "a"), range(40)))
    assert sorted(found) == names(tmp_path)
    assert len(set(found)) == 40


def test_a_second_writer_of_a_folder_is_refused(generator, tmp_path):
    pictures = generator.generate("a cat", n=2, seed=1)
    with picture_folder(tmp_path) as write:
        write(pictures[0])
        with pytest.raises(UsageError, match="is in use by process"), picture_folder(tmp_path):
            pass
        write(pictures[1])
    assert names(tmp_path) == ["0000.png", "0001.png", "manifest.jsonl"]


def test_a_picture_of_another_program_is_never_replaced(generator, tmp_path):
    picture = generator.generate("a cat", seed=1)[0]
    with pytest.raises(DataError, match="another program"), picture_folder(tmp_path) as write:
        (tmp_path / "0000.png").write_text("mine")
        write(picture)
    assert names(tmp_path) == ["0000.png"] and (tmp_path / "0000.png").read_text() == "mine"


def test_a_folder_for_no_picture_goes_again(tmp_path):
    with picture_folder(tmp_path / "new"):
        pass
    with picture_folder(tmp_path):
        pass
    assert names(tmp_path) == []


def test_names_of_255_bytes(generator, tmp_path):
    for name in ("x" * 251 + ".png", "狗" * 83 + "xx.png"):
        assert len(name.encode()) == 255
        path = generator.generate("a cat", seed=1)[0].save(tmp_path / name)
        assert read_record(path).prompt == "a cat"


def test_a_folder_and_its_manifest(generator, tmp_path):
    folder = tmp_path / "new" / "folder"
    with picture_folder(folder) as write:
        for picture in generator.stream(["a cat", "小狗"], n=2, seed=3):
            write(picture, 10 + picture.index)
    pictures = ["0000.png", "0001.png", "0002.png", "0003.png"]
    assert names(folder) == [*pictures, "manifest.jsonl"]
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert [e["path"] for e in entries] == pictures
    assert [(e["prompt"], e["seed"], e["line"]) for e in entries] == [
        ("a cat", 3, 10), ("a cat", 4, 10), ("小狗", 3, 11), ("小狗", 4, 11)]  # fmt: skip
    for entry in entries:
        assert read_record(folder / entry["path"]).prompt == entry["prompt"]
    with pytest.raises(UsageError, match=r"already holds 0000\.png"), picture_folder(folder):
        pass


def test_a_stopped_folder_keeps_whole_pictures_only(generator, tmp_path):
    def broken():
        yield from generator.stream("a cat", n=2, seed=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), picture_folder(tmp_path) as write:
        for picture in broken():
            write(picture)
    assert names(tmp_path) == ["0000.png", "0001.png"]
    with Image.open(tmp_path / "0001.png") as image:
        assert np.asarray(image).std() > 0


def test_an_animation_is_not_read_as_one_picture(generator, tmp_path):
    path = tmp_path / "two.gif"
    path.write_bytes(gif_bytes(generator.generate("a cat", n=2, seed=1), 100))
    assert [each.seed for each in read_any_record(path).pictures] == [1, 2]
    with pytest.raises(DataError, match=r"two\.gif is an animation of 2 pictures, not one"):
        read_record(path)
