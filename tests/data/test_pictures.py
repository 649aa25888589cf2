from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from icc import cmyk_profile, grey_profile, rgb_profile
from limner.data.pictures import Cleaning, PictureError, _plugged_in, clean, is_picture
from samples import picture, png

SMALL = Cleaning(size=16)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes whose header claims ``width`` x ``height``."""

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_every_format_gives_the_same_picture(kind: str) -> None:
    image = picture(3, (32, 32))
    wanted = np.asarray(image.resize((16, 16), Image.Resampling.LANCZOS)).astype(int)
    got = clean(encode(image, kind), SMALL)
    assert got.pixels.shape == (16, 16, 3)
    assert got.pixels.dtype == np.uint8
    assert np.abs(got.pixels - wanted).mean() < 6


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am no picture", "not a picture"),
        (b"<?xml version='1.0'?>\n<svg width='1'/>", "SVG is not read: save"),
        (b"<svg width='1'/>", "SVG is not read: save it as PNG"),
        (b"%PDF-1.7\n", "PDF is not read: save it as PNG"),
        (b"<?xml version='1.0'?><html/>", "not a picture of a known format"),
        (png(1, (400, 300))[:200], "broken picture"),
        (encode(picture(1, (400, 400)), "JPEG")[:2000], "broken picture"),
        (png(1, (4, 40)), "too small"),
        (bomb(60_000, 60_000), "too many pixels"),
        (bomb(9_000, 9_000), "too many pixels, at most 64,000,000 are read"),
        (bomb(100, 100), "broken picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not a picture"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        clean(data, SMALL)


def test_missing_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="not found"):
        clean(tmp_path / "none.png", SMALL)
    with pytest.raises(PictureError, match="unreadable"):
        clean(tmp_path, SMALL)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 8, 16))
    data = encode(image.quantize(8), "PNG") if mode == "P" else encode(image.convert(mode), "PNG")
    got = clean(data, SMALL)
    assert (got.pixels[:, 9:] == 255).all()
    assert (got.pixels[:, :7] == 0).all()
    assert got.notes == ("transparent: on white",)


def test_half_transparent_colour_is_blended() -> None:
    got = clean(encode(Image.new("RGBA", (16, 16), (0, 0, 0, 128))), SMALL)
    assert got.pixels.mean() == pytest.approx(127, abs=1)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        got = clean(encode(Image.fromarray(ramp), kind), SMALL)
        np.testing.assert_allclose(got.pixels[..., 0], ramp / 257, atol=0.51)
        assert got.notes == ("deeper than 8 bits: scaled",)


def test_float_tiff_is_scaled() -> None:
    ramp = np.linspace(0, 1, 256).reshape(16, 16).astype(np.float32)
    got = clean(encode(Image.fromarray(ramp), "TIFF"), SMALL)
    np.testing.assert_allclose(got.pixels[..., 1], ramp * 255, atol=0.51)


def test_cmyk_grey_and_one_bit_become_rgb() -> None:
    red = clean(encode(Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK"), "JPEG"), SMALL)
    assert np.abs(red.pixels.reshape(-1, 3).mean(0) - [254, 0, 0]).max() < 4
    assert red.notes == ("CMYK to RGB",)
    assert (clean(encode(Image.new("L", (16, 16), 77)), SMALL).pixels == 77).all()
    assert (clean(encode(Image.new("1", (16, 16), 1)), SMALL).pixels == 255).all()


def test_animations_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    got = clean(data, SMALL)
    assert got.pixels.reshape(-1, 3).mean(0).tolist() == [255, 0, 0]
    assert "animated: first frame" in got.notes


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8] = (250, 10, 10)
    upright[:8, 8:] = (10, 250, 10)
    back = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(back(upright)))
    got = clean(encode(stored, "PNG", exif=exif), SMALL)
    np.testing.assert_array_equal(got.pixels, upright)
    assert ("turned by EXIF" in got.notes) == (orientation != 1)


def test_crop_keeps_the_centre_and_pad_keeps_all() -> None:
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = (0, 200, 0)
    data = encode(Image.fromarray(wide))
    cropped = clean(data, SMALL).pixels
    assert (cropped == (0, 200, 0)).all()
    padded = clean(data, Cleaning(size=48, fit="pad")).pixels
    assert (padded[:16] == 255).all()
    assert (padded[32:] == 255).all()
    np.testing.assert_array_equal(padded[16:32], wide)


@settings(max_examples=40)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    size=st.integers(1, 40),
    fit=st.sampled_from(["crop", "pad"]),
)
def test_any_shape_becomes_square(width: int, height: int, size: int, fit: Any) -> None:
    image = np.full((height, width, 3), (30, 60, 90), np.uint8)
    got = clean(image, Cleaning(size=size, fit=fit, min_side=1)).pixels
    assert got.shape == (size, size, 3)
    colours = set(map(tuple, got.reshape(-1, 3).tolist()))
    assert (30, 60, 90) in colours
    assert colours <= {(30, 60, 90), (255, 255, 255)}


@settings(max_examples=60)
@given(noise=st.binary(max_size=80), at=st.integers(0, 400))
def test_damaged_bytes_never_raise_anything_else(noise: bytes, at: int) -> None:
    data = bytearray(png(5, (30, 30)))
    data[at : at + len(noise)] = noise
    try:
        assert clean(bytes(data), SMALL).pixels.shape == (16, 16, 3)
    except PictureError as error:
        assert len(str(error)) < 60


def raw_png(depth: int, colour: int, row: bytes, extra: dict[bytes, bytes]) -> bytes:
    """A 16 x 8 PNG of equal rows, as its specification spells it."""
    head = struct.pack(">IIBBBBB", 16, 8, depth, colour, 0, 0, 0)
    body = zlib.compress((b"\0" + row) * 8)
    middle = b"".join(chunk(kind, data) for kind, data in extra.items())
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + middle + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("depth", "colour", "left", "right", "key", "shown"),
    [
        (1, 0, b"\xff", b"\0", b"\0\1", 0),
        (2, 0, b"\xaa\xaa", b"\x55\x55", b"\0\2", 85),
        (4, 0, b"\x77" * 4, b"\x33" * 4, b"\0\7", 51),
        (8, 0, b"\x77" * 8, b"\x33" * 8, b"\0\x77", 51),
        (16, 0, b"\x12\x34" * 8, b"\x33\x33" * 8, b"\x12\x34", 51),
        (8, 2, b"\1\2\3" * 8, b"\x33\x33\x33" * 8, b"\0\1\0\2\0\3", 51),
        (16, 2, b"\x12\x34\x56\x78\x9a\xbc" * 8, b"\x33" * 48, b"\x12\x34\x56\x78\x9a\xbc", 51),
    ],
)
def test_a_transparent_colour_is_white_at_every_depth(
    depth: int, colour: int, left: bytes, right: bytes, key: bytes, shown: int
) -> None:
    got = clean(raw_png(depth, colour, left + right, {b"tRNS": key}), Cleaning(size=8))
    assert (got.pixels[:, :3] == 255).all()
    assert (got.pixels[:, 5:] == shown).all()
    assert "transparent: on white" in got.notes


def centre(data: bytes) -> list[int]:
    return clean(data, SMALL).pixels[8, 8].astype(int).tolist()


def close(found: list[int], wanted: list[int], by: int) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= by


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_colours_become_srgb_by_their_profile(kind: str) -> None:
    image = Image.new("RGB", (32, 32), (144, 190, 80))
    data = encode(image, kind, icc_profile=rgb_profile(), quality=95)
    # AdobeRGB (144, 190, 80) is sRGB (120, 191, 69), by the matrices of both.
    assert close(centre(data), [120, 191, 69], 3)
    assert "colours to sRGB by the profile" in clean(data, SMALL).notes


def test_profiles_of_every_kind_of_picture() -> None:
    half = Image.new("RGBA", (32, 32), (144, 190, 80, 128))
    assert close(centre(encode(half, icc_profile=rgb_profile())), [187, 223, 162], 2)
    flat = Image.new("RGB", (32, 32), (144, 190, 80)).quantize(4)
    assert close(centre(encode(flat, icc_profile=rgb_profile())), [120, 191, 69], 2)
    # A grey of exponent 1 is linear light: 128 is 188 in sRGB.
    for mode in ("L", "LA"):
        data = encode(Image.new("L", (32, 32), 128).convert(mode), icc_profile=grey_profile(1.0))
        assert centre(data) == [188, 188, 188]
    deep = Image.fromarray(np.full((32, 32), 128 * 257, np.uint16))
    assert centre(encode(deep, icc_profile=grey_profile(1.0))) == [188, 188, 188]
    # An ink called cyan that prints sRGB (0, 255, 0), Lab (87.8, -79, 81) to D50.
    ink = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    data = encode(ink, "TIFF", icc_profile=cmyk_profile((224, 49, 209)))
    assert close(centre(data), [0, 255, 0], 16)
    lab = encode(Image.new("LAB", (32, 32), (224, 49, 209)), "TIFF")
    assert close(centre(lab), [0, 255, 0], 16)


def test_what_a_profile_cannot_change_stays_to_the_bit() -> None:
    image = picture(4, (16, 16))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, grey_profile(1.0), cmyk_profile((0, 0, 0)), b"nonsense"):
        got = clean(encode(image, icc_profile=profile), SMALL)
        np.testing.assert_array_equal(got.pixels, np.asarray(image))
        assert got.notes == (
            ("colour profile unreadable: ignored",) if profile == b"nonsense" else ()
        )


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ({b"gAMA": struct.pack(">I", 100_000)}, 188),
        ({b"gAMA": struct.pack(">I", 55_556)}, 147),
        ({b"gAMA": struct.pack(">I", 45_455)}, 128),
        ({b"gAMA": struct.pack(">I", 0)}, 128),
        ({b"sRGB": b"\0", b"gAMA": struct.pack(">I", 100_000)}, 128),
    ],
)
def test_the_gamma_of_a_png_counts(chunks: dict[bytes, bytes], wanted: int) -> None:
    for colour, row in ((0, b"\x80" * 16), (2, b"\x80" * 48)):
        got = clean(raw_png(8, colour, row, chunks), Cleaning(size=8)).pixels
        assert np.abs(got.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(("kind", "package"), [("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")])
def test_formats_of_plug_ins(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in = pytest.importorskip(package)
    if kind == "HEIF":
        plug_in.register_heif_opener()
    data = encode(Image.new("RGB", (32, 32), (200, 30, 60)), kind, quality=95)
    assert close(centre(data), [200, 30, 60], 4)
    _plugged_in.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    try:
        with pytest.raises(PictureError, match=rf"{kind} needs a decoder: .*limner\[formats\]"):
            clean(data, SMALL)
    finally:
        _plugged_in.cache_clear()


@pytest.mark.parametrize("name", ["a.jfif", "b.JPE", "c.apng", "d.HEIC", "e.jxl", "f.avif"])
def test_endings_of_pictures(name: str) -> None:
    assert is_picture(name)
    assert not is_picture(f"{name}.txt")


@pytest.mark.parametrize("name", ["a\0.png", "\ud800.png"])
def test_impossible_names_are_unreadable_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureError, match=r"unreadable file|not found"):
        clean(tmp_path / name, SMALL)


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(PictureError, match="not a regular file"):
        clean(tmp_path / "a.png", SMALL)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_do_not_darken_the_rest(odd: float) -> None:
    ramp = np.linspace(0, 200, 256).reshape(16, 16).astype(np.float32)
    plain = clean(encode(Image.fromarray(ramp), "TIFF"), SMALL).pixels
    ramp[0, 0] = odd
    got = clean(encode(Image.fromarray(ramp), "TIFF"), SMALL).pixels
    np.testing.assert_array_equal(got[1:], plain[1:])
