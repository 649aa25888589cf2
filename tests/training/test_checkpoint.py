"""Checkpoints come back to the bit, whatever their tensors share."""

from __future__ import annotations

import torch

from limner.training.checkpoint import RunState, load_checkpoint, save_checkpoint


def test_tensors_that_are_one_come_back_under_each_name(tmp_path):
    weight = torch.randn(4, 3)
    tensors = {
        "tied.a": weight, "tied.b": weight, "turned": weight.T, "step": torch.tensor(2**40 + 1),
        "half": weight.bfloat16(), "none": torch.zeros(0, 3), "nan": torch.tensor(float("nan")),
    }  # fmt: skip
    state = RunState(recipe={"a": [1, None]}, data="d", encoder="e", step=7, elapsed=0.1 + 0.2)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state, tensors)
    again, found = load_checkpoint(path)
    assert again == state
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert torch.equal(found[name].nan_to_num(7.0), tensor.nan_to_num(7.0)), name
