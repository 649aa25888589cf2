import os
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import UsageError
from limner.text.base import TextFeatures, concatenate
from limner.text.bulk import encode_table
from limner.text.cache import CachedEncoder
from limner.text.disk import DiskCache, default_cache_dir
from limner.text.e5 import E5Encoder
from limner.text.vectors import VectorsEncoder
from limner.text.wordfile import write_binary
from waiting import LONGEST


class Plain:
    """An encoder that is no piece encoder: another real one, seen through the plain contract."""

    def __init__(self, inner):
        self._inner, self.calls = inner, []
        self.dim, self.spec, self.fingerprint = inner.dim, inner.spec, inner.fingerprint

    def encode(self, texts) -> TextFeatures:
        self.calls.extend(texts)
        return self._inner.encode(texts)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "words.bin"
    words = ["red", "apple", "green", "pear", "heart", "cat", "dog", "a", "and"]
    write_binary(path, words, np.random.default_rng(0).standard_normal((len(words), 16)))
    return VectorsEncoder(path)


TEXTS = ["a red apple and a green pear", "red heart", "cat", "red heart"]


def same(a, b):
    return all(
        torch.equal(x, y) for x, y in ((a.tokens, b.tokens), (a.mask, b.mask), (a.pooled, b.pooled))
    )


@pytest.mark.parametrize("plain", [False, True])
def test_memory_disk_and_fresh_give_the_same_bits(tmp_path, vectors, plain):
    inner = Plain(vectors) if plain else vectors
    fresh = vectors.encode(TEXTS)
    cached = CachedEncoder(inner, tmp_path)
    assert same(cached.encode(TEXTS), fresh)
    assert same(cached.encode(TEXTS), fresh)
    again = CachedEncoder(inner, tmp_path)
    assert same(again.encode(TEXTS), fresh)
    if plain:
        assert sorted(inner.calls) == sorted(set(TEXTS))
    assert (cached.dim, cached.spec, cached.fingerprint) == (
        vectors.dim, vectors.spec, vectors.fingerprint,
    )  # fmt: skip


def test_e5_through_the_disk_is_bit_exact(tmp_path):
    encoder = E5Encoder(threads=1)
    fresh = encoder.encode(["red heart", "夕阳"])
    CachedEncoder(encoder, tmp_path).encode(["red heart"])
    assert same(CachedEncoder(encoder, tmp_path).encode(["red heart", "夕阳"]), fresh)


def test_a_word_is_encoded_once_for_all_prompts(tmp_path, vectors, monkeypatch):
    embedded = []
    real = vectors.embed
    monkeypatch.setattr(vectors, "embed", lambda p: embedded.extend(p) or real(p))
    cached = CachedEncoder(vectors, tmp_path)
    cached.encode(TEXTS)
    cached.encode(["red cat", "green dog"])
    assert len(embedded) == len(set(embedded))
    assert {"red", "red cat", "green dog", "dog"} <= set(embedded)


def test_the_features_handed_out_can_be_changed_without_harm(tmp_path, vectors):
    cached = CachedEncoder(Plain(vectors), tmp_path)
    cached.encode(["cat"]).tokens.zero_()
    assert same(cached.encode(["cat"]), vectors.encode(["cat"]))


def test_other_weights_do_not_share_entries(tmp_path, vectors):
    other_path = tmp_path / "other.bin"
    write_binary(other_path, ["cat"], np.ones((1, 16), np.float32))
    other = VectorsEncoder(other_path)
    CachedEncoder(vectors, tmp_path).encode(["cat"])
    assert same(CachedEncoder(other, tmp_path).encode(["cat"]), other.encode(["cat"]))


def test_the_disk_is_bounded_and_forgets_the_least_recent(tmp_path):
    bound = 400_000
    disk = DiskCache(tmp_path, bound)
    for start in range(0, 600, 50):
        disk.put_many({f"{i:016d}".encode(): bytes(1536) for i in range(start, start + 50)})
    names = [f"{i:016d}".encode() for i in range(600)]
    kept = disk.get_many(names)
    assert 100 < len(kept) < 300
    assert names[-1] in kept
    assert names[0] not in kept
    disk.close()
    assert disk.path.stat().st_size < 2 * bound


def test_what_is_read_again_is_not_forgotten(tmp_path):
    """The date of an entry is that of its last use, which decides what is dropped first."""
    disk = DiskCache(tmp_path, 400_000)
    names = [f"{i:016d}".encode() for i in range(600)]
    disk.put_many({b"often": bytes(1536), **{name: bytes(1536) for name in names[:150]}})
    with sqlite3.connect(disk.path) as connection:
        connection.execute("UPDATE vectors SET used = 1000")
    connection.close()
    assert set(disk.get_many([b"often"])) == {b"often"}
    disk.put_many({name: bytes(1536) for name in names[150:210]})  # more than there is room for
    assert set(disk.get_many([b"often", names[0]])) == {b"often"}


def test_a_file_that_another_process_writes_to_is_left_alone_for_now(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("limner.text.disk._TIMEOUT_SECONDS", 0.05)
    disk = DiskCache(tmp_path, 2**20)
    disk.put_many({b"k": b"value"})
    other = sqlite3.connect(disk.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    disk.put_many({b"l": b"lost"})
    assert disk.get_many([b"k"]) == {b"k": b"value"}
    other.execute("ROLLBACK")
    other.close()
    disk.put_many({b"m": b"kept"})
    assert disk.get_many([b"k", b"l", b"m"]) == {b"k": b"value", b"m": b"kept"}
    assert not caplog.records


def test_many_keys_at_once(tmp_path):
    disk = DiskCache(tmp_path, 2**24)
    entries = {i.to_bytes(16, "little"): bytes([i % 256]) * 8 for i in range(1_700)}
    disk.put_many(entries)
    assert disk.get_many([*entries, b"absent"]) == entries


def test_a_damaged_file_is_replaced(tmp_path):
    disk = DiskCache(tmp_path, 2**20)
    disk.put_many({b"k": b"value"})
    disk.close()
    disk.path.write_bytes(b"this is no database" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert disk.get_many([b"k"]) == {}
        disk.put_many({b"k": b"new"})
        assert DiskCache(tmp_path, 2**20).get_many([b"k"]) == {b"k": b"new"}


def test_a_changed_vector_is_not_believed(tmp_path):
    disk = DiskCache(tmp_path, 2**20)
    disk.put_many({b"k": b"value", b"l": b"other"})
    disk.close()
    with sqlite3.connect(disk.path) as connection:
        connection.execute("UPDATE vectors SET data = ? WHERE key = ?", (b"vaLue", b"k"))
    connection.close()
    assert disk.get_many([b"k", b"l"]) == {b"l": b"other"}


def test_an_unusable_disk_warns_once_and_falls_back_to_memory(tmp_path, vectors, caplog):
    (tmp_path / "file").write_text("not a folder")
    cached = CachedEncoder(vectors, tmp_path / "file" / "cache")
    first = cached.encode(TEXTS)
    second = cached.encode(["dog", *TEXTS])
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "cached in memory only" in caplog.text
    assert same(first, vectors.encode(TEXTS))
    assert same(second, vectors.encode(["dog", *TEXTS]))


def test_a_full_disk_warns_once_and_still_answers(tmp_path, vectors, caplog):
    cached = CachedEncoder(vectors, tmp_path)
    cached.encode(["cat"])
    # SQLite's own limit on pages raises what a full disk raises.
    cached.disk._connection.execute("PRAGMA max_page_count = 1")
    many = [f"red apple number {i}" for i in range(200)]
    features = cached.encode(many)
    cached.encode(["dog"])
    assert len(caplog.records) == 1 and "full" in caplog.text
    assert same(features, vectors.encode(many))


def test_processes_share_one_file(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom limner.text import disk\n"
        "from limner.text.disk import DiskCache\n"
        f"disk._TIMEOUT_SECONDS = {LONGEST}\n"  # another may be kept from its work meanwhile
        "d = DiskCache(Path(sys.argv[1]), 2**24)\n"
        "for i in range(40):\n"
        "    d.put_many({f'{sys.argv[2]}-{i}'.encode(): b'x' * 100})\n"
        "    assert d.get_many([f'{sys.argv[2]}-{i}'.encode()])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", script, str(tmp_path), str(n)])
        for n in range(3)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    keys = [f"{n}-{i}".encode() for n in range(3) for i in range(40)]
    assert len(DiskCache(tmp_path, 2**24).get_many(keys)) == 120


def test_the_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("LIMNER_CACHE")
    assert default_cache_dir().name == "limner"


def test_a_user_without_a_home_folder(tmp_path, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("LIMNER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = default_cache_dir()
    assert folder == default_cache_dir() == tmp_path / f"limner-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to("/")  # not a folder of this user's own
    assert default_cache_dir() != folder


def test_a_home_folder_of_nobody_is_refused(monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", "~nobody-of-that-name/x")
    with pytest.raises(UsageError, match="LIMNER_CACHE = ~nobody"):
        default_cache_dir()


@pytest.mark.parametrize("kind", ["piece", "cached", "plain", "cached plain"])
def test_tables_equal_direct_encoding(tmp_path, vectors, kind):
    inner = Plain(vectors) if "plain" in kind else vectors
    encoder = CachedEncoder(inner, tmp_path) if "cached" in kind else inner
    texts = [*TEXTS, *[f"{i} red apples" for i in range(300)]]
    seen = []
    table = encode_table(encoder, texts, max_tokens=4, on_progress=lambda d, t: seen.append((d, t)))
    expected = vectors.encode(texts).padded(4)
    assert same(table[:], expected)
    assert same(table[[3, 0]], expected[[3, 0]])
    assert same(table[torch.tensor([5, 5])], expected[[5, 5]])
    assert len(table) == len(texts)
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_an_empty_table(vectors):
    assert len(encode_table(vectors, [], max_tokens=4)) == 0


def test_features_know_their_pieces(tmp_path, vectors):
    text = "a red apple and a green pear"
    cached = CachedEncoder(vectors, tmp_path)
    for encoder in (vectors, cached, cached):
        features = encoder.encode([text, "cat", "dog"])
        assert features.pieces[0] == tuple(vectors.pieces(text))
        assert [len(row) for row in features.pieces] == features.mask.sum(1).tolist()
        for token, piece in zip(features.tokens[0], features.pieces[0], strict=True):
            assert np.array_equal(token.numpy(), vectors.embed([piece])[0])


def test_pieces_follow_their_texts(vectors):
    features = vectors.encode(["red apple", "cat", "green pear"])
    first, second, third = features.pieces
    assert features[[2, 0]].pieces == (third, first)
    assert features[1:].pieces == (second, third)
    assert features[torch.tensor([True, False, True])].pieces == (first, third)
    assert features[torch.tensor([1])].pieces == (second,)
    assert features.padded(1).pieces == (first[:1], second[:1], third[:1])
    assert features.padded(9).to("cpu").pieces == features.pieces
    assert concatenate([features[1:], features[:1]]).pieces == (second, third, first)
    bare = TextFeatures(features.tokens, features.mask, features.pooled)
    assert bare[[0]].pieces == () == concatenate([features, bare]).pieces
    with pytest.raises(ValueError, match="disagree"):
        TextFeatures(features.tokens, features.mask, features.pooled, features.pieces[:2])
