"""Finding pictures: exact, incremental, whole or not at all, and never outside its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.store import Caption
from limner.data.writer import StoreWriter
from limner.errors import DataError, UsageError
from limner.reading import search
from limner.reading.aligner import OwnAligner
from limner.reading.search import Neighbours, PictureIndex, build_index
from limner.reading.sources import FolderSource
from tiny_models import save_tiny

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220)}


class Counting(OwnAligner):
    """The real thing, which counts the pictures that it looks at."""

    seen = 0

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return super().encode_images(images)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("aligner") / "aligner.safetensors", "aligner")


@pytest.fixture
def aligner(model: Path) -> Counting:
    return Counting(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    (place / "deep").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(place / "deep" / f"{name}.png")
    (place / "deep" / "red.txt").write_text("a red field\nanother line\n", "utf-8")
    (place / "broken.png").write_bytes(b"no picture")
    return place


def test_a_picture_finds_itself_first_and_words_rank_by_the_cosine(folder, aligner, tmp_path):
    index = build_index(folder, tmp_path / "index", aligner)
    assert [e.name for e in index.entries] == ["deep/blue.png", "deep/green.png", "deep/red.png"]
    assert index.header.skipped == {"broken.png": "not a picture of a known format"}
    hits = index.by_picture(folder / "deep" / "red.png", 2)
    assert hits[0].name == "deep/red.png" and hits[0].caption == "a red field"
    assert hits[0].score == pytest.approx(1, abs=1e-5) and hits[1].score < hits[0].score
    pixels = [FolderSource(folder).pixels([e.name])[0] for e in index.entries]
    seen = aligner.encode_images(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1)
    wanted = (seen @ aligner.encode_texts(["some words"])[0]).sort(descending=True)
    found = index.by_text("some words", 9)
    assert [hit.name for hit in found] == [index.entries[i].name for i in wanted.indices.tolist()]
    np.testing.assert_allclose([hit.score for hit in found], wanted.values, atol=1e-6)


def test_only_new_and_changed_pictures_are_encoded(folder, aligner, tmp_path):
    out = tmp_path / "index"
    build_index(folder, out, aligner)
    assert aligner.seen == 3
    build_index(folder, out, aligner)
    assert aligner.seen == 3
    Image.new("RGB", (50, 50), "yellow").save(folder / "yellow.png")
    Image.new("RGB", (44, 44), "black").save(folder / "deep" / "blue.png")
    (folder / "deep" / "green.png").unlink()
    index = build_index(folder, out, aligner)
    assert aligner.seen == 5
    assert [e.name for e in index.entries] == ["deep/blue.png", "deep/red.png", "yellow.png"]
    fresh = build_index(folder, tmp_path / "fresh", aligner)
    assert np.array_equal(fresh._near.vectors, index._near.vectors)
    assert len(list(out.iterdir())) == 3, "old files are left"


def test_what_dies_half_way_leaves_the_old_index(folder, aligner, tmp_path, monkeypatch):
    out = tmp_path / "index"
    before = build_index(folder, out, aligner).by_text("red", 3)
    Image.new("RGB", (50, 50), "yellow").save(folder / "yellow.png")

    def full(*arguments: object) -> None:
        raise DataError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(search, "write_json", full)
        with pytest.raises(DataError, match="disk full"):
            build_index(folder, out, aligner)
    assert PictureIndex(out, aligner).by_text("red", 3) == before


def test_a_store_is_indexed_by_its_rows(aligner, tmp_path):
    with StoreWriter(tmp_path / "store", 16, "three", licences={"made-up": "CC0-1.0"}) as writer:
        for number, (name, colour) in enumerate(COLOURS.items()):
            pixels = np.full((16, 16, 3), colour, np.uint8)
            captions = [Caption("a colour", "en", 0.5), Caption(name, "en", 1.0)]
            writer.add(pixels, captions, {"id": number})
        writer.finish()
    index = build_index(tmp_path / "store", tmp_path / "index", aligner)
    Image.new("RGB", (16, 16), COLOURS["green"]).save(tmp_path / "asked.png")
    hit = index.by_picture(tmp_path / "asked.png", 1)[0]
    assert (hit.name, hit.caption) == ("1", "green")
    assert index.pictures([hit])[0].getpixel((8, 8)) == COLOURS["green"]


def test_the_graph_finds_what_the_exact_search_finds(tmp_path):
    pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact, graph = Neighbours(vectors), Neighbours(vectors, tmp_path / "g.usearch")
    again = Neighbours(vectors, tmp_path / "g.usearch")
    same = 0
    for wanted in vectors[:50] + 0.1 * rng.standard_normal((50, 32)).astype(np.float32):
        rows, scores = exact.nearest(wanted, 10)
        theirs, their_scores = graph.nearest(wanted, 10)
        same += len(set(rows.tolist()) & set(theirs.tolist()))
        assert np.all(np.diff(scores) <= 0) and np.all(np.diff(their_scores) <= 0)
        np.testing.assert_allclose(their_scores, vectors[theirs] @ wanted, atol=1e-6)
        assert np.array_equal(again.nearest(wanted, 10)[0], theirs)
    assert same / 500 >= 0.95


def test_a_large_index_keeps_its_graph_beside_it(folder, aligner, tmp_path, monkeypatch):
    pytest.importorskip("usearch")
    monkeypatch.setattr(search, "EXACT_BELOW", 2)
    out = tmp_path / "index"
    index = build_index(folder, out, aligner)
    assert (out / f"graph-{index.header.files}.usearch").is_file()
    assert index.by_picture(folder / "deep" / "red.png", 1)[0].name == "deep/red.png"


def test_an_index_from_elsewhere_reads_nothing_outside_its_folder(folder, aligner, tmp_path):
    Image.new("RGB", (9, 9), "red").save(tmp_path / "secret.png")
    source = FolderSource(folder)
    outside = ["../secret.png", str(tmp_path / "secret.png"), "deep/../../secret.png"]
    assert source.pixels(outside) == ["path leads outside the source"] * 3
    out = tmp_path / "index"
    index = build_index(folder, out, aligner)
    header = json.loads((out / "index.json").read_text("utf-8"))
    (out / "index.json").write_text(json.dumps({**header, "files": "../../x"}), "utf-8")
    with pytest.raises(DataError, match="not the header of an index"):
        PictureIndex(out, aligner)
    assert index.header.files == header["files"]


def test_damage_and_mistakes_are_named(folder, aligner, tmp_path):
    out = tmp_path / "index"
    with pytest.raises(DataError, match="there is no index in"):
        PictureIndex(out, aligner)
    index = build_index(folder, out, aligner)
    with pytest.raises(UsageError, match="one or more"):
        index.by_text("x", 0)
    with pytest.raises(DataError, match="cannot be read as a picture: not a picture"):
        index.by_picture(folder / "broken.png")
    vectors = out / f"vectors-{index.header.files}.npy"
    np.save(vectors, np.zeros((3, 5), np.float32))
    with pytest.raises(DataError, match="damaged"):
        PictureIndex(out, aligner)
    build_index(folder, out, aligner)
    other = save_tiny(tmp_path / "other.safetensors", "aligner", seed=1)
    with pytest.raises(DataError, match="another aligner"):
        PictureIndex(out, OwnAligner(other))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="there is no picture in"):
        build_index(tmp_path / "nothing", out, aligner)


def test_the_commands_index_and_find(folder, model, tmp_path):
    out, sheet = tmp_path / "index", tmp_path / "found.png"
    assert "3 pictures" in run("index", folder, "--out", out, "--aligner", model, "--quiet")
    found = json.loads(run("search", out, "red", "-n", 2, "--json", "--out", sheet))
    assert len(found) == 2 and {"name", "score", "caption"} == set(found[0])
    assert Image.open(sheet).width > 2 * 256
    mine = run("search", out, "--image", folder / "deep" / "blue.png", "-n", 1)
    assert mine.split() == ["1.000", "deep/blue.png"]
    both = CliRunner().invoke(build_app(), ["search", str(out), "x", "--image", "y.png"])
    assert isinstance(both.exception, SystemExit) and both.exit_code == 2


def test_texts_are_told_apart_by_the_cosine_and_the_chances_sum_to_one(folder, aligner, model):
    texts = ["a red field", "蓝色", "a dog"]
    found = search.classify(aligner, folder / "deep" / "red.png", texts)
    assert sorted(each.text for each in found) == sorted(texts)
    assert sum(each.chance for each in found) == pytest.approx(1)
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)
    hits = build_index(folder, folder.parent / "index", aligner).by_text("a dog", 9)
    alone = next(hit.score for hit in hits if hit.name == "deep/red.png")
    assert next(e.score for e in found if e.text == "a dog") == pytest.approx(alone, abs=1e-6)
    with pytest.raises(UsageError, match="at least one text"):
        search.classify(aligner, folder / "deep" / "red.png", [])
    arguments = ["classify", str(folder / "deep" / "red.png"), "--aligner", str(model), "--json"]
    done = CliRunner().invoke(build_app(), [*arguments, *(w for t in texts for w in ("--as", t))])
    rows = json.loads(done.stdout)["texts"]
    assert [row["text"] for row in rows] == [each.text for each in found]


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else " ".join(done.output.split())


def test_only_files_of_its_own_index_are_replaced(folder, aligner, tmp_path):
    out = tmp_path / "index"
    build_index(folder, out, aligner)
    mine = ["entries-march.jsonl", "vectors-2023.npy", "vectors-0123abcd.npy", "graph-x.usearch"]
    for name in mine:
        (out / name).write_text("mine", "utf-8")
    (folder / "deep" / "blue.png").unlink()
    index = build_index(folder, out, aligner)
    own = {"index.json", *(path.name for path in index.header.paths(out)[:2])}
    assert {path.name for path in out.iterdir()} == own | set(mine)


@pytest.mark.parametrize("text", ["{}", "not JSON", "[1, 2]", '{"name": "my site"}', "[" * 100_000])
def test_an_index_json_of_somebody_else_is_not_replaced(folder, aligner, tmp_path, text: str):
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"not the header of an index.*name another folder"):
        build_index(folder, out, aligner)
    assert (out / "index.json").read_text("utf-8") == text and len(list(out.iterdir())) == 1
    assert aligner.seen == 0
    with pytest.raises(DataError, match="is a file, and an index is a folder"):
        build_index(folder, out / "index.json", aligner)


def test_what_fails_half_way_leaves_nothing_new(folder, aligner, tmp_path, monkeypatch):
    out = tmp_path / "index"
    build_index(folder, out, aligner)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    Image.new("RGB", (50, 50), "yellow").save(folder / "yellow.png")
    (out / "index.json").unlink()
    (out / "index.json").mkdir()
    with pytest.raises(DataError):
        build_index(folder, out, aligner)
    (out / "index.json").rmdir()
    del before["index.json"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_index_is_searched_from_any_folder(folder, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = Path(os.path.relpath(model, tmp_path))
    run("index", "pictures", "--out", "index", "--aligner", model, "-q")
    monkeypatch.chdir("/")
    found = json.loads(run("search", tmp_path / "index", "red", "--json"))
    assert len(found) == 3
    run("search", tmp_path / "index", "red", "--out", tmp_path / "found.png")
    assert Image.open(tmp_path / "found.png").width > 64
    copy = tmp_path / "moved.safetensors"
    copy.write_bytes((tmp_path / model).read_bytes())
    again = run("search", tmp_path / "index", "red", "--json", "--aligner", copy)
    assert json.loads(again) == found


NAMES = [b"caf\xe9.png", b"two\nlines.png", b" spaces .png", b"back\\slash.png", b"e\xcc\x81.png",
         b"\xe2\x80\xa8.png", b"x" * 250 + b".png", b"100%.PNG"]  # fmt: skip


def test_any_file_name_is_indexed_found_and_shown(model, aligner, tmp_path):
    (tmp_path / "in").mkdir()
    for name in NAMES:
        Image.new("RGB", (9, 9), "red").save(tmp_path / "in" / os.fsdecode(name))
    index = build_index(tmp_path / "in", tmp_path / "index", aligner)
    assert sorted(os.fsencode(each.name) for each in index.entries) == sorted(NAMES)
    hits = PictureIndex(tmp_path / "index", aligner).by_text("red", 99)
    assert all(picture.getpixel((128, 128)) == (255, 0, 0) for picture in index.pictures(hits))
    build_index(tmp_path / "in", tmp_path / "index", aligner)
    assert aligner.seen == len(NAMES)
    printed = run("search", tmp_path / "index", "red", "-n", 99)
    assert len(printed.splitlines()) == len(NAMES)
    assert sorted(os.fsencode(hit["name"]) for hit in json.loads(
        run("search", tmp_path / "index", "red", "-n", 99, "--json")
    )) == sorted(NAMES)  # fmt: skip


def test_a_source_with_a_name_that_is_no_utf8_is_indexed(aligner, tmp_path):
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    source.mkdir()
    Image.new("RGB", (9, 9), "red").save(source / "a.png")
    (source / os.fsdecode(b"bro\xe9ken.png")).write_bytes(b"no picture")
    build_index(source, tmp_path / "index", aligner)
    header = PictureIndex(tmp_path / "index", aligner).header
    assert header.source == str(source) and list(header.skipped) == [os.fsdecode(b"bro\xe9ken.png")]


def test_captions_of_an_index_are_those_of_the_folder_reader(aligner, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.png", "b.png", "IMG.PNG", "cat.png", "cat.jpg", "none.png"):
        Image.new("RGB", (9, 9), "red").save(place / name)
    (place / "a.txt").write_bytes("\ufeffa red\u2028square\r\nanother\r\n".encode())
    (place / "b.zh.txt").write_text("红", "utf-8")
    (place / "b.en.txt").write_text("red", "utf-8")
    (place / "IMG.TXT").write_text("upper case", "utf-8")
    (place / "cat.jpg.txt").write_text("the photograph", "utf-8")
    (place / "cat.png.caption").write_text("the drawing", "utf-8")
    index = build_index(place, tmp_path / "index", aligner)
    captions = {each.name: each.caption for each in index.entries}
    assert captions.pop("a.png").split() == ["a", "red", "square"]
    assert captions == {
        "b.png": "red", "IMG.PNG": "upper case", "cat.jpg": "the photograph",
        "cat.png": "the drawing", "none.png": "",
    }  # fmt: skip


def test_links_are_followed_and_what_leads_nowhere_is_named(folder, aligner, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "r.png").symlink_to(folder / "deep" / "red.png")
    (links / "all").symlink_to(folder)
    (links / "all-again").symlink_to(links)
    (links / "gone.png").symlink_to(tmp_path / "nothing")
    index = build_index(links, tmp_path / "index", aligner)
    names = [each.name for each in index.entries]
    assert names == ["all/deep/blue.png", "all/deep/green.png", "all/deep/red.png", "r.png"]
    assert set(index.header.skipped) == {"all-again", "all/broken.png", "gone.png"}
    hits = index.by_picture(folder / "deep" / "red.png", 2)
    assert {hit.name for hit in hits} == {"all/deep/red.png", "r.png"}
    assert index.pictures(hits)[0].getpixel((128, 128)) == COLOURS["red"]


def test_a_file_replaced_by_one_of_its_size_and_time_is_encoded_anew(folder, aligner, tmp_path):
    picture = folder / "deep" / "red.png"
    build_index(folder, tmp_path / "index", aligner)
    before, text = picture.stat(), picture.read_bytes()
    Image.new("RGB", (40, 30), (30, 30, 220)).save(tmp_path / "blue.png")
    blue = (tmp_path / "blue.png").read_bytes()
    assert len(blue) == len(text)
    picture.write_bytes(blue)
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen = aligner.seen
    index = build_index(folder, tmp_path / "index", aligner)
    assert aligner.seen == seen + 1
    assert index.by_picture(tmp_path / "blue.png", 1)[0].name == "deep/red.png"


@pytest.mark.parametrize("size", [0, 10, 5000, -1])
def test_a_torn_graph_is_made_again_or_done_without(size, folder, aligner, tmp_path, monkeypatch):
    pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = tmp_path / "g.usearch"
    Neighbours(vectors, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert Neighbours(vectors, path, build=False).exact and path.read_bytes() == whole[:size]
    again = Neighbours(vectors, path)
    assert not again.exact and again.nearest(vectors[3], 1)[0][0] == 3
    assert len(path.read_bytes()) == len(whole)
    assert not Neighbours(vectors[:200], path).exact, "of other vectors: made again"

    monkeypatch.setattr(search, "EXACT_BELOW", 2)
    index = build_index(folder, tmp_path / "index", aligner)
    hits = index.by_text("red", 3)
    graph = index.header.paths(tmp_path / "index")[2]
    graph.write_bytes(graph.read_bytes()[:-1][:size])
    with pytest.warns(UserWarning, match="every picture is compared"):
        found = PictureIndex(tmp_path / "index", aligner).by_text("red", 3)
    assert [hit.name for hit in found] == [hit.name for hit in hits]
    build_index(folder, tmp_path / "index", aligner)
    PictureIndex(tmp_path / "index", aligner)


def test_a_graph_with_a_wrong_bit_is_not_opened(folder, aligner, tmp_path, monkeypatch):
    pytest.importorskip("usearch")
    monkeypatch.setattr(search, "EXACT_BELOW", 2)
    out = tmp_path / "index"
    graph = build_index(folder, out, aligner).header.paths(out)[2]
    whole = graph.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        graph.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        with pytest.warns(UserWarning, match="every picture is compared"):
            assert len(PictureIndex(out, aligner).by_text("red", 3)) == 3
    build_index(folder, out, aligner)
    assert not PictureIndex(out, aligner)._near.exact, "it is made again"
    graph.with_suffix(".crc32").unlink()  # of an older limner
    assert not PictureIndex(out, aligner)._near.exact


KILLED = """
import os, signal, sys
from pathlib import Path
from limner.reading import search
from limner.reading.aligner import OwnAligner

search.np.save = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
search.build_index(Path(sys.argv[1]), Path(sys.argv[2]), OwnAligner(Path(sys.argv[3])))
"""


def test_what_a_killed_run_leaves_is_removed_by_the_next(folder, aligner, model, tmp_path):
    out = tmp_path / "index"
    build_index(folder, out, aligner)
    before = {path.name for path in out.iterdir()}
    (out / "vectors-0123abcd.npy").write_text("mine", "utf-8")
    (out / ".mine.part").write_text("mine", "utf-8")
    Image.new("RGB", (50, 50), "yellow").save(folder / "yellow.png")
    words = [sys.executable, "-c", KILLED, str(folder), str(out), str(model)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert len({path.name for path in out.iterdir()} - before) > 4
    assert len(PictureIndex(out, aligner).entries) == 3, "the old index is not there any more"
    (folder / "yellow.png").unlink()
    build_index(folder, out, aligner)
    assert {path.name for path in out.iterdir()} - before == {"vectors-0123abcd.npy", ".mine.part"}


@pytest.mark.parametrize("line", ["", "[]", '{"name": 3, "stamp": "", "caption": ""}', "{}", '"x"'])
def test_damaged_entries_are_one_sentence_and_made_again(line, folder, aligner, tmp_path):
    index = build_index(folder, tmp_path / "index", aligner)
    entries = index.header.paths(tmp_path / "index")[0]
    lines = entries.read_text("utf-8").splitlines()
    entries.write_text("\n".join([line, *lines[1:]]), "utf-8")
    with pytest.raises(DataError, match="damaged"):
        PictureIndex(tmp_path / "index", aligner)
    build_index(folder, tmp_path / "index", aligner)
    assert len(PictureIndex(tmp_path / "index", aligner).entries) == 3


def test_nothing_to_search_for_is_refused(folder, model, tmp_path):
    run("index", folder, "--out", tmp_path / "index", "--aligner", model, "-q")
    for text in ("", " ", "\n"):
        assert "text to search for is empty" in run("search", tmp_path / "index", text, code=2)
    assert "either some words, or --image" in run("search", tmp_path / "index", code=2)
    one = ("classify", folder / "deep" / "red.png", "--aligner", model)
    assert "no empty one" in run(*one, "--as", "a cat", "--as", "", code=2)
    sheet = tmp_path / "found.bmp"
    assert ".png" in run("search", tmp_path / "index", "red", "--out", sheet, code=2)
    assert not sheet.exists()


def test_of_several_pictures_those_that_can_be_read_are_classified(folder, model):
    bad, good = folder / "broken.png", folder / "deep" / "red.png"
    said = run("classify", bad, good, "--as", "a", "--as", "b", "--aligner", model, code=2)
    assert f"warning: {bad} cannot be read" in said and f"{good}:" in said
    assert "1 of 2 pictures could not be classified" in said
    assert "cannot be read as a picture" in run("classify", bad, "--as", "a", "--aligner", model,
                                                code=2)  # fmt: skip


def test_vectors_that_are_no_numbers_are_refused(folder, aligner, tmp_path):
    torch.nn.init.constant_(aligner.model.looking.mix.weight, float("nan"))
    with pytest.raises(DataError, match="not finite"):
        build_index(folder, tmp_path / "index", aligner)
    with pytest.raises(DataError, match="not finite"):
        search.classify(aligner, folder / "deep" / "red.png", ["a"])
    assert not (tmp_path / "index").exists()
