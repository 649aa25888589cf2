"""The aligner: its losses against upstream's, what counts as a pair, and that it learns."""

import dataclasses

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from limner.models.aligner import AlignerConfig, AlignerModel, sigmoid_loss, softmax_loss
from limner.models.base import build
from limner.text.base import TextFeatures
from tiny_configs import tiny_config

EVERY = torch.ones(6, 6, dtype=torch.bool)


def tiny(**changed: object) -> AlignerModel:
    torch.manual_seed(0)
    return build("aligner", {**tiny_config(AlignerConfig).model_dump(), **changed})


def unit(count: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 8, generator=g), dim=1)


@pytest.mark.parametrize(("name", "mine"), [("Siglip", sigmoid_loss), ("CLIP", softmax_loss)])
def test_the_losses_are_those_of_siglip_and_clip(name, mine):
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 1}  # fmt: skip
    words = {**shape, "vocab_size": 20, "max_position_embeddings": 4, "projection_size": 8,
             "eos_token_id": 19}  # fmt: skip
    pictures = {**shape, "image_size": 8, "patch_size": 4}
    config = getattr(transformers, f"{name}Config")(text_config=words, vision_config=pictures)
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        out = model(
            input_ids=torch.randint(1, 20, (6, 4)), pixel_values=torch.randn(6, 3, 8, 8),
            return_loss=True,
        )  # fmt: skip
    torch.testing.assert_close(mine(out.logits_per_image, EVERY), out.loss)


@pytest.mark.parametrize("loss", [sigmoid_loss, softmax_loss])
def test_what_means_the_same_does_not_count(loss):
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(3))
    known = EVERY.clone()
    known[1, 4] = known[4, 1] = False
    before = loss(logits, known)
    logits[1, 4] = logits[4, 1] = 50.0
    torch.testing.assert_close(loss(logits, known), before)
    assert loss(logits, EVERY) > before + 5


def test_logits_are_scaled_products_and_a_bias():
    model = tiny()
    seen, said = unit(3, 0), unit(5, 1)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(seen, said), 10 * seen @ said.T - 10)
    clip = tiny(loss="softmax")
    assert clip.bias is None
    with torch.no_grad():
        torch.testing.assert_close(clip.logits(seen, said), seen @ said.T / 0.07)


def test_pairs_of_the_same_caption_picture_or_meaning_are_not_wrong(make_batch):
    model = tiny()
    batch = make_batch(model, count=5)
    text = TextFeatures(batch.text.tokens, batch.text.mask, torch.eye(5, 16))
    text.pooled[4] = text.pooled[3] + 0.01
    batch = dataclasses.replace(
        batch, text=text, captions=["a", "b", "a", "c", "d"],
        indices=torch.tensor([0, 1, 2, 3, 1]),
    )  # fmt: skip
    wrong = model._counted(batch)
    same = {(0, 2), (2, 0), (1, 4), (4, 1), (3, 4), (4, 3)}
    assert {(i, j) for i in range(5) for j in range(5) if not wrong[i, j]} == same


@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_it_learns_which_words_go_with_which_picture(loss, make_batch, make_features):
    model = tiny(loss=loss, text_noise=0.0, alike=0.999)
    text = make_features(8, 16, seed=3)
    model.prepare(make_features(64, 16, seed=9))
    colours = torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(4)) * 2 - 1
    pictures = colours.expand(8, 3, 16, 16).contiguous()
    batch = dataclasses.replace(make_batch(model), images=pictures, text=text)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model.losses(batch, "model")["align"].backward()
        optimizer.step()
    model.eval()
    assert model.figures(batch)["retrieval"] == 1
    with torch.no_grad():
        found = model.logits(model.encode_images(pictures), model.encode_texts(text))
    assert (found.argmax(0) == torch.arange(8)).all() and (found.argmax(1) == torch.arange(8)).all()


def test_vectors_have_unit_length_and_do_not_depend_on_their_neighbours(make_features, stir):
    model = stir(tiny())
    pictures = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    text = make_features(9, 16)
    with torch.no_grad():
        seen, said = model.encode_images(pictures), model.encode_texts(text)
        torch.testing.assert_close(seen.norm(dim=1), torch.ones(9))
        torch.testing.assert_close(said.norm(dim=1), torch.ones(9))
        torch.testing.assert_close(
            model.encode_images(pictures[4:5])[0], seen[4], atol=1e-6, rtol=0
        )
        torch.testing.assert_close(model.encode_texts(text[[4]])[0], said[4], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 18}, "halved 2 times"),
        ({"fusion": {"kind": "concat", "image_dim": 4}}, "kind 'text'"),
        ({"text_rank": 99}, "more than text_dim"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValidationError, match=message):
        tiny(**changed)
