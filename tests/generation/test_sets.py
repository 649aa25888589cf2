"""Sets: drawings made alike, a list drawn as one set, near duplicates drawn otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.errors import DataError, UsageError
from limner.generation.evening import (
    LONGEST,
    OPTICAL_SIZE,
    SetLook,
    evened,
    evenness,
    palette_of,
    read_palette,
    recoloured,
)
from limner.generation.generator import Generator, load
from limner.generation.records import read_record
from limner.generation.replay import redraw_file, same_pixels
from limner.generation.set_folder import SetFolder, read_names
from limner.generation.sets import SetOptions, draw_set
from limner.generation.styles import Kind, StyleProfile, stroke
from tiny_models import save_tiny

SIDE = 128
RED, BLUE = (200, 30, 40), (30, 60, 190)


def disc(radius: int, x: int = 64, y: int = 64, colour=RED, line: int = 0) -> np.ndarray:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    box = (x - radius, y - radius, x + radius, y + radius)
    if line:
        pen.ellipse(box, outline=(0, 0, 0), width=line)
    else:
        pen.ellipse(box, fill=colour)
    return np.array(image)


def inked(pixels: np.ndarray) -> np.ndarray:
    return pixels.min(-1) < 230


def test_drawings_of_any_size_and_place_become_one_size_in_the_middle():
    for pixels in (disc(20, 40, 50), disc(55), disc(9, 110, 20)):
        mask = inked(evened(pixels, SetLook()))
        assert mask.sum() ** 0.5 / SIDE == pytest.approx(OPTICAL_SIZE, abs=0.03)
        rows, columns = np.nonzero(mask)
        assert abs(rows.mean() - 63.5) < 1.5 and abs(columns.mean() - 63.5) < 1.5
    bar = np.full((SIDE, SIDE, 3), 255, np.uint8)
    bar[60:66, 10:60] = RED
    columns = np.nonzero(inked(evened(bar, SetLook())))[1]
    assert columns.max() - columns.min() + 1 == pytest.approx(LONGEST * SIDE, abs=3)
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    full = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert (evened(blank, SetLook()) == blank).all() and (evened(full, SetLook()) == full).all()


def test_colours_become_those_of_the_palette_by_hue():
    palette = read_palette("#e76f51, #264653,#2a9d8f")
    both = disc(30, 40, colour=RED)
    both[inked(disc(20, 100, 100))] = BLUE
    found = recoloured(both, palette)
    wanted = np.round(palette * 255)
    assert np.abs(found[64, 40] - wanted[0]).max() < 6, "red becomes the red of the palette"
    assert min(np.abs(found[100, 100] - each).max() for each in wanted[1:]) < 6
    assert (found[0, 0] == 255).all()
    white_inside = disc(40)
    white_inside[60:70, 60:70] = 255
    assert (recoloured(white_inside, palette)[64, 64] == 255).all()
    own = palette_of([disc(30, colour=RED), disc(30, colour=BLUE)])
    assert len(own) == 2
    assert {tuple(each) for each in np.round(own * 255).astype(int)} == {RED, BLUE}


def test_lines_become_one_width():
    ink = np.zeros(3, np.float32)
    profile = StyleProfile(Kind.LINES, ink[None], ink, 0.06)
    look = SetLook(profile, None, 0.06)
    drawings = [disc(radius, line=line) for radius, line in ((50, 3), (35, 8), (55, 12))]
    before = [stroke([inked(each)])[0] for each in drawings]
    after = [stroke([inked(evened(each, look))])[0] for each in drawings]
    assert after == pytest.approx([0.06] * 3, abs=0.013)
    assert max(after) - min(after) < (max(before) - min(before)) / 3
    outlined = evened(disc(30), SetLook(outline=0.05, drawn_outline=True))
    dark = outlined.max(-1) < 60
    assert stroke([dark])[0] == pytest.approx(0.05, abs=0.012) and not dark[64, 64]


def test_how_much_alike_drawings_are_is_measured():
    alike = evenness([disc(40), disc(40, colour=RED)])
    assert alike.size == 0 and alike.margin == 0 and alike.palette < 1e-3
    radii = (20, 40)
    other = evenness([disc(radius) for radius in radii])
    assert other.size == pytest.approx(np.std(radii) / np.mean(radii), rel=0.05)
    with pytest.raises(UsageError, match="fewer than two"):
        evenness([disc(9), np.full((SIDE, SIDE, 3), 255, np.uint8)])


@pytest.mark.parametrize(
    ("palette", "said"), [("red", "'red' in the palette"), (",", "1 to 64"), ("#12345", "#ffcc00")]
)
def test_a_palette_is_colours_in_hex(palette: str, said: str):
    with pytest.raises(UsageError, match=said):
        read_palette(palette)
    assert np.allclose(read_palette("#f00"), [[1, 0, 0]])


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(save_tiny(tmp_path_factory.mktemp("sets") / "tiny.safetensors", "vae"))


OPTIONS = SetOptions("noto", avoid_duplicates=True, seed=5)
NAMES = "a cat\na dog\n\na red heart\n"


def folder(
    flow: Generator, out: Path, options: SetOptions = OPTIONS, names: str = NAMES
) -> SetFolder:
    jobs = read_names(names, "names.txt", options, Path())
    return SetFolder(jobs, out, options, load=lambda _: flow)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}


def test_a_set_that_was_interrupted_goes_on_to_the_same_files(flow: Generator, tmp_path: Path):
    whole = folder(flow, tmp_path / "whole")
    assert whole.run().drawn == 3 and whole.write_sheet() is not None
    pictures = contents(tmp_path / "whole")
    assert len(pictures) == 4
    entries = [json.loads(each) for each in
               (tmp_path / "whole" / "manifest.jsonl").read_text("utf-8").splitlines()]  # fmt: skip
    assert [each["name"] for each in entries] == ["a cat", "a dog", "a red heart"]
    assert {each["style"] for each in entries} == {"noto"}

    class StopError(Exception):
        pass

    def stop(done: float, total: float | None) -> None:
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        folder(flow, tmp_path / "cut").run(stop)
    rest = folder(flow, tmp_path / "cut")
    report = rest.run()
    rest.write_sheet()
    assert (report.kept, report.drawn) == (2, 1) and contents(tmp_path / "cut") == pictures
    other = replace(OPTIONS, palette=read_palette("#123456"))
    with pytest.raises(UsageError, match="another job"):
        folder(flow, tmp_path / "cut", other).run()
    (tmp_path / "cut" / "000001.png").write_bytes(b"\x89PNG cut short")
    (tmp_path / "cut" / "000002.png").unlink()
    with pytest.raises(DataError, match=r"000001\.png cannot be read .* remove it"):
        folder(flow, tmp_path / "cut").run()


def test_every_file_of_a_set_is_drawn_again_alone(flow: Generator, tmp_path: Path):
    options = SetOptions("noto", read_palette("#123456,#fed"), 0.05, avoid_duplicates=True, seed=5)
    drawing = folder(flow, tmp_path / "set", options, "a cat\na  cat\n")
    drawing.run()
    files = [tmp_path / "set" / name for name in ("000001.png", "000002.png")]
    for path, name in zip(files, ("a cat", "a  cat"), strict=True):
        record = read_record(path)
        assert record.member is not None and record.member.name == name
        assert record.member.palette == ("#123456", "#ffeedd") and record.member.outlined
        assert redraw_file(path, flow.path).same_as(path)
    plain = flow.generate(record.prompt, seed=record.seed, style="noto")[0]
    assert not same_pixels(path, plain.image), "the set has changed it"
    sheet = drawing.write_sheet()
    assert sheet is not None and redraw_file(sheet, flow.path).same_as(sheet)


def test_what_another_style_was_taken_for_is_drawn_again_alone(own_cache: None, tmp_path: Path):
    options = {"style": "solar-line", "avoid_duplicates": True, "drawing": {"size": 64}}
    pictures = list(load().draw_set(["bicycle", "bike"], **options))
    assert pictures[1].after is not None and pictures[1].member.palette
    for number, each in enumerate(pictures):
        path = each.finished.save(tmp_path / f"{number}.webp")
        assert redraw_file(path).same_as(path)
        assert same_pixels(path, each.image)


def test_icons_without_a_background_named_as_what_they_show_and_as_shapes(
    own_cache: None, tmp_path: Path
):
    options = SetOptions("noto", drawing={"size": 64, "transparent": True})
    names = "red heart\nflibbertigibbet\nSheet\nsheet!\n"
    jobs = read_names(names, "n.txt", options, Path(), by_name=True)
    assert [each.name(0) for each in jobs] == ["red-heart", "flibbertigibbet", "sheet-3", "sheet-4"]
    drawing = SetFolder(jobs[:2], tmp_path, options, load=lambda _: load())
    drawing.run()
    (said,) = drawing.messages
    assert said.startswith('"flibbertigibbet" is ')
    path = tmp_path / "red-heart.png"
    with Image.open(path) as image:
        seen = np.asarray(image)
    assert (seen[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()
    red = seen[32, 32].astype(int)
    assert red[3] == 255 and red[0] > 150 > red[1:3].max()
    assert redraw_file(path).same_as(path)
    shape, _ = drawing.write_shapes()
    assert read_record(shape) == read_record(path)
    assert drawing.write_sheet() == tmp_path / "sheet.png"


def test_a_near_duplicate_is_drawn_otherwise_and_said(flow: Generator, tmp_path: Path):
    same = SetOptions("noto", avoid_duplicates=True)
    pictures = list(draw_set(flow, ["a cat", "a  cat", "a dog"], same))  # the same words
    assert pictures[0].like is None and pictures[0].note == ""
    assert pictures[1].like == "a cat" and "a cat" in pictures[1].note
    if pictures[1].differs:
        assert pictures[1].picture.seed != 0 and "another seed" in pictures[1].note
    else:
        assert pictures[1].picture.seed == 0 and "no other drawing" in pictures[1].note
    plain = list(flow.draw_set(["a cat", "a  cat"], style="noto"))
    assert [each.like for each in plain] == [None, None]


def test_mistakes_are_told_in_one_sentence(flow: Generator):
    for names, said in (("", "no name"), ("cat\nCat\n", "stands there twice")):
        with pytest.raises(UsageError, match=said):
            read_names(names, "names.txt", OPTIONS, Path())
    with pytest.raises(UsageError, match="no style 'rembrandt'"):
        list(draw_set(flow, ["a cat"], SetOptions("rembrandt")))
    with pytest.raises(UsageError, match="outline of 3"):
        list(draw_set(flow, ["a cat"], SetOptions("noto", outline=3)))
