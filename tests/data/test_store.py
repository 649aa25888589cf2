from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.data.sampler import ShuffledIndices
from limner.data.store import FORMAT, Caption, CaptionTable, Store, fingerprint
from limner.data.writer import StoreWriter
from limner.errors import DataError, PromptError
from limner.text.validate import canonical


def pixels(seed: int, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def write(path: Path, count: int = 5, **options: object) -> Store:
    with StoreWriter(path, 4, "small", licences={"us": "CC0-1.0"}, **options) as writer:
        for i in range(count):
            writer.add(
                pixels(i),
                [Caption(f"thing {i % 3}"), Caption("猫", "zh", 0.25)],
                {"id": f"i{i}", "style": "ab"[i % 2], "concept": f"c{i}"},
            )
        return writer.finish()


def test_round_trip(tmp_path: Path) -> None:
    store = write(tmp_path / "s")
    assert not (tmp_path / "s.part").exists()
    again = Store.open(tmp_path / "s")
    assert len(again) == 5
    assert (again.size, again.name, again.styles) == (4, "small", ("a", "b"))
    assert again.licences == {"us": "CC0-1.0"}
    assert again.fingerprint == store.fingerprint
    np.testing.assert_array_equal(again.images[3], pixels(3))
    np.testing.assert_array_equal(again.batch([4, 0, 4]), [pixels(4), pixels(0), pixels(4)])
    np.testing.assert_array_equal(again.style_ids, [0, 1, 0, 1, 0])
    assert again.captions(4) == (Caption("thing 1"), Caption("猫", "zh", 0.25))
    assert again.captions(-1) == again.captions(4)
    assert again.metadata(2) == {"id": "i2", "style": "a", "concept": "c2"}
    assert again.column("concept") == ["c0", "c1", "c2", "c3", "c4"]
    assert fingerprint(again.path) == again.fingerprint
    with pytest.raises(DataError, match="holds 5"):
        again.captions(5)


def test_the_fingerprint_is_of_pixels_texts_and_captions_and_of_nothing_else(
    tmp_path: Path,
) -> None:
    store = write(tmp_path / "s")
    hashed = ["images.u8", "texts.utf8", "caption_offsets.npy", "caption_text.npy",
              "caption_weight.npy", "caption_lang.npy", "text_offsets.npy"]  # fmt: skip
    content = b"".join((store.path / name).read_bytes() for name in hashed)
    assert store.fingerprint == hashlib.blake2b(content, digest_size=8).hexdigest()
    others = {file.name for file in store.path.iterdir()} - set(hashed)
    for name in [*others, *hashed]:
        file = store.path / name
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([(data or b"0")[-1] ^ 1]))
        assert (fingerprint(store.path) == store.fingerprint) == (name in others), name
        file.write_bytes(data)


def test_a_picture_without_a_caption_is_not_trained_on() -> None:
    table = CaptionTable(
        ["a"], np.array([0, 1, 1]), np.array([0]), np.ones(1, np.float32), np.array([0]), ("en",)
    )
    assert table.choose(np.array([0, 0]), np.zeros(2))[0].tolist() == [0, 0]
    with pytest.raises(DataError, match="picture 1 of the store has no caption"):
        table.choose(np.array([0, 1]), np.zeros(2))
    with pytest.raises(DataError, match="picture 1 of the store has no caption"):
        table.heaviest()


def test_images_cannot_be_written_through_the_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s")
    with pytest.raises(ValueError, match="read-only"):
        store.images[0] = 0


def packable(text: str) -> bool:
    try:
        canonical(text)
    except PromptError:
        return False
    return True


caption_lists = st.lists(
    st.builds(
        Caption,
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
            packable
        ),
        st.sampled_from(["en", "zh", "ar"]),
        st.floats(0.0078125, 100, width=32),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15)
@given(rows=st.lists(caption_lists, min_size=1, max_size=6))
def test_any_captions_survive(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.mktemp("any") / "s"
    with StoreWriter(path, 2, "any") as writer:
        for i, captions in enumerate(rows):
            writer.add(pixels(i, 2), captions, {"n": i})
        store = writer.finish()
    assert [list(store.captions(i)) for i in range(len(store))] == rows
    table = store.caption_table()
    for i, captions in enumerate(rows):
        own = slice(table.offsets[i], table.offsets[i + 1])
        assert [table.texts[t] for t in table.text_index[own]] == [c.text for c in captions]
        assert [table.languages[j] for j in table.lang[own]] == [c.lang for c in captions]
    assert len(set(table.texts)) == len(table.texts)


def test_captions_are_drawn_by_their_weights(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", 2, "w") as writer:
        writer.add(pixels(0, 2), [Caption("a", weight=3), Caption("b", "zh", weight=1)])
        writer.add(pixels(1, 2), [Caption("c", weight=0.01)])
        writer.add(pixels(2, 2), [Caption("a", weight=1), Caption("d", weight=1)])
        table = writer.finish().caption_table()
    draws, languages = 4000, {"a": "en", "b": "zh", "c": "en", "d": "en"}
    uniforms = np.random.default_rng(0).random(draws)
    for picture, wanted in (
        (0, {"a": 0.75, "b": 0.25}),
        (1, {"c": 1.0}),
        (2, {"a": 0.5, "d": 0.5}),
    ):
        chosen, spoken = table.choose(np.full(draws, picture), uniforms)
        for text, share in wanted.items():
            assert np.mean(chosen == table.texts.index(text)) == pytest.approx(share, abs=0.03)
        for number in set(chosen.tolist()):
            tongue = languages[table.texts[number]]
            assert {table.languages[i] for i in spoken[chosen == number]} == {tongue}
    edge, _ = table.choose(
        np.array([0, 1, 2]), np.array([0.0, np.nextafter(1, 0), np.nextafter(1, 0)])
    )
    assert [table.texts[i] for i in edge] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("image", "captions", "message"),
    [
        (np.zeros((4, 4), np.uint8), [Caption("a")], "does not fit"),
        (np.zeros((4, 4, 3), np.float32), [Caption("a")], "does not fit"),
        (np.zeros((4, 4, 3), np.uint8), [], "without captions"),
        (np.zeros((4, 4, 3), np.uint8), [Caption("  ")], "empty"),
        (np.zeros((4, 4, 3), np.uint8), [Caption("a", weight=0)], "not positive"),
        (np.zeros((4, 4, 3), np.uint8), [Caption("a", weight=float("nan"))], "not positive"),
    ],
)
def test_bad_pictures_are_refused(
    tmp_path: Path, image: np.ndarray, captions: list[Caption], message: str
) -> None:
    with StoreWriter(tmp_path / "s", 4, "x") as writer, pytest.raises(DataError, match=message):
        writer.add(image, captions)
    assert list(tmp_path.iterdir()) == []


def test_existing_store_is_kept_unless_told(tmp_path: Path) -> None:
    first = write(tmp_path / "s")
    with pytest.raises(DataError, match="--overwrite"):
        write(tmp_path / "s", 2)
    assert len(Store.open(tmp_path / "s")) == 5
    second = write(tmp_path / "s", 2, overwrite=True)
    assert len(second) == 2
    assert second.fingerprint != first.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_folder_that_is_no_store_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    with pytest.raises(DataError, match="not a store"):
        StoreWriter(tmp_path / "precious", 4, "x", overwrite=True)


def half_written(path: Path, count: int) -> Path:
    writer = StoreWriter(path, 4, "small")
    for i in range(count):
        writer.add(pixels(i), [Caption(f"thing {i}")], {"id": str(i)})
    writer.close()
    return writer.part


@pytest.mark.parametrize("damage", ["journal", "images", "zeros", "garbage"])
def test_torn_tails_are_cut_and_the_pack_goes_on(tmp_path: Path, damage: str) -> None:
    part = half_written(tmp_path / "s", 7)
    journal, images = part / "journal.jsonl", part / "images.u8"
    if damage == "journal":
        journal.write_bytes(journal.read_bytes()[:-10])
    elif damage == "images":
        images.write_bytes(images.read_bytes()[:-30])
    elif damage == "zeros":
        images.write_bytes(images.read_bytes()[:-48] + bytes(48))
    else:
        journal.write_bytes(journal.read_bytes() + b'{"key": "x"\n')
    with StoreWriter(tmp_path / "s", 4, "small") as writer:
        assert writer.consumed == writer.count == (7 if damage == "garbage" else 6)
        for i in range(writer.consumed, 10):
            writer.add(pixels(i), [Caption(f"thing {i}")], {"id": str(i)})
        resumed = writer.finish()
    half_written(tmp_path / "t", 10)
    with StoreWriter(tmp_path / "t", 4, "small") as writer:
        whole = writer.finish()
    assert resumed.fingerprint == whole.fingerprint
    assert [resumed.metadata(i) for i in range(10)] == [whole.metadata(i) for i in range(10)]


def test_an_unfinished_pack_of_something_else_is_refused(tmp_path: Path) -> None:
    half_written(tmp_path / "s", 3)
    with pytest.raises(DataError, match="another source"):
        StoreWriter(tmp_path / "s", 4, "other")
    with StoreWriter(tmp_path / "s", 4, "other", restart=True) as writer:
        assert writer.consumed == 0


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", 4, "small") as writer:
        writer.add(pixels(0), [Caption("a")])
        with pytest.raises(DataError, match="is in use by process"):
            StoreWriter(tmp_path / "s", 4, "small")


def test_nothing_packed_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", 4, "x") as writer:
        writer.skip("a", "broken picture")
        with pytest.raises(DataError, match="1 x broken picture"):
            writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_missing_damaged_and_newer_stores(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store at"):
        Store.open(tmp_path / "none")
    path = write(tmp_path / "s").path
    header = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps(header | {"format": FORMAT + 1}))
    with pytest.raises(DataError, match="newer"):
        Store.open(path)
    (path / "store.json").write_text('{"format": 1')
    with pytest.raises(DataError, match="header"):
        Store.open(path)
    (path / "store.json").write_text(json.dumps(header))
    images = (path / "images.u8").read_bytes()
    (path / "images.u8").write_bytes(images[:-1])
    with pytest.raises(DataError, match="damaged"):
        Store.open(path)
    (path / "images.u8").write_bytes(bytes([images[0] ^ 1]) + images[1:])
    assert fingerprint(path) != Store.open(path).fingerprint
    (path / "images.u8").write_bytes(images)
    np.save(path / "caption_text.npy", np.array([object()], object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged"):
        Store.open(path)


def test_an_unfinished_pack_is_hinted_at(tmp_path: Path) -> None:
    half_written(tmp_path / "s", 3)
    with pytest.raises(DataError, match="unfinished pack"):
        Store.open(tmp_path / "s")


@settings(max_examples=60)
@given(
    count=st.integers(1, 40),
    batch=st.integers(1, 60),
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 50),
)
def test_every_epoch_is_a_permutation(count: int, batch: int, seed: int, start: int) -> None:
    sampler = ShuffledIndices(count, batch, seed)
    steps = -(-3 * count // batch)
    stream = np.concatenate([sampler.at(step) for step in range(steps)])
    for epoch in range(3):
        np.testing.assert_array_equal(
            np.sort(stream[epoch * count : (epoch + 1) * count]), np.arange(count)
        )
    fresh = ShuffledIndices(count, batch, seed)
    np.testing.assert_array_equal(fresh.at(start), sampler.at(start))


def test_shuffles_are_frozen_and_differ_by_seed_and_epoch() -> None:
    assert ShuffledIndices(10, 4, 0).at(2).tolist() == [2, 4, 9, 4]
    a, b = ShuffledIndices(1000, 1000, 1), ShuffledIndices(1000, 1000, 2)
    assert (a.at(0) != b.at(0)).mean() > 0.9
    assert (a.at(0) != a.at(1)).mean() > 0.9


@pytest.mark.parametrize("arguments", [(0, 4, 0), (4, 0, 0), (4, 4, -1), (4, 4, 2**64)])
def test_impossible_samplers_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(DataError):
        ShuffledIndices(*arguments)
    with pytest.raises(DataError, match="steps count from 0"):
        ShuffledIndices(1, 1, 1).at(-1)


def test_half_a_surrogate_pair_does_not_break_a_pack(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", 2, "x") as writer:
        writer.add(pixels(0, 2), [Caption("a b")], {"id": "\udcff.png"}, key="\udcff.png")
        with pytest.raises(DataError, match="lone surrogate"):
            writer.add(pixels(0, 2), [Caption("a \ud83d b")])
        store = writer.finish()
    assert store.metadata(0) == {"id": "\\udcff.png"}


@pytest.mark.parametrize("text", ["", " ", "\u200b", "a\x1b[0m b", "word " * 8000, "\ud83d"])
def test_what_cannot_be_a_prompt_is_no_caption(tmp_path: Path, text: str) -> None:
    with (
        StoreWriter(tmp_path / "s", 4, "x") as writer,
        pytest.raises(DataError, match="cannot be packed: the caption"),
    ):
        writer.add(pixels(0), [Caption(text)])


@pytest.mark.parametrize("crash", ["index", "rename", "unlink"])
def test_a_crash_while_finishing_loses_nothing(
    tmp_path: Path, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_written(tmp_path / "s", 5)
    writer = StoreWriter(tmp_path / "s", 4, "small")

    class PowerLossError(BaseException):
        pass

    def stop(*_: object, **__: object) -> None:
        raise PowerLossError

    with monkeypatch.context() as patch, pytest.raises(PowerLossError):
        if crash == "index":
            patch.setattr(np, "save", stop)
        elif crash == "rename":
            patch.setattr(Path, "rename", stop)
        else:
            patch.setattr(Path, "unlink", stop)
        writer.finish()
    with contextlib.suppress(PowerLossError):
        writer.close()
    if crash == "unlink":
        store = Store.open(tmp_path / "s")
    else:
        assert (tmp_path / "s.part" / "journal.jsonl").stat().st_size > 0
        with StoreWriter(tmp_path / "s", 4, "small") as again:
            assert again.consumed == 5
            store = again.finish()
    assert fingerprint(store.path) == store.fingerprint
    assert [store.metadata(i)["id"] for i in range(5)] == list("01234")


def test_files_are_on_disk_before_the_store_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.add(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    published = StoreWriter._publish

    def publish(writer: StoreWriter) -> None:
        missing = {file.name for file in writer.part.iterdir()} - synced
        assert missing <= {"lock"}
        assert "s.part" in synced
        published(writer)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(StoreWriter, "_publish", publish)
    assert sorted(path.name for path in write(tmp_path / "s").path.iterdir()) == sorted(
        [
            *("store.json", "images.u8", "texts.utf8", "metadata.utf8", "report.json"),
            *("left-out.jsonl", "style_ids.npy", "caption_offsets.npy", "caption_text.npy"),
            *("caption_weight.npy", "caption_lang.npy", "text_offsets.npy"),
            "metadata_offsets.npy",
        ]
    )


def test_the_users_own_folders_are_not_touched(tmp_path: Path) -> None:
    for name in ("s.part", "s.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        write(tmp_path / "s", restart=True)
    assert (tmp_path / "s.part" / "precious.txt").read_text() == "mine"
    (tmp_path / "s.part").rename(tmp_path / "kept")
    write(tmp_path / "s")
    write(tmp_path / "s", 2, overwrite=True)
    assert (tmp_path / "s.old" / "precious.txt").read_text() == "mine"


def test_everything_left_out_is_named(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", 4, "x") as writer:
        writer.add(pixels(0), [Caption("a")], key="0")
        for number in range(1, 2001):
            writer.skip(str(number), f"unusable caption: number {number}")
        store = writer.finish()
    assert store.header.report == {"unusable caption": 2000}
    assert list(store.left_out())[-1] == ("2000", "unusable caption: number 2000")
    assert len(list(store.left_out())) == 2000


@pytest.mark.parametrize("name", ["metadata.utf8", "texts.utf8", "caption_lang.npy"])
def test_damaged_bytes_are_an_error_in_words(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "s").path / name
    data = path.read_bytes()
    path.write_bytes(data[:-8] + (b"\x7f" if name.endswith(".npy") else b"\xff") * 8)
    store = Store.open(tmp_path / "s")
    with pytest.raises(DataError, match=r"is damaged: the (metadata|captions) .*pack it again"):
        for i in range(len(store)):
            store.captions(i)
            store.metadata(i)
