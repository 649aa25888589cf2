"""What tokens and words do to places of a picture, against other ways to compute it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from limner.models.ar import ARConfig, ARModel
from limner.models.base import build, families
from limner.models.blocks import JointAttention, rotary_table
from limner.models.decoder import CausalAttention, DecoderConfig
from limner.models.decoder import rotary_table as turns_of
from limner.models.flow import FlowConfig, FlowModel
from limner.models.rows import SampleRequest
from limner.models.token_maps import gradient_maps
from tiny_configs import tiny_config

DIM = 16


def of_token(attention, values, token, call):
    """What an attention layer gives where the values of all other tokens are zero."""
    keep = torch.zeros(1, token[1], 1)
    keep[:, token[0]] = 1
    handle = values.register_forward_hook(lambda _, __, out: out * keep)
    try:
        return call()
    finally:
        handle.remove()


def test_contributions_of_joint_attention_are_what_is_left_of_its_output():
    torch.manual_seed(0)
    attention, side, words = JointAttention(16, 2), 2, 3
    torch.nn.init.zeros_(attention.out.bias)
    rotation = rotary_table(side, words, 8).unsqueeze(1)
    x = torch.randn(1, side**2 + words, 16)
    mask = torch.tensor([True] * 6 + [False])[None, None, None]
    found = attention.contributions(x, rotation, mask, side**2)
    assert found.shape == (1, 4, 3)
    for word in range(words):
        out = of_token(attention, attention.value, (4 + word, 7),
                       lambda: attention(x, rotation, mask))  # fmt: skip
        assert torch.allclose(found[..., word], out[:, :4].norm(dim=-1), atol=1e-5)
    assert not found[..., 2].any(), "a masked token adds nothing"


def test_contributions_of_causal_attention_are_what_is_left_of_its_output():
    torch.manual_seed(0)
    config = DecoderConfig(dim=16, depth=1, heads=4, kv_heads=2)
    attention = CausalAttention(config, 0)
    x, turns = torch.randn(1, 6, 16), turns_of(config, 6, "cpu")
    found = attention.contributions(x, turns, 2)
    assert found.shape == (1, 4, 2)
    for word in range(2):
        out = of_token(attention, attention.v_proj, (word, 6), lambda: attention(x, turns, None))
        assert torch.allclose(found[..., word], out[:, 2:].norm(dim=-1), atol=1e-5)


def test_gradients_of_a_linear_map_are_its_terms():
    torch.manual_seed(0)
    weights, tokens = torch.randn(4, 3, 5, 5, 8), torch.randn(1, 4, 8)
    found = gradient_maps(lambda x: torch.einsum("bld,lcijd->bcij", x, weights), tokens)
    terms = torch.einsum("bld,lcijd->blcij", tokens, weights).abs().sum(2)
    assert torch.allclose(found, terms, atol=1e-5)


def test_gradients_through_fused_attention_are_those_of_differences():
    torch.manual_seed(0)
    queries, tokens = torch.randn(1, 1, 12, 8), torch.randn(1, 3, 8)

    def draw(x: torch.Tensor) -> torch.Tensor:
        mixed = F.scaled_dot_product_attention(queries, x[:, None], x[:, None])
        return mixed[..., :1].reshape(1, 3, 2, 2)

    step, scale = 1e-3, torch.zeros(1, 3, 1)
    scale[:, 1] = 1e-3
    near = (draw(tokens * (1 + scale)) - draw(tokens * (1 - scale))).abs().sum(1) / (2 * step)
    assert torch.allclose(gradient_maps(draw, tokens)[:, 1], near, atol=1e-3)


@pytest.mark.parametrize("family", ["ar", "flow", "gan", "vae"])
def test_maps_of_tokens_cover_those_that_are_read(family, make_features):
    model = build(family, tiny_config(families()[family].config_class, text_dim=DIM)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    text = make_features(2, DIM)
    size = model.config.size
    images = torch.rand(2, 3, size, size) * 2 - 1
    maps = model.token_maps(SampleRequest(text, [1, 2]), images)
    assert maps.shape[:2] == text.mask.shape and bool((maps >= 0).all())
    assert maps[0, 0].any() and not maps[~text.mask].any()


def test_the_information_of_all_cells_is_the_ratio_of_the_likelihoods(make_features):
    torch.manual_seed(0)
    model = ARModel(tiny_config(ARConfig, text_dim=DIM)).eval()
    text, size = make_features(3, DIM), model.config.size
    image = torch.rand(1, 3, size, size) * 2 - 1
    found = model.word_information(SampleRequest(text[[0]], [4]), text[[1, 2]], image)
    likelihood = model.log_likelihood(image.expand(3, -1, -1, -1), text)
    assert torch.allclose(found.sum((1, 2)), likelihood[:1] - likelihood[1:], atol=1e-3)


def test_the_same_words_are_no_information_for_a_flow_and_others_are(make_features):
    torch.manual_seed(0)
    model = FlowModel(tiny_config(FlowConfig, text_dim=DIM)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    text, size = make_features(2, DIM), model.config.size
    image = torch.rand(1, 3, size, size) * 2 - 1
    found = model.word_information(SampleRequest(text[[0]], [4]), text[[0, 1]], image)
    assert found.shape == (2, size, size)
    assert found[0].abs().max() < 1e-4 < found[1].abs().max()
    back = model.word_information(SampleRequest(text[[1]], [4]), text[[0]], image)
    assert torch.allclose(back[0], -found[1], atol=1e-4), "the other way round it is the negative"


def test_information_of_a_flow_is_the_error_that_its_words_save(make_features, monkeypatch):
    """With its words the network sees the picture, without them nothing: they save mean x^2."""
    model = FlowModel(tiny_config(FlowConfig, text_dim=DIM)).eval()
    text, size = make_features(2, DIM), model.config.size
    image = torch.full((1, 3, size, size), 0.5)
    seen: dict[float, list[torch.Tensor]] = {}

    def network(z: torch.Tensor, t: torch.Tensor, condition: object) -> torch.Tensor:
        seen.setdefault(float(t[0]), []).append(z[0])
        return torch.cat([image, torch.zeros_like(image)])

    monkeypatch.setattr(model.network, "forward", network)
    found = model.word_information(SampleRequest(text[[0]], [4]), text[[1]], image)
    times = sum(map(len, seen.values()))
    torch.testing.assert_close(found, torch.full((1, size, size), 0.25 * times))
    for time, noisy in seen.items():  # antithetic: the noises of each time have the mean 0
        mean = torch.stack(noisy).mean(0)
        torch.testing.assert_close(mean, time * image[0], atol=1e-5, rtol=0)
        assert torch.stack(noisy).std(0).min() > 0
