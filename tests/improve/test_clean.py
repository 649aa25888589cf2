"""Data sets checked and cleaned: whole runs over stores and files, with planted faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from improve.flat_pictures import SIDE, brighter, enlarged, scene
from limner.cli import build_app
from limner.data.pack import PackOptions
from limner.data.pictures import Cleaning
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.improve.check_page import check_page
from limner.improve.checked_source import FileSource, StoreSource, open_checked
from limner.improve.checks import CHECKS, read_thresholds
from limner.improve.clean import REMOVED, clean
from limner.improve.examination import CheckOptions, check
from limner.models.captioner import ScoredCaption


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sixty drawings with captions of their own, then one of each fault, then copies."""
    path = tmp_path_factory.mktemp("faulty") / "store"
    with StoreWriter(path, SIDE, "faulty", licences={"mine": "CC0-1.0"}) as writer:

        def add(key: str, pixels: np.ndarray, *texts: str, **facts: str) -> None:
            captions = [Caption(text) for text in texts or (f"shapes named {key}",)]
            writer.add(pixels, captions, {"id": key, **facts})

        for number in range(60):
            add(f"good-{number}", scene(number), split="test" if number >= 55 else "train")
        add("dark", (scene(100) * 0.1).astype(np.uint8))
        add("light", (230 + scene(101) * 0.1).astype(np.uint8))
        add("blank", np.full((SIDE, SIDE, 3), 90, np.uint8))
        add("blurred", enlarged(scene(102)))
        add("exact", scene(0), "the same once more")
        add("near", brighter(scene(1)), "nearly the same")
        add("leak", brighter(scene(57)))
        add("named", scene(103), "IMG_1.jpg")
        add("half-named", scene(104), "IMG_2.jpg", "boxes")
        return writer.finish()


def test_every_planted_fault_is_found_and_nothing_else(faulty: Store):
    found = check(StoreSource(faulty.path))
    issues = {found.keys[f.item]: f.issue for f in found.findings}
    assert issues == {
        "dark": "dark", "light": "light", "blank": "blank", "blurred": "blurred",
        "exact": "exact-duplicate", "near": "near-duplicate", "leak": "leak",
        "named": "placeholder",
    }  # fmt: skip
    assert found.held == 5
    assert {row["check"] for row in found.table()} == {each.name for each in CHECKS}


def test_clean_writes_what_is_left_names_the_rest_and_leaves_the_source(faulty: Store, tmp_path):
    before = {file.name: file.read_bytes() for file in faulty.path.iterdir()}
    report = clean(check(StoreSource(faulty.path)), tmp_path / "cleaned")
    assert {file.name: file.read_bytes() for file in faulty.path.iterdir()} == before
    assert report.kept == 61
    assert report.dropped == 1
    keys = report.store.column("id")
    assert keys == [*(f"good-{n}" for n in range(60)), "half-named"]
    assert [c.text for c in report.store.captions(60)] == ["boxes"]
    assert [c.text for c in report.store.captions(0)] == [
        "shapes named good-0",
        "the same once more",
    ]
    assert report.store.metadata(1)["joined"] == ["near"]
    lines = (tmp_path / "cleaned" / REMOVED).read_text("utf-8").splitlines()
    removed = {line["item"]: line for line in map(json.loads, lines)}
    assert list(removed) == [
        "dark", "light", "blank", "blurred", "exact", "near", "leak", "named",
    ]  # fmt: skip
    assert removed["dark"]["score"] < removed["dark"]["threshold"] == 0.25
    assert removed["near"]["detail"] == "good-1"
    assert check(StoreSource(tmp_path / "cleaned")).removals() == {}


def test_pictures_that_look_alike_but_are_said_to_differ_must_be_nearer(tmp_path):
    """A patch is added: 0.3 of the usual distance, between the two thresholds."""
    with StoreWriter(tmp_path / "alike", SIDE, "alike", licences={"mine": "CC0-1.0"}) as writer:
        for number in range(60):
            writer.add(scene(number), [Caption(f"card {number}")], {"id": f"card-{number}"})
        for number, text in ((4, "Card  4"), (5, "card five"), (6, "IMG_6.jpg")):
            patched = scene(number)
            patched[28:36, 28:36] = (250, 220, 0)
            writer.add(patched, [Caption(text)], {"id": f"patched-{number}"})
        brighter_one = brighter(scene(7))
        writer.add(brighter_one, [Caption("card seven")], {"id": "brighter-7"})
        writer.finish()
    found = check(StoreSource(tmp_path / "alike"), CheckOptions(read_thresholds(["blurred=0"])))
    removed = {found.keys[item] for item, _ in found.removals().items()}
    alike = {found.keys[each.item] for each in found.of("near-duplicate")}
    assert alike == {"patched-4", "patched-6", "brighter-7"}
    assert removed == alike


def test_pictures_with_a_fault_stay_where_that_is_asked(faulty: Store, tmp_path):
    found = check(StoreSource(faulty.path), CheckOptions(read_thresholds(["dark=0.05"])))
    assert not found.of("dark")
    report = clean(found, tmp_path / "kept", keep=["blurred", "exact-duplicate"])
    assert {"dark", "blurred", "exact"} <= set(report.store.column("id"))


def test_the_page_shows_the_faults(faulty: Store):
    page = check_page(check(StoreSource(faulty.path)), "a <title>")
    assert page.count("data:image/png;base64,") >= 8
    assert "a &lt;title&gt;" in page
    assert all(check.name in page for check in CHECKS)


def test_wrong_classes_are_found(tmp_path):
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", 16, "classes") as writer:
        for number in range(96):
            red = number % 2 == 0
            noise = rng.integers(0, 60, (16, 16, 3))
            pixels = (noise + np.array([180, 20, 20] if red else [20, 20, 180])).astype(np.uint8)
            wrong = number < 4
            text = "a red thing" if red != wrong else "a blue thing"
            writer.add(pixels, [Caption(text)], {"id": str(number)})
        store = writer.finish()
    options = CheckOptions(read_thresholds(["wrong-class=0.4", "blurred=0"]), near=False)
    found = check(StoreSource(store.path), options)
    assert {finding.item for finding in found.of("wrong-class")} == set(range(4))


@pytest.fixture
def files(tmp_path) -> Path:
    """Unusual pictures that are right, and files that are not."""
    folder = tmp_path / "files"
    folder.mkdir()

    def save(name: str, image: Image.Image, caption: str | None = None, **how: object) -> None:
        image.save(folder / name, **how)
        if caption != "":
            text = caption or f"shapes number {len(list(folder.iterdir()))}"
            (folder / name).with_suffix(".txt").write_text(text, "utf-8")

    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [Image.fromarray(scene(number, 128)) for number in range(12)]
    save("plain.png", pictures[0])
    save("turned.jpg", pictures[1], exif=exif, quality=95)
    save("cmyk.jpg", pictures[2].convert("CMYK"), quality=95)
    deep = np.asarray(pictures[3].convert("L")).astype(np.uint16) * 257
    save("deep.tiff", Image.fromarray(deep))
    save("clear.png", pictures[4].convert("RGBA"))
    save("moving.gif", pictures[5], save_all=True, append_images=[pictures[6]], duration=100)
    save("tiny.png", pictures[7].resize((20, 20)))
    save("banner.png", pictures[8].resize((600, 90)))
    save("silent.png", pictures[9], caption="")
    save("cut.png", pictures[10])
    data = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    save("bomb.png", pictures[11])
    (folder / "bomb.png").write_bytes(data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:])
    (folder / "notes.md").write_text("not a picture")
    return folder


def file_source(folder: Path) -> FileSource:
    return FileSource(folder, PackOptions(cleaning=Cleaning(size=64, min_side=1), workers=1))


def test_files_of_every_kind_are_reported_and_none_stops_the_check(files: Path, tmp_path):
    found = check(file_source(files))
    issues = {(found.keys[f.item], f.issue) for f in found.findings}
    wanted = {
        ("tiny.png", "small"), ("banner.png", "shape"), ("silent.png", "no-caption"),
        ("cut.png", "unreadable"), ("bomb.png", "unreadable"),
    }  # fmt: skip
    assert wanted <= issues
    right = {"plain.png", "turned.jpg", "cmyk.jpg", "deep.tiff", "clear.png", "moving.gif"}
    assert not {name for name, _ in issues} & right
    assert list(found.unused) == ["notes.md"]
    assert {"turned by EXIF", "CMYK to RGB", "animated: first frame"} <= set(found.notes)
    report = clean(found, tmp_path / "store")
    assert right <= set(report.store.column("id"))
    page = check_page(found, "files")
    assert "data:image/png" in page
    assert "notes.md" in page


def test_of_two_files_the_larger_stays(tmp_path):
    large = Image.fromarray(scene(3, 256))
    large.save(tmp_path / "b.png")
    large.resize((100, 100), Image.Resampling.LANCZOS).save(tmp_path / "a.png")
    for number in range(4, 8):
        Image.fromarray(scene(number, 128)).save(tmp_path / f"other-{number}.png")
    found = check(file_source(tmp_path))
    assert [found.keys[finding.item] for finding in found.of("near-duplicate")] == ["a.png"]


def test_under_exposure_that_leaves_hardly_any_contrast_is_dark_too(tmp_path):
    rng = np.random.default_rng(0)
    faint = np.full((SIDE, SIDE, 3), 20, np.uint8)
    faint[20:50, 20:50] += 3
    even = np.clip(rng.normal(20, 0.7, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    with StoreWriter(tmp_path / "store", SIDE, "dim") as writer:
        for name, pixels in (("faint", faint), ("even", even), ("good", scene(1))):
            writer.add(pixels, [Caption(f"named {name}")], {"id": name})
        store = writer.finish()
    found = check(StoreSource(store.path))
    issues = {(found.keys[finding.item], finding.issue) for finding in found.findings}
    assert issues == {("faint", "blank"), ("faint", "dark"), ("even", "blank")}


def test_missing_captions_are_written_on_request(files: Path, tmp_path):
    class Says:
        spec, fingerprint = "says", "0"

        def caption(self, pixels, language=None, count=1):
            return [ScoredCaption("boxes of many colours")]

    report = clean(check(file_source(files)), tmp_path / "store", captioner=Says())
    row = report.store.column("id").index("silent.png")
    assert [c.text for c in report.store.captions(row)] == ["boxes of many colours"]
    assert report.filled == 1


def test_a_folder_without_any_caption_can_be_checked(tmp_path):
    for number in range(3):
        Image.fromarray(scene(number)).save(tmp_path / f"{number}.png")
    found = check(file_source(tmp_path))
    assert len(found.of("no-caption")) == 3
    assert found.captions[""] == 0
    with pytest.raises(DataError, match="no picture to pack"):
        clean(found, tmp_path / "store")


def test_held_out_pictures_of_another_store(faulty: Store, tmp_path):
    with StoreWriter(tmp_path / "held", SIDE, "held") as writer:
        writer.add(brighter(scene(5)), [Caption("held out")])
        writer.finish()
    found = check(StoreSource(faulty.path), CheckOptions(holdout=open_checked(tmp_path / "held")))
    assert {found.keys[f.item] for f in found.of("leak")} == {"leak", "good-5"}


@pytest.mark.parametrize("given", ["darkness=1", "dark", "dark=x", "dark=7", "unreadable=1"])
def test_thresholds_that_make_no_sense_are_refused(given):
    with pytest.raises(UsageError):
        read_thresholds([given])


def test_the_commands(faulty: Store, tmp_path):
    def run(*words: object) -> int:
        return CliRunner().invoke(build_app(), ["data", *map(str, words)]).exit_code

    def told(*words: object) -> str:
        return str(CliRunner().invoke(build_app(), ["data", *map(str, words)]).output)

    page = tmp_path / "report.html"
    how = ("--aligner", "none", "--quiet")
    found = json.loads(told("check", faulty.path, *how, "--json", "--page", page))
    assert found["to_remove"] == 8
    words = told("check", faulty.path, *how)
    assert "near-duplicate: near (like good-1)" in words
    assert "--page report.html" in words
    assert page.is_file()
    out = tmp_path / "out"
    assert "61 pictures; 8 left out" in told("clean", faulty.path, "--out", out, *how)
    assert run("clean", faulty.path, "--out", out, *how) == 2
    assert run("check", faulty.path, *how, "--threshold", "dark=9") == 2
    assert run("check", tmp_path / "nothing", *how) == 2
    assert run("clean", faulty.path, "--out", tmp_path / "b", *how, "--keep", "darkness") == 2
    assert not (tmp_path / "b").exists()
