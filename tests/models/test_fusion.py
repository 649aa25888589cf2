"""Fusion: what comes out has the text's shape and knows the picture, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from limner.models.aligner import AlignerConfig
from limner.models.base import FusionConfig
from limner.models.conditioning import PooledConditioning
from limner.models.fusion import Fusion, FusionBlock
from limner.models.layers import rms_norm
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures
from tiny_configs import tiny_config

WIDTH, SEEN = 12, 10
KINDS = ["concat", "cross", "joint"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def config(kind, **options):
    facts = {"image_dim": SEEN, "max_tokens": 4, "depth": 2, "heads": 2, **options}
    return FusionConfig(kind=kind, **facts)


def fusion(kind, **options):
    torch.manual_seed(1)
    return Fusion(WIDTH, config(kind, **options))


def stirred(kind, **options):
    """A fusion far from where it starts, so that its picture matters to many digits."""
    module = fusion(kind, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def pictures(count, tokens=4, seed=3):
    g = torch.Generator().manual_seed(seed)
    return ImageFeatures(
        torch.randn(count, tokens, SEEN, generator=g), torch.randn(count, SEEN, generator=g)
    )


@pytest.fixture
def words(make_features):
    def make(count, **options):
        text = make_features(count, WIDTH, **options)
        tokens = rms_norm(text.tokens) * text.mask.unsqueeze(-1)
        return TextFeatures(tokens, text.mask, rms_norm(text.pooled))

    return make


def test_reads_are_attention_over_the_own_tokens_of_each_text(make_features):
    """softmax(q K^T / sqrt(R)) V (Vaswani et al. 2017, eq. 1), text by text without padding."""
    config = tiny_config(AlignerConfig, text_dim=16)
    reader, text = PooledConditioning(config), make_features(5, 16, length=4)
    reader.prepare(make_features(64, 16, seed=3))
    found = reader(text, torch.full((5,), -1))
    rank, queries = config.text_rank, config.queries
    for row in range(5):
        own = text.tokens[row][text.mask[row]]  # (L, D)
        values = rms_norm(reader.get_submodule("tokens")(own))  # (L, R)
        scores = reader.queries @ reader.key(values).T / rank**0.5  # (Q, L)
        reads = found[row, rank : rank * (1 + queries)].view(queries, rank)
        torch.testing.assert_close(reads, scores.softmax(1) @ values, rtol=1e-4, atol=1e-5)


def test_words_alone_pass_through_untouched(words):
    module, text = Fusion(WIDTH, FusionConfig()), words(3)
    assert list(module.parameters()) == []
    assert module(text, None) is text
    assert module.extra_tokens == 0


@every_kind
def test_shapes_are_fixed_by_the_configuration(kind, words):
    module, text = fusion(kind), words(5)
    length = 5 + module.extra_tokens
    assert module.extra_tokens == (5 if kind == "joint" else 0)
    for picture in (None, pictures(5), pictures(5, 1), pictures(5, 49), pictures(5, 6)):
        out = module(text, picture)
        assert out.tokens.shape == (5, length, WIDTH)
        assert out.mask.shape == (5, length)
        assert out.pooled.shape == (5, WIDTH)
        assert torch.equal(out.mask[:, :5], text.mask)
        assert (out.tokens[~out.mask] == 0).all()
        assert torch.allclose(out.pooled.square().mean(1), torch.ones(5), atol=1e-4)
        assert torch.allclose(
            out.tokens[out.mask].square().mean(1), torch.ones(int(out.mask.sum())), atol=1e-4
        )


@every_kind
def test_it_begins_close_to_the_words(kind, words):
    text, out = words(6), fusion(kind)(words(6), pictures(6))
    assert torch.allclose(out.pooled, text.pooled, atol=0.35)
    assert torch.allclose(out.tokens[:, :5], text.tokens, atol=0.35)
    assert not torch.equal(out.pooled, text.pooled)


def test_what_tells_words_from_pictures_is_taken_off_the_words_again(words):
    """Blocks that do nothing leave the words as they are, whatever the kinds' vectors have become.

    A null picture's rows come back with theirs.
    """
    module, text = stirred("joint"), words(3)
    for block in module.blocks:
        for last in (block.out, block.down):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    out = module(text, None)
    assert module.kind.abs().max() > 0.1
    torch.testing.assert_close(out.pooled, text.pooled, rtol=0, atol=1e-4)
    torch.testing.assert_close(out.tokens[:, :5], text.tokens, rtol=0, atol=1e-4)
    rows = rms_norm(module.null + module.kind[1]).expand(3, -1, -1)
    torch.testing.assert_close(out.tokens[:, 5:], rows, rtol=0, atol=1e-4)


@every_kind
def test_the_picture_matters_and_its_scale_does_not(kind, words):
    module, text, picture = stirred(kind), words(4), pictures(4)
    seen, other = module(text, picture), module(text, pictures(4, seed=8))
    assert (seen.pooled - other.pooled).abs().max() > 0.05
    assert (seen.pooled - module(text, None).pooled).abs().max() > 0.05
    loud = ImageFeatures(50 * picture.tokens, 50 * picture.pooled)
    assert torch.allclose(module(text, loud).pooled, seen.pooled, atol=1e-4)


@every_kind
def test_padding_changes_nothing(kind, words):
    """Neither the length of the token axis nor what lies in it beyond a text's end."""
    module, text, picture = stirred(kind), words(6), pictures(6)
    plain, wide = module(text, picture), module(text.padded(9), picture)
    rubbish = torch.where(text.mask.unsqueeze(-1), text.tokens, 7.0)
    dirty = module(dataclasses.replace(text, tokens=rubbish), picture)
    for other, skip in ((wide, 4), (dirty, 0)):
        if kind == "concat" and other is dirty:
            continue  # tokens pass through as they are
        assert torch.allclose(other.pooled, plain.pooled, atol=1e-5)
        keep = [i for i in range(other.tokens.shape[1]) if not 5 <= i < 5 + skip]
        assert torch.allclose(other.tokens[:, keep], plain.tokens, atol=1e-5)


@every_kind
def test_a_row_never_depends_on_its_neighbours(kind, words):
    module, text, picture = stirred(kind), words(8), pictures(8)
    with torch.inference_mode():
        whole, alone = module(text, picture), module(text[[2]], picture[[2]])
        turned = module(text[[5, 2, 0]], picture[[5, 2, 0]])
    for other, row in ((alone, 0), (turned, 1)):
        assert torch.allclose(other.pooled[row], whole.pooled[2], atol=1e-5)
        assert torch.allclose(other.tokens[row], whole.tokens[2], atol=1e-5)


@every_kind
def test_a_share_of_the_pictures_is_left_out_while_learning(kind, words):
    module, text, picture = stirred(kind, drop=0.4), words(200), pictures(200)
    null, kept = module(text, None), module(text, picture)
    learning = module(text, picture, torch.Generator().manual_seed(3))
    again = module(text, picture, torch.Generator().manual_seed(3))
    as_null = (learning.pooled - null.pooled).abs().amax(1) < 1e-5
    as_kept = (learning.pooled - kept.pooled).abs().amax(1) < 1e-5
    assert (as_null ^ as_kept).all()
    assert as_null.float().mean() == pytest.approx(0.4, abs=0.11)
    assert torch.equal(learning.pooled, again.pooled)


@every_kind
def test_every_parameter_learns(kind, words):
    module = fusion(kind, drop=0.5)
    out = module(words(16), pictures(16), torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(2)
    target = torch.randn(out.tokens.shape, generator=g)
    (out.tokens * target).sum().add((out.pooled * target[:, 0]).sum()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@every_kind
def test_it_learns_what_only_the_picture_says(kind, words):
    """Two pictures, one text: the fused sentence vector can tell them apart after learning."""
    module, text = fusion(kind, drop=0.0), words(1)[[0, 0]]
    picture = pictures(2)
    target = rms_norm(torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(5)))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(120):
        loss = (module(text, picture).pooled - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    blind = (target.mean(0) - target).square().mean()  # the best that words alone could do
    assert loss < 0.1 * blind


def test_attention_equals_its_formula():
    """softmax(q k^T / sqrt(E)) v over the known rows, by hand (Vaswani et al. 2017, eq. 1)."""
    torch.manual_seed(0)
    block = FusionBlock(WIDTH, 1, cross=True)
    torch.nn.init.zeros_(block.down.weight)
    x, seen = torch.randn(2, 3, WIDTH), torch.randn(2, 5, WIDTH)
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])
    q, shown = block.query(rms_norm(x)), rms_norm(seen)
    scores = q @ block.key(shown).transpose(1, 2) / WIDTH**0.5
    scores = scores.masked_fill(~mask[:, None], -torch.inf)
    by_hand = x + block.out(scores.softmax(-1) @ block.value(shown))
    assert torch.allclose(block(x, seen, mask), by_hand, atol=1e-5)


@pytest.mark.parametrize("width", [7, 12, 30])
def test_any_width_has_any_number_of_heads(width, make_features):
    module = Fusion(width, config("joint", heads=4))
    assert module(make_features(2, width), pictures(2)).pooled.shape == (2, width)


def test_fewer_fields_are_the_means_of_many():
    grid = torch.arange(16.0).reshape(1, 16, 1)
    seen = ImageFeatures(grid, torch.zeros(1, 1))
    assert seen.at_most(16) is seen
    assert seen.at_most(7).tokens.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]  # 2 x 2 of 4 x 4
    assert seen.at_most(1).tokens.flatten().tolist() == [7.5]
    row = ImageFeatures(torch.arange(6.0).reshape(1, 6, 1), torch.zeros(1, 1))
    assert row.at_most(3).tokens.flatten().tolist() == [0.5, 2.5, 4.5]


def test_a_configuration_that_contradicts_itself_is_refused():
    with pytest.raises(ValidationError, match="image_dim"):
        FusionConfig(kind="cross")
    with pytest.raises(ValidationError, match="image_dim"):
        FusionConfig(kind="text", image_dim=4)
