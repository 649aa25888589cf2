"""Low-rank adaptation against its formula, on torch's and on transformers' linear maps."""

import copy

import pytest
import torch
from torch import nn

from limner.errors import UsageError
from limner.models.lora import DOWN, SCALE, UP, add_lora

transformers = pytest.importorskip("transformers")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=8, vocab_size=20)
    return transformers.GPT2Model(config).eval()


def stir(parameters):
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.3 * torch.randn_like(parameter))


def learned(net):
    return {name for name in net.state_dict() if name.rpartition(".")[2] in (DOWN, UP)}


def test_it_is_the_formula():
    net, x = network(), torch.randn(5, 6)
    first, second = copy.deepcopy(net[0]), copy.deepcopy(net[2])
    stir(add_lora(net, 2))
    state = net.state_dict()
    weights = [
        layer.weight + SCALE * state[f"{i}.{UP}"] @ state[f"{i}.{DOWN}"]
        for i, layer in ((0, first), (2, second))
    ]
    hidden = torch.tanh(x @ weights[0].T + first.bias)
    assert torch.allclose(net(x), hidden @ weights[1].T + second.bias, atol=1e-5)


def test_nothing_changes_at_first_and_only_the_small_matrices_learn():
    net, x = network(), torch.randn(5, 6)
    before = net(x)
    added = add_lora(net, 2)
    assert torch.equal(net(x), before)
    assert [tuple(p.shape) for p in added] == [(2, 6), (10, 2), (2, 10), (3, 2)]
    net(x).square().sum().backward()
    assert {n for n, p in net.named_parameters() if p.grad is not None} == learned(net)
    assert {n for n, p in net.named_parameters() if p.requires_grad} == learned(net)


def test_pretrained_names_stay():
    net, other = network(), network()
    add_lora(net, 2)
    missing, unexpected = net.load_state_dict(other.state_dict(), strict=False)
    assert unexpected == []
    assert set(missing) == learned(net)


@pytest.mark.parametrize("make", [network, gpt2])
def test_a_copy_adapts_itself(make):
    net = make()
    given = torch.arange(6)[None] if make is gpt2 else torch.randn(5, 6)

    def run(n):
        out = n(given)
        return getattr(out, "last_hidden_state", out)

    plain = run(net).detach()
    stir(add_lora(net, 3))
    twin = copy.deepcopy(net)
    before = run(net).detach()
    assert not torch.allclose(before, plain, atol=1e-3)
    assert torch.equal(run(twin), before)
    stir(p for n, p in twin.named_parameters() if n in learned(twin))
    assert torch.equal(run(net), before)


def test_the_maps_of_gpt2_are_found():
    net = gpt2()
    add_lora(net, 2)
    assert f"h.0.attn.c_attn.{UP}" in learned(net)
    assert net.h[0].attn.c_attn.get_parameter(UP).shape == (48, 2)


def test_the_smallest_rank_is_one():
    down, up = add_lora(nn.Linear(4, 3), 1)
    assert down.shape == (1, 4) and up.shape == (3, 1)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        add_lora(network(), 0)
    with pytest.raises(UsageError, match="no linear map"):
        add_lora(nn.Tanh(), 2)
