"""The decoder against transformers' Llama, its cache against no cache."""

import pytest
import torch
from pydantic import ValidationError

from limner.errors import UsageError
from limner.models.decoder import Decoder, DecoderConfig, rotary_table

SHAPES = [
    DecoderConfig(dim=32, depth=3, heads=4, hidden=48),
    DecoderConfig(dim=48, depth=2, heads=6, kv_heads=2, hidden=80, rotary_base=500.0),
    DecoderConfig(dim=16, depth=1, heads=2, kv_heads=1),
]
every_shape = pytest.mark.parametrize("config", SHAPES, ids=["mha", "gqa", "mqa"])


def stirred(config):
    torch.manual_seed(1)
    decoder = Decoder(config).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return decoder


@every_shape
def test_logits_equal_llama_with_the_same_weights(config):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=37, hidden_size=config.dim, intermediate_size=config.mlp_width,
            num_hidden_layers=config.depth, num_attention_heads=config.heads,
            num_key_value_heads=config.key_heads, rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
            max_position_embeddings=64,
        )
    ).eval()  # fmt: skip
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    weights = theirs.model.state_dict()
    table = weights.pop("embed_tokens.weight")
    mine = Decoder(config).eval()
    mine.load_state_dict(weights)  # strict: every weight has its place
    ids = torch.randint(37, (3, 29))
    with torch.no_grad():
        logits = mine(table[ids]) @ theirs.lm_head.weight.T
        torch.testing.assert_close(logits, theirs(ids).logits, atol=2e-5, rtol=1e-4)


@every_shape
@pytest.mark.parametrize("pieces", [(1,) * 12, (5, 1, 1, 1, 1, 1, 1, 1), (4, 3, 5), (12,)])
def test_decoding_with_the_cache_equals_decoding_without(config, pieces):
    decoder = stirred(config)
    x = torch.randn(2, 12, config.dim)
    cache = decoder.open_cache(torch.zeros(2, *decoder.cache_shape(12)))
    held = cache.store.data_ptr()
    with torch.no_grad():
        whole = decoder(x)
        parts = torch.cat([decoder(piece, cache) for piece in x.split(list(pieces), 1)], 1)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)
    assert cache.filled == 12
    assert cache.store.data_ptr() == held


def test_no_position_sees_a_later_one():
    decoder = stirred(SHAPES[1])
    x = torch.randn(1, 9, decoder.dim)
    changed = x.clone()
    changed[:, 6:] = torch.randn(1, 3, decoder.dim)
    with torch.no_grad():
        a, b = decoder(x), decoder(changed)
    assert torch.equal(a[:, :6], b[:, :6])
    assert (a[:, 6:] - b[:, 6:]).abs().amin(-1).max() > 0


def test_attention_depends_on_distance_alone():
    # rotary positions: the same words further on attend to each other as before
    config = DecoderConfig(dim=16, depth=1, heads=2)
    attention = stirred(config).layers[0].self_attn
    cos, sin = rotary_table(config, 40, "cpu")
    x = torch.randn(1, 5, 16)
    with torch.no_grad():
        first, later = (attention(x, (cos[s : s + 5], sin[s : s + 5]), None) for s in (0, 30))
    torch.testing.assert_close(first, later, atol=1e-4, rtol=1e-4)


def test_a_full_cache_is_refused():
    decoder = Decoder(SHAPES[0])
    cache = decoder.open_cache(torch.zeros(1, *decoder.cache_shape(4)))
    with pytest.raises(UsageError, match="room for 4 positions, not for 5"):
        decoder(torch.zeros(1, 5, 32), cache)


@pytest.mark.parametrize(
    "wrong", [{"dim": 30, "heads": 4}, {"dim": 32, "heads": 4, "kv_heads": 3}, {"widht": 3}]
)
def test_shapes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        DecoderConfig.model_validate(wrong)
