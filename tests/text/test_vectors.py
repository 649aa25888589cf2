import numpy as np
import pytest
import torch

from limner.errors import DataError, PromptError, UsageError
from limner.text import load_encoder
from limner.text.base import TextEncoder
from limner.text.vectors import VectorsEncoder, train_word2vec
from limner.text.wordfile import read_words, write_binary
from optional_modules import needed

gensim_models = needed("gensim.models")

WORDS = ["red", "apple", "Berlin", "cafe", "猫", "grün", "the"]
CAPTIONS = [
    "a red apple", "a green apple", "the red heart", "green leaf", "red cherry", "红色的苹果",
    "a cat and a dog", "the dog and the cat", "cat beside dog",
] * 20  # fmt: skip


@pytest.fixture(scope="module")
def matrix():
    return np.random.default_rng(3).standard_normal((len(WORDS), 12)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory, matrix):
    """The same vectors in every format, written by gensim where gensim writes it."""
    folder = tmp_path_factory.mktemp("vectors")
    keyed = gensim_models.KeyedVectors(12)
    keyed.add_vectors(WORDS, matrix)
    keyed.save_word2vec_format(folder / "w2v.txt")
    keyed.save_word2vec_format(folder / "w2v.bin", binary=True)
    keyed.save_word2vec_format(folder / "glove.txt", write_header=False)
    write_binary(folder / "own.bin", WORDS, matrix)
    glove = folder / "glove"
    glove.mkdir()
    (glove / "vocab.txt").write_text("".join(f"{w} 9\n" for w in WORDS), encoding="utf-8")
    halves = np.concatenate([matrix / 2, np.full((len(WORDS), 1), 7.0)], axis=1)
    np.concatenate([halves, halves]).astype("<f8").tofile(glove / "vectors.bin")
    return folder


@pytest.mark.parametrize(
    "name", ["w2v.txt", "w2v.bin", "glove.txt", "own.bin", "glove/vectors.bin"]
)
def test_every_format_reads_the_same(files, matrix, name):
    table = read_words(files / name)
    assert list(table.rows) == WORDS
    assert np.allclose(table.vectors, matrix, atol=1e-6)


@pytest.mark.parametrize(("name", "binary"), [("w2v.txt", False), ("own.bin", True)])
def test_gensim_reads_the_same(files, name, binary):
    truth = gensim_models.KeyedVectors.load_word2vec_format(files / name, binary=binary)
    table = read_words(files / name)
    for word in WORDS:
        assert np.array_equal(table.vectors[table.rows[word]], truth[word])


def test_glove_words_may_hold_spaces_and_doubles_keep_the_first(tmp_path):
    path = tmp_path / "g.txt"
    path.write_text("cat 1 2 3\n. . 4 5 6\ncat 7 8 9\n", encoding="utf-8")
    table = read_words(path)
    assert table.rows == {"cat": 0, ". .": 1}
    assert table.vectors[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"999999999999 300\ncat 1 2", "cannot hold"),
        (b"2 3\ncat 1 2 3\n", "declares 2 words, but 1"),
        (b"1 0\ncat\n", "cannot hold"),
        (b"1 3\ncat 1 2 x\n", "cut short or damaged at word 1 of 1"),
        (b"cat 1 2\ndog 1 b\n", "no number"),
        (b"cat 1 2\ndog 1\n", "line 2 of the words has no word and 2 numbers"),
        (b"cat 1 nan\ndog 1 2\n", "not finite"),
        (b"just\nwords\n", "no numbers"),
        (b"\0\1\2\3 binary", "vocab.txt"),
    ],
)
def test_damaged_files_are_refused_in_one_sentence(tmp_path, content, words):
    path = tmp_path / "bad.vec"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_words(path)
    assert "\n" not in str(caught.value)


def test_a_cut_binary_file_is_refused(files, tmp_path):
    path = tmp_path / "cut.bin"
    path.write_bytes((files / "w2v.bin").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"word 7 of 7"):
        read_words(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        load_encoder(f"vectors:{tmp_path / 'none.bin'}", cache=False)


def test_it_keeps_the_contract(files, matrix):
    encoder = load_encoder(f"vectors:{files / 'w2v.bin'}", cache=False)
    features = encoder.encode(["red apple", "猫"])
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    mean = unit[0] + unit[1]
    assert isinstance(encoder, TextEncoder)
    assert features.mask.tolist() == [[True, True, True], [True, False, False]]
    assert np.allclose(features.pooled[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert np.allclose(features.tokens[0, 1:], unit[:2], atol=1e-6)
    assert np.allclose(features.pooled[1], unit[4], atol=1e-6)
    assert torch.equal(features.pooled, features.tokens[:, 0])


def test_words_are_found_in_any_case_and_without_accents(files):
    encoder = VectorsEncoder(files / "w2v.txt")
    known = ["RED", "berlin", "Café", "Apple", "grün", "THE"]
    assert all(encoder._row(word) is not None for word in known)
    assert encoder._row("blorp") is None
    red, shout = encoder.encode(["red", "RED"]).pooled
    assert torch.equal(red, shout)


def test_unknown_words_get_stable_vectors_like_their_spelling(files):
    encoder = VectorsEncoder(files / "w2v.txt")
    unknown = ["spaceship", "spaceships", "blorp", "?!"]
    pooled = encoder.encode(unknown).pooled
    assert torch.equal(VectorsEncoder(files / "w2v.txt").encode(unknown).pooled, pooled)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(4), atol=1e-5)
    likeness = pooled @ pooled.T
    assert likeness[0, 1] > likeness[0, 2] + 0.2
    assert likeness[0, 2] < 0.95


def test_the_fingerprint_is_of_the_content(files, tmp_path, matrix):
    copy = tmp_path / "elsewhere.bin"
    copy.write_bytes((files / "own.bin").read_bytes())
    other = tmp_path / "other.bin"
    write_binary(other, WORDS, matrix + 1)
    one, same, changed = (VectorsEncoder(p).fingerprint for p in (files / "own.bin", copy, other))
    assert one == same != changed
    assert VectorsEncoder(copy, max_tokens=3).fingerprint != one


def test_word2vec_learns_from_captions_the_same_every_time(tmp_path):
    count = train_word2vec(CAPTIONS, tmp_path / "a.bin", 16, epochs=30)
    train_word2vec(CAPTIONS, tmp_path / "b.bin", 16, epochs=30)
    train_word2vec(CAPTIONS, tmp_path / "c.bin", 16, epochs=30, seed=1)
    a, b, c = ((tmp_path / f"{n}.bin").read_bytes() for n in "abc")
    assert a == b != c
    table = read_words(tmp_path / "a.bin")
    assert len(table.rows) == count
    assert {"red", "apple", "苹果", "红色"} <= set(table.rows)
    truth = gensim_models.KeyedVectors.load_word2vec_format(tmp_path / "a.bin", binary=True)
    assert truth.similarity("cat", "dog") > truth.similarity("cat", "leaf")
    assert not list(tmp_path.glob("*.part"))


def test_wrong_training_is_refused(tmp_path):
    with pytest.raises(DataError, match="no word occurs"):
        train_word2vec(["cat dog"], tmp_path / "x.bin", min_count=5)
    with pytest.raises(UsageError):
        train_word2vec(["cat"], tmp_path / "x.bin", 0)
    with pytest.raises(PromptError):
        train_word2vec(["cat", ""], tmp_path / "x.bin")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        train_word2vec(["cat"], tmp_path / "file" / "x.bin", 4)
    assert not (tmp_path / "x.bin").exists()
