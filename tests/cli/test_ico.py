"""Icons of sites and applications, in several sizes."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import DataError, UsageError
from limner.generation.ico import largest_file, to_ico
from limner.generation.records import read_record
from limner.generation.replay import same_pixels


def disc(side: int, mode: str = "RGBA") -> Image.Image:
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    inside = (x**2 + y**2 < (0.4 * side) ** 2)[..., None]
    pixels = np.where(inside, (250, 20, 40, 255), (0, 0, 0, 0)).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("side", "sizes"), [(256, {16, 24, 32, 48, 64, 128, 256}), (40, {16, 24, 32, 40}), (16, {16})]
)
def test_other_programs_read_every_size(side: int, sizes: set[int], mode: str):
    with Image.open(BytesIO(to_ico(disc(side, mode), {}))) as found:
        assert found.format == "ICO"
        assert found.info["sizes"] == {(each, each) for each in sizes}
        for each in sizes:
            frame = found.ico.getimage((each, each))  # type: ignore[attr-defined]
            middle = frame.getpixel((each // 2, each // 2))
            assert frame.mode == mode and middle[:3] == (250, 20, 40)
            if mode == "RGBA":
                assert frame.getpixel((0, 0))[3] == 0
        assert np.array_equal(np.asarray(found.convert(mode)), np.asarray(disc(side, mode)))


@pytest.mark.parametrize(("mode", "bits"), [("RGB", 24), ("RGBA", 32)])
@pytest.mark.parametrize("side", [256, 255, 64, 16])
def test_the_directory_is_that_of_the_format(side: int, mode: str, bits: int):
    """ICONDIR and ICONDIRENTRY: files one after the other, a side of 256 as 0."""
    data = to_ico(disc(side, mode), {})
    reserved, kind, count = struct.unpack_from("<HHH", data)
    assert (reserved, kind) == (0, 1)
    at = 6 + 16 * count
    for number in range(count):
        width, height, *rest, size, start = struct.unpack_from("<BBBBHHII", data, 6 + 16 * number)
        assert rest == [0, 0, 1, bits] and width == height and start == at
        with Image.open(BytesIO(data[start : start + size])) as file:
            assert file.format == "PNG" and file.width % 256 == width
        at += size
    assert at == len(data)
    with Image.open(BytesIO(largest_file(data))) as largest:
        assert largest.size == (side, side)


def test_a_drawn_icon_carries_its_record(cli, tiny_model: Path, tmp_path: Path):
    words = ("--model", tiny_model, "--transparent", "--size", "64")
    assert cli("generate", "a cat", *words, "--seed", "3", "--out", "a.ico").code == 0
    record = read_record(tmp_path / "a.ico")
    assert (record.prompt, record.seed, record.settings.size) == ("a cat", 3, 64)
    again = cli("replay", "a.ico", "--out", "b.png", "--model", tiny_model)
    assert again.code == 0, again.err
    with Image.open(tmp_path / "b.png") as image:
        assert same_pixels(tmp_path / "a.ico", image)
        image.putpixel((30, 30), (1, 2, 3, 255))
        assert not same_pixels(tmp_path / "a.ico", image)


def test_what_an_icon_cannot_hold_is_said_before_it_is_drawn(cli, tiny_model: Path, tmp_path: Path):
    result = cli("generate", "a cat", "--model", tiny_model, "--size", "512", "--out", "a.ico")
    assert result.code == 2 and "at most 256 x 256 pixels, not one of 512 x 512" in result.err
    assert result.err.count("\n") == 1
    sheet = cli("generate", "a cat", "--model", tiny_model, "--n", "2", "--grid", "--out", "a.ico")
    assert sheet.code == 2 and "cannot be an ico" in sheet.err
    assert not (tmp_path / "a.ico").exists()
    with pytest.raises(UsageError, match="square"):
        to_ico(Image.new("RGB", (20, 30)), {})


@pytest.mark.parametrize("data", [
    b"", b"\0\0\1\0", b"\0\0\1\0\3\0" + bytes(16), b"\0\0\1\0\0\0",
    struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 999, 22) + b"no picture",
])  # fmt: skip
def test_damaged_icons_are_refused(data: bytes, tmp_path: Path):
    path = tmp_path / "a.ico"
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_record(path)
