"""Packed linear maps, and tiles that share an evaluation."""

import pytest
import torch
from torch import nn

from limner.models.base import build
from limner.models.flow import FlowConfig
from limner.models.packing import PackedLinear, can_pack, pack_linear, packed_bytes
from limner.models.rows import SampleRequest
from limner.models.settings import Settings
from tiny_configs import tiny_config

needs_onednn = pytest.mark.skipif(not can_pack(), reason="this PyTorch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_map_is_the_linear_one_in_any_batch(bias):
    linear = nn.Linear(48, 20, bias=bias)
    packed, x = PackedLinear(linear), torch.randn(7, 3, 48)
    exact = nn.functional.linear(
        x.double(), linear.weight.double(), linear.bias.double() if bias else None
    )
    with torch.no_grad():
        together = packed(x)
        torch.testing.assert_close(together.double(), exact, rtol=1e-5, atol=1e-5)
    assert packed(x).requires_grad  # by the weights as they were
    assert list(packed.state_dict()) == list(linear.state_dict())


@needs_onednn
def test_a_packed_flow_draws_the_same_pictures_alone_and_together(stir, make_features):
    model = stir(build("flow", tiny_config(FlowConfig, text_dim=16))).eval()
    request = SampleRequest(make_features(11, 16), range(11), Settings(steps=3))
    before = model.sample(request)
    bytes_before = model.nbytes
    model.lay_out_weights()
    assert model.drawing_bytes == bytes_before + packed_bytes(model.network) > bytes_before
    torch.testing.assert_close(model.sample(request), before, rtol=1e-3, atol=1e-4)
    model.tile, rows = 1, model.begin(request)
    while not rows.finished.all():
        rows = model.advance(rows)
    for row in range(11):
        assert torch.equal(model.sample(request[[row]])[0], model.preview(rows)[row])
    counts = {key[0] for key in model.__dict__["_together"]}
    assert counts  # several tiles were tried in one evaluation
    assert counts <= {2, 4, 8}


def test_without_onednn_the_maps_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    network = nn.Sequential(nn.Linear(4, 4))
    pack_linear(network)
    assert type(network[0]) is nn.Linear
    assert packed_bytes(network) == 0
